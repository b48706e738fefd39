"""Notes on their way to the browser and back: as columns of bytes, written in base64."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import numpy as np

from embedder.core.errors import MidiError
from embedder.notes import Notes

__all__ = ["MOST_PLAYED_NOTES", "from_address", "from_played", "to_address", "to_browser"]

MOST_PLAYED_NOTES = 400  # a query fits into an address; the keyboard of the page stops there too
_LONGEST_S = 24 * 3600.0


def to_browser(notes: Notes) -> str:
    """Columns: onsets and durations in milliseconds (uint32), pitches and velocities (uint8)."""
    return base64.b64encode(_columns(notes)).decode("ascii")


def _columns(notes: Notes) -> bytes:
    milliseconds = [
        np.rint(np.maximum(times, 0) * 1000).astype("<u4") for times in (notes.onset, notes.duration)
    ]
    bytes_ = [numbers.astype(np.uint8) for numbers in (notes.pitch, notes.velocity)]
    return b"".join(column.tobytes() for column in (*milliseconds, *bytes_))


def to_address(notes: Notes) -> str:
    """The same, made shorter and in letters that stand in an address."""
    return base64.urlsafe_b64encode(zlib.compress(_columns(notes), 9)).decode("ascii").rstrip("=")


def from_address(text: str) -> Notes:
    """Notes that `to_address` wrote.

    Raises
    ------
    MidiError
        If it was not written by it, or holds too much.
    """
    most = 10 * MOST_PLAYED_NOTES
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        data = zlib.decompressobj().decompress(packed, most + 1)  # a small text may claim to hold gigabytes
    except (binascii.Error, ValueError, zlib.error):
        raise MidiError("the notes in the address are damaged; play them again") from None
    count, rest = divmod(len(data), 10)
    if rest or not 0 < count <= MOST_PLAYED_NOTES:
        raise MidiError("the notes in the address are damaged; play them again")
    times = np.frombuffer(data, "<u4", 2 * count) / 1000
    keys = np.frombuffer(data, np.uint8, 2 * count, offset=8 * count)
    return _checked(times[:count], times[count:], keys[:count], keys[count:])


def from_played(played: Any) -> Notes:
    """Notes as the page's keyboard sends them: a list of [onset ms, duration ms, pitch, velocity].

    Raises
    ------
    MidiError
        If they are none: whatever a browser sends is only a claim.
    """
    try:
        table = np.asarray(played, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 4 or not 0 < len(table) <= MOST_PLAYED_NOTES:
        raise MidiError(f"play at least one note and at most {MOST_PLAYED_NOTES}")
    return _checked(table[:, 0] / 1000, table[:, 1] / 1000, table[:, 2], table[:, 3])


def _checked(onset: Any, duration: Any, pitch: Any, velocity: Any) -> Notes:
    try:
        notes = Notes(onset, duration, pitch, velocity)
    except ValueError as error:
        raise MidiError(f"these are no notes: {error}") from None
    if notes.end_s > _LONGEST_S:
        raise MidiError("these notes last longer than a day")
    return notes
