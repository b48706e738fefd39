"""What stands around the notes of a MIDI file: wrappers, the header and the title."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.errors import MidiError

__all__ = ["Header", "parse_header", "title_of", "unwrap"]

HEADER_BYTES = 14
MACBINARY_BYTES = 128  # the wrapper that old Macintosh archives put before a file
TRACK_NAME, END_OF_TRACK = 0x03, 0x2F
LONGEST_NAME = 1_024  # bytes of a name that are looked at
MOST_LEADING = 10_000  # events that are looked at for a name

# Names that sequencers give by themselves; they say nothing about the music.
_EMPTY_TITLE = re.compile(
    r"(untitled|unnamed|no ?name|new|track|sequence|song|music|midi|piano|grand|acoustic|melody|bridge"
    r"|chords?|control|tempo|conductor|master|staff|part|voice|instrument|solo|right|left|hand|rh|lh"
    r"|up|down|upper|lower|in|out|port|file|default|seq|ch|channel|export|template|[\W\d_])+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Header:
    """The first chunk; `is_smpte` where ticks divide a second of time code instead of a beat."""

    type: int
    tracks: int
    is_smpte: bool


def unwrap(data: bytes) -> bytes:
    """The MIDI file inside an RMID or MacBinary wrapper; other bytes as they are.

    Raises
    ------
    MidiError
        If an RMID wrapper holds no MIDI file.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        return _riff_data(data)
    if data[:1] == b"\0" and data[MACBINARY_BYTES : MACBINARY_BYTES + 4] == b"MThd":
        return data[MACBINARY_BYTES:]
    return data


def _riff_data(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise MidiError("damaged MIDI: an RMID wrapper without a MIDI file in it")


def parse_header(data: bytes) -> Header:
    """Read and check the header.

    Raises
    ------
    MidiError
        If these bytes are no MIDI file at all.
    """
    if not data:
        raise MidiError("is empty")
    if data[:4] != b"MThd":
        raise MidiError("is not a MIDI file")
    if len(data) < HEADER_BYTES:
        raise MidiError("ends within its header")
    _, type_, tracks, division = struct.unpack_from(">IHHH", data, 4)
    if type_ > 2:
        raise MidiError(f"damaged MIDI: there is no Type {type_}")
    if tracks == 0:
        raise MidiError("has no tracks")
    if division == 0:
        raise MidiError("damaged MIDI: no ticks in a beat")
    return Header(type_, tracks, division >= 0x8000)


def title_of(data: bytes) -> str | None:
    """Name of the first track that says something, None if there is none.

    Only what stands before the first note or controller of the first track is looked at, and no more than
    `MOST_LEADING` events of it; a MIDI file of Type 1 keeps the name of the whole piece there.
    """
    for name in _leading_names(data):
        title = _decoded(name)
        lost = "??" in title  # written by a program that could not spell it
        if title and not lost and not _EMPTY_TITLE.fullmatch(title):
            return title
    return None


def _leading_names(data: bytes) -> Iterator[bytes]:
    at = 8 + int.from_bytes(data[4:8], "big")
    if data[at : at + 4] != b"MTrk":
        return
    at += 8
    for _ in range(MOST_LEADING):
        _gap, at = _variable_int(data, at)
        if data[at : at + 1] != b"\xff" or data[at + 1 : at + 2] in (b"", bytes([END_OF_TRACK])):
            return
        kind = data[at + 1]
        size, at = _variable_int(data, at + 2)
        if kind == TRACK_NAME:
            yield data[at : at + min(size, LONGEST_NAME)]
        at += size


def _variable_int(data: bytes, at: int) -> tuple[int, int]:
    """The number at a position and the position behind it; at most four bytes, as the standard says."""
    value = 0
    for byte in data[at : at + 4]:
        value = value << 7 | byte & 0x7F
        at += 1
        if byte < 0x80:
            break
    return value, at


def _decoded(name: bytes) -> str:
    """One line of text, from UTF-8 or else the Western European page that old files use."""
    try:
        # A name that was cut may end within a letter, which is then left out.
        text, _ = codecs.utf_8_decode(name, "strict", len(name) < LONGEST_NAME)
    except UnicodeDecodeError:
        text = name.decode("cp1252", errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
