"""What every encoder has to beat: plain hand-made numbers, compared by cosine.

features   statistics of the piece, standardised over the gallery
n-grams    TF-IDF of hashed note patterns
both       the two side by side
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedder.features.handcrafted import PLAIN, Layout, pattern_counts, statistic_counts, statistics
from embedder.notes import Notes

__all__ = ["BASELINES", "Handmade"]

BASELINES = ("features", "n-grams", "both")
FloatRows = NDArray[np.float32]


class Handmade:
    """Baselines whose scales come from a reference set of pieces (the gallery), without any training."""

    def __init__(self, reference: Sequence[Notes]) -> None:
        numbers, counts = _counted(reference)
        self.mean, self.sd = numbers.mean(0), numbers.std(0) + 1e-3
        self.rarity = np.log((len(counts) + 1) / ((counts > 0).sum(0) + 1)).astype(np.float32)

    def vectors(self, pieces: Sequence[Notes]) -> dict[str, FloatRows]:
        """Unit rows of each baseline, by its name."""
        numbers, counts = _counted(pieces)
        features = _unit((numbers - self.mean) / self.sd)
        grams = _unit(np.log1p(counts) * self.rarity)
        return {"features": features, "n-grams": grams, "both": _unit(np.hstack([features, grams]))}


def _counted(pieces: Sequence[Notes]) -> tuple[FloatRows, FloatRows]:
    numbers, counts = [], []
    for piece in pieces:
        layout = Layout.of([piece], [[(0, len(piece))]])
        numbers.append(statistics(statistic_counts(layout, PLAIN), PLAIN))
        counts.append(pattern_counts(layout))
    return np.concatenate(numbers), np.concatenate(counts)


def _unit(rows: NDArray[np.floating]) -> FloatRows:
    unit: FloatRows = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(
        np.float32
    )
    return unit
