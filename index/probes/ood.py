"""Pieces that are like none that was labelled: what a probe says of them is not to be believed.

A probe must choose among its classes, and is often sure of one for music of quite another kind. So a piece
is compared with the labelled ones: the mean cosine of the three nearest, on the main axes of the library.
Labelled pieces themselves, each compared with those of other works, tell what is usual; a piece below all but
a fiftieth of them is outside. Measured with
composers of concert music as classes, three to all pieces of each labelled: of folk tunes, pop songs and game
music 99 in 100 were outside, of pop pianists 95, of other works of the same composers 2 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boundary"]

_AXES = 64
_NEAREST = 3
_ANCHORS = 300  # labelled pieces that are compared with
_USUAL = 0.02  # share of the labelled pieces that may lie outside themselves
_SAMPLE = 5_000  # pieces that the main axes are found from

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Boundary:
    """Where the labelled pieces end.

    Attributes
    ----------
    axes : float32 [dim, a], main axes of the library
    anchors : float32 [k, a], unit rows, of labelled pieces
    least : the mean cosine below which a piece is outside
    """

    axes: FloatArray
    anchors: FloatArray
    least: float

    @classmethod
    def of(cls, library: FloatArray, rows: FloatArray, work: IntArray) -> Boundary:
        """The boundary around labelled rows [n, dim] with their works, in a library's space."""
        rng = np.random.default_rng(0)
        drawn = library[rng.permutation(len(library))[:_SAMPLE]]
        _, directions = np.linalg.eigh(np.atleast_2d(np.cov(np.concatenate([drawn, rows]).T)))
        axes = directions[:, -_AXES:].astype(np.float32)
        chosen = np.sort(rng.permutation(len(rows))[:_ANCHORS])
        anchors = _unit(rows[chosen] @ axes)
        likeness = anchors @ anchors.T
        likeness[work[chosen][:, None] == work[chosen][None]] = -2.0  # its own work is no comparison
        usual = [_mean_of_nearest(row[row > -2.0][None])[0] for row in likeness if (row > -2.0).any()]
        least = float(np.quantile(usual, _USUAL)) if usual else -1.0
        return cls(axes, anchors, least)

    def outside(self, rows: FloatArray) -> NDArray[np.bool_]:
        """Which of the rows [n, dim] are like none that was labelled, bool [n]."""
        return self.far(rows @ self.axes)

    def far(self, turned: FloatArray) -> NDArray[np.bool_]:
        """The same for rows that are on the axes already, [n, a]."""
        far: NDArray[np.bool_] = _mean_of_nearest(_unit(turned) @ self.anchors.T) < self.least
        return far


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def _mean_of_nearest(likeness: FloatArray) -> FloatArray:
    """Means of the highest values of each row."""
    count = min(_NEAREST, likeness.shape[1])
    best = np.partition(likeness, likeness.shape[1] - count, axis=1)[:, -count:]
    mean: FloatArray = best.mean(1)
    return mean
