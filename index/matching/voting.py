"""Hough voting: which pieces share rare landmarks with a query, and roughly where.

Query and piece count their onset groups from their own beginnings. Where they hold the same music the
*difference* of the two counts stays nearly constant whatever the tempo does, so agreeing landmarks accumulate
on one diagonal, as the points of a line accumulate in one cell of a Hough transform (Duda and Hart, 1972; for
audio fingerprints Wang, ISMIR 2003). Diagonals are counted in overlapping buckets. A landmark has the more
weight the rarer it is, and a key that the query repeats (tremolo, Alberti bass) has the weight of one in all.
Posting lists are read from the shortest on until `budget` postings have been read, which bounds the time of a
query whatever the library's size.

With `transposed` the low bits of the keys are left open, and the difference of pitch is a further axis of the
vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import BoolArray, FloatArray, IntArray

from .landmarks import PITCH_MASK, Landmarks, NoteSequence
from .postings import GAP, Segment, expand_ranges, rarest_first

__all__ = ["MAX_QUERY_GROUPS", "Candidate", "vote"]

MAX_QUERY_GROUPS = GAP - 32  # of a longer query, the first groups could vote for the piece before
_BUCKET = 16  # groups; counts drift apart by about this within a query, through ornaments and lost notes
_WEIGHT_STEPS = 63
_SLOTS = 1 << 18
_SLOTS_KEPT = 8_192
_HEAVY = 2_000
_PITCHES = np.uint32(PITCH_MASK)


@dataclass(frozen=True)
class Candidate:
    """A place in a piece that may hold the query.

    Attributes
    ----------
    segment, row : the piece, as row of a segment
    transposition : semitones from the query up to the piece
    votes : sum of the weights of the agreeing landmarks
    query_s : float64 [h], when each agreeing landmark begins in the query
    group : int64 [h], onset group at which that landmark begins in the piece
    """

    segment: int
    row: int
    transposition: int
    votes: float
    query_s: FloatArray
    group: IntArray


@dataclass(frozen=True)
class _Votes:
    """Postings of all segments on one axis of onset groups, each with the landmark it agrees with."""

    diagonal: IntArray  # group on the joint axis minus group of the query, shifted to be positive
    transposition: IntArray
    weight: IntArray  # 1.._WEIGHT_STEPS
    landmark: IntArray


def vote(
    segments: Sequence[Segment],
    sequence: NoteSequence,
    landmarks: Landmarks,
    *,
    transposed: bool = False,
    budget: int = 400_000,
    keep: int = 16,
    allowed: Sequence[BoolArray] | None = None,
) -> list[Candidate]:
    """The places with most votes, best first.

    Parameters
    ----------
    sequence : the query, at most MAX_QUERY_GROUPS onset groups
    landmarks : its landmarks
    budget : postings to read at most
    keep : how many places to return
    allowed : bool [p] for each segment, the pieces that may answer; None if all may
    """
    if sequence.groups > MAX_QUERY_GROUPS:
        raise ValueError(f"a query for a vote has at most {MAX_QUERY_GROUPS} onset groups")
    base = np.concatenate([[0], np.cumsum([s.span for s in segments], dtype=np.int64)])
    votes = _read_votes(segments, base, landmarks, transposed, budget)
    if not len(votes.diagonal):
        return []
    buckets = int(base[-1] + GAP) // _BUCKET + 2
    cell = (votes.transposition + 128) * buckets + votes.diagonal // _BUCKET
    heavy = _in_heavy_cells(cell, votes.weight)
    cells, sums = _sum_by_cell(cell[heavy], votes.weight[heavy])
    pair = sums.astype(np.float64)
    neighbours = np.flatnonzero(cells[1:] == cells[:-1] + 1)
    pair[neighbours] += sums[neighbours + 1]
    best = np.argsort(-pair, kind="stable")[: 8 * keep]
    reach = _BUCKET + sequence.groups // 4
    votes = _near_buckets(votes, cells[best] % buckets, buckets, reach)
    candidates: list[Candidate] = []
    taken: dict[tuple[int, int], list[int]] = {}
    axis = [s.group0 + offset for s, offset in zip(segments, base, strict=False)]
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
        start = int(axis[number][row])
        if any(abs(diagonal - other) <= reach for other in taken.get((start, shift), ())):
            continue  # the same place, seen from the next bucket
        taken.setdefault((start, shift), []).append(diagonal)
        near = np.flatnonzero(
            (np.abs(votes.diagonal - diagonal) <= reach) & (votes.transposition == shift - 128)
        )
        agreeing = votes.landmark[near]
        group = votes.diagonal[near] + landmarks.group[agreeing] - GAP - start
        inside = (group >= 0) & (group < axis[number][row + 1] - start - GAP)
        candidates.append(
            Candidate(
                number,
                row,
                shift - 128,
                float(pair[index]) / _WEIGHT_STEPS,
                landmarks.onset_s[agreeing][inside],
                group[inside],
            )
        )
        if len(candidates) == keep:
            break
    return candidates


def _read_votes(
    segments: Sequence[Segment], base: IntArray, landmarks: Landmarks, transposed: bool, budget: int
) -> _Votes:
    """Read the postings of the query's landmarks, the rarest first."""
    low_key = landmarks.key & ~_PITCHES if transposed else landmarks.key
    high_key = low_key | _PITCHES if transposed else None
    ranges = [segment.index.key_ranges(low_key, high_key) for segment in segments]
    count = np.zeros(len(landmarks.key), dtype=np.int64)
    for segment, (first, last) in zip(segments, ranges, strict=True):
        count += segment.index.postings_in(first, last)
    order = np.flatnonzero(count)
    order = order[rarest_first(count[order], budget)]
    weight = _weights(low_key[order], count[order], sum(len(s.position) for s in segments))
    columns: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
    for segment, offset, (first, last) in zip(segments, base, ranges, strict=False):
        key, of_key = expand_ranges(first[order], last[order])
        posting, of_posting = expand_ranges(segment.start[key], segment.start[key + 1])
        valid = segment.position[posting] < segment.span  # a damaged position may be anything
        posting, of_posting = posting[valid], of_posting[valid]
        which = of_key[of_posting]
        landmark = order[which]
        diagonal = segment.position[posting].astype(np.int64)
        diagonal += offset + GAP - landmarks.group[landmark]
        shift = np.zeros(len(posting), dtype=np.int64)
        if transposed:
            pitch = (segment.keys[key] & _PITCHES).astype(np.int64)
            shift = pitch[of_posting] - (landmarks.key & _PITCHES).astype(np.int64)[landmark]
        columns.append((diagonal, shift, weight[which], landmark))
    if not columns:
        empty = np.empty(0, dtype=np.int64)
        return _Votes(empty, empty, empty, empty)
    return _Votes(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _near_buckets(votes: _Votes, centres: IntArray, buckets: int, reach: int) -> _Votes:
    """Only the votes around some buckets: a few of a great many."""
    marked = np.zeros(buckets + 1, dtype=bool)
    around = centres[:, None] + np.arange(-reach // _BUCKET - 1, reach // _BUCKET + 3)
    marked[np.clip(around, 0, buckets)] = True
    near = np.flatnonzero(marked[votes.diagonal // _BUCKET])
    return _Votes(votes.diagonal[near], votes.transposition[near], votes.weight[near], votes.landmark[near])


def _weights(key: NDArray[np.uint32], count: IntArray, total: int) -> IntArray:
    """Integer weights 1.._WEIGHT_STEPS: rarer is heavier, and a repeated key shares its weight."""
    _, inverse, repeats = np.unique(key, return_inverse=True, return_counts=True)
    rarity = np.log1p(total / np.maximum(count, 1)) / max(1.0, np.log1p(total))
    weight: IntArray = np.maximum(1, np.rint(_WEIGHT_STEPS * rarity / repeats[inverse])).astype(np.int64)
    return weight


def _in_heavy_cells(cell: IntArray, weight: IntArray) -> IntArray:
    """Votes in cells that may have much weight, alone or with a neighbour: a few of a great many.

    Cells share slots of a table, which may make a cell look heavier than it is, never lighter.
    """
    if len(cell) <= _SLOTS_KEPT:
        return np.arange(len(cell))
    slot = cell & (_SLOTS - 1)
    table = np.minimum(np.bincount(slot, weight, _SLOTS), _HEAVY).astype(np.int64)
    pair = table + np.roll(table, -1)
    best = np.maximum(pair, np.roll(pair, 1))
    heavier = np.cumsum(np.bincount(best, minlength=2 * _HEAVY + 1)[::-1])  # slots of at least 2 * _HEAVY - i
    threshold = 2 * _HEAVY - int(np.searchsorted(heavier, _SLOTS_KEPT))
    return np.flatnonzero(best[slot] >= threshold)


def _sum_by_cell(cell: IntArray, weight: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct cells, ascending, and the sum of weights in each."""
    packed = np.sort((cell << 6) | weight)  # one plain sort is much faster than an argsort
    cells = packed >> 6
    first = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    return cells[first], np.add.reduceat(packed & 63, first)
