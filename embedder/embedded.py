"""What an encoder makes of pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .core.arrays import FloatRows

__all__ = ["Embedded"]


@dataclass(frozen=True)
class Embedded:
    """Vectors of n pieces and their w windows; windows of one piece are consecutive, in time order.

    Attributes
    ----------
    pieces : float32 [n, dim], unit rows
    windows : float32 [w, dim], unit rows
    piece_of_window : int64 [w], row of `pieces`
    start_s, end_s : float64 [w], first onset and last end of the window's notes
    first_note, last_note : int64 [w], range of the window's notes in its piece, end excluded
    """

    pieces: FloatRows
    windows: FloatRows
    piece_of_window: NDArray[np.int64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    first_note: NDArray[np.int64]
    last_note: NDArray[np.int64]
