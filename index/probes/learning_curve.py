"""What labels brought so far, and what more of them would bring.

Accuracy is cross-validated with parts of the present labels; its error is taken to fall as a power of
their number towards a floor, which is how probes on fixed vectors behave, and the curve is drawn on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .classifier import fit_plainly
from .folds import fold_of_rows, splits
from .records import CurvePoint

__all__ = ["forecast", "learning_curve", "says_of"]

SHARES = (0.2, 0.35, 0.5, 0.7, 1.0)
FURTHER = (1.5, 2.0, 3.0, 5.0)
_DRAWS = 3
_POWERS = np.linspace(0.1, 1.0, 10)
_STRENGTH = 10.0

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


def learning_curve(rows: FloatArray, label: IntArray, work: IntArray, classes: int) -> tuple[CurvePoint, ...]:
    """Accuracy on works held out, with growing parts of the labels of the others.

    The last point is what all labels give. Numbers of labels are scaled to the whole: a fold trains on
    four fifths of them.
    """
    found: dict[float, list[float]] = {share: [] for share in SHARES}
    for draw in range(_DRAWS):
        rng = np.random.default_rng(draw)
        for train, test in splits(fold_of_rows(label, work, seed=draw)):
            order = rng.permutation(np.flatnonzero(train))
            for share in SHARES:
                some = order[: max(2, round(share * len(order)))]
                weights, bias = fit_plainly(rows[some], label[some], classes, _STRENGTH)
                right = (rows[test] @ weights.T + bias).argmax(1) == label[test]
                found[share].append(float(right.mean()))
    return tuple(
        CurvePoint(max(2, round(share * len(label))), float(np.mean(all_)), float(np.std(all_)))
        for share, all_ in found.items()
    )


def forecast(curve: Sequence[CurvePoint]) -> tuple[CurvePoint, ...]:
    """The curve with one and a half to five times the labels: error = floor + scale * labels ** -power."""
    labels = np.array([point.labels for point in curve], dtype=np.float64)
    error = 1 - np.array([point.accuracy for point in curve])
    best: tuple[float, float, float, float] | None = None
    for power in _POWERS:
        fall = labels**-power
        for floor in np.linspace(0, max(float(error.min()), 0.0), 11):
            scale = max(float((fall * (error - floor)).sum() / (fall**2).sum()), 0.0)
            miss = float(((floor + scale * fall - error) ** 2).sum())
            if best is None or miss < best[0] - 1e-12:
                best = miss, floor, scale, power
    assert best is not None
    miss, floor, scale, power = best
    last = labels[-1]
    # So that the forecast goes on from the last point that was measured.
    shift = float(error[-1] - (floor + scale * last**-power))
    spread = float(np.sqrt(miss / len(curve)))
    points = []
    for times in FURTHER:
        wrong = min(max(floor + scale * (times * last) ** -power + shift, 0.0), float(error[-1]))
        points.append(CurvePoint(round(times * last), float(1 - wrong), spread + curve[-1].spread))
    return tuple(points)


def says_of(curve: Sequence[CurvePoint], further: Sequence[CurvePoint]) -> str:
    """The forecast in a sentence."""
    now, double = curve[-1], further[FURTHER.index(2.0)]
    gain = 100 * (double.accuracy - now.accuracy)
    start = f"{now.labels:,} labels give {100 * now.accuracy:.0f} % accuracy on works held out"
    if gain < 1.5:
        return f"{start}; twice as many would bring about a point or less"
    return f"{start}; {double.labels:,} would bring about {gain:.0f} points more"
