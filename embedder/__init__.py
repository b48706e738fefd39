"""MIDI music in, notes and vectors out; this package knows nothing of the other three.

Everything public is named here and imported when first used, so that `import embedder` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier
    from .descriptors import Descriptors, describe
    from .encoder import Embedded, Encoder
    from .errors import (
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
        PieceNotFound,
        TagError,
    )
    from .generation.continuing import Continuation, Continuer
    from .generation.sampling import Sampling
    from .midi.reading import Limits, MidiFile, read_midi, read_piece
    from .midi.writing import write_midi
    from .notation import Meter, Part, Pedal, TempoMap
    from .notes import GRID_HZ, Notes

_HOME = {
    "Classifier": "classifier",
    "Continuation": "generation.continuing",
    "Continuer": "generation.continuing",
    "CorpusError": "errors",
    "Descriptors": "descriptors",
    "DiskFull": "errors",
    "Embedded": "encoder",
    "Encoder": "encoder",
    "EncoderError": "errors",
    "EncoderMismatch": "errors",
    "GRID_HZ": "notes",
    "LibraryBusy": "errors",
    "LibraryDamaged": "errors",
    "LibraryError": "errors",
    "LibraryReadOnly": "errors",
    "Limits": "midi.reading",
    "Meter": "notation",
    "MidiError": "errors",
    "MidiFile": "midi.reading",
    "MidikinError": "errors",
    "Notes": "notes",
    "Part": "notation",
    "Pedal": "notation",
    "PieceNotFound": "errors",
    "TagError": "errors",
    "TempoMap": "notation",
    "Sampling": "generation.sampling",
    "describe": "descriptors",
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
    "Notes",
    "Part",
    "Pedal",
    "PieceNotFound",
    "Sampling",
    "TagError",
    "TempoMap",
    "describe",
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
