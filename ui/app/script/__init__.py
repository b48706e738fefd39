"""The script that Streamlit runs, in its own folder: a folder `pages` beside it would be served as pages."""
