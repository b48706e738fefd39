"""Notes to vectors: one for every window and one for the piece, all of unit length.

A vector has three parts side by side (`Encoder.parts`): what the transformer learned, and the identity and
style parts that are made from hand-made counts (`embedder.features.projection`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

# torch and faiss bring an OpenMP pool each; waiting threads that spin would take each other's cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from .checkpoint import EncoderConfig, EncoderModel, load_checkpoint
from .core.errors import EncoderError, MidiError
from .embedded import Embedded
from .features.handcrafted import Layout, pattern_counts, statistic_counts, statistics
from .midi.reading import read_midi
from .notes import Notes
from .tokens import ATTRIBUTES, to_tokens

if TYPE_CHECKING:
    from .aria.encoder import AriaEncoder

__all__ = ["Embedded", "Encoder", "window_ranges"]

NOTES_PER_BATCH = 4096  # keeps the activations of a block in the processor's caches
NOTES_PER_GROUP = 65_536  # bounds the memory of one call, however many pieces it is given

FloatRows = NDArray[np.float32]
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def window_ranges(notes: int, window: int) -> list[tuple[int, int]]:
    """Ranges that cover a piece of `notes` notes once, as few and as even as windows allow."""
    edges = np.linspace(0, notes, math.ceil(notes / window) + 1).astype(int).tolist()
    return list(pairwise(edges))


class Encoder:
    """An encoder, ready to embed; make one with `Encoder.load`.

    Attributes
    ----------
    name : what it is called
    id : name and a hash of its weights and configuration; vectors of equal ids can be compared
    dim : length of a vector
    parts : columns of the learned, identity and style parts
    front : what `embedder.midi.pool` is to make of a file for `embed`, beside its notes; None if those are
        enough
    """

    front: str | None = None

    def __init__(
        self, model: EncoderModel, digest: str, device: str | None = None, precision: str | None = None
    ) -> None:
        self.config: EncoderConfig = model.config
        self.name = self.config.name
        self.id = f"{self.name}@{digest}"
        self.parts = self.config.parts
        self.dim = max(part.stop for part in self.parts.values())
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._dtype = _fast_dtype(self.device) if precision is None else _PRECISIONS[precision]
        self._transformer = model.transformer.to(self.device, self._dtype).eval()
        self._handmade = model.handmade.to(self.device).eval()
        share = sum(self.config.weights.values())
        self._scale = {part: math.sqrt(weight / share) for part, weight in self.config.weights.items()}

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "midikin-small",
        device: str | None = None,
        precision: str | None = None,
    ) -> Encoder | AriaEncoder:
        """Load a shipped encoder by name, or any encoder from its folder.

        Aria's weights are encoders too: a released model by its name on the Hugging Face hub, like
        "loubb/aria-medium-embedding", or the path of a copy of its `model.safetensors`.

        Parameters
        ----------
        device : a torch device; a GPU if there is one. For Aria, also several with commas between
        precision : "float32" or "bfloat16"; what suits the device if None

        Raises
        ------
        EncoderError
            If there is none, its files are damaged or do not fit each other, or there is no such device
            or precision.
        """
        if not str(name_or_path):
            raise EncoderError("no encoder: its name is empty")
        if precision is not None and precision not in _PRECISIONS:
            raise EncoderError(f"no precision {precision!r}; there are {' and '.join(_PRECISIONS)}")
        from .aria.weights import is_aria

        if is_aria(name_or_path):
            from .aria.encoder import AriaEncoder

            return AriaEncoder.load(name_or_path, device, precision)
        model, digest = load_checkpoint(name_or_path)
        try:
            return cls(model, digest, device, precision)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
            reason = str(error).strip().partition("\n")[0]
            raise EncoderError(f"encoder {name_or_path} cannot use device {device}: {reason}") from None

    def embed(self, pieces: Sequence[Notes]) -> Embedded:
        """Vectors of the pitched notes of pieces and of their windows.

        Drums are heard only in pieces that have nothing else. `first_note` and `last_note` count the notes
        that are heard.

        Raises
        ------
        ValueError
            If a piece holds no notes.
        """
        pieces = [piece.pitched_or_all() for piece in pieces]
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
                waiting.append((row, read_midi(path, drums=False)))
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

    @torch.inference_mode()
    def _embed_group(self, pieces: Sequence[Notes]) -> Embedded:
        ranges = [window_ranges(len(piece), self.config.window) for piece in pieces]
        layout = Layout.of(pieces, ranges)
        piece_of = layout.piece_of_window
        first = np.array([r[0] for piece in ranges for r in piece], dtype=np.int64)
        last = np.array([r[1] for piece in ranges for r in piece], dtype=np.int64)
        begin = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])[piece_of]
        onset = np.concatenate([piece.onset for piece in pieces])
        end = np.concatenate([piece.end for piece in pieces])
        pieces_, windows = self._join(layout, self._sums(pieces, ranges), last - first)
        return Embedded(
            pieces=pieces_,
            windows=windows,
            piece_of_window=piece_of,
            start_s=onset[begin + first],
            end_s=np.maximum.reduceat(end, begin + first),
            first_note=first,
            last_note=last,
        )

    def _sums(self, pieces: Sequence[Notes], ranges: Sequence[Sequence[tuple[int, int]]]) -> torch.Tensor:
        """Sums of the states of all windows' notes, float32 [w, summed], stretch by stretch."""
        rows: list[NDArray[np.uint8]] = []
        window_of: list[int] = []
        window = 0
        for piece, windows in zip(pieces, ranges, strict=True):
            tokens = to_tokens(piece)
            for first, last in windows:
                stretches = window_ranges(last - first, self.config.context)
                rows += [tokens[first + a : first + b] for a, b in stretches]
                window_of += [window] * len(stretches)
                window += 1
        lengths = np.array([len(row) for row in rows])
        order = np.argsort(-lengths, kind="stable")  # stretches of like length share a batch
        sums = torch.zeros(window, self.config.model.summed, device=self.device)
        at = 0
        while at < len(order):
            chosen = order[at : at + max(1, NOTES_PER_BATCH // int(lengths[order[at]]))]
            into = torch.tensor([window_of[row] for row in chosen], device=self.device)
            sizes = torch.from_numpy(lengths[chosen]).to(self.device)
            sums.index_add_(0, into, self._stretch_sums([rows[row] for row in chosen], sizes))
            at += len(chosen)
        return sums

    def _stretch_sums(self, rows: list[NDArray[np.uint8]], sizes: torch.Tensor) -> torch.Tensor:
        """Sums of the states of stretches of tokens, longest first, float32 [r, summed]."""
        batch = np.zeros((len(rows), len(rows[0]), len(ATTRIBUTES)), dtype=np.uint8)
        for i, row in enumerate(rows):
            batch[i, : len(row)] = row
        batch[:, 0, 0] = 0  # a stretch begins its own time
        tokens = torch.from_numpy(batch).to(self.device)
        return self._transformer.sums(self._transformer(tokens, lengths=sizes), sizes)

    def _join(
        self, layout: Layout, sums: torch.Tensor, sizes: NDArray[np.int64]
    ) -> tuple[FloatRows, FloatRows]:
        """Vectors of pieces and of windows from the counts and the summed states of the windows."""
        counts = torch.from_numpy(sizes).to(sums)
        piece_of = torch.from_numpy(layout.piece_of_window).to(sums.device)
        pieces = int(piece_of[-1]) + 1
        total = torch.zeros(pieces, sums.shape[1], device=sums.device).index_add_(0, piece_of, sums)
        notes = torch.zeros(pieces, device=sums.device).index_add_(0, piece_of, counts)
        per_window = statistic_counts(layout, self.config.statistics), pattern_counts(layout)
        per_piece = layout.per_piece(per_window[0]), layout.per_piece(per_window[1])
        moments = self._transformer.moments
        return (
            self._vectors(moments(total, notes), *per_piece),
            self._vectors(moments(sums, counts), *per_window),
        )

    def _vectors(self, states: torch.Tensor, statistic: FloatRows, pattern: FloatRows) -> FloatRows:
        numbers = torch.from_numpy(statistics(statistic, self.config.statistics)).to(self.device)
        words = torch.from_numpy(pattern).to(self.device)
        learned = self._transformer.project(states.to(self._dtype)).float()
        joined = torch.cat(
            [
                torch.nn.functional.normalize(learned, dim=1) * self._scale["learned"],
                self._handmade.identity(words, numbers) * self._scale["identity"],
                self._handmade.style(numbers) * self._scale["style"],
            ],
            dim=1,
        )
        unit: FloatRows = torch.nn.functional.normalize(joined, dim=1).cpu().numpy()
        return unit


def _fast_dtype(device: torch.device) -> torch.dtype:
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
