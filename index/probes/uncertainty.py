"""Which pieces to label next: those that tell most about the pieces the probe cannot decide yet.

Labelling a piece makes a linear probe surer about others, the more so the more alike they are: without
labels what it says of two pieces varies together as their likeness, and each labelled piece takes from that
what it explains. Each choice takes the piece that lowers the variance of all candidates most, those counting
for more between whose two likeliest classes the probe can decide less; then it counts as labelled. So the
answers are typical of many undecided pieces, and no two alike. Before there are labels of two classes all
pieces are equally doubtful, and the answers are simply varied and typical.

This is transductive experimental design (Yu, Bi and Tresp 2006, "Active learning via transductive
experimental design"), weighted by the cube of doubt. The power was chosen on composers of piano-midi.de and
on game series: their labels for 90 % of full accuracy, as a share of random choice's, were 0.85 with doubt
itself, 0.77 with its square, 0.69 with its cube, 0.77 and 0.81 with powers 4 and 6 (geometric means of both,
40 draws).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_WEIGHED", "choose", "doubt_of"]

MOST_WEIGHED = 3_000  # pieces that are candidates, and whose cover counts
_NOISE = 0.03  # variance of what one label says, where a row's own is one
_FOCUS = 3  # power of doubt by which a piece counts
_LEAST = 0.01  # what a piece counts of which the probe is certain

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


def doubt_of(probabilities: FloatArray) -> FloatArray:
    """1 where the two likeliest classes are equally likely, 0 where one is certain, float32 [n]."""
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    doubt: FloatArray = 1 - (two[:, 1] - two[:, 0])
    return doubt


def choose(rows: FloatArray, labelled: FloatArray, doubt: FloatArray, k: int) -> IntArray:
    """Rows to label next, the most useful first, int64 [at most k].

    Parameters
    ----------
    rows : float32 [n, dim], candidates in a probe's space
    labelled : float32 [m, dim], what has labels already
    doubt : float32 [n]
    """
    shared = _left_unknown(_unit(rows), _unit(labelled))
    weight = np.maximum(doubt**_FOCUS, np.float32(_LEAST))
    open_ = np.ones(len(rows), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(k, len(rows))):
        gain = weight @ np.square(shared) / (np.diag(shared) + _NOISE)
        gain[~open_] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        open_[best] = False
        told = shared[best] / np.sqrt(shared[best, best] + np.float32(_NOISE))
        shared -= np.outer(told, told)
    return np.array(chosen, dtype=np.int64)


def _left_unknown(unit: FloatArray, labelled: FloatArray) -> FloatArray:
    """Covariances of what a linear probe says of the rows [n, dim] once others are labelled, [n, n]."""
    if not len(labelled):
        return unit @ unit.T
    known = labelled.astype(np.float64)
    precision = np.eye(known.shape[1]) + known.T @ known / _NOISE
    factor = np.linalg.inv(np.linalg.cholesky(precision))  # its product with itself is the covariance
    moved = (unit @ factor.T).astype(np.float32)
    return moved @ moved.T


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit
