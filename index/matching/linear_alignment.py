"""Linear alignment: whether the times of two pieces lie on one straight line, as those of copies do.

Whatever was done to a copy (trimmed, stretched, quantised, notes lost), the times of its notes lie on a
straight line against the original's; and files without expression have a constant tempo throughout. Such a
line is fitted by RANSAC through agreeing landmarks, and then the notes of the whole piece are looked up along
it. So repeats cannot mislead, as they can where the place of every phrase is searched separately.
"""

from __future__ import annotations

import itertools

import numpy as np

from embedder.core.arrays import FloatArray

from .block_matching import IndexedPiece, SharedLandmarks
from .time_map import MAX_TEMPO_RATIO, PitchIndex, TimeMap

__all__ = ["fit_linear_map", "matching_stretches", "trimmed_line_fit"]

_RANSAC_POINTS = 64
_RANSAC_LINES = 800
_REFINED_LINES = 8
_RANKED_LINES = 200
_TOLERANCE_S = 0.25  # of a hypothesis
_ROUNDS_S = (0.25, 0.1, 0.06)
_MAX_POINTS = 3_000
_MAX_NOTES = 500  # looked up to compare lines
_MIN_SPREAD = 1e-9  # of points that are not all at one time
_NEAR_S = 0.1  # from the line: half a coarse grid of quantisation, and some
_WINDOW = 24  # notes
_MIN_RATE = 0.6  # of a window's notes


def fit_linear_map(
    piece: IndexedPiece, other: IndexedPiece, shared: SharedLandmarks, index: PitchIndex, transposition: int
) -> TimeMap | None:
    """The straight line along which most notes are found in the other piece; None if there is none.

    Parameters
    ----------
    shared : landmarks that the two share, through which lines are tried
    index : notes of the other piece
    transposition : semitones up to the other piece
    """
    if len(shared.group) < 4:
        return None
    sample = np.linspace(0, len(shared.group) - 1, min(len(shared.group), _MAX_POINTS)).astype(np.int64)
    sample = sample[np.argsort(shared.group[sample], kind="stable")]
    x, y = piece.group_s[shared.group[sample]], other.group_s[shared.other_group[sample]]
    sequence = piece.sequence
    probed = np.linspace(0, len(sequence) - 1, min(len(sequence), _MAX_NOTES)).astype(np.int64)
    pitch, onset_s = sequence.pitch[probed] + transposition, sequence.onset_s[probed]
    lines = _refine_lines(x, y, np.array(_ransac_lines(x, y)).reshape(-1, 2))
    if not len(lines):
        return None
    expected = lines[:, 1:] + lines[:, :1] * onset_s
    _, late = index.nearest(np.tile(pitch, len(lines)), expected.ravel())
    tolerance_s = _ROUNDS_S[-1] * np.maximum(1.0, lines[:, :1])
    hits = (np.abs(late).reshape(expected.shape) <= tolerance_s).sum(axis=1)
    slope, start = lines[int(np.argmax(hits))].tolist()
    ends = np.array([piece.group_s[0], max(piece.group_s[-1], piece.group_s[0] + 1e-3)])
    return TimeMap(ends, start + slope * ends, slope)


def _refine_lines(x: FloatArray, y: FloatArray, lines: FloatArray) -> FloatArray:
    """Lines (slope and start, float64 [k, 2]) fitted to the points near them, with decreasing tolerance.

    Lines with hardly any points near them are left out, and those that are too flat or steep.
    """
    for tolerance_s in _ROUNDS_S:
        slope, start = lines[:, :1], lines[:, 1:]
        near = (np.abs(y - start - slope * x) <= tolerance_s * np.maximum(1.0, slope)).astype(np.float64)
        count = near.sum(axis=1)
        supported = count >= 4
        near, count = near[supported], count[supported][:, None]
        centre, level = (near @ x)[:, None] / count, (near @ y)[:, None] / count
        away = (x - centre) * near
        spread = (away * away).sum(axis=1)
        slope = (away * (y - level)).sum(axis=1) / np.maximum(spread, _MIN_SPREAD)
        lines = np.stack([slope, level[:, 0] - slope * centre[:, 0]], axis=1)[spread > _MIN_SPREAD]
    return lines[(lines[:, 0] > 1 / MAX_TEMPO_RATIO) & (lines[:, 0] < MAX_TEMPO_RATIO)]


def _ransac_lines(x: FloatArray, y: FloatArray) -> list[tuple[float, float]]:
    """Slope and start of the lines through two points each that come near most other points."""
    pick = np.linspace(0, len(x) - 1, min(len(x), _RANSAC_POINTS)).astype(np.int64)
    x, y = x[pick], y[pick]
    i, j = np.triu_indices(len(x), 1)
    step, rise = x[j] - x[i], y[j] - y[i]
    far = step > 0.1 * max(1e-9, float(np.ptp(x)))
    good = np.flatnonzero(far & (rise * MAX_TEMPO_RATIO > step) & (rise < MAX_TEMPO_RATIO * step))
    if len(good) > _RANSAC_LINES:
        good = good[np.linspace(0, len(good) - 1, _RANSAC_LINES).astype(np.int64)]
    slope = rise[good] / np.maximum(step[good], 1e-9)
    start = y[i[good]] - slope * x[i[good]]
    error = np.abs(y[None, :] - start[:, None] - slope[:, None] * x[None, :])
    score = np.maximum(0, 1 - error / (_TOLERANCE_S * np.maximum(1.0, slope))[:, None]).sum(axis=1)
    order = np.argsort(-score, kind="stable")[:_RANKED_LINES]
    slope, start = slope[order], start[order]
    different = np.ones(len(order), bool)  # from all that were chosen
    chosen: list[tuple[float, float]] = []
    while len(chosen) < _REFINED_LINES and different.any():
        best = int(np.argmax(different))
        chosen.append((float(slope[best]), float(start[best])))
        different &= (np.abs(slope - slope[best]) > 1e-3) | (np.abs(start - start[best]) > _TOLERANCE_S)
        different[best] = False
    return chosen


def matching_stretches(
    piece: IndexedPiece, index: PitchIndex, line: TimeMap, transposition: int
) -> list[tuple[int, int]]:
    """Half-open ranges of notes of `piece` of which most have a counterpart on the line.

    Parameters
    ----------
    index : notes of the other piece
    transposition : semitones up to the other piece
    """
    sequence = piece.sequence
    if not len(sequence):
        return []
    _, late = index.nearest(sequence.pitch + transposition, line(sequence.onset_s))
    hit = np.abs(late) <= _NEAR_S * max(1.0, line.slope)
    width = min(_WINDOW, len(hit))
    rate = np.convolve(hit, np.ones(width), "valid") / width
    cover = np.zeros(len(hit) + 1, np.int64)
    dense = np.flatnonzero(rate >= _MIN_RATE)
    np.add.at(cover, dense, 1)
    np.add.at(cover, dense + width, -1)
    covered = np.flatnonzero(
        (np.cumsum(cover[:-1]) > 0) & hit
    )  # a stretch begins and ends with a matched note
    if not len(covered):
        return []
    breaks = np.flatnonzero(np.diff(covered) > width)
    starts = np.concatenate([[0], breaks + 1, [len(covered)]])
    return [(int(covered[a]), int(covered[b - 1]) + 1) for a, b in itertools.pairwise(starts)]


def trimmed_line_fit(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Slope and start of a line by least trimmed squares: a tenth of the points may be wrong."""
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
