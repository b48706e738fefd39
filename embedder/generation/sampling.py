"""Drawing the next token: temperature, then min-p, then top-p.

Sources: top-p, Holtzman et al. 2020 (arXiv 1904.09751); min-p, Nguyen et al. 2024 (arXiv 2407.01082).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dice", "Sampling"]

COLD = 1e-6  # below this, nothing but the likeliest has a chance that can be counted


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    Attributes
    ----------
    temperature : divides the logits; 0 takes the likeliest token always
    top_p : the likeliest tokens that together have this probability stay; 1 keeps all
    min_p : tokens less likely than this share of the likeliest are left out; 0 keeps all

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    temperature: float = 0.95
    top_p: float = 1.0
    min_p: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ValueError("the temperature lies in 0..10")
        if not 0 < self.top_p <= 1:
            raise ValueError("top-p lies above 0 and at most at 1")
        if not 0 <= self.min_p < 1:
            raise ValueError("min-p lies at 0 or above, and below 1")

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities [v] of tokens with these logits [v]; minus infinity marks what is not allowed.

        Raises
        ------
        ValueError
            If nothing is allowed.
        """
        scores = logits.astype(np.float64)
        top = scores.max()
        if not np.isfinite(top):
            raise ValueError("no token is allowed, or the logits are not finite")
        if self.temperature < COLD:
            chances = np.zeros(len(scores))
            chances[int(scores.argmax())] = 1.0
            return chances
        chances = np.exp((scores - top) / self.temperature)
        chances[chances < self.min_p] = 0.0  # the likeliest has exp(0) here
        if self.top_p < 1:
            order = np.argsort(-chances, kind="stable")
            before = np.cumsum(chances[order]) - chances[order]
            chances[order[before >= self.top_p * chances.sum()]] = 0.0
        normed: NDArray[np.float64] = chances / chances.sum()
        return normed


class Dice:
    """One source of chance for each variation, so that none depends on how many there are."""

    def __init__(self, seed: int, rows: int, sampling: Sampling) -> None:
        self.sampling = sampling
        self._rngs = [np.random.default_rng([seed, row]) for row in range(rows)]

    def draw(self, row: int, logits: NDArray[np.floating]) -> int:
        """A token for one row from its logits [v]; one random number a call."""
        chances = np.cumsum(self.sampling.probabilities(logits))
        place = self._rngs[row].random() * chances[-1]
        return int(
            min(
                np.searchsorted(chances, place, "right"), int(np.flatnonzero(np.diff(chances, prepend=0))[-1])
            )
        )
