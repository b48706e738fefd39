"""Comparison of two whole pieces: where they agree, how much of each is covered, and which notes differ.

A copy runs on one straight clock, and is looked for along it first (`straight`). Otherwise, and for what
that leaves over, runs of agreeing blocks (`agreement`) become passages; each gets its own warp, drawn to the
notes. A passage may lead anywhere in the other piece, so repeats that one player leaves out, cuts, excerpts
and medleys come out as what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .align import LEAST_CHANCE, TOLERANCE_S
from .block_matching import BLOCK_EVENTS, Agreement, Anchors, Sketch, agreement, anchors
from .landmarks import Line
from .linear_alignment import straight_stretches, straight_warp
from .time_map import SLOWEST, PitchTable, Warp, longest_rise, match, refine

__all__ = ["Comparison", "Passage", "compare", "compare_one_way", "share_reached"]

_RUN_EVENTS = 30  # diagonals of neighbouring blocks of one passage differ by less
_RUN_BLOCKS = 8  # a passage bridges so many blocks of ostinato, whose landmarks say nothing of the place
_MARGIN_BLOCKS = 1
_STRAIGHT_SHARE = 0.85  # a straight clock must hold so much of what the blocks see, or it is none
_SHIFTS = (-13, -8, -5, -3, 3, 5, 8, 13)  # events
_ASKED = 400  # notes of a passage
_KNOT_POINTS = 16  # landmarks that a knot of a rough warp is the median of, about

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Passage:
    """Music of one piece that recurs in another.

    Attributes
    ----------
    start_s, end_s : first and last matched onset in the one piece
    other_start_s, other_end_s : and in the other
    tempo_ratio : tempo of the one over that of the other
    notes, matched : notes of the one piece in this passage, and how many of them the other has there too
    knots_s, other_knots_s : float64 [k], the tempo curve: where moments of the one fall in the other
    """

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float
    tempo_ratio: float
    notes: int
    matched: int
    knots_s: FloatArray
    other_knots_s: FloatArray


@dataclass(frozen=True)
class OneWay:
    """What of one piece is found in another.

    Attributes
    ----------
    passages : in order of time
    covered : share of the piece's notes that lie in the passages
    matched : share of the piece's notes that have a counterpart
    note, other_note : int64 [m], the matched notes, as places in the two lines
    late_s : float64 [m], seconds by which the other's note misses its passage's smooth tempo curve
    chance : share of the passages' notes that match even if the passages are set off by some events: in music
        of few notes and patterns, most
    """

    passages: tuple[Passage, ...]
    covered: float
    matched: float
    note: IntArray
    other_note: IntArray
    late_s: FloatArray
    chance: float


_NO_NOTES = np.empty(0, np.int64)
_NOTHING = OneWay((), 0.0, 0.0, _NO_NOTES, _NO_NOTES, np.empty(0), 0.0)


@dataclass(frozen=True)
class Comparison:
    """Two pieces compared both ways.

    Attributes
    ----------
    one, other : what of the one is in the other, and the reverse
    transposition : by how many semitones the one sounds higher than the other
    """

    one: OneWay
    other: OneWay
    transposition: int

    @property
    def tempo_ratio(self) -> float:
        """Tempo of the one over that of the other, over all passages; 1 if there are none."""
        own = sum(p.end_s - p.start_s for p in self.one.passages)
        there = sum(p.other_end_s - p.other_start_s for p in self.one.passages)
        return there / own if own > 0 and there > 0 else 1.0


def compare(one: Sketch, other: Sketch, transposition: int) -> Comparison:
    """Compare two pieces.

    Parameters
    ----------
    transposition : by how many semitones the one sounds higher
    """
    up = -transposition
    shared = anchors(one, other, up)
    back = Anchors(shared.other, shared.event)
    return Comparison(
        compare_one_way(one, other, shared, agreement(one, shared), up) or _NOTHING,
        compare_one_way(other, one, back, agreement(other, back), -up) or _NOTHING,
        transposition,
    )


def compare_one_way(
    one: Sketch, other: Sketch, shared: Anchors, found: Agreement, up: int, least: float = 0.0
) -> OneWay | None:
    """Draw what agrees of `one` to the notes of `other`, which sounds `up` semitones higher.

    None if no passage is left, or if less than the share `least` of the notes of `one` has a counterpart.
    """
    passages: list[Passage] = []
    notes: list[IntArray] = []
    others: list[IntArray] = []
    late: list[FloatArray] = []
    inside = np.zeros(len(one.line), bool)
    parts: list[tuple[Line, Warp]] = []
    table = PitchTable(other.line)
    for low, high, warp in _parts(one, other, shared, found, up, table):
        line = one.line
        part = Line(line.onset_s[low:high], line.pitch[low:high], line.event[low:high])
        own, there, error = match(part, up, table, warp, TOLERANCE_S)
        if len(own) < 4:
            continue
        passages.append(_passage(part, other.line, own, there, warp))
        fresh = ~inside[own + low]
        notes.append(own[fresh] + low)
        others.append(there[fresh])
        late.append(error[fresh])
        inside[low:high] = True
        parts.append((part, warp))
    total = max(1, len(one.line))
    own_notes = np.concatenate(notes) if notes else _NO_NOTES
    if not parts or len(own_notes) < least * total:
        return None
    chances = [_chance(part, other, up, table, warp) for part, warp in parts]
    return OneWay(
        passages=tuple(sorted(passages, key=lambda passage: passage.start_s)),
        covered=float(inside.sum()) / total,
        matched=len(own_notes) / total,
        note=own_notes,
        other_note=np.concatenate(others),
        late_s=np.concatenate(late),
        chance=float(np.average(chances, weights=[len(part) for part, _ in parts])),
    )


def share_reached(other: Sketch, found: OneWay) -> float:
    """Share of the other piece's notes that lie within the passages."""
    inside = np.zeros(len(other.line), bool)
    for passage in found.passages:
        inside |= (other.line.onset_s >= passage.other_start_s - 1e-6) & (
            other.line.onset_s <= passage.other_end_s + 1e-6
        )
    return float(inside.mean()) if len(inside) else 0.0


def _parts(
    one: Sketch, other: Sketch, shared: Anchors, found: Agreement, up: int, table: PitchTable
) -> Iterator[tuple[int, int, Warp]]:
    """Ranges of notes of `one` that recur in `other`, each with the clock they keep there."""
    inside = np.zeros(len(one.line), bool)
    straight = straight_warp(one, other, shared, table, up)
    if straight is not None:
        stretches = straight_stretches(one, table, straight, up)
        held = sum(high - low for low, high in stretches)
        if held >= _STRAIGHT_SHARE * found.covered * len(one.line):
            for low, high in stretches:
                inside[low:high] = True
                yield low, high, straight
    held_in_block = np.bincount(one.line.event[inside] // BLOCK_EVENTS, minlength=one.blocks)
    left = found.agrees & (held_in_block <= 0.5 * one.notes_in_block)
    for first, last in _runs(left, found.diagonal):
        low, high = _notes_of_blocks(one, first, last)
        warp = _warp_of_run(one, other, shared, found, first, last)
        if warp is not None:
            line = one.line
            part = Line(line.onset_s[low:high], line.pitch[low:high], line.event[low:high])
            yield low, high, refine(part, up, other.line, table, warp)


def _chance(part: Line, other: Sketch, up: int, table: PitchTable, warp: Warp) -> float:
    """Share of notes that match though the passage is set off by some events of the other piece."""
    some = np.linspace(0, len(part) - 1, min(len(part), _ASKED)).astype(np.int64)
    expected = warp(part.onset_s[some])
    event = np.searchsorted(other.event_s, expected)
    last = len(other.event_s) - 1
    there = other.event_s[np.clip(event[None, :] + np.array(_SHIFTS)[:, None], 0, last)]
    moved = expected + there - other.event_s[np.clip(event, 0, last)]
    _, late = table.nearest(np.tile(part.pitch[some] + up, len(_SHIFTS)), moved.ravel())
    shares = (np.abs(late) <= TOLERANCE_S * max(1.0, warp.slope)).reshape(moved.shape).mean(axis=1)
    return float(np.clip(np.median(shares), LEAST_CHANCE, 0.98))


def _runs(agrees: NDArray[np.bool_], diagonal: IntArray) -> list[tuple[int, int]]:
    """Half-open ranges of agreeing blocks that follow each other on nearly one diagonal."""
    held = np.flatnonzero(agrees)
    if not len(held):
        return []
    breaks = (np.diff(held) > _RUN_BLOCKS) | (np.abs(np.diff(diagonal[held])) > _RUN_EVENTS)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(held)]])
    return [(int(held[a]), int(held[b - 1]) + 1) for a, b in itertools.pairwise(starts)]


def _notes_of_blocks(one: Sketch, first: int, last: int) -> tuple[int, int]:
    """Notes of a run with a margin: blocks at its edges may agree in part."""
    begin = max(0, first - _MARGIN_BLOCKS) * BLOCK_EVENTS
    end = (last + _MARGIN_BLOCKS) * BLOCK_EVENTS
    low, high = np.searchsorted(one.line.event, [begin, end])
    return int(low), int(high)


def _warp_of_run(
    one: Sketch, other: Sketch, shared: Anchors, found: Agreement, first: int, last: int
) -> Warp | None:
    """A rough warp through the medians of a run's landmarks."""
    block = shared.event // BLOCK_EVENTS
    held = (block >= first) & (block < last)
    held &= np.abs(shared.other - shared.event - found.diagonal[np.minimum(block, one.blocks - 1)]) <= 24
    near = np.flatnonzero(held)
    if len(near) < 3:
        return None
    near = near[:: max(1, len(near) // (_KNOT_POINTS * 2 * (last - first)))]
    half = shared.event[near] * 2 // BLOCK_EVENTS  # two knots a block
    _, at = _medians(half, one.event_s[shared.event[near]])
    _, to = _medians(half, other.event_s[shared.other[near]])
    rising = longest_rise(to)
    at, to = at[rising], to[rising]
    rising = np.flatnonzero(np.concatenate([[True], np.diff(at) > 0]))
    at, to = at[rising], to[rising]
    if len(at) < 2:
        return None
    slope = float(np.clip((to[-1] - to[0]) / (at[-1] - at[0]), 1 / SLOWEST, SLOWEST))
    return Warp(at, to, slope)


def _medians(group: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """The groups that occur, rising, and the middle value of each."""
    order = np.lexsort((values, group))
    first = np.flatnonzero(np.concatenate([[True], np.diff(group[order]) > 0]))
    count = np.diff(np.concatenate([first, [len(group)]]))
    return group[order[first]], values[order[first + count // 2]]


def _passage(part: Line, other: Line, own: IntArray, there: IntArray, warp: Warp) -> Passage:
    at, to = part.onset_s[own], other.onset_s[there]
    length, other_length = float(np.ptp(at)), float(np.ptp(to))
    return Passage(
        start_s=float(at.min()),
        end_s=float(at.max()),
        other_start_s=float(to.min()),
        other_end_s=float(to.max()),
        tempo_ratio=other_length / length if length > 0 and other_length > 0 else 1.0,
        notes=len(part),
        matched=len(own),
        knots_s=warp.at_s,
        other_knots_s=warp.to_s,
    )
