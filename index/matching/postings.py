"""A segment: the landmarks and notes of some pieces in one file that never changes and is read in place.

Layout: one line of JSON (name, type, length and place of each array, and a hash), then the
arrays.

    ids       int64 [p]     numbers of the pieces
    event0    int64 [p+1]   where each piece's events begin on the segment's axis of events
    note0     int64 [p+1]   where each piece's notes begin
    keys      uint32 [k]    distinct landmark keys, rising
    start     int64 [k+1]   where each key's positions begin
    position  uint32 [m]    events on the segment's axis at which the landmarks begin, rising within a key
    tick      int32 [n]     onsets in steps of 0.1 ms, pieces end to end, in the order of `Line`
    pitch     uint8 [n]
    event     uint32 [n]    event of each note, on the segment's axis

Pieces lie `GAP` events apart on the axis, so that a query which begins before a piece does never votes for
its neighbour. What finds its way through the file (all but positions, ticks and pitches) is hashed and
checked when the file is opened. The rest is most of it: reading that would cost more than a query, a wrong
position is noticed or outvoted, and no answer is given that the notes do not bear out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from .landmarks import Line, find_landmarks, line_of

__all__ = ["GAP", "TICK_S", "Segment", "build", "join", "open_segment", "write_segment"]

GAP = 256
TICK_S = 1e-4
_TYPES = {
    "ids": "<i8",
    "event0": "<i8",
    "note0": "<i8",
    "keys": "<u4",
    "start": "<i8",
    "position": "<u4",
    "tick": "<i4",
    "pitch": "|u1",
    "event": "<u4",
}
_HASHED = ("ids", "event0", "note0", "keys", "start", "event")
_COPIED = ("ids", "event0", "note0")  # small, and used all the time
_FORMAT = "midikin landmarks 2"
_ALIGN = 64
_LONGEST_TICK = 2**31 - 1
_NOTHING = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Segment:
    """Arrays of a segment, in memory or mapped from its file; see the module's description."""

    ids: NDArray[np.int64]
    event0: NDArray[np.int64]
    note0: NDArray[np.int64]
    keys: NDArray[np.uint32]
    start: NDArray[np.int64]
    position: NDArray[np.uint32]
    tick: NDArray[np.int32]
    pitch: NDArray[np.uint8]
    event: NDArray[np.uint32]

    @property
    def span(self) -> int:
        """Length of the axis of events."""
        return int(self.event0[-1])

    def line(self, row: int, first_event: int = 0, last_event: int | None = None) -> Line:
        """Notes of piece number `row` of the segment whose events lie in [first_event, last_event)."""
        low, high = int(self.note0[row]), int(self.note0[row + 1])
        base = int(self.event0[row])
        event = self.event[low:high].astype(np.int64) - base
        if first_event > 0 or last_event is not None:
            begin = int(np.searchsorted(event, first_event))
            end = len(event) if last_event is None else int(np.searchsorted(event, last_event))
            event = event[begin:end]
            low, high = low + begin, low + end
        return Line(
            self.tick[low:high].astype(np.float64) * TICK_S, self.pitch[low:high].astype(np.int64), event
        )


def build(pieces: Iterable[tuple[int, Notes]]) -> Segment:
    """Segment of some pieces."""
    ids, event0, note0 = [], [0], [0]
    keys, positions, ticks, pitches, events = [], [], [], [], []
    for piece_id, notes in pieces:
        line = line_of(notes)
        found = find_landmarks(line)
        ids.append(piece_id)
        keys.append(found.key)
        positions.append((found.event + event0[-1]).astype(np.uint64))
        ticks.append(np.clip(np.rint(line.onset_s / TICK_S), -_LONGEST_TICK, _LONGEST_TICK).astype(np.int32))
        pitches.append(line.pitch.astype(np.uint8))
        events.append((line.event + event0[-1]).astype(np.uint32))
        event0.append(event0[-1] + line.events + GAP)
        note0.append(note0[-1] + len(line))
    return Segment(
        np.asarray(ids, np.int64),
        np.asarray(event0, np.int64),
        np.asarray(note0, np.int64),
        *_postings(_join(keys, np.uint32), _join(positions, np.uint64)),
        _join(ticks, np.int32),
        _join(pitches, np.uint8),
        _join(events, np.uint32),
    )


def join(segments: Iterable[Segment]) -> Segment:
    """One segment that holds the pieces of several."""
    ids, event0, note0 = [], [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    keys, positions, ticks, pitches, events = [], [], [], [], []
    span, notes = 0, 0
    for some in segments:
        ids.append(some.ids)
        event0.append(some.event0[1:] + span)
        note0.append(some.note0[1:] + notes)
        keys.append(np.repeat(some.keys, np.diff(some.start)))
        positions.append(some.position.astype(np.uint64) + np.uint64(span))
        ticks.append(some.tick)
        pitches.append(some.pitch)
        events.append((some.event.astype(np.int64) + span).astype(np.uint32))
        span, notes = span + some.span, notes + int(some.note0[-1])
    return Segment(
        np.concatenate(ids),
        np.concatenate(event0),
        np.concatenate(note0),
        *_postings(_join(keys, np.uint32), _join(positions, np.uint64)),
        np.concatenate(ticks),
        np.concatenate(pitches),
        np.concatenate(events),
    )


def _join(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _postings(
    keys: NDArray[np.uint32], positions: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
    """Distinct keys, the start of each key's positions, and the positions."""
    both = keys.astype(np.uint64)
    both <<= np.uint64(32)
    both |= positions
    both.sort()
    sorted_keys = (both >> np.uint64(32)).astype(np.uint32)
    first = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])[: len(both)])
    start = np.concatenate([first, [len(both)]]).astype(np.int64)
    return sorted_keys[first], start, (both & np.uint64(0xFFFFFFFF)).astype(np.uint32)


# -- files ------------------------------------------------------------------------------------------


def write_segment(segment: Segment, file: IO[bytes]) -> None:
    """Write a segment to an empty file."""
    arrays = {f.name: np.ascontiguousarray(getattr(segment, f.name), _TYPES[f.name]) for f in fields(segment)}
    table, place = {}, 0
    for name, array in arrays.items():
        table[name] = {"length": len(array), "place": place}
        place += -(-array.nbytes // _ALIGN) * _ALIGN
    header = {"format": _FORMAT, "arrays": table, "bytes": place, "sha256": _hash(arrays)}
    line = json.dumps(header).encode()
    line += b" " * (-(len(line) + 1) % _ALIGN) + b"\n"
    file.write(line)
    for array in arrays.values():
        file.write(array.data)
        file.write(b"\0" * (-array.nbytes % _ALIGN))


def open_segment(path: Path) -> Segment:
    """Map a segment's file.

    Raises
    ------
    ValueError, OSError, KeyError, TypeError
        If the file is not there, cut short, or its tables are not what was written.
    """
    with open(path, "rb") as file:
        line = file.readline(1 << 16)
        header = json.loads(line)
        if header["format"] != _FORMAT or os.fstat(file.fileno()).st_size != len(line) + header["bytes"]:
            raise ValueError("not a complete segment")
    mapped = np.memmap(path, np.uint8, "r", len(line), (header["bytes"],)) if header["bytes"] else _NOTHING
    arrays = {}
    for name, dtype in _TYPES.items():
        entry = header["arrays"][name]
        length, place = int(entry["length"]), int(entry["place"])
        if min(length, place) < 0:
            raise ValueError(f"{name} lies nowhere")
        held = mapped[place : place + length * np.dtype(dtype).itemsize].view(np.ndarray).view(dtype)
        if len(held) != length:
            raise ValueError(f"{name} is cut short")
        arrays[name] = held
    for name in _COPIED:
        arrays[name] = np.array(arrays[name])
    if _hash(arrays) != header["sha256"]:
        raise ValueError("its tables are not what was written")
    return Segment(**arrays)


def _hash(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in _HASHED:
        digest.update(np.ascontiguousarray(arrays[name], _TYPES[name]).tobytes())
    return digest.hexdigest()
