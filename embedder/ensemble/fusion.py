"""One vector from what the transformer heard and from what was counted.

The pooled states of the transformer, the hashed note patterns and the statistics of the same music each
become a unit vector by a linear map; a small network adds to their weighed sum. All of it is trained end to
end with the transformer, by the contrast that trains the transformer's own vector.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..features.batch import Layout
from ..features.handcrafted import PATTERN_BINS, column_count, pattern_counts, statistic_counts, statistics
from .front import DRUMS, Rows

__all__ = ["BAND_COLUMNS", "Counts", "Fusion", "count_rows", "numbers_of"]

CLIP = 4.0  # standard deviations
FAMILIES, DRUM_KEYS, FIRST_DRUM = 16, 48, 35
BAND_COLUMNS = FAMILIES + 1 + DRUM_KEYS

FloatRows = NDArray[np.float32]
Counts = tuple[FloatRows, FloatRows, FloatRows]


def count_rows(
    rows: Rows,
    view: NDArray[np.int64],
    views: int,
    most: int | None = None,
    shift: NDArray[np.int64] | None = None,
) -> Counts:
    """Counts of patterns, statistics and instruments of views, each of the rows that belong to it.

    Parameters
    ----------
    rows : slices
    view : int64 [rows], rising
    most : notes of a row that count
    shift : semitones [views] by which pitched notes are moved before they are counted

    Returns
    -------
    float32 [views, ...]: `pattern_counts`, `statistic_counts` and notes by family, drums and drum key; all
    of them add up over stretches
    """
    order = np.argsort(rows.onset, axis=1, kind="stable")[:, :most]
    rows = rows.ordered(order)
    present = np.isfinite(rows.onset)
    drum = present & (rows.instrument == DRUMS)
    pitched = present & ~drum
    of = np.broadcast_to(view[:, None], pitched.shape)
    # Rows of a view follow each other, far enough apart for no chord or interval in time to span them.
    number = np.arange(len(view)) - np.searchsorted(view, view)
    last = np.where(present, rows.onset, 0).max(initial=0.0) + 10.0
    onset = rows.onset + (number * last)[:, None]
    pitch = rows.pitch if shift is None else np.clip(rows.pitch + shift[view][:, None], 0, 127)
    notes = of[pitched]
    layout = Layout(
        (onset[pitched], rows.duration[pitched], pitch[pitched], rows.velocity[pitched]),
        notes, notes, np.arange(views),
    )  # fmt: skip
    if not len(notes):
        sizes = PATTERN_BINS, column_count(counted=True)
        pattern, statistic = (np.zeros((views, size), dtype=np.float32) for size in sizes)
    else:
        pattern, statistic = pattern_counts(layout), statistic_counts(layout)
    family = np.where(drum, FAMILIES, rows.instrument // 8 % FAMILIES)
    key = FAMILIES + 1 + np.clip(rows.pitch - FIRST_DRUM, 0, DRUM_KEYS - 1)
    flat = np.bincount((of * BAND_COLUMNS + family)[present], minlength=views * BAND_COLUMNS)
    flat = flat + np.bincount((of * BAND_COLUMNS + key)[drum], minlength=views * BAND_COLUMNS)
    return pattern, statistic, flat.reshape(views, BAND_COLUMNS).astype(np.float32)


def numbers_of(statistic: FloatRows, band: FloatRows) -> FloatRows:
    """Square roots of shares [r, columns] of summed counts."""
    total = np.maximum(band[:, : FAMILIES + 1].sum(1, keepdims=True), 1)
    return np.concatenate([statistics(statistic), np.sqrt(band / total)], axis=1)


class Fusion(nn.Module):
    """Pooled states and counts to unit vectors.

    Parameters
    ----------
    pooled : length of the transformer's description of a stretch
    inner : size of the three maps
    dim : length of a vector
    """

    def __init__(self, pooled: int, inner: int = 384, dim: int = 512) -> None:
        super().__init__()
        columns = column_count() + BAND_COLUMNS
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))
        self.word_weight = nn.Parameter(torch.zeros(PATTERN_BINS))
        self.words = nn.Linear(PATTERN_BINS, inner, bias=False)
        self.numbers = nn.Linear(columns, inner)
        self.states = nn.Sequential(nn.LayerNorm(pooled), nn.Linear(pooled, inner))
        self.shares = nn.Parameter(torch.tensor([1.0, 0.7, 0.7]))
        self.mix = nn.Sequential(nn.Linear(3 * inner, 2 * inner), nn.ReLU(), nn.Linear(2 * inner, dim))
        self.direct = nn.Linear(inner, dim, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        last = self.mix[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)

    def forward(self, pooled: Tensor, patterns: Tensor, numbers: Tensor) -> Tensor:
        """Unit rows [r, dim] of pooled states [r, pooled], counts [r, PATTERN_BINS] and `numbers_of` them."""
        words = functional.normalize(patterns.log1p() * self.word_weight.exp(), dim=1)
        standard = ((numbers - self.get_buffer("mean")) / self.get_buffer("deviation")).clamp(-CLIP, CLIP)
        parts = (self.words(words), self.numbers(standard), self.states(pooled))
        units = [functional.normalize(part.float(), dim=1) for part in parts]
        joined = sum(
            (share * unit for share, unit in zip(self.shares, units, strict=True)), start=torch.zeros(())
        )
        scale = self.shares.numel() ** 0.5 * units[0].shape[1] ** 0.5
        mixed = self.mix(torch.cat(units, dim=1) * scale)
        return functional.normalize(self.direct(joined).float() + 0.1 * mixed.float(), dim=1)
