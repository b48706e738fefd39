"""Vectors of pieces of a corpus by a model in training, pooled from windows as the encoder does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.base_encoder import window_ranges
from embedder.ensemble.model import EnsembleTransformer
from embedder.ensemble.windows import Columns, heard, vectors_of
from embedder.notes import GRID_HZ

from .reading import PartedNotes

__all__ = ["piece_vectors"]

PIECES = 200  # at once
FloatRows = NDArray[np.float32]


def piece_vectors(
    model: EnsembleTransformer,
    pieces: Sequence[PartedNotes],
    context: int,
    precision: Callable[[], AbstractContextManager[Any]],
    *,
    fused: bool = False,
) -> FloatRows:
    """Unit rows of pieces, each the pool of windows of at most `context` notes.

    Parameters
    ----------
    fused : the vector of states and counts together instead of the transformer's own
    """
    found = []
    for at in range(0, len(pieces), PIECES):
        group = [_columns(notes) for notes in pieces[at : at + PIECES]]
        windows = [(i, *w) for i, notes in enumerate(group) for w in window_ranges(len(notes), context)]
        with precision():
            sums = heard(model, group, windows, fused=fused)
            of = np.array([piece for piece, _, _ in windows])
            alone, joined = vectors_of(model, sums.per_piece(of, len(group)))
        found.append((alone if joined is None else joined).cpu().numpy())
    return np.concatenate(found)


def _columns(notes: PartedNotes) -> Columns:
    onset, duration = notes.onset / GRID_HZ, notes.duration / GRID_HZ
    return Columns(onset, duration, notes.pitch, notes.velocity, notes.instrument, notes.part)
