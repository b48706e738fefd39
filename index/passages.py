"""From windows to answers: the best window of each piece, or passages made of neighbouring windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .vectors.faiss_store import ordinals_of, pieces_of

__all__ = ["Passage", "best_windows", "join_windows"]

PASSAGES_PER_PIECE = 3
NEIGHBOUR_DROP = 0.05  # a neighbour joins a passage if its score is at most this far below the passage's best


@dataclass(frozen=True)
class Passage:
    """Windows `first` to `last` (inclusive) of a piece, with the score of the best of them."""

    piece_id: int
    first: int
    last: int
    score: float


def best_windows(keys: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Passage]:
    """The best window of each piece, best piece first, from windows that come best first."""
    numbers, at = np.unique(pieces_of(keys), return_index=True)
    order = np.argsort(at)
    best = at[order]
    rows = zip(numbers[order].tolist(), ordinals_of(keys[best]).tolist(), scores[best].tolist(), strict=True)
    return [Passage(piece, ordinal, ordinal, score) for piece, ordinal, score in rows]


def join_windows(keys: NDArray[np.int64], scores: NDArray[np.float32], longest: int) -> list[Passage]:
    """Passages, best first, from windows that come best first.

    A passage grows from the best window that no passage holds yet towards its better neighbour, while that
    one is among the windows given and scores nearly as well, up to `longest` windows. A piece gives a few
    at most.
    """
    of_piece: dict[int, dict[int, float]] = {}
    rows = zip(pieces_of(keys).tolist(), ordinals_of(keys).tolist(), scores.tolist(), strict=True)
    for piece, ordinal, score in rows:
        of_piece.setdefault(piece, {})[ordinal] = score
    passages = []
    for piece, free in of_piece.items():
        for _ in range(PASSAGES_PER_PIECE):
            if not free:
                break
            passages.append(_grown(piece, free, longest))
    return sorted(passages, key=lambda p: (-p.score, p.piece_id, p.first))


def _grown(piece: int, free: dict[int, float], longest: int) -> Passage:
    """Take one passage out of the free windows (ordinal -> score, best first)."""
    seed, best = next(iter(free.items()))
    del free[seed]
    first = last = seed
    while last - first + 1 < longest:
        beside = max((first - 1, last + 1), key=lambda ordinal: free.get(ordinal, -np.inf))
        if free.get(beside, -np.inf) < best - NEIGHBOUR_DROP:
            break
        del free[beside]
        first, last = min(first, beside), max(last, beside)
    return Passage(piece, first, last, best)
