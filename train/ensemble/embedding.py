"""Vectors of pieces by a model in training: windows of notes, pooled to pieces as the encoder does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from embedder.encoder import window_ranges
from embedder.ensemble.front import Rows, front
from embedder.ensemble.model import EnsembleTransformer
from embedder.notes import GRID_HZ

from .reading import PartedNotes

__all__ = ["piece_vectors"]

ROWS = 32


@torch.inference_mode()
def piece_vectors(
    model: EnsembleTransformer,
    pieces: Sequence[PartedNotes],
    context: int,
    precision: Callable[[], AbstractContextManager[Any]],
) -> NDArray[np.float32]:
    """Unit rows of pieces, each the pool of windows of at most `context` notes."""
    device = model.norm.weight.device
    windows = [(piece, *w) for piece, notes in enumerate(pieces) for w in window_ranges(len(notes), context)]
    order = sorted(range(len(windows)), key=lambda at: windows[at][1] - windows[at][2])
    sums = torch.zeros(len(pieces), model.config.summed, device=device)
    counts = torch.zeros(len(pieces), device=device)
    for at in range(0, len(order), ROWS):
        chosen = [windows[i] for i in order[at : at + ROWS]]
        tokens, lengths = front(_rows(pieces, chosen, model.config.patch))
        sizes = torch.from_numpy(lengths).to(device)
        with precision():
            states, _, units = model(torch.from_numpy(tokens).to(device))
            into = torch.tensor([piece for piece, _, _ in chosen], device=device)
            sums.index_add_(0, into, model.sums(states, units, sizes))
        counts.index_add_(0, into, sizes.float())
    with precision():
        vectors = model.project(model.moments(sums, counts)).float()
    unit: NDArray[np.float32] = functional.normalize(vectors, dim=1).cpu().numpy()
    return unit


def _rows(pieces: Sequence[PartedNotes], windows: Sequence[tuple[int, int, int]], patch: int) -> Rows:
    width = max(last - first for _, first, last in windows)
    width = -(-width // patch) * patch
    shape = (len(windows), width)
    rows = Rows(
        np.full(shape, np.inf), np.zeros(shape),
        *(np.full(shape, at, dtype=np.int64) for at in (0, 1, 0, 0)),
    )  # fmt: skip
    for row, (piece, first, last) in enumerate(windows):
        notes, at, count = pieces[piece], slice(first, last), last - first
        rows.onset[row, :count] = (notes.onset[at] - float(notes.onset[first])) / GRID_HZ
        rows.duration[row, :count] = notes.duration[at] / GRID_HZ
        for name in ("pitch", "velocity", "instrument", "part"):
            getattr(rows, name)[row, :count] = getattr(notes, name)[at]
    return rows
