"""Voting: which pieces share rare landmarks with a query, and about where.

Query and piece count their events from their own beginnings. Where they hold the same music the *difference*
of the two counts stays nearly the same whatever the tempo does, so landmarks that agree pile up on one
diagonal. Diagonals are counted in overlapping buckets. A landmark weighs the more the rarer it is, and a key
that the query repeats (tremolo, Alberti bass) weighs once in all. Lists of positions are read from the rarest
on until `budget` of them have been read: that bounds the time of a query whatever the library's size.

With `transposed` the low bits of the keys are left open, and each difference of pitch is a further axis of
the vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .landmarks import PITCH_BITS, Landmarks, Line
from .postings import GAP, Segment

__all__ = ["CHUNK_EVENTS", "Candidate", "ranges", "vote"]

CHUNK_EVENTS = GAP - 32  # a query may be no longer, or its first events could vote for the piece before
_BUCKET = 16  # events; counts drift apart by about this within a query, through ornaments and lost notes
_WEIGHT_STEPS = 63
_SLOTS = 1 << 18
_SLOTS_KEPT = 8_192
_HEAVY = 2_000
_PITCHES = np.uint32((1 << PITCH_BITS) - 1)

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """A place of a piece that may hold the query.

    Attributes
    ----------
    segment, row : the piece, as row of a segment
    transposition : semitones from the query up to the piece
    votes : sum of the weights of the landmarks that agree
    at_s : float64 [h], when each agreeing landmark begins in the query
    event : int64 [h], where that landmark is in the piece, in events from the piece's beginning
    """

    segment: int
    row: int
    transposition: int
    votes: float
    at_s: NDArray[np.float64]
    event: IntArray


@dataclass(frozen=True)
class _Hits:
    """Positions of all segments on one axis of events, with what they agree with."""

    diagonal: IntArray  # event on the joint axis minus event of the query, shifted to be positive
    transposition: IntArray
    weight: IntArray  # 1.._WEIGHT_STEPS
    landmark: IntArray


def vote(
    segments: Sequence[Segment],
    line: Line,
    landmarks: Landmarks,
    *,
    transposed: bool = False,
    budget: int = 400_000,
    keep: int = 16,
    allowed: Sequence[NDArray[np.bool_]] | None = None,
) -> list[Candidate]:
    """The most likely places of a query, best first.

    Parameters
    ----------
    line : the query, at most CHUNK_EVENTS events
    landmarks : its landmarks
    budget : positions to read at most
    keep : how many places to return
    allowed : bool [p] for each segment, the pieces that may answer; None if all may
    """
    if line.events > CHUNK_EVENTS:
        raise ValueError(f"a query for a vote has at most {CHUNK_EVENTS} events")
    base = np.concatenate([[0], np.cumsum([s.span for s in segments], dtype=np.int64)])
    hits = _gather(segments, base, landmarks, transposed, budget)
    if not len(hits.diagonal):
        return []
    buckets = int(base[-1] + GAP) // _BUCKET + 2
    cell = (hits.transposition + 128) * buckets + hits.diagonal // _BUCKET
    some = _promising(cell, hits.weight)
    cells, sums = _sums(cell[some], hits.weight[some])
    pair = sums.astype(np.float64)
    neighbours = np.flatnonzero(cells[1:] == cells[:-1] + 1)
    pair[neighbours] += sums[neighbours + 1]
    best = np.argsort(-pair, kind="stable")[: 8 * keep]
    reach = _BUCKET + line.events // 4
    hits = _near(hits, cells[best] % buckets, buckets, reach)
    found: list[Candidate] = []
    taken: dict[tuple[int, int], list[int]] = {}
    axis = [s.event0 + offset for s, offset in zip(segments, base, strict=False)]
    for index in best:
        shift, bucket = divmod(int(cells[index]), buckets)
        diagonal = (bucket + 1) * _BUCKET
        number = int(np.searchsorted(base, diagonal, "right")) - 1
        if number >= len(segments):
            continue
        row = int(np.searchsorted(axis[number], diagonal, "right")) - 1
        row = min(row, len(segments[number].ids) - 1)
        if allowed is not None and not allowed[number][row]:
            continue
        place = (int(axis[number][row]) << 8) | shift
        if any(abs(diagonal - other) <= reach for other in taken.get((place, 0), ())):
            continue  # the same place, seen from the next bucket
        taken.setdefault((place, 0), []).append(diagonal)
        near = np.flatnonzero(
            (np.abs(hits.diagonal - diagonal) <= reach) & (hits.transposition == shift - 128)
        )
        agreeing = hits.landmark[near]
        event = hits.diagonal[near] + landmarks.event[agreeing] - GAP - int(axis[number][row])
        inside = (event >= 0) & (event < axis[number][row + 1] - axis[number][row] - GAP)
        found.append(
            Candidate(
                number,
                row,
                shift - 128,
                float(pair[index]) / _WEIGHT_STEPS,
                landmarks.onset_s[agreeing][inside],
                event[inside],
            )
        )
        if len(found) == keep:
            break
    return found


def _gather(
    segments: Sequence[Segment],
    base: IntArray,
    landmarks: Landmarks,
    transposed: bool,
    budget: int,
) -> _Hits:
    """Read the positions of the query's landmarks, the rarest first."""
    low_key, high_key = landmarks.key, landmarks.key
    if transposed:
        low_key = landmarks.key & ~_PITCHES
        high_key = low_key | _PITCHES
    lows, highs = [], []
    for segment in segments:
        lows.append(np.searchsorted(segment.keys, low_key, "left"))
        highs.append(np.searchsorted(segment.keys, high_key, "right"))
    length = np.zeros(len(landmarks.key), dtype=np.int64)
    for segment, low, high in zip(segments, lows, highs, strict=True):
        length += segment.start[high] - segment.start[low]
    order = np.argsort(length, kind="stable")
    order = order[length[order] > 0]
    order = order[: max(1, int(np.searchsorted(np.cumsum(length[order]), budget)))]
    weight = _weights(low_key[order], length[order], sum(len(s.position) for s in segments))
    parts: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
    for segment, offset, low, high in zip(segments, base, lows, highs, strict=False):
        key, of_key = ranges(low[order], high[order])
        place, of_place = ranges(segment.start[key], segment.start[key + 1])
        sound = segment.position[place] < segment.span  # a damaged position may be anything
        place, of_place = place[sound], of_place[sound]
        which = of_key[of_place]
        landmark = order[which]
        diagonal = segment.position[place].astype(np.int64)
        diagonal += offset + GAP - landmarks.event[landmark]
        shift = np.zeros(len(place), dtype=np.int64)
        if transposed:
            pitch = (segment.keys[key] & _PITCHES).astype(np.int64)
            shift = pitch[of_place] - (landmarks.key & _PITCHES).astype(np.int64)[landmark]
        parts.append((diagonal, shift, weight[which], landmark))
    if not parts:
        empty = np.empty(0, dtype=np.int64)
        return _Hits(empty, empty, empty, empty)
    return _Hits(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _near(hits: _Hits, wanted: IntArray, buckets: int, reach: int) -> _Hits:
    """Only the hits around some buckets: a few of a great many."""
    marked = np.zeros(buckets + 1, dtype=bool)
    around = wanted[:, None] + np.arange(-reach // _BUCKET - 1, reach // _BUCKET + 3)
    marked[np.clip(around, 0, buckets)] = True
    some = np.flatnonzero(marked[hits.diagonal // _BUCKET])
    return _Hits(hits.diagonal[some], hits.transposition[some], hits.weight[some], hits.landmark[some])


def _weights(key: NDArray[np.uint32], length: IntArray, total: int) -> IntArray:
    """Whole-number weights 1.._WEIGHT_STEPS: rarer is heavier, and a repeated key shares its weight."""
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    rarity = np.log1p(total / np.maximum(length, 1)) / max(1.0, np.log1p(total))
    weight: IntArray = np.maximum(1, np.rint(_WEIGHT_STEPS * rarity / count[inverse])).astype(np.int64)
    return weight


def ranges(begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """All whole numbers of the ranges [begin, end), and which range each is from."""
    length = end - begin
    which = np.repeat(np.arange(len(length)), length)
    before = np.cumsum(length) - length
    return np.arange(len(which)) + (begin - before)[which], which


def _promising(cell: IntArray, weight: IntArray) -> IntArray:
    """Hits in cells that may have much weight, themselves or with a neighbour: a few of a great many.

    Cells share slots of a table, which may make a cell look heavier than it is, never lighter.
    """
    if len(cell) <= _SLOTS_KEPT:
        return np.arange(len(cell))
    slot = cell & (_SLOTS - 1)
    table = np.minimum(np.bincount(slot, weight, _SLOTS), _HEAVY).astype(np.int64)
    pair = table + np.roll(table, -1)
    best = np.maximum(pair, np.roll(pair, 1))
    heavier = np.cumsum(np.bincount(best, minlength=2 * _HEAVY + 1)[::-1])  # slots of at least 2 * _HEAVY - i
    least = 2 * _HEAVY - int(np.searchsorted(heavier, _SLOTS_KEPT))
    return np.flatnonzero(best[slot] >= least)


def _sums(cell: IntArray, weight: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct cells, rising, and the sum of weights in each."""
    packed = np.sort((cell << 6) | weight)  # one plain sort is much faster than an argsort
    cells = packed >> 6
    first = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    return cells[first], np.add.reduceat(packed & 63, first)
