"""Every error that midikin raises on purpose.

    MidikinError
    ├── MidiError          a file that is not usable MIDI music
    ├── NoteTextError      a typed tune that cannot be read
    ├── EncoderError       weights or a configuration that cannot be used
    ├── CorpusError        a training corpus or recipe that cannot be used
    ├── TableError         a CSV, TSV or JSON table that cannot be read
    └── LibraryError       the library on disk
        ├── LibraryBusy        another process is adding
        ├── LibraryDamaged     its database holds what cannot be
        ├── LibraryReadOnly    the library cannot be written
        ├── DiskFull           no space left for the library
        ├── EncoderMismatch    made with another encoder
        ├── PieceNotFound      no such piece in the library
        └── TagError           a tag, its labels or its probe

Messages are one line of plain words: what is wrong with what, then what to do. The command line
prints them as they are and exits with status 1.
"""

__all__ = [
    "CorpusError",
    "DiskFull",
    "EncoderError",
    "EncoderMismatch",
    "LibraryBusy",
    "LibraryDamaged",
    "LibraryError",
    "LibraryReadOnly",
    "MidiError",
    "MidikinError",
    "NoteTextError",
    "PieceNotFound",
    "TableError",
    "TagError",
]


class MidikinError(Exception):
    """Root of the tree; `str(error)` is one printable line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class MidiError(MidikinError):
    """A file or byte string that gives no usable notes; `reason` says why, without the path."""

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = " ".join(reason.split())
        self.path = path


class NoteTextError(MidikinError):
    """Text that is no tune in any of the notations that `embedder.note_text` reads."""


class EncoderError(MidikinError):
    """An encoder's folder, weights or configuration is missing, damaged or does not fit."""


class CorpusError(MidikinError):
    """A training corpus, recipe or checkpoint is missing, damaged or does not fit."""


class TableError(MidikinError):
    """A table of labels or the like is missing, not a table, or in another encoding."""


class LibraryError(MidikinError):
    """The library on disk cannot do what was asked."""


class LibraryBusy(LibraryError):
    """Another process holds the library's write lock."""


class LibraryDamaged(LibraryError):
    """The library's database cannot be read, or holds nonsense."""


class LibraryReadOnly(LibraryError):
    """The library's folder or database cannot be written."""


class DiskFull(LibraryError):
    """The disk that holds the library is full; what was committed before is safe."""


class EncoderMismatch(LibraryError):
    """The library's vectors were made by another encoder."""


class PieceNotFound(LibraryError):
    """No piece of the library answers to this path or number."""


class TagError(LibraryError):
    """A tag cannot be used so: unknown, contradictory, too few labels, or a table that cannot be used."""
