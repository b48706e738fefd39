"""Nearest neighbours: FAISS indexes beside the database, or a Milvus server."""
