"""Notes on their way to the browser and back: columns of bytes in base64, and their parts."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections import Counter
from typing import Any

import numpy as np

from embedder.core.errors import MidiError
from embedder.notes import Notes

__all__ = ["MAX_PLAYED_NOTES", "from_address", "from_played", "payload", "program_name", "to_address"]

_FAMILIES = (
    "Piano", "Mallets", "Organ", "Guitar", "Bass", "Strings", "Ensemble", "Brass",
    "Reed", "Pipe", "Synth lead", "Synth pad", "Synth effect", "Plucked", "Percussion", "Sound effect",
)  # fmt: skip
_PROGRAMS = {
    4: "Electric piano", 5: "Electric piano", 6: "Harpsichord", 7: "Clavinet", 8: "Celesta",
    9: "Glockenspiel",
    10: "Music box", 11: "Vibraphone", 12: "Marimba", 13: "Xylophone", 14: "Tubular bells", 15: "Dulcimer",
    21: "Accordion", 22: "Harmonica", 40: "Violin", 41: "Viola", 42: "Cello", 43: "Double bass",
    44: "Tremolo strings", 45: "Pizzicato", 46: "Harp", 47: "Timpani", 48: "Strings", 49: "Strings",
    50: "Synth strings", 51: "Synth strings", 52: "Choir", 53: "Voice", 54: "Voice", 56: "Trumpet",
    57: "Trombone", 58: "Tuba", 60: "French horn", 64: "Soprano sax", 65: "Alto sax", 66: "Tenor sax",
    67: "Baritone sax", 68: "Oboe", 69: "English horn", 70: "Bassoon", 71: "Clarinet", 72: "Piccolo",
    73: "Flute", 74: "Recorder", 75: "Pan flute", 104: "Sitar", 105: "Banjo",
}  # fmt: skip
# Names that programs give by themselves: the instrument says more.
_NUMBERED = re.compile(r"(?i)(staff|track|trk|part|channel|ch|midi|sequence|seq|untitled|new)[ ._#-]*\d*")
MAX_PLAYED_NOTES = 400  # a query fits into an address; the on-screen keyboard stops there too
_LONGEST_S = 24 * 3600.0


def payload(notes: Notes) -> dict[str, Any]:
    """What the browser needs of notes, as JSON.

    Returns
    -------
    dict : `notes`, the columns in base64: onsets and durations in milliseconds (uint32), pitches and
        velocities (uint8), and with more than one part the part of each note (uint16); `parts`, the name,
        General MIDI program and kind of each part that has notes; `piano`, whether the notes tell nothing
        of instruments, so that they are played on a piano.
    """
    numbers = getattr(notes, "part", None)
    known = tuple(getattr(notes, "parts", ()))
    if numbers is None or not known:
        numbers, known = np.zeros(len(notes), dtype=np.uint16), ()
    used, part = np.unique(np.asarray(numbers), return_inverse=True)
    parts = [_part(known[i]) for i in used] if known else [{"name": "Piano", "program": 0, "drums": False}]
    _tell_apart(parts)
    columns = _columns(notes)
    if len(parts) > 1:
        columns += part.astype("<u2").tobytes()
    unknown = len(parts) == 1 and (not known or getattr(known[int(used[0])], "channel", None) is None)
    return {"notes": base64.b64encode(columns).decode("ascii"), "parts": parts, "piano": unknown}


def _part(part: Any) -> dict[str, Any]:
    name = " ".join(str(part.name).split())
    if not name or _NUMBERED.fullmatch(name):
        name = "Drums" if part.drums else program_name(part.program)
    return {"name": name[:40], "program": int(part.program), "drums": bool(part.drums)}


def _tell_apart(parts: list[dict[str, Any]]) -> None:
    """Number the parts that share a name."""
    counts = Counter(part["name"] for part in parts)
    seen: Counter[str] = Counter()
    for part in parts:
        name = part["name"]
        if counts[name] > 1:
            seen[name] += 1
            part["name"] = f"{name} {seen[name]}"


def program_name(program: int) -> str:
    """The name of a General MIDI program's family, or of the program where the family is mixed."""
    return _PROGRAMS.get(program) or _FAMILIES[program // 8]


def _columns(notes: Notes) -> bytes:
    milliseconds = [
        np.rint(np.maximum(times, 0) * 1000).astype("<u4") for times in (notes.onset, notes.duration)
    ]
    bytes_ = [numbers.astype(np.uint8) for numbers in (notes.pitch, notes.velocity)]
    return b"".join(column.tobytes() for column in (*milliseconds, *bytes_))


def to_address(notes: Notes) -> str:
    """The columns, compressed and in letters that an address may hold."""
    return base64.urlsafe_b64encode(zlib.compress(_columns(notes), 9)).decode("ascii").rstrip("=")


def from_address(text: str) -> Notes:
    """Notes that `to_address` wrote.

    Raises
    ------
    MidiError
        If the text is damaged or holds too many notes.
    """
    limit = 10 * MAX_PLAYED_NOTES
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        data = zlib.decompressobj().decompress(packed, limit + 1)  # a decompression bomb ends here
    except (binascii.Error, ValueError, zlib.error):
        raise MidiError("the notes in the address are damaged; play them again") from None
    count, rest = divmod(len(data), 10)
    if rest or not 0 < count <= MAX_PLAYED_NOTES:
        raise MidiError("the notes in the address are damaged; play them again")
    times = np.frombuffer(data, "<u4", 2 * count) / 1000
    keys = np.frombuffer(data, np.uint8, 2 * count, offset=8 * count)
    return _checked(times[:count], times[count:], keys[:count], keys[count:])


def from_played(played: Any) -> Notes:
    """Notes as the on-screen keyboard sends them: a list of [onset ms, duration ms, pitch, velocity].

    Raises
    ------
    MidiError
        If they are not notes; what a browser sends is not trusted.
    """
    try:
        table = np.asarray(played, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 4 or not 0 < len(table) <= MAX_PLAYED_NOTES:
        raise MidiError(f"play at least one note and at most {MAX_PLAYED_NOTES}")
    return _checked(table[:, 0] / 1000, table[:, 1] / 1000, table[:, 2], table[:, 3])


def _checked(onset: Any, duration: Any, pitch: Any, velocity: Any) -> Notes:
    try:
        notes = Notes(onset, duration, pitch, velocity)
    except ValueError as error:
        raise MidiError(f"these are no notes: {error}") from None
    if notes.end_s > _LONGEST_S:
        raise MidiError("these notes last longer than a day")
    return notes
