"""Which passage follows? The true continuation of a passage among those of other works, by nearest vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from ..evaluation.datasets import Collection

__all__ = ["CHOICES", "next_passage", "passages"]

PASSAGE = 64  # notes
CHOICES = 5


def passages(collection: Collection, most: int, seed: int = 0) -> tuple[list[Notes], list[Notes], list[int]]:
    """A passage, what follows it, and the work, of at most `most` pieces, of a work one."""
    rng = np.random.default_rng(seed)
    before: list[Notes] = []
    after: list[Notes] = []
    works: list[int] = []
    for i in rng.permutation(len(collection.pieces)).tolist():
        piece = collection.pieces[i]
        if len(piece.notes) < 2 * PASSAGE or piece.work in works:
            continue
        middle = int(rng.integers(PASSAGE, len(piece.notes) - PASSAGE + 1))
        before.append(piece.notes.slice_notes(middle - PASSAGE, middle).from_zero())
        after.append(piece.notes.slice_notes(middle, middle + PASSAGE).from_zero())
        works.append(piece.work)
        if len(before) == most:
            break
    return before, after, works


def next_passage(before: NDArray[np.float32], after: NDArray[np.float32], seed: int = 0) -> float:
    """Share of passages whose true continuation is nearer than four others; ties count against the system.

    Parameters
    ----------
    before, after : unit rows of passages and of what follows each, [n, d]
    """
    rng = np.random.default_rng(seed)
    similarity = before @ after.T
    right = 0
    for i in range(len(similarity)):
        rivals = rng.choice(np.delete(np.arange(len(similarity)), i), CHOICES - 1, replace=False)
        right += bool(similarity[i, i] > similarity[i, rivals].max())
    return right / len(similarity)
