"""MIDI music in, notes and vectors out; this package knows nothing of the other three.

Everything public is named here and imported when first used, so that `import embedder` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier
    from .core.errors import (
        CorpusError,
        DiskFull,
        EncoderError,
        EncoderMismatch,
        LibraryBusy,
        LibraryDamaged,
        LibraryError,
        LibraryReadOnly,
        MidiError,
        MidikinError,
        NoteTextError,
        PieceNotFound,
        TableError,
        TagError,
    )
    from .descriptors import Descriptors, describe
    from .embedded import Embedded
    from .encoder import Encoder
    from .generation.continuer import Continuation, Continuer
    from .generation.sampling import Sampling
    from .midi.reading import Limits, MidiFile, read_midi, read_piece
    from .midi.writing import write_midi
    from .notation import Meter, Part, Pedal, TempoMap
    from .note_text import parse_notes
    from .notes import GRID_HZ, Notes

_HOME = {
    "Classifier": "classifier",
    "Continuation": "generation.continuer",
    "Continuer": "generation.continuer",
    "CorpusError": "core.errors",
    "Descriptors": "descriptors",
    "DiskFull": "core.errors",
    "Embedded": "embedded",
    "Encoder": "encoder",
    "EncoderError": "core.errors",
    "EncoderMismatch": "core.errors",
    "GRID_HZ": "notes",
    "LibraryBusy": "core.errors",
    "LibraryDamaged": "core.errors",
    "LibraryError": "core.errors",
    "LibraryReadOnly": "core.errors",
    "Limits": "midi.reading",
    "Meter": "notation",
    "MidiError": "core.errors",
    "MidiFile": "midi.reading",
    "MidikinError": "core.errors",
    "NoteTextError": "core.errors",
    "Notes": "notes",
    "Part": "notation",
    "Pedal": "notation",
    "PieceNotFound": "core.errors",
    "TableError": "core.errors",
    "TagError": "core.errors",
    "TempoMap": "notation",
    "Sampling": "generation.sampling",
    "describe": "descriptors",
    "parse_notes": "note_text",
    "read_midi": "midi.reading",
    "read_piece": "midi.reading",
    "write_midi": "midi.writing",
}

__all__ = [
    "GRID_HZ",
    "Classifier",
    "Continuation",
    "Continuer",
    "CorpusError",
    "Descriptors",
    "DiskFull",
    "Embedded",
    "Encoder",
    "EncoderError",
    "EncoderMismatch",
    "LibraryBusy",
    "LibraryDamaged",
    "LibraryError",
    "LibraryReadOnly",
    "Limits",
    "Meter",
    "MidiError",
    "MidiFile",
    "MidikinError",
    "NoteTextError",
    "Notes",
    "Part",
    "Pedal",
    "PieceNotFound",
    "Sampling",
    "TableError",
    "TagError",
    "TempoMap",
    "describe",
    "parse_notes",
    "read_midi",
    "read_piece",
    "write_midi",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value  # the next use does not come here again
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
