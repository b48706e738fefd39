"""From hand-made counts to two parts of a vector: what a piece is (identity) and how it is (style).

`identity` is a learned linear map of hashed note patterns and of statistics, trained so that excerpts,
alterations and other versions of a work lie together. `style` is the statistics themselves, standardised
and turned onto their principal axes, so that linear probes can read them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .handmade import PATTERN_BINS, STATISTICS

__all__ = ["HandmadeHead"]

STATISTIC_COLUMNS = sum(STATISTICS.values())
CLIP = 4.0  # standard deviations


class HandmadeHead(nn.Module):
    """Maps counts of a window or piece to unit vectors of `identity` and `style` numbers.

    Parameters
    ----------
    identity, style : sizes of the two parts
    """

    def __init__(self, identity: int, style: int) -> None:
        super().__init__()
        self.pattern_log_weight = nn.Parameter(torch.zeros(PATTERN_BINS))
        self.pattern_map = nn.Linear(PATTERN_BINS, identity, bias=False)
        self.statistic_map = nn.Linear(STATISTIC_COLUMNS, identity)
        self.mix = nn.Parameter(torch.tensor(0.7))
        self.register_buffer("statistic_mean", torch.zeros(STATISTIC_COLUMNS))
        self.register_buffer("statistic_sd", torch.ones(STATISTIC_COLUMNS))
        self.register_buffer("style_axes", torch.zeros(style, STATISTIC_COLUMNS))
        nn.init.normal_(self.pattern_map.weight, std=identity**-0.5)
        nn.init.normal_(self.statistic_map.weight, std=STATISTIC_COLUMNS**-0.5)

    def standardise(self, statistics: Tensor) -> Tensor:
        """Statistics [r, STATISTIC_COLUMNS] in standard deviations, clipped."""
        scaled = (statistics - self.get_buffer("statistic_mean")) / self.get_buffer("statistic_sd")
        return scaled.clamp(-CLIP, CLIP)

    def identity(self, patterns: Tensor, statistics: Tensor) -> Tensor:
        """Unit rows [r, identity] of counts [r, PATTERN_BINS] and statistics [r, STATISTIC_COLUMNS]."""
        words = functional.normalize(patterns.log1p() * self.pattern_log_weight.exp(), dim=1)
        by_pattern = functional.normalize(self.pattern_map(words), dim=1)
        by_statistic = functional.normalize(self.statistic_map(self.standardise(statistics)), dim=1)
        return functional.normalize(by_pattern + self.mix * by_statistic, dim=1)

    def style(self, statistics: Tensor) -> Tensor:
        """Unit rows [r, style] of statistics [r, STATISTIC_COLUMNS]."""
        return functional.normalize(self.standardise(statistics) @ self.get_buffer("style_axes").T, dim=1)
