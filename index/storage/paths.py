"""Paths as the library keeps them: bytes for truth, printable text for people.

A file's name on disk is a string of bytes that need not be UTF-8 and may hold newlines or escape codes.
The bytes (`os.fsencode`) identify the file; the display form is safe to print on a terminal.
"""

from __future__ import annotations

import os

from embedder.core.files import printable as display

__all__ = [
    "MIDI_SUFFIXES",
    "absolute",
    "below",
    "clamped_ns",
    "display",
    "from_bytes",
    "is_midi_name",
    "to_bytes",
]

_LARGEST = 2**63 - 1  # what the database can hold
MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf")


def absolute(path: str | os.PathLike[str]) -> str:
    """Absolute path with `~` expanded, symbolic links left as they are.

    Raises
    ------
    ValueError
        If the path is empty or no system has such a path.
    """
    text = os.fsdecode(path)
    if not text:  # an unset variable of a shell must not mean the current folder
        raise ValueError("an empty path; give the name of a file or folder")
    if "\0" in text:
        raise ValueError(f"{display(text)}: no path holds a NUL character; check the name")
    to_bytes(text)
    return os.path.abspath(os.path.expanduser(text))


def to_bytes(path: str) -> bytes:
    """The bytes that identify a path in the database."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(f"{display(path)}: not a path that this system can have; check the name") from None


def from_bytes(path: bytes) -> str:
    return os.fsdecode(path)


def is_midi_name(name: str) -> bool:
    return name.lower().endswith(MIDI_SUFFIXES)


def below(folder: str) -> tuple[bytes, bytes]:
    """Half-open range of path bytes that holds everything inside a folder, for an indexed look-up."""
    separator = os.fsencode(os.sep)
    first = to_bytes(folder).rstrip(separator) + separator
    return first, first[:-1] + bytes([first[-1] + 1])


def clamped_ns(time_ns: int) -> int:
    """A time of change as the database can hold it: a file may claim any."""
    return min(max(time_ns, -_LARGEST), _LARGEST)
