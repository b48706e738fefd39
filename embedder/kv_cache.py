"""Keys and values of what a transformer has read, so that the next step reads only what is new."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["KeyValues"]


class KeyValues:
    """Of one layer, for `rows` sequences of equal length, with room for `most` places.

    Attributes
    ----------
    length : places that are filled
    """

    def __init__(
        self, rows: int, heads: int, most: int, size: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._keys = torch.empty(rows, heads, most, size, device=device, dtype=dtype)
        self._values = torch.empty_like(self._keys)
        self.length = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take those of new places [rows, heads, n, size]; all so far."""
        end = self.length + keys.shape[2]
        self._keys[:, :, self.length : end] = keys
        self._values[:, :, self.length : end] = values
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def mask(self, count: int) -> Tensor | None:
        """Which places [count, all] each of `count` new ones may hear; None for those before it, or all."""
        if self.length == 0 or count == 1:
            return None
        every = torch.ones(count, self.length + count, dtype=torch.bool, device=self._keys.device)
        return every.tril(self.length)
