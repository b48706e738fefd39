"""Windows of pieces through the ensemble network: sums of states and counts, which add up to pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..notes import Notes
from .front import DRUMS, Rows, blank, front
from .fusion import BAND_COLUMNS, count_rows, numbers_of
from .model import EnsembleTransformer

__all__ = ["Columns", "WindowSums", "columns_of", "heard", "ready", "vectors_of"]

NOTES_A_BATCH = 8192  # keeps activations in a processor's caches
LONGEST = 1000  # windows that are counted at once


@dataclass(frozen=True)
class Columns:
    """A piece as arrays [n], by onset: seconds, MIDI numbers, program (128 drums) and part."""

    onset: NDArray[np.float64]
    duration: NDArray[np.float64]
    pitch: NDArray[np.integer]
    velocity: NDArray[np.integer]
    instrument: NDArray[np.integer]
    part: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.onset)


def columns_of(notes: Notes) -> Columns:
    """Columns of notes; notes without parts are one piano part.

    Notes with parts have `part`, an index [n] into `parts`, each of which has `program` and `drums`.
    """
    part = getattr(notes, "part", None)
    parts = getattr(notes, "parts", ())
    if part is None or not parts:
        part = instrument = np.zeros(len(notes), dtype=np.int64)
    else:
        programs = np.array([DRUMS if each.drums else each.program for each in parts], dtype=np.int64)
        instrument = programs[part]
        part = np.minimum(np.asarray(part, dtype=np.int64), 255)
    return Columns(notes.onset, notes.duration, notes.pitch, notes.velocity, instrument, part)


@dataclass(frozen=True)
class WindowSums:
    """Sums over the notes of windows [w, ...]: states, counts of notes, and if the network is fused the
    counts that it takes."""

    states: Tensor
    notes: Tensor
    counts: tuple[NDArray[np.float32], ...] | None

    def per_piece(self, piece: NDArray[np.int64], pieces: int) -> WindowSums:
        """Sums over the windows of each piece; `piece` [w] rises."""
        into = torch.from_numpy(piece).to(self.states.device)
        states = torch.zeros(pieces, self.states.shape[1], device=into.device).index_add_(
            0, into, self.states
        )
        notes = torch.zeros(pieces, device=into.device).index_add_(0, into, self.notes)
        if self.counts is None:
            return WindowSums(states, notes, None)
        first = np.searchsorted(piece, np.arange(pieces))
        return WindowSums(states, notes, tuple(np.add.reduceat(c, first, axis=0) for c in self.counts))


def ready(model: EnsembleTransformer, device: torch.device, dtype: torch.dtype) -> EnsembleTransformer:
    """The network ready to embed: notes are heard in `dtype`, vectors made of sums in float32."""
    model = model.to(device, dtype).eval()
    model.project.float()
    if model.fusion is not None:
        model.fusion.float()
    return model


@torch.inference_mode()
def heard(
    model: EnsembleTransformer,
    pieces: Sequence[Columns],
    windows: Sequence[tuple[int, int, int]],
    *,
    fused: bool,
) -> WindowSums:
    """Sums of windows (piece, first note, last note), pieces rising; `fused` asks for counts too."""
    device = model.norm.weight.device
    order = sorted(range(len(windows)), key=lambda at: windows[at][1] - windows[at][2])
    states = torch.zeros(len(windows), model.config.summed, device=device)
    at = 0
    while at < len(order):
        longest = windows[order[at]][2] - windows[order[at]][1]
        chosen = order[at : at + max(1, NOTES_A_BATCH // longest)]
        tokens, lengths = front(_rows(pieces, [windows[i] for i in chosen], model.config.patch))
        sizes = torch.from_numpy(lengths).to(device)
        found, _, units = model(torch.from_numpy(tokens).to(device))
        states[torch.tensor(chosen, device=device)] = model.sums(found, units, sizes)
        at += len(chosen)
    notes = torch.tensor([last - first for _, first, last in windows], dtype=torch.float32, device=device)
    return WindowSums(states, notes, _counts(pieces, windows) if fused else None)


@torch.inference_mode()
def vectors_of(model: EnsembleTransformer, sums: WindowSums) -> tuple[Tensor, Tensor | None]:
    """Unit rows of the transformer alone, and of states and counts together if there are counts."""
    pooled = model.moments(sums.states, sums.notes)
    alone = functional.normalize(model.project(pooled).float(), dim=1)
    if sums.counts is None or model.fusion is None:
        return alone, None
    pattern, statistic, band = sums.counts
    numbers = torch.from_numpy(numbers_of(statistic, band)).to(pooled.device)
    return alone, model.fusion(pooled, torch.from_numpy(pattern).to(pooled.device), numbers)


def _counts(
    pieces: Sequence[Columns], windows: Sequence[tuple[int, int, int]]
) -> tuple[NDArray[np.float32], ...]:
    parts = []
    for at in range(0, len(windows), LONGEST):
        group = windows[at : at + LONGEST]
        parts.append(count_rows(_rows(pieces, group, 1), np.arange(len(group)), len(group)))
    sizes = [0, 0, BAND_COLUMNS] if not parts else None
    if sizes is not None:
        return tuple(np.zeros((0, size), dtype=np.float32) for size in sizes)
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def _rows(pieces: Sequence[Columns], windows: Sequence[tuple[int, int, int]], patch: int) -> Rows:
    width = max(last - first for _, first, last in windows)
    shape = (len(windows), -(-width // patch) * patch)
    rows = blank(*shape)
    for row, (number, first, last) in enumerate(windows):
        piece, at, count = pieces[number], slice(first, last), last - first
        rows.onset[row, :count] = piece.onset[at] - piece.onset[first]
        rows.duration[row, :count] = piece.duration[at]
        for name in ("pitch", "velocity", "instrument", "part"):
            getattr(rows, name)[row, :count] = getattr(piece, name)[at]
    return rows
