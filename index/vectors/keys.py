"""Keys of vectors: one integer that says which piece, and which of its windows (0 for the whole piece)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "IntArray", "first_key", "keys_of", "no_keys", "ordinals_of", "pieces_of", "union"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

_ORDINAL_BITS = 20  # a million windows a piece, 2**43 pieces


def keys_of(piece_id: int, windows: int) -> IntArray:
    """Keys of all windows of a piece, int64 [windows]."""
    return (piece_id << _ORDINAL_BITS) + np.arange(windows, dtype=np.int64)


def first_key(pieces: IntArray) -> IntArray:
    """The lowest key that each of these pieces may have."""
    return np.asarray(pieces, dtype=np.int64) << _ORDINAL_BITS


def pieces_of(keys: IntArray) -> IntArray:
    """Which piece each key belongs to."""
    return keys >> _ORDINAL_BITS


def ordinals_of(keys: IntArray) -> IntArray:
    """Which window of its piece each key stands for."""
    return keys & ((1 << _ORDINAL_BITS) - 1)


def no_keys() -> IntArray:
    return np.empty(0, dtype=np.int64)


def union(one: IntArray, other: IntArray) -> IntArray:
    """Piece numbers of two rising rows, rising; sorting is many times as fast as numpy's hashing."""
    both = np.sort(np.concatenate([one, other]), kind="stable")
    return both[np.flatnonzero(np.diff(both, prepend=-1))]
