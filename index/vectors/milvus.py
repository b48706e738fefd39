"""Vectors beyond one machine: a collection of a Milvus server behind the `VectorStore` interface.

One collection for each store of a library, shared by all machines that use it. Keys are primary keys, so
adding the same vectors twice changes nothing: machines need not agree on who brings the collection up to
date. What is filtered on lies in the database; Milvus knows the number of the piece, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from embedder.core.errors import LibraryError

from ..records import IndexInfo
from ..storage import Database
from .autotune import Trial
from .faiss_store import VectorStore
from .keys import FloatArray, IntArray, no_keys, pieces_of
from .vector_indexes import Catalogue, Owner, batches, changes

__all__ = ["MilvusStore", "SharedCatalogue"]


@dataclass
class _Shared:
    """A collection, the commit it stands for as far as this process knows, and the pieces in it."""

    store: MilvusStore
    owner: Owner
    commit: int
    numbers: IntArray


class SharedCatalogue(Catalogue):
    """Stores of one library in a Milvus server; safe to use from several threads and machines.

    Whoever searches first brings a collection up to date. Doing so twice changes nothing, so that machines
    need not agree on who does it.
    """

    def __init__(self, database: Database, address: str) -> None:
        super().__init__(database)
        self._address = address
        self._shared: dict[str, _Shared] = {}
        self._sharing = threading.Lock()

    def store(self, name: str) -> VectorStore | None:
        with self._sharing, self._database.read() as connection:
            owner = self._owner(connection)
            if owner is None:
                return None
            commit = self._database.commit_number(connection)
            held = self._shared.get(name)
            if held is None or held.owner != owner:
                store = MilvusStore(self._address, _collection(owner, name), owner[2])
                held = _Shared(store, owner, -1, store.pieces())
            if held.commit != commit:
                missing, gone = changes(connection, held.numbers)
                if len(gone):
                    held.store.remove(gone)
                for keys, vectors in batches(connection, name, owner[2], missing):
                    held.store.add(keys, vectors)
                kept = np.setdiff1d(held.numbers, gone, assume_unique=True)
                held.numbers, held.commit = np.union1d(kept, missing), commit
            self._shared[name] = held
            return held.store

    def serves(self, connection: Connection, name: str) -> bool:
        held = self._shared.get(name)
        return held is None or held.owner == self._owner(connection)

    def settle(self, name: str) -> None:
        """Milvus does this by itself."""

    def rebuild(self, name: str, settings: Sequence[str] | None = None) -> list[Trial]:
        raise LibraryError("the vectors of this library are in Milvus, which keeps its own indexes")

    def info(self, connection: Connection) -> tuple[IndexInfo, ...]:
        commit = self._database.commit_number(connection)
        return tuple(
            IndexInfo(name, held.store.kind, held.store.count, 1.0, held.commit == commit, "milvus", 0)
            for name, held in self._shared.items()
        )


def _collection(owner: Owner, name: str) -> str:
    """One for each library, encoder and store; Milvus takes letters, digits and underscores."""
    library, encoder, _ = owner
    words = "".join(c if c.isascii() and c.isalnum() else "_" for c in encoder)
    return f"midikin_{library}_{words}_{name}"[:255]


_AT_ONCE = 5_000
_MOST = 16_384  # results of one search, and numbers in one condition, that Milvus takes
_LINKS, _BUILD, _EFFORT = 32, 200, 128


class MilvusStore:
    """Vectors of one library in one collection.

    Parameters
    ----------
    address : of the server, like http://host:19530
    name : of the collection; made if there is none
    exact : compare every vector, instead of an HNSW graph

    Raises
    ------
    LibraryError
        If the server cannot be reached or refuses.
    """

    def __init__(self, address: str, name: str, dim: int, *, exact: bool = False) -> None:
        from pymilvus import MilvusClient

        self._address = address
        self._name = name
        self._dim = dim
        self._exact = exact
        with _translated(address):
            self._client = MilvusClient(uri=address)
            if not self._client.has_collection(name):
                self._create()
            self._client.load_collection(name)

    def _create(self) -> None:
        from pymilvus import DataType

        fields = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        fields.add_field("key", DataType.INT64, is_primary=True)
        fields.add_field("piece", DataType.INT64)
        fields.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dim)
        index = self._client.prepare_index_params()
        if self._exact:
            index.add_index("vector", index_type="FLAT", metric_type="IP")
        else:
            settings = {"M": _LINKS, "efConstruction": _BUILD}
            index.add_index("vector", index_type="HNSW", metric_type="IP", params=settings)
        self._client.create_collection(
            self._name, schema=fields, index_params=index, consistency_level="Strong"
        )

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def count(self) -> int:
        with _translated(self._address):
            found = self._client.query(self._name, filter="", output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "Milvus, exact" if self._exact else "Milvus, HNSW"

    def pieces(self) -> IntArray:
        numbers: set[int] = set()
        with _translated(self._address):
            iterator = self._client.query_iterator(
                self._name, filter="key >= 0", output_fields=["piece"], batch_size=_MOST
            )
            while rows := iterator.next():
                numbers.update(row["piece"] for row in rows)
            iterator.close()
        return np.array(sorted(numbers), dtype=np.int64)

    def add(self, keys: IntArray, vectors: FloatArray) -> None:
        keys = np.asarray(keys, dtype=np.int64)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.shape != (len(keys), self._dim):
            raise ValueError(f"vectors {vectors.shape} do not fit {len(keys)} keys of dimension {self._dim}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors must be finite")
        if (keys < 0).any() or len(np.unique(keys)) < len(keys):
            raise ValueError("keys must be non-negative and each there once")
        pieces = pieces_of(keys)
        with _translated(self._address):
            for first in range(0, len(keys), _AT_ONCE):
                some = slice(first, first + _AT_ONCE)
                columns = zip(keys[some].tolist(), pieces[some].tolist(), vectors[some], strict=True)
                rows = [{"key": key, "piece": piece, "vector": vector} for key, piece, vector in columns]
                self._client.upsert(self._name, rows)

    def remove(self, pieces: IntArray) -> None:
        numbers = np.asarray(pieces, dtype=np.int64).tolist()
        with _translated(self._address):
            for first in range(0, len(numbers), _MOST):
                self._client.delete(self._name, filter=f"piece in {numbers[first : first + _MOST]}")

    def flush(self) -> None:
        """Have the server write all that it was given to its storage."""
        with _translated(self._address):
            self._client.flush(self._name)

    def drop(self) -> None:
        """Delete the collection."""
        with _translated(self._address):
            self._client.drop_collection(self._name)

    def search(
        self, query: FloatArray, k: int, *, only: IntArray | None = None, without: Collection[int] = ()
    ) -> tuple[IntArray, FloatArray]:
        query = np.ascontiguousarray(query, dtype=np.float32).ravel()
        if len(query) != self._dim or not np.isfinite(query).all():
            raise ValueError(f"a query is {self._dim} finite numbers")
        if only is not None and len(only) == 0:
            return no_keys(), np.empty(0, dtype=np.float32)
        if only is not None and len(only) > _MOST:
            return self._among_many(query, k, only, without)
        conditions = []
        if only is not None:
            conditions.append(f"piece in {only.tolist()}")
        if len(without):
            conditions.append(f"piece not in {sorted(map(int, without))}")
        return self._ask(query, k, " and ".join(conditions))

    def _among_many(
        self, query: FloatArray, k: int, only: IntArray, without: Collection[int]
    ) -> tuple[IntArray, FloatArray]:
        """Ask for more and more, and keep what is allowed; at last piece by piece, some thousands at once."""
        wanted = 4 * k
        allowed = np.setdiff1d(only, np.array(sorted(without), dtype=np.int64))
        while wanted <= _MOST:
            keys, scores = self._ask(query, wanted, "")
            fits = np.isin(pieces_of(keys), allowed)
            if np.count_nonzero(fits) >= k or len(keys) < wanted:
                return keys[fits][:k], scores[fits][:k]
            wanted *= 8
        found = [
            self._ask(query, k, f"piece in {allowed[first : first + _MOST].tolist()}")
            for first in range(0, len(allowed), _MOST)
        ]
        keys, scores = (np.concatenate(column) for column in zip(*found, strict=True))
        best = np.argsort(-scores, kind="stable")[:k]
        return keys[best], scores[best]

    def _ask(self, query: FloatArray, k: int, condition: str) -> tuple[IntArray, FloatArray]:
        k = min(k, _MOST)
        effort = {} if self._exact else {"ef": max(_EFFORT, k)}
        with _translated(self._address):
            (found,) = self._client.search(
                self._name,
                [query],
                filter=condition,
                limit=k,
                search_params={"metric_type": "IP", "params": effort},
                consistency_level="Strong",
            )
        keys = np.array([row["key"] if "key" in row else row["id"] for row in found], dtype=np.int64)
        return keys, np.array([row["distance"] for row in found], dtype=np.float32)


@contextmanager
def _translated(address: str) -> Iterator[None]:
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        reason = " ".join(str(error.message).split())[:200]
        raise LibraryError(f"{address}: Milvus failed ({reason}); check that the server runs") from error
