"""k-NN out-of-distribution detection: pieces unlike every labelled one, whose predictions mean nothing.

A classifier must choose among its classes, and is often confident about music of quite another kind. So a
piece is compared with the labelled ones: the mean cosine similarity to the three nearest, on the principal
axes of the library (compare Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors").
The labelled pieces, each compared with those of other works, give the threshold: 2 % of them lie below it.
Measured with composers of concert music as classes, three to all pieces of each labelled: of folk tunes, pop
songs and game music 99 in 100 were out of distribution, of pop pianists 95, of other works of the same
composers 2 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedder.core.arrays import BoolArray, FloatRows, IntArray, unit_rows

__all__ = ["OODDetector"]

_AXES = 64
_NEIGHBOURS = 3
_MAX_REFERENCES = 300
_FALSE_POSITIVE_RATE = 0.02  # share of the labelled pieces that may lie below the threshold
_AXES_SAMPLE = 5_000  # pieces from which the principal axes are computed
_MIN_NORM = 1e-9


@dataclass(frozen=True)
class OODDetector:
    """Detects rows far from the labelled ones.

    Attributes
    ----------
    axes : float32 [dim, a], principal axes of the library's scaled vectors
    references : float32 [k, a], unit rows of labelled pieces
    threshold : mean cosine to the nearest references below which a row is out of distribution
    """

    axes: FloatRows
    references: FloatRows
    threshold: float

    @classmethod
    def fit(cls, library: FloatRows, rows: FloatRows, work: IntArray) -> OODDetector:
        """The detector for labelled rows [n, dim] with their works, given scaled vectors of the library."""
        rng = np.random.default_rng(0)
        sample = library[rng.permutation(len(library))[:_AXES_SAMPLE]]
        _, directions = np.linalg.eigh(np.atleast_2d(np.cov(np.concatenate([sample, rows]).T)))
        axes = directions[:, -_AXES:].astype(np.float32)
        chosen = np.sort(rng.permutation(len(rows))[:_MAX_REFERENCES])
        references = unit_rows(rows[chosen] @ axes, _MIN_NORM)
        similarity = references @ references.T
        excluded = -2.0  # below every cosine: pieces of the same work are no evidence
        similarity[work[chosen][:, None] == work[chosen][None]] = excluded
        usual = [
            _mean_of_nearest(row[row > excluded][None])[0] for row in similarity if (row > excluded).any()
        ]
        threshold = float(np.quantile(usual, _FALSE_POSITIVE_RATE)) if usual else -1.0
        return cls(axes, references, threshold)

    def detect(self, projected: FloatRows) -> BoolArray:
        """Which rows, already projected on the axes [n, a], are out of distribution, bool [n]."""
        similarity = unit_rows(projected, _MIN_NORM) @ self.references.T
        below: BoolArray = _mean_of_nearest(similarity) < self.threshold
        return below


def _mean_of_nearest(similarity: FloatRows) -> FloatRows:
    """Mean of the highest values of each row."""
    count = min(_NEIGHBOURS, similarity.shape[1])
    nearest = np.partition(similarity, similarity.shape[1] - count, axis=1)[:, -count:]
    mean: FloatRows = nearest.mean(1)
    return mean
