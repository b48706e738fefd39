"""From hand-made counts to two parts of a vector: what a piece is (identity) and how it is (style).

`identity` is a learned linear map of hashed note patterns and of statistics, trained so that excerpts,
alterations and other versions of a work lie together. `style` has two halves: the statistics themselves,
standardised and turned onto axes along which versions of one work differ little, so that linear probes can
read them; and, if the encoder has it, a taught half, a linear map of the statistics that was fitted to
tell composers, pianists and kinds of music apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .handcrafted import PATTERN_BINS, STATISTICS, column_count

__all__ = ["CLIP", "HandmadeHead"]

CLIP = 4.0  # standard deviations


class HandmadeHead(nn.Module):
    """Maps counts of a window or piece to unit vectors of `identity` and `style` numbers.

    Parameters
    ----------
    identity, style : sizes of the two parts
    taught : how many of the `style` numbers, the last, are the taught half
    names : histograms that are read, in the order of `STATISTICS`
    """

    def __init__(
        self, identity: int, style: int, taught: int = 0, names: Sequence[str] = tuple(STATISTICS)
    ) -> None:
        super().__init__()
        self.names, self.taught = tuple(names), taught
        columns = column_count(self.names)
        self.pattern_log_weight = nn.Parameter(torch.zeros(PATTERN_BINS))
        self.pattern_map = nn.Linear(PATTERN_BINS, identity, bias=False)
        self.statistic_map = nn.Linear(columns, identity)
        self.mix = nn.Parameter(torch.tensor(0.7))
        self.register_buffer("statistic_mean", torch.zeros(columns))
        self.register_buffer("statistic_sd", torch.ones(columns))
        self.register_buffer("style_axes", torch.zeros(style - taught, columns))
        if taught:
            self.taught_map = nn.Linear(columns, taught)
            self.taught_share = nn.Parameter(torch.tensor(0.5), requires_grad=False)
            nn.init.normal_(self.taught_map.weight, std=0.3 * columns**-0.5)
        nn.init.normal_(self.pattern_map.weight, std=identity**-0.5)
        nn.init.normal_(self.statistic_map.weight, std=columns**-0.5)

    def standardise(self, statistics: Tensor) -> Tensor:
        """Statistics [r, columns] in standard deviations, clipped."""
        scaled = (statistics - self.get_buffer("statistic_mean")) / self.get_buffer("statistic_sd")
        return scaled.clamp(-CLIP, CLIP)

    def identity(self, patterns: Tensor, statistics: Tensor) -> Tensor:
        """Unit rows [r, identity] of counts [r, PATTERN_BINS] and statistics [r, columns]."""
        words = functional.normalize(patterns.log1p() * self.pattern_log_weight.exp(), dim=1)
        by_pattern = functional.normalize(self.pattern_map(words), dim=1)
        by_statistic = functional.normalize(self.statistic_map(self.standardise(statistics)), dim=1)
        return functional.normalize(by_pattern + self.mix * by_statistic, dim=1)

    def style(self, statistics: Tensor) -> Tensor:
        """Unit rows [r, style] of statistics [r, columns]."""
        standard = self.standardise(statistics)
        plain = functional.normalize(standard @ self.get_buffer("style_axes").T, dim=1)
        if not self.taught:
            return plain
        taught = functional.normalize(self.taught_map(standard), dim=1)
        halves = (1 - self.taught_share).sqrt() * plain, self.taught_share.sqrt() * taught
        return functional.normalize(torch.cat(halves, dim=1), dim=1)
