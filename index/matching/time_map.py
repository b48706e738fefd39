"""Time maps: how the time of one piece runs against another's, as an increasing piecewise linear function.

A map starts as the line on which most agreeing landmarks lie, some of which agree by chance: RANSAC (Fischler
and Bolles, 1981), with a deterministic sample of pairs. It is then fitted to the notes: each round pairs
every note with the nearest free note of its pitch around the time where the map expects it, and moves the map
to the running median of the residuals. So it follows ritardandi and rubato, and no tempo is ever assumed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from embedder.core.arrays import FloatArray, IntArray

from .landmarks import NoteSequence

__all__ = [
    "MAX_TEMPO_RATIO",
    "PitchIndex",
    "TimeMap",
    "initial_time_map",
    "longest_increasing_subsequence",
    "match_notes",
    "refine_time_map",
    "running_median",
]

MAX_TEMPO_RATIO = 3.5  # the tempi of two performances of the same notes differ by less than this factor
_ROUNDS_S = (0.8, 0.3)  # tolerance of each round, in seconds of the slower piece
_MEDIAN_WIDTH = 7
_KNOT_S = 0.25
_UNISON_S = 0.005
_RANSAC_POINTS = 48
_RANSAC_LINES = 600


@dataclass(frozen=True)
class TimeMap:
    """Knots of an increasing piecewise linear function; beyond the outer knots it continues at `slope`.

    Attributes
    ----------
    query_s, piece_s : float64 [k], increasing; seconds in the query and in the piece
    slope : seconds of the piece for one of the query, overall
    """

    query_s: FloatArray
    piece_s: FloatArray
    slope: float

    def __call__(self, query_s: FloatArray) -> FloatArray:
        """Where in the piece the given times of the query fall, float64 [n]."""
        mapped = np.interp(query_s, self.query_s, self.piece_s)
        mapped += np.minimum(query_s - self.query_s[0], 0) * self.slope
        mapped += np.maximum(query_s - self.query_s[-1], 0) * self.slope
        return mapped


class PitchIndex:
    """Notes of a sequence, sorted for "which note of this pitch is nearest to that time"."""

    def __init__(self, sequence: NoteSequence) -> None:
        self._origin = float(sequence.onset_s.min()) if len(sequence) else 0.0
        span = float(sequence.onset_s.max()) - self._origin if len(sequence) else 0.0
        self._stride = 4 * span + 1e4  # far enough apart that no time of one pitch reaches the next
        key = sequence.pitch * self._stride + (sequence.onset_s - self._origin)
        self.order = np.argsort(key, kind="stable")
        self.key = key[self.order]
        self.pitch = sequence.pitch[self.order]
        self.onset_s = sequence.onset_s[self.order]

    def nearest(
        self, pitch: IntArray, time_s: FloatArray, unison_rank: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """The note of each given pitch nearest to each time.

        Parameters
        ----------
        unison_rank : int64 [n], for notes that sound in unison (two voices, say), the number of each from 0;
            each then gets a note of its own where there are as many

        Returns
        -------
        note : int64 [n], position in the sequence; -1 where there is none
        late_s : float64 [n], how much later it begins; infinity where there is none
        """
        if not len(self.key):
            return np.full(len(pitch), -1), np.full(len(pitch), np.inf)
        after = self.key.searchsorted(self._key_of(pitch, time_s))
        last = len(self.key) - 1
        gaps, neighbours = [], []
        for position, step in ((after - 1, -1), (after, 1)):
            note = np.minimum(np.maximum(position, 0), last)
            if unison_rank is not None:
                own = np.minimum(np.maximum(note + step * unison_rank, 0), last)
                note = np.where(np.abs(self.key[own] - self.key[note]) <= _UNISON_S, own, note)
            usable = (self.pitch[note] == pitch) & (position >= 0 if step < 0 else position <= last)
            gaps.append(np.where(usable, self.onset_s[note] - time_s, np.inf))
            neighbours.append(note)
        nearer = np.abs(gaps[1]) < np.abs(gaps[0])
        late: FloatArray = np.where(nearer, gaps[1], gaps[0])
        best = np.where(np.isinf(late), -1, self.order[np.where(nearer, neighbours[1], neighbours[0])])
        return best, late

    def _key_of(self, pitch: IntArray, time_s: FloatArray) -> FloatArray:
        far = 0.3 * self._stride
        local: FloatArray = np.minimum(np.maximum(time_s - self._origin, -far), far)
        return pitch * self._stride + local

    def count_between(self, pitch: IntArray, start_s: FloatArray, end_s: FloatArray) -> IntArray:
        """How many notes of each given pitch begin in its interval."""
        first, last = (self.key.searchsorted(self._key_of(pitch, time_s)) for time_s in (start_s, end_s))
        return last - first


def initial_time_map(query_s: FloatArray, piece_s: FloatArray) -> TimeMap | None:
    """The line that most pairs of times agree on, by RANSAC; None if they agree on none.

    Parameters
    ----------
    query_s, piece_s : float64 [h], times of agreeing landmarks in the query and in the piece; many may be
        wrong
    """
    pick = np.linspace(0, len(query_s) - 1, min(len(query_s), _RANSAC_POINTS)).astype(np.int64)
    order = np.argsort(query_s, kind="stable")[pick] if len(query_s) else pick
    x, y = query_s[order], piece_s[order]
    i, j = np.triu_indices(len(x), 1)
    step, rise = x[j] - x[i], y[j] - y[i]
    apart = step > 0.05 * max(1e-9, float(np.ptp(x)) if len(x) else 0.0)
    usable = apart & (rise * MAX_TEMPO_RATIO > step) & (rise < MAX_TEMPO_RATIO * step)
    if not usable.any():
        return None
    i, slope = i[usable], rise[usable] / step[usable]
    if len(slope) > _RANSAC_LINES:
        sample = np.linspace(0, len(slope) - 1, _RANSAC_LINES).astype(np.int64)
        i, slope = i[sample], slope[sample]
    error = np.abs(y[None, :] - (y[i][:, None] + slope[:, None] * (x[None, :] - x[i][:, None])))
    # Seconds of the slower piece, and more tolerance over a longer query: rubato bends every line.
    tolerance = (0.3 + 0.06 * float(np.ptp(x))) * np.maximum(slope, 1.0)[:, None]
    score = np.maximum(0.0, 1 - error / tolerance).sum(axis=1)
    # Where a figure repeats, steep lines collect points of several of its repetitions.
    score /= np.maximum(slope, 1 / slope)
    best = int(np.argmax(score))
    low, high = float(x[0]), max(float(x[-1]), float(x[0]) + 1e-3)
    start = y[i[best]] + slope[best] * (low - x[i[best]])
    ends = np.array([start, start + slope[best] * (high - low)])
    return TimeMap(np.array([low, high]), ends, float(slope[best]))


def match_notes(
    query: NoteSequence,
    transposition: int,
    index: PitchIndex,
    time_map: TimeMap,
    tolerance_s: float,
    *,
    unison: bool = True,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pair notes one to one.

    Parameters
    ----------
    transposition : semitones from the query up to the piece
    index : notes of the piece
    unison : tell apart notes of one pitch that sound together; not needed to fit a map

    Returns
    -------
    query_note, piece_note : int64 [m], positions in the two sequences, by the query's
    late_s : float64 [m], by how much the piece's note comes later than the map expects
    """
    expected = time_map(query.onset_s)
    ranks = _unison_ranks(query) if unison else None
    nearest, late = index.nearest(query.pitch + transposition, expected, ranks)
    good = np.flatnonzero(np.abs(late) <= tolerance_s * max(1.0, time_map.slope))
    # Of several notes of the query that claim the same note, the closest one keeps it.
    order = good[np.lexsort((np.abs(late[good]), nearest[good]))]
    first = np.concatenate([[True], nearest[order][1:] != nearest[order][:-1]])[: len(order)]
    kept = np.sort(order[first])
    return kept, nearest[kept], late[kept]


def _unison_ranks(sequence: NoteSequence) -> IntArray:
    """For notes in unison, the number of each from 0; 0 for all others. int64 [n]."""
    order = np.lexsort((sequence.onset_s, sequence.pitch))
    same = np.diff(sequence.pitch[order], prepend=-1) == 0
    same &= np.diff(sequence.onset_s[order], prepend=-np.inf) <= _UNISON_S
    number = np.arange(len(order))
    first = np.maximum.accumulate(np.where(same, 0, number))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = number - first
    return ranks


def refine_time_map(query: NoteSequence, transposition: int, index: PitchIndex, time_map: TimeMap) -> TimeMap:
    """Fit a rough map to the notes."""
    for tolerance_s in _ROUNDS_S:
        own, _, late = match_notes(query, transposition, index, time_map, tolerance_s, unison=False)
        if len(own) < 4:
            return time_map
        at = query.onset_s[own]
        order = np.argsort(at, kind="stable")
        at = at[order]
        to = time_map(at) + running_median(late[order], _MEDIAN_WIDTH)
        time_map = _through(at, to, time_map.slope)
    return time_map


def longest_increasing_subsequence(values: FloatArray) -> IntArray:
    """Positions of a longest strictly increasing subsequence: a piecewise line without its outliers.

    Where all values before a position are lower than all from it on, the sequence can be cut, and most pieces
    are then single values.
    """
    if not len(values):
        return np.empty(0, np.int64)
    highest = np.maximum.accumulate(values)[:-1]
    lowest = np.minimum.accumulate(values[::-1])[::-1][1:]
    first = np.concatenate([[0], np.flatnonzero(highest < lowest) + 1])
    last = np.append(first[1:], len(values))
    kept = np.zeros(len(values), bool)
    kept[first[last == first + 1]] = True
    longer = last > first + 1
    for a, b in zip(first[longer].tolist(), last[longer].tolist(), strict=True):
        kept[a + _patience_sort(values[a:b])] = True
    return np.flatnonzero(kept)


def _patience_sort(values: FloatArray) -> IntArray:
    """Positions of a longest increasing subsequence (Fredman, 1975)."""
    tails: list[float] = []
    ends: list[int] = []
    before = np.full(len(values), -1)
    for position, value in enumerate(values.tolist()):
        rank = bisect_left(tails, value)
        if rank == len(tails):
            tails.append(value)
            ends.append(position)
        else:
            tails[rank], ends[rank] = value, position
        before[position] = ends[rank - 1] if rank else -1
    chain = np.empty(len(tails), np.int64)
    position = ends[-1] if ends else -1
    for rank in range(len(tails) - 1, -1, -1):
        chain[rank] = position
        position = int(before[position])
    return chain


def running_median(values: FloatArray, width: int) -> FloatArray:
    """The median of `width` values around each; of fewer where there are fewer."""
    half = min(width // 2, (len(values) - 1) // 2)
    edges = (
        np.full(half, _median(values[: half + 1])),
        np.full(half, _median(values[len(values) - half - 1 :])),
    )
    windows = sliding_window_view(np.concatenate([edges[0], values, edges[1]]), 2 * half + 1)
    median: FloatArray = np.partition(windows, half, axis=1)[:, half]
    return median


def _median(values: FloatArray) -> float:
    return float(np.sort(values)[len(values) // 2])


def _through(at_s: FloatArray, to_s: FloatArray, slope: float) -> TimeMap:
    """The map through these points: a knot for each quarter of a second that has notes, increasing."""
    first = np.flatnonzero(np.concatenate([[True], np.diff(at_s // _KNOT_S) > 0]))
    counts = np.diff(np.concatenate([first, [len(at_s)]]))
    knot_at = np.add.reduceat(at_s, first) / counts
    knot_to = np.add.reduceat(to_s, first) / counts
    kept = longest_increasing_subsequence(knot_to)
    knot_at, knot_to = knot_at[kept], knot_to[kept]
    span = knot_at[-1] - knot_at[0]
    if span > 1.0:
        overall = (knot_to[-1] - knot_to[0]) / span
        slope = float(np.clip(overall, 1 / MAX_TEMPO_RATIO, MAX_TEMPO_RATIO))
    return TimeMap(knot_at, knot_to, slope)
