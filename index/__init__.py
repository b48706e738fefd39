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
import warnings
from typing import TYPE_CHECKING, Any

# torch and faiss each bring an OpenMP runtime whose idle threads spin and take the cores from the other;
# it must be said before either is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from .duplicates.decisions import Decision, Verdict
    from .duplicates.duplicates import Duplicates
    from .filters import FIELDS, FilterField, Filters, Term
    from .library import Library, default_folder
    from .maintenance import repair_library, verify_library
    from .matching import Compared, FindResult, Found, Kind, Match, compare_files
    from .melody.search import MelodyHit, MelodyResult
    from .probes.records import (
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
    from .reembed import ReembedProgress, ReembedReport
    from .storage import is_midi_name
    from .storage.repair import RepairReport
    from .storage.verify import Problem, VerifyReport
    from .tags.records import (
        ImportReport,
        Label,
        LabelAction,
        LabelEdit,
        LabelReport,
        PieceTag,
        Tag,
        checked_name,
    )
    from .vectors.faiss_store import FaissStore, VectorStore

_HOME = {
    "Problem": "storage.verify",
    "ReembedProgress": "reembed",
    "ReembedReport": "reembed",
    "RepairReport": "storage.repair",
    "VerifyReport": "storage.verify",
    "repair_library": "maintenance",
    "verify_library": "maintenance",
    "AddProgress": "records",
    "AddReport": "records",
    "Applied": "probes.records",
    "Compared": "matching",
    "CurvePoint": "probes.records",
    "Decision": "duplicates.decisions",
    "Duplicates": "duplicates.duplicates",
    "Explanation": "probes.records",
    "FIELDS": "filters",
    "Failure": "records",
    "FaissStore": "vectors.faiss_store",
    "FilterField": "filters",
    "Filters": "filters",
    "FindResult": "matching",
    "Found": "matching",
    "Hit": "records",
    "ImportReport": "tags.records",
    "IndexInfo": "records",
    "IndexTrial": "records",
    "Kind": "matching",
    "Label": "tags.records",
    "LabelAction": "tags.records",
    "LabelEdit": "tags.records",
    "LabelReport": "tags.records",
    "Library": "library",
    "LibraryInfo": "records",
    "Match": "matching",
    "MelodyHit": "melody.search",
    "MelodyResult": "melody.search",
    "Piece": "records",
    "PieceTag": "tags.records",
    "Prediction": "probes.records",
    "Probe": "probes.records",
    "ProbeScores": "probes.records",
    "Query": "records",
    "RemoveReport": "records",
    "SearchResult": "records",
    "Suggestions": "probes.records",
    "Tag": "tags.records",
    "Term": "filters",
    "Timeline": "probes.records",
    "TrainReport": "probes.records",
    "VectorStore": "vectors.faiss_store",
    "Verdict": "duplicates.decisions",
    "checked_name": "tags.records",
    "compare_files": "matching",
    "default_folder": "library",
    "is_midi_name": "storage.paths",
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
    "LabelEdit",
    "LabelReport",
    "Library",
    "LibraryInfo",
    "Match",
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
    "checked_name",
    "compare_files",
    "default_folder",
    "is_midi_name",
    "repair_library",
    "verify_library",
]


_RENAMED = {"Wish": "LabelEdit"}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"index.{name} is now index.{_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
