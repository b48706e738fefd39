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
    from .care import repair_library, verify_library
    from .checking import Problem, VerifyReport
    from .filters import FIELDS, FilterField, Filters, Term
    from .identity.compared import Compared, compare_files
    from .identity.decisions import Decision, Verdict
    from .identity.duplicates import Duplicates
    from .identity.kinds import Kind
    from .identity.records import FindResult, Found
    from .library import Library, default_folder
    from .melodies import MelodyHit, MelodyResult
    from .records import (
        AddProgress,
        AddReport,
        Failure,
        Hit,
        IndexInfo,
        IndexTrial,
        LibraryInfo,
        Piece,
        Query,
        RemoveReport,
        SearchResult,
    )
    from .reembedding import ReembedProgress, ReembedReport
    from .repair import RepairReport
    from .tags.probe_records import (
        Applied,
        CurvePoint,
        Explanation,
        Prediction,
        Probe,
        ProbeScores,
        Suggestions,
        Timeline,
        TrainReport,
    )
    from .tags.records import (
        ImportReport,
        Label,
        LabelAction,
        LabelReport,
        PieceTag,
        Tag,
        Wish,
    )
    from .vectors import FaissStore, VectorStore

_HOME = {
    "Problem": "checking",
    "ReembedProgress": "reembedding",
    "ReembedReport": "reembedding",
    "RepairReport": "repair",
    "VerifyReport": "checking",
    "repair_library": "care",
    "verify_library": "care",
    "AddProgress": "records",
    "AddReport": "records",
    "Applied": "tags.probe_records",
    "Compared": "identity.compared",
    "CurvePoint": "tags.probe_records",
    "Decision": "identity.decisions",
    "Duplicates": "identity.duplicates",
    "Explanation": "tags.probe_records",
    "FIELDS": "filters",
    "Failure": "records",
    "FaissStore": "vectors",
    "FilterField": "filters",
    "Filters": "filters",
    "FindResult": "identity.records",
    "Found": "identity.records",
    "Hit": "records",
    "ImportReport": "tags.records",
    "IndexInfo": "records",
    "IndexTrial": "records",
    "Kind": "identity.kinds",
    "Label": "tags.records",
    "LabelAction": "tags.records",
    "LabelReport": "tags.records",
    "Library": "library",
    "LibraryInfo": "records",
    "MelodyHit": "melodies",
    "MelodyResult": "melodies",
    "Piece": "records",
    "PieceTag": "tags.records",
    "Prediction": "tags.probe_records",
    "Probe": "tags.probe_records",
    "ProbeScores": "tags.probe_records",
    "Query": "records",
    "RemoveReport": "records",
    "SearchResult": "records",
    "Suggestions": "tags.probe_records",
    "Tag": "tags.records",
    "Term": "filters",
    "Timeline": "tags.probe_records",
    "TrainReport": "tags.probe_records",
    "VectorStore": "vectors",
    "Verdict": "identity.decisions",
    "compare_files": "identity.compared",
    "Wish": "tags.records",
    "default_folder": "library",
}

__all__ = [
    "FIELDS",
    "AddProgress",
    "AddReport",
    "Applied",
    "Compared",
    "CurvePoint",
    "Decision",
    "Duplicates",
    "Explanation",
    "Failure",
    "FaissStore",
    "FilterField",
    "Filters",
    "FindResult",
    "Found",
    "Hit",
    "ImportReport",
    "IndexInfo",
    "IndexTrial",
    "Kind",
    "Label",
    "LabelAction",
    "LabelReport",
    "Library",
    "LibraryInfo",
    "MelodyHit",
    "MelodyResult",
    "Piece",
    "PieceTag",
    "Prediction",
    "Probe",
    "ProbeScores",
    "Problem",
    "Query",
    "ReembedProgress",
    "ReembedReport",
    "RemoveReport",
    "RepairReport",
    "SearchResult",
    "Suggestions",
    "Tag",
    "Term",
    "Timeline",
    "TrainReport",
    "VectorStore",
    "Verdict",
    "VerifyReport",
    "Wish",
    "compare_files",
    "default_folder",
    "repair_library",
    "verify_library",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
