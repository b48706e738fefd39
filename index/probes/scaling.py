"""The space in which probes work: vectors centred, and half standardised, by what the library holds.

Each column is divided by the square root of its standard deviation over the library. Left as they are,
columns with little spread count for nothing; made all equal, noise counts as much as what was learned. Half
way was the most robust of both over four sets, with few labels and with many; whitening by neighbours or by
the windows of a piece, descriptors and hand-made statistics beside the vector gave a point here and took one
there. The library's unlabelled pieces are what makes it possible: a few labelled ones cannot tell the spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Space"]

_SAMPLE = 20_000  # pieces that tell mean and spread

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Space:
    """Mean and factor of each column of a vector, float32 [dim]."""

    mean: FloatArray
    factor: FloatArray

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> Space:
        """The space of a library's vectors [n, dim]; at least one."""
        drawn = vectors
        if len(vectors) > _SAMPLE:
            rows = np.random.default_rng(0).choice(len(vectors), _SAMPLE, replace=False)
            drawn = vectors[np.sort(rows)]
        drawn = drawn.astype(np.float32)
        mean, spread = drawn.mean(0), drawn.std(0)
        factor = np.where(spread > 1e-6, 1 / np.sqrt(np.maximum(spread, 1e-6)), 0.0)
        length = float(np.sqrt((((drawn - mean) * factor) ** 2).sum(1).mean()))
        # Rows of mean square length one, so that strengths of regularisation mean the same everywhere.
        return cls(mean, (factor / max(length, 1e-6)).astype(np.float32))

    def __call__(self, vectors: NDArray[np.floating]) -> FloatArray:
        """Vectors [n, dim] in this space, float32."""
        moved: FloatArray = (vectors.astype(np.float32) - self.mean) * self.factor
        return moved
