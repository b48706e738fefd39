"""Inverted indexes: lists of positions (postings) by key, and segments of a library on disk.

A *segment* holds the landmarks and notes of some pieces in one file that never changes and is read in place.
Layout: one line of JSON (name, length and offset of each array, and a hash), then the arrays.

    ids       int64 [p]     numbers of the pieces
    event0    int64 [p+1]   where each piece's onset groups begin on the segment's axis of groups
    note0     int64 [p+1]   where each piece's notes begin
    keys      uint32 [k]    distinct landmark keys, ascending
    start     int64 [k+1]   where each key's postings begin
    position  uint32 [m]    groups on the segment's axis at which the landmarks begin, ascending within a key
    tick      int32 [n]     onsets in steps of 0.1 ms, pieces end to end, in the order of `NoteSequence`
    pitch     uint8 [n]
    event     uint32 [n]    onset group of each note, on the segment's axis

Pieces are `GAP` groups apart on the axis, so that a query that begins before a piece does never votes for its
neighbour. Whatever is used to navigate the file (all but positions, ticks and pitches) is hashed and checked
when the file is opened. The rest is most of it: reading that would cost more than a query, a wrong position
is noticed or outvoted, and no answer is given that the notes do not support.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import IntArray, ragged_ranges
from embedder.notes import Notes

from .landmarks import NoteSequence, find_landmarks, note_sequence

__all__ = [
    "GAP",
    "TICK_S",
    "InvertedIndex",
    "Segment",
    "build_segment",
    "expand_ranges",
    "merge_segments",
    "open_segment",
    "rarest_first",
    "write_segment",
]

GAP = 256
TICK_S = 1e-4
_NAMES_ON_DISK = {"group0": "event0", "group": "event"}
_TYPES = {
    "ids": "<i8",
    "group0": "<i8",
    "note0": "<i8",
    "keys": "<u4",
    "start": "<i8",
    "position": "<u4",
    "tick": "<i4",
    "pitch": "|u1",
    "group": "<u4",
}
_HASHED = ("ids", "group0", "note0", "keys", "start", "group")
_COPIED = ("ids", "group0", "note0")  # small, and used all the time
_FORMAT = "midikin landmarks 2"
_ALIGN = 64
_MAX_TICK = 2**31 - 1
_NO_BYTES = np.empty(0, np.uint8)


# -- inverted index ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class InvertedIndex:
    """Positions by key.

    Attributes
    ----------
    keys : uint32 [k], distinct, ascending
    start : int64 [k + 1], where the postings of each key begin
    position : uint32 [m], the postings, ascending within a key
    """

    keys: NDArray[np.uint32]
    start: IntArray
    position: NDArray[np.uint32]

    @classmethod
    def build(cls, keys: NDArray[np.uint32], positions: NDArray[Any]) -> InvertedIndex:
        """Index of parallel arrays of keys and positions (non-negative, below 2**32), [m]."""
        packed = keys.astype(np.uint64)
        packed <<= np.uint64(32)
        packed |= positions.astype(np.uint64, copy=False)
        packed.sort()
        sorted_keys = (packed >> np.uint64(32)).astype(np.uint32)
        first = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])[: len(packed)])
        start = np.concatenate([first, [len(packed)]]).astype(np.int64)
        return cls(sorted_keys[first], start, (packed & np.uint64(0xFFFFFFFF)).astype(np.uint32))

    def key_ranges(
        self, low: NDArray[np.uint32], high: NDArray[np.uint32] | None = None
    ) -> tuple[IntArray, IntArray]:
        """Half-open ranges of `keys` that lie in [low, high], or that equal `low`; int64 [q] each."""
        first = np.searchsorted(self.keys, low, "left")
        if high is not None:
            return first, np.searchsorted(self.keys, high, "right")
        if not len(self.keys):
            return first, first
        return first, first + (self.keys[np.minimum(first, len(self.keys) - 1)] == low)

    def postings_in(self, first: IntArray, last: IntArray) -> IntArray:
        """How many postings each range of keys has, int64 [q]."""
        return self.start[last] - self.start[first]


def rarest_first(counts: IntArray, budget: int, *, minimum: int = 1) -> IntArray:
    """Which posting lists to read: the shortest ones, as many as have less than `budget` postings in all.

    Parameters
    ----------
    counts : int64 [q], length of each list
    minimum : lists to read in any case
    """
    order = np.argsort(counts, kind="stable")
    return order[: max(minimum, int(np.searchsorted(np.cumsum(counts[order]), budget)))]


def expand_ranges(begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """All integers of the ranges [begin, end), and the range that each is from; int64 [n] each."""
    count = end - begin
    return ragged_ranges(begin, count), np.repeat(np.arange(len(count)), count)


# -- segments ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segment:
    """Arrays of a segment, in memory or mapped from its file; see the module's description."""

    ids: IntArray
    group0: IntArray
    note0: IntArray
    keys: NDArray[np.uint32]
    start: IntArray
    position: NDArray[np.uint32]
    tick: NDArray[np.int32]
    pitch: NDArray[np.uint8]
    group: NDArray[np.uint32]

    @property
    def index(self) -> InvertedIndex:
        """The landmarks."""
        return InvertedIndex(self.keys, self.start, self.position)

    @property
    def span(self) -> int:
        """Length of the axis of onset groups."""
        return int(self.group0[-1])

    def sequence(self, row: int, first_group: int = 0, last_group: int | None = None) -> NoteSequence:
        """Notes of piece number `row` of the segment whose onset groups lie in [first_group, last_group)."""
        low, high = int(self.note0[row]), int(self.note0[row + 1])
        group = self.group[low:high].astype(np.int64) - int(self.group0[row])
        if first_group > 0 or last_group is not None:
            begin = int(np.searchsorted(group, first_group))
            end = len(group) if last_group is None else int(np.searchsorted(group, last_group))
            group = group[begin:end]
            low, high = low + begin, low + end
        return NoteSequence(
            self.tick[low:high].astype(np.float64) * TICK_S, self.pitch[low:high].astype(np.int64), group
        )


def build_segment(pieces: Iterable[tuple[int, Notes]]) -> Segment:
    """Segment of some pieces, each given by its number and its notes."""
    ids, group0, note0 = [], [0], [0]
    keys, positions, ticks, pitches, groups = [], [], [], [], []
    for piece_id, notes in pieces:
        sequence = note_sequence(notes)
        landmarks = find_landmarks(sequence)
        ids.append(piece_id)
        keys.append(landmarks.key)
        positions.append((landmarks.group + group0[-1]).astype(np.uint64))
        ticks.append(np.clip(np.rint(sequence.onset_s / TICK_S), -_MAX_TICK, _MAX_TICK).astype(np.int32))
        pitches.append(sequence.pitch.astype(np.uint8))
        groups.append((sequence.group + group0[-1]).astype(np.uint32))
        group0.append(group0[-1] + sequence.groups + GAP)
        note0.append(note0[-1] + len(sequence))
    index = InvertedIndex.build(_concatenate(keys, np.uint32), _concatenate(positions, np.uint64))
    return Segment(
        np.asarray(ids, np.int64),
        np.asarray(group0, np.int64),
        np.asarray(note0, np.int64),
        index.keys,
        index.start,
        index.position,
        _concatenate(ticks, np.int32),
        _concatenate(pitches, np.uint8),
        _concatenate(groups, np.uint32),
    )


def merge_segments(segments: Iterable[Segment]) -> Segment:
    """One segment that holds the pieces of several."""
    ids, group0, note0 = [], [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    keys, positions, ticks, pitches, groups = [], [], [], [], []
    span, notes = 0, 0
    for segment in segments:
        ids.append(segment.ids)
        group0.append(segment.group0[1:] + span)
        note0.append(segment.note0[1:] + notes)
        keys.append(np.repeat(segment.keys, np.diff(segment.start)))
        positions.append(segment.position.astype(np.uint64) + np.uint64(span))
        ticks.append(segment.tick)
        pitches.append(segment.pitch)
        groups.append((segment.group.astype(np.int64) + span).astype(np.uint32))
        span, notes = span + segment.span, notes + int(segment.note0[-1])
    index = InvertedIndex.build(_concatenate(keys, np.uint32), _concatenate(positions, np.uint64))
    return Segment(
        np.concatenate(ids),
        np.concatenate(group0),
        np.concatenate(note0),
        index.keys,
        index.start,
        index.position,
        np.concatenate(ticks),
        np.concatenate(pitches),
        np.concatenate(groups),
    )


def _concatenate(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


# -- files ------------------------------------------------------------------------------------------


def write_segment(segment: Segment, file: IO[bytes]) -> None:
    """Write a segment to an empty file."""
    arrays = {f.name: np.ascontiguousarray(getattr(segment, f.name), _TYPES[f.name]) for f in fields(segment)}
    table, offset = {}, 0
    for name, array in arrays.items():
        table[_NAMES_ON_DISK.get(name, name)] = {"length": len(array), "place": offset}
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
    header = {"format": _FORMAT, "arrays": table, "bytes": offset, "sha256": _hash(arrays)}
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
        If the file is missing, truncated, or its tables are not what was written.
    """
    with open(path, "rb") as file:
        line = file.readline(1 << 16)
        header = json.loads(line)
        if header["format"] != _FORMAT or os.fstat(file.fileno()).st_size != len(line) + header["bytes"]:
            raise ValueError("not a complete segment")
    mapped = np.memmap(path, np.uint8, "r", len(line), (header["bytes"],)) if header["bytes"] else _NO_BYTES
    arrays = {}
    for name, dtype in _TYPES.items():
        entry = header["arrays"][_NAMES_ON_DISK.get(name, name)]
        length, offset = int(entry["length"]), int(entry["place"])
        if min(length, offset) < 0:
            raise ValueError(f"{name} has a negative length or offset")
        array = mapped[offset : offset + length * np.dtype(dtype).itemsize].view(np.ndarray).view(dtype)
        if len(array) != length:
            raise ValueError(f"{name} is truncated")
        arrays[name] = array
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
