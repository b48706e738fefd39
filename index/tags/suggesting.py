"""Which pieces to label next: those the probe is least sure of, in places that nothing labelled covers yet.

A piece covers what is near to it. Each choice takes the piece with the largest product of two: how much
it covers that nothing labelled or chosen covers yet (facility location), and how little the probe can decide
between its two likeliest classes. So the answers are doubtful, typical of many others, and no two alike.
Before there are labels of two classes all pieces are equally doubtful, and the answers are simply varied.

Either alone is worse: the margin asks for ten oddities of one kind, cover for pieces that are known already.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_WEIGHED", "choose", "doubt_of"]

MOST_WEIGHED = 3_000  # pieces that are candidates, and whose cover counts
_SHARPNESS = 6  # power of the cosine: how near a piece must be to be covered
_DOUBT = 2  # power of the doubt: how much more it counts than cover

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
    unit = _unit(rows)
    likeness = _sharpened(unit @ unit.T)
    cover = np.zeros(len(rows), dtype=np.float32)
    if len(labelled):
        cover = _sharpened(unit @ _unit(labelled).T).max(1)
    chosen: list[int] = []
    open_ = np.ones(len(rows), dtype=bool)
    for _ in range(min(k, len(rows))):
        gain = np.maximum(likeness - cover[:, None], 0).mean(0) * doubt**_DOUBT
        gain[~open_] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        open_[best] = False
        cover = np.maximum(cover, likeness[best])
    return np.array(chosen, dtype=np.int64)


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def _sharpened(cosine: FloatArray) -> FloatArray:
    sharp: FloatArray = np.maximum(cosine, 0) ** _SHARPNESS
    return sharp
