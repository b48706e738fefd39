"""A library of MIDI pieces on disk: add folders, search by sound, filter by description.

    from index import Library

    with Library.open("my-library") as library:
        library.add(["~/Music/midi"])
        for hit in library.search("theme.mid").results:
            print(hit.rank, hit.path, hit.score)

Names are loaded on first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# torch and faiss each bring an OpenMP runtime whose idle threads spin and take the cores from the other;
# it must be said before either is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from .filters import FIELDS, FilterField, Filters, Term
    from .library import Library, default_folder
    from .records import (
        AddProgress,
        AddReport,
        Failure,
        Hit,
        IndexInfo,
        LibraryInfo,
        Piece,
        Query,
        RemoveReport,
        SearchResult,
    )
    from .vectors import FaissStore, VectorStore

_HOME = {
    "AddProgress": "records",
    "AddReport": "records",
    "FIELDS": "filters",
    "FaissStore": "vectors",
    "Failure": "records",
    "FilterField": "filters",
    "Filters": "filters",
    "Hit": "records",
    "IndexInfo": "records",
    "Library": "library",
    "LibraryInfo": "records",
    "Piece": "records",
    "Query": "records",
    "RemoveReport": "records",
    "SearchResult": "records",
    "Term": "filters",
    "VectorStore": "vectors",
    "default_folder": "library",
}

__all__ = [
    "FIELDS",
    "AddProgress",
    "AddReport",
    "Failure",
    "FaissStore",
    "FilterField",
    "Filters",
    "Hit",
    "IndexInfo",
    "Library",
    "LibraryInfo",
    "Piece",
    "Query",
    "RemoveReport",
    "SearchResult",
    "Term",
    "VectorStore",
    "default_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
