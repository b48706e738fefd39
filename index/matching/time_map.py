"""A warp: how the clock of one piece runs against another's, as a rising broken line.

It starts from landmarks that agree (some of them by chance), and is then drawn to the notes: each round pairs
every note with the nearest free note of its pitch around the place where the warp expects it, and moves the
warp to the running median of what was found. So it follows ritardandi and rubato, and no tempo is ever
assumed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .landmarks import Line

__all__ = ["SLOWEST", "PitchTable", "Warp", "first_warp", "longest_rise", "match", "refine", "running_median"]

SLOWEST = 3.5  # the tempi of two performances of the same notes differ by less than this factor
_ROUNDS_S = (0.8, 0.3)  # tolerance of each round in seconds of the slower clock
_MEDIAN_OF = 7
_KNOT_S = 0.25
_UNISON_S = 0.005
_HYPOTHESIS_POINTS = 48

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Warp:
    """Knots of a rising broken line; beyond the outer knots it goes on at `slope`.

    Attributes
    ----------
    at_s, to_s : float64 [k], rising; seconds in the query and in the piece
    slope : seconds of the piece for one of the query, overall
    """

    at_s: FloatArray
    to_s: FloatArray
    slope: float

    def __call__(self, at_s: FloatArray) -> FloatArray:
        """Where in the piece the given times of the query fall (float64, as many)."""
        inside = np.interp(at_s, self.at_s, self.to_s)
        inside += np.minimum(at_s - self.at_s[0], 0) * self.slope
        inside += np.maximum(at_s - self.at_s[-1], 0) * self.slope
        return inside


class PitchTable:
    """Notes of a line, ready for "which note of this pitch is nearest to that time"."""

    def __init__(self, line: Line) -> None:
        self._origin = float(line.onset_s.min()) if len(line) else 0.0
        span = float(line.onset_s.max()) - self._origin if len(line) else 0.0
        self._stride = 4 * span + 1e4  # far enough apart that no time of one pitch reaches the next
        key = line.pitch * self._stride + (line.onset_s - self._origin)
        self.order = np.argsort(key, kind="stable")
        self.key = key[self.order]
        self.pitch = line.pitch[self.order]
        self.onset_s = line.onset_s[self.order]

    def nearest(
        self, pitch: IntArray, time_s: FloatArray, twin: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """The note of each wanted pitch nearest to each time.

        Parameters
        ----------
        twin : int64 [n], of wanted notes that sound in unison (two voices, say), the number of each from 0
            on; each then gets a note of its own where there are as many

        Returns
        -------
        place : int64 [n], in the line; -1 where there is none
        late_s : float64 [n], how much later it begins; infinity where there is none
        """
        if not len(self.key):
            return np.full(len(pitch), -1), np.full(len(pitch), np.inf)
        after = self.key.searchsorted(self._key_of(pitch, time_s))
        last = len(self.key) - 1
        gaps, helds = [], []
        for place, away in ((after - 1, -1), (after, 1)):
            held = np.minimum(np.maximum(place, 0), last)
            if twin is not None:
                own = np.minimum(np.maximum(held + away * twin, 0), last)
                held = np.where(np.abs(self.key[own] - self.key[held]) <= _UNISON_S, own, held)
            usable = (self.pitch[held] == pitch) & (place >= 0 if away < 0 else place <= last)
            gaps.append(np.where(usable, self.onset_s[held] - time_s, np.inf))
            helds.append(held)
        nearer = np.abs(gaps[1]) < np.abs(gaps[0])
        late: FloatArray = np.where(nearer, gaps[1], gaps[0])
        best = np.where(np.isinf(late), -1, self.order[np.where(nearer, helds[1], helds[0])])
        return best, late

    def _key_of(self, pitch: IntArray, time_s: FloatArray) -> FloatArray:
        far = 0.3 * self._stride
        local: FloatArray = np.minimum(np.maximum(time_s - self._origin, -far), far)
        return pitch * self._stride + local

    def count_between(self, pitch: IntArray, start_s: FloatArray, end_s: FloatArray) -> IntArray:
        """How many notes of each wanted pitch begin in its interval."""
        bounds = []
        for time_s in (start_s, end_s):
            bounds.append(self.key.searchsorted(self._key_of(pitch, time_s)))
        return bounds[1] - bounds[0]


def first_warp(at_s: FloatArray, to_s: FloatArray) -> Warp | None:
    """The straight line that most of some pairs of times agree on; None if they agree on none.

    Parameters
    ----------
    at_s, to_s : float64 [h], times of landmarks that agree, in the query and in the piece; many may be wrong
    """
    pick = np.linspace(0, len(at_s) - 1, min(len(at_s), _HYPOTHESIS_POINTS)).astype(np.int64)
    order = np.argsort(at_s, kind="stable")[pick] if len(at_s) else pick
    x, y = at_s[order], to_s[order]
    i, j = np.triu_indices(len(x), 1)
    step, rise = x[j] - x[i], y[j] - y[i]
    apart = step > 0.05 * max(1e-9, float(np.ptp(x)) if len(x) else 0.0)
    usable = apart & (rise * SLOWEST > step) & (rise < SLOWEST * step)
    if not usable.any():
        return None
    i, slope = i[usable], rise[usable] / step[usable]
    if len(slope) > 600:
        some = np.linspace(0, len(slope) - 1, 600).astype(np.int64)
        i, slope = i[some], slope[some]
    error = np.abs(y[None, :] - (y[i][:, None] + slope[:, None] * (x[None, :] - x[i][:, None])))
    # Seconds of the slower clock, and more room over a longer query: rubato bends every line.
    room = (0.3 + 0.06 * float(np.ptp(x))) * np.maximum(slope, 1.0)[:, None]
    score = np.maximum(0.0, 1 - error / room).sum(axis=1)
    # Where a figure repeats, steep lines have room for hits of several of its turns.
    score /= np.maximum(slope, 1 / slope)
    best = int(np.argmax(score))
    low, high = float(x[0]), max(float(x[-1]), float(x[0]) + 1e-3)
    start = y[i[best]] + slope[best] * (low - x[i[best]])
    ends = np.array([start, start + slope[best] * (high - low)])
    return Warp(np.array([low, high]), ends, float(slope[best]))


def match(
    query: Line,
    transposition: int,
    table: PitchTable,
    warp: Warp,
    tolerance_s: float,
    *,
    unison: bool = True,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pair notes one to one.

    Parameters
    ----------
    unison : tell apart notes of one pitch that sound together; not needed to draw a warp

    Returns
    -------
    query_note, piece_note : int64 [m], places in the two lines, by the query's time
    late_s : float64 [m], by how much the piece's note comes later than the warp expects
    """
    expected = warp(query.onset_s)
    found, late = table.nearest(query.pitch + transposition, expected, _twins(query) if unison else None)
    good = np.flatnonzero(np.abs(late) <= tolerance_s * max(1.0, warp.slope))
    # Of several notes of the query that claim the same note, the one that expects it best keeps it.
    order = good[np.lexsort((np.abs(late[good]), found[good]))]
    first = np.concatenate([[True], found[order][1:] != found[order][:-1]])[: len(order)]
    kept = np.sort(order[first])
    return kept, found[kept], late[kept]


def _twins(line: Line) -> IntArray:
    """Of notes in unison, the number of each from 0 on; 0 of all others. int64 [n]."""
    order = np.lexsort((line.onset_s, line.pitch))
    same = np.diff(line.pitch[order], prepend=-1) == 0
    same &= np.diff(line.onset_s[order], prepend=-np.inf) <= _UNISON_S
    run = np.arange(len(order))
    first = np.maximum.accumulate(np.where(same, 0, run))
    twins = np.empty(len(order), np.int64)
    twins[order] = run - first
    return twins


def refine(query: Line, transposition: int, piece: Line, table: PitchTable, warp: Warp) -> Warp:
    """Draw a rough warp to the notes."""
    for tolerance_s in _ROUNDS_S:
        own, _other, late = match(query, transposition, table, warp, tolerance_s, unison=False)
        if len(own) < 4:
            return warp
        at, where = query.onset_s[own], np.argsort(query.onset_s[own], kind="stable")
        at = at[where]
        to = warp(at) + running_median(late[where], _MEDIAN_OF)
        warp = _through(at, to, warp.slope)
    return warp


def longest_rise(values: FloatArray) -> IntArray:
    """Places of a longest rising subsequence: what remains of a broken line without its outliers.

    Where all that comes before a place is lower than all from it on, the line can be cut, and most pieces are
    then single values.
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
        kept[a + _rising(values[a:b])] = True
    return np.flatnonzero(kept)


def _rising(values: FloatArray) -> IntArray:
    """Places of a longest rising subsequence, by patience sorting."""
    tails: list[float] = []
    ends: list[int] = []
    before = np.full(len(values), -1)
    for place, value in enumerate(values.tolist()):
        rank = bisect_left(tails, value)
        if rank == len(tails):
            tails.append(value)
            ends.append(place)
        else:
            tails[rank], ends[rank] = value, place
        before[place] = ends[rank - 1] if rank else -1
    chain = np.empty(len(tails), np.int64)
    place = ends[-1] if ends else -1
    for rank in range(len(tails) - 1, -1, -1):
        chain[rank] = place
        place = int(before[place])
    return chain


def running_median(values: FloatArray, width: int) -> FloatArray:
    """The median of `width` values around each; fewer where there are fewer."""
    half = min(width // 2, (len(values) - 1) // 2)
    edges = (
        np.full(half, _middle(values[: half + 1])),
        np.full(half, _middle(values[len(values) - half - 1 :])),
    )
    windows = sliding_window_view(np.concatenate([edges[0], values, edges[1]]), 2 * half + 1)
    median: FloatArray = np.partition(windows, half, axis=1)[:, half]
    return median


def _middle(values: FloatArray) -> float:
    return float(np.sort(values)[len(values) // 2])


def _through(at_s: FloatArray, to_s: FloatArray, slope: float) -> Warp:
    """The broken line through these points: a knot for each quarter of a second that has notes, rising."""
    first = np.flatnonzero(np.concatenate([[True], np.diff(at_s // _KNOT_S) > 0]))
    counts = np.diff(np.concatenate([first, [len(at_s)]]))
    knot_at = np.add.reduceat(at_s, first) / counts
    knot_to = np.add.reduceat(to_s, first) / counts
    rising = longest_rise(knot_to)
    knot_at, knot_to = knot_at[rising], knot_to[rising]
    span = knot_at[-1] - knot_at[0]
    if span > 1.0:
        overall = (knot_to[-1] - knot_to[0]) / span
        slope = float(np.clip(overall, 1 / SLOWEST, SLOWEST))
    return Warp(knot_at, knot_to, slope)
