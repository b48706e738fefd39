"""Notes to vectors: one for every window and one for the piece, all of unit length.

A vector has three parts side by side (`Encoder.parts`): what the transformer learned, and the identity and
style parts that are made from hand-made counts (`embedder.features.projection`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

# torch and faiss bring an OpenMP pool each; waiting threads that spin would take each other's cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Stretches have many lengths, and oneDNN keeps what it made for each shape: 1,024 of them if nothing is set.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

import torch

from .base_encoder import PRECISIONS, GroupedEncoder, fast_dtype, window_ranges
from .checkpoint import EncoderConfig, EncoderModel, folder_of, load_checkpoint
from .core.errors import EncoderError
from .embedded import Embedded
from .features.handcrafted import Layout, pattern_counts, statistic_counts, statistics
from .notes import Notes
from .tensor_files import read_settings
from .tokens import ATTRIBUTES, to_tokens

if TYPE_CHECKING:
    from .aria.encoder import AriaEncoder

__all__ = ["Embedded", "Encoder"]

NOTES_PER_BATCH = 4096  # keeps the activations of a block in the processor's caches

FloatRows = NDArray[np.float32]


class Encoder(GroupedEncoder):
    """The encoder of one piano: pitched notes, and drums only in pieces that have nothing else.

    Make one with `Encoder.load`, which loads every kind of encoder.

    Attributes
    ----------
    name : what it is called
    id : name and a hash of its weights and configuration; vectors of equal ids can be compared
    dim : length of a vector
    parts : columns of the learned, identity and style parts
    """

    def __init__(
        self, model: EncoderModel, digest: str, device: str | None = None, precision: str | None = None
    ) -> None:
        self.config: EncoderConfig = model.config
        self.name = self.config.name
        self.id = f"{self.name}@{digest}"
        self.parts = self.config.parts
        self.dim = max(part.stop for part in self.parts.values())
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._dtype = fast_dtype(self.device) if precision is None else PRECISIONS[precision]
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
    ) -> GroupedEncoder | AriaEncoder:
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
        if precision is not None and precision not in PRECISIONS:
            raise EncoderError(f"no precision {precision!r}; there are {' and '.join(PRECISIONS)}")
        from .aria.weights import is_aria

        if is_aria(name_or_path):
            from .aria.encoder import AriaEncoder

            return AriaEncoder.load(name_or_path, device, precision)
        folder = folder_of(name_or_path)
        if read_settings(folder / "config.json", f"encoder {folder}").get("format") == 2:
            from .ensemble.encoder import EnsembleEncoder

            return EnsembleEncoder.from_folder(folder, device, precision)
        model, digest = load_checkpoint(name_or_path)
        try:
            return cls(model, digest, device, precision)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
            reason = str(error).strip().partition("\n")[0]
            raise EncoderError(f"encoder {name_or_path} cannot use device {device}: {reason}") from None

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
