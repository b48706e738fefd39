"""What encoders share: pieces embedded in groups, files, windows, precision."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch

from .core.arrays import FloatRows
from .core.errors import MidiError
from .embedded import Embedded
from .midi.reading import read_midi
from .notes import Notes

__all__ = ["PRECISIONS", "GroupedEncoder", "fast_dtype", "window_ranges"]

NOTES_PER_GROUP = 65_536  # bounds the memory of one call, however many pieces it is given
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def window_ranges(notes: int, window: int) -> list[tuple[int, int]]:
    """Ranges that cover a piece of `notes` notes once, as few and as even as windows allow."""
    edges = np.linspace(0, notes, math.ceil(notes / window) + 1).astype(int).tolist()
    return list(pairwise(edges))


class GroupedEncoder(ABC):
    """An encoder that embeds a group of pieces at a time.

    Attributes
    ----------
    name : what it is called
    id : name and a hash of its weights and configuration; vectors of equal ids can be compared
    dim : length of a vector
    parts : columns of the parts of a vector
    front : what `embedder.midi.pool` is to make of a file for `embed`, beside its notes; None if the notes
        are enough
    """

    name: str
    id: str
    dim: int
    parts: dict[str, slice]
    front: ClassVar[str | None] = None

    def heard(self, piece: Notes) -> Notes:
        """The notes of a piece that the encoder hears: the pitched ones, of drums alone the drums."""
        return piece.pitched_or_all()

    def embed(self, pieces: Sequence[Notes]) -> Embedded:
        """Vectors of pieces and of their windows; `first_note` and `last_note` count notes that are heard.

        Raises
        ------
        ValueError
            If a piece holds no notes.
        """
        pieces = [self.heard(piece) for piece in pieces]
        if any(len(piece) == 0 for piece in pieces):
            raise ValueError("a piece without notes has no vector")
        groups = [self._embed_group(group) for group in _grouped(pieces)]
        if not groups:
            return _nothing(self.dim)
        firsts = np.cumsum([0, *(len(group.pieces) for group in groups[:-1])])
        return Embedded(
            pieces=np.concatenate([g.pieces for g in groups]),
            windows=np.concatenate([g.windows for g in groups]),
            piece_of_window=np.concatenate(
                [g.piece_of_window + first for g, first in zip(groups, firsts, strict=True)]
            ),
            start_s=np.concatenate([g.start_s for g in groups]),
            end_s=np.concatenate([g.end_s for g in groups]),
            first_note=np.concatenate([g.first_note for g in groups]),
            last_note=np.concatenate([g.last_note for g in groups]),
        )

    def embed_files(self, paths: Sequence[str | os.PathLike[str]]) -> FloatRows:
        """Piece vectors of files, float32 [n, dim], unit rows; NaN for a file without usable notes.

        Raises
        ------
        TypeError
            If given one path instead of a list of paths.
        """
        if isinstance(paths, (str, bytes, os.PathLike)):
            raise TypeError("embed_files takes a list of paths: put the one path in a list")
        vectors = np.full((len(paths), self.dim), np.nan, dtype=np.float32)
        waiting: list[tuple[int, Notes]] = []
        for row, path in enumerate(paths):
            try:
                waiting.append((row, read_midi(path)))
            except MidiError:
                continue
            if sum(len(notes) for _, notes in waiting) > NOTES_PER_GROUP:
                self._fill(vectors, waiting)
                waiting = []
        self._fill(vectors, waiting)
        return vectors

    def _fill(self, vectors: FloatRows, waiting: list[tuple[int, Notes]]) -> None:
        if waiting:
            vectors[[row for row, _ in waiting]] = self.embed([notes for _, notes in waiting]).pieces

    @abstractmethod
    def _embed_group(self, pieces: Sequence[Notes]) -> Embedded:
        """Vectors of some pieces, each with notes that are heard."""


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and "AVX512" in torch.backends.cpu.get_cpu_capability():
        return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
    return torch.float32


def _grouped(pieces: Sequence[Notes]) -> list[list[Notes]]:
    """Consecutive pieces, few enough for one pass."""
    groups: list[list[Notes]] = []
    held = NOTES_PER_GROUP
    for piece in pieces:
        if held + len(piece) > NOTES_PER_GROUP:
            groups.append([])
            held = 0
        groups[-1].append(piece)
        held += len(piece)
    return groups


def _nothing(dim: int) -> Embedded:
    rows = np.empty((0, dim), dtype=np.float32)
    numbers, times = np.empty(0, dtype=np.int64), np.empty(0)
    return Embedded(rows, rows, numbers, times, times, numbers, numbers)
