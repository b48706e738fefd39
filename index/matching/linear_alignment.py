"""Straight clocks: whether two pieces run on one straight line of time, as a copy and its original do.

Whatever was done to a copy (trimmed, stretched, quantised, notes lost), the times of its notes lie on a
straight line against the original's; and files without expression all run straight. Such a line is drawn
through landmarks that agree, and then the notes of the whole piece are looked for along it. So repeats cannot
lead astray, as they can where the place of every phrase is sought by itself.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from .block_matching import Anchors, Sketch
from .time_map import SLOWEST, PitchTable, Warp

__all__ = ["straight_line", "straight_stretches", "straight_warp"]

_HYPOTHESIS_POINTS = 64
_HYPOTHESES = 800
_REFINED = 8
_HYPOTHESES_SEEN = 200
_ROOM_S = 0.25  # of a hypothesis
_ROUNDS_S = (0.25, 0.1, 0.06)
_MOST_POINTS = 3_000
_MOST_ASKED = 500  # notes
_LEAST_SPREAD = 1e-9  # of points that are not all at one time
_NEAR_S = 0.1  # from the line: half a coarse grid of quantisation, and some
_WINDOW = 24  # notes
_ENOUGH = 0.6  # of a window's notes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def straight_warp(
    one: Sketch, other: Sketch, shared: Anchors, table: PitchTable, transposition: int
) -> Warp | None:
    """The straight line along which most notes are found in the other piece; None if there is none.

    Parameters
    ----------
    shared : landmarks that the two share, through which lines are tried
    table : notes of the other piece
    transposition : semitones up to the other piece
    """
    if len(shared.event) < 4:
        return None
    some = np.linspace(0, len(shared.event) - 1, min(len(shared.event), _MOST_POINTS)).astype(np.int64)
    some = some[np.argsort(shared.event[some], kind="stable")]
    x, y = one.event_s[shared.event[some]], other.event_s[shared.other[some]]
    asked = np.linspace(0, len(one.line) - 1, min(len(one.line), _MOST_ASKED)).astype(np.int64)
    pitch, onset_s = one.line.pitch[asked] + transposition, one.line.onset_s[asked]
    lines = _refined(x, y, np.array(_hypotheses(x, y)).reshape(-1, 2))
    if not len(lines):
        return None
    expected = lines[:, 1:] + lines[:, :1] * onset_s
    _, late = table.nearest(np.tile(pitch, len(lines)), expected.ravel())
    room_s = _ROUNDS_S[-1] * np.maximum(1.0, lines[:, :1])
    found = (np.abs(late).reshape(expected.shape) <= room_s).sum(axis=1)
    slope, start = lines[int(np.argmax(found))].tolist()
    ends = np.array([one.event_s[0], max(one.event_s[-1], one.event_s[0] + 1e-3)])
    return Warp(ends, start + slope * ends, slope)


def _refined(x: FloatArray, y: FloatArray, lines: FloatArray) -> FloatArray:
    """Lines (slope and start, float64 [k, 2]) drawn to the points near them, in rounds ever nearer.

    Lines with hardly any points near them are left out, and those that are too flat or steep.
    """
    for room_s in _ROUNDS_S:
        slope, start = lines[:, :1], lines[:, 1:]
        near = (np.abs(y - start - slope * x) <= room_s * np.maximum(1.0, slope)).astype(np.float64)
        count = near.sum(axis=1)
        some = count >= 4
        near, count = near[some], count[some][:, None]
        centre, level = (near @ x)[:, None] / count, (near @ y)[:, None] / count
        away = (x - centre) * near
        spread = (away * away).sum(axis=1)
        slope = (away * (y - level)).sum(axis=1) / np.maximum(spread, _LEAST_SPREAD)
        lines = np.stack([slope, level[:, 0] - slope * centre[:, 0]], axis=1)[spread > _LEAST_SPREAD]
    return lines[(lines[:, 0] > 1 / SLOWEST) & (lines[:, 0] < SLOWEST)]


def _hypotheses(x: FloatArray, y: FloatArray) -> list[tuple[float, float]]:
    """Slope and start of the lines through two points each that come near most other points."""
    pick = np.linspace(0, len(x) - 1, min(len(x), _HYPOTHESIS_POINTS)).astype(np.int64)
    x, y = x[pick], y[pick]
    i, j = np.triu_indices(len(x), 1)
    step, rise = x[j] - x[i], y[j] - y[i]
    far = step > 0.1 * max(1e-9, float(np.ptp(x)))
    good = np.flatnonzero(far & (rise * SLOWEST > step) & (rise < SLOWEST * step))
    if len(good) > _HYPOTHESES:
        good = good[np.linspace(0, len(good) - 1, _HYPOTHESES).astype(np.int64)]
    slope = rise[good] / np.maximum(step[good], 1e-9)
    start = y[i[good]] - slope * x[i[good]]
    error = np.abs(y[None, :] - start[:, None] - slope[:, None] * x[None, :])
    score = np.maximum(0, 1 - error / (_ROOM_S * np.maximum(1.0, slope))[:, None]).sum(axis=1)
    order = np.argsort(-score, kind="stable")[:_HYPOTHESES_SEEN]
    slope, start = slope[order], start[order]
    other = np.ones(len(order), bool)  # than all that were chosen
    chosen: list[tuple[float, float]] = []
    while len(chosen) < _REFINED and other.any():
        best = int(np.argmax(other))
        chosen.append((float(slope[best]), float(start[best])))
        other &= (np.abs(slope - slope[best]) > 1e-3) | (np.abs(start - start[best]) > _ROOM_S)
        other[best] = False
    return chosen


def straight_stretches(
    one: Sketch, table: PitchTable, warp: Warp, transposition: int
) -> list[tuple[int, int]]:
    """Half-open ranges of notes of `one` of which most have a counterpart on the line.

    Parameters
    ----------
    table : notes of the other piece
    transposition : semitones up to the other piece
    """
    line = one.line
    if not len(line):
        return []
    _, late = table.nearest(line.pitch + transposition, warp(line.onset_s))
    hit = np.abs(late) <= _NEAR_S * max(1.0, warp.slope)
    width = min(_WINDOW, len(hit))
    rate = np.convolve(hit, np.ones(width), "valid") / width
    inside = np.zeros(len(hit) + 1, np.int64)
    dense = np.flatnonzero(rate >= _ENOUGH)
    np.add.at(inside, dense, 1)
    np.add.at(inside, dense + width, -1)
    held = np.flatnonzero((np.cumsum(inside[:-1]) > 0) & hit)  # a stretch begins and ends with a note found
    if not len(held):
        return []
    breaks = np.flatnonzero(np.diff(held) > width)
    starts = np.concatenate([[0], breaks + 1, [len(held)]])
    return [(int(held[a]), int(held[b - 1]) + 1) for a, b in itertools.pairwise(starts)]


def straight_line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Slope and start of a line through points of which a tenth may be wrong."""
    keep = np.ones(len(x), bool)
    slope = start = 0.0
    for _ in range(3):
        slope, start = _least_squares(x[keep], y[keep])
        error = np.abs(y - start - slope * x)
        keep = error <= np.quantile(error, 0.9)
    return slope, start


def _least_squares(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    centre, level = float(x.mean()), float(y.mean())
    spread = float(((x - centre) ** 2).sum())
    slope = float(((x - centre) * (y - level)).sum()) / spread if spread else 1.0
    return slope, level - slope * centre
