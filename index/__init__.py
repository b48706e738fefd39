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
    from .identity.compared import Compared
    from .identity.decisions import Decision, Verdict
    from .identity.duplicates import Duplicates
    from .identity.kinds import Kind
    from .identity.records import FindResult, Found
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
    "Compared": "identity.compared",
    "Decision": "identity.decisions",
    "Duplicates": "identity.duplicates",
    "FIELDS": "filters",
    "Failure": "records",
    "FaissStore": "vectors",
    "FilterField": "filters",
    "Filters": "filters",
    "FindResult": "identity.records",
    "Found": "identity.records",
    "Hit": "records",
    "IndexInfo": "records",
    "Kind": "identity.kinds",
    "Library": "library",
    "LibraryInfo": "records",
    "Piece": "records",
    "Query": "records",
    "RemoveReport": "records",
    "SearchResult": "records",
    "Term": "filters",
    "VectorStore": "vectors",
    "Verdict": "identity.decisions",
    "default_folder": "library",
}

__all__ = [
    "FIELDS",
    "AddProgress",
    "AddReport",
    "Compared",
    "Decision",
    "Duplicates",
    "Failure",
    "FaissStore",
    "FilterField",
    "Filters",
    "FindResult",
    "Found",
    "Hit",
    "IndexInfo",
    "Kind",
    "Library",
    "LibraryInfo",
    "Piece",
    "Query",
    "RemoveReport",
    "SearchResult",
    "Term",
    "VectorStore",
    "Verdict",
    "default_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
