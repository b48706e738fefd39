"""Aria as an encoder: windows of 300 notes, a vector at the end of each, the piece their mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import EncoderError, MidiError
from ..embedded import Embedded
from ..midi.reading import Limits, load
from ..notes import Notes
from .devices import place
from .hub import OWNER, fetch
from .tokenizer import LONGEST_RUN, Ids
from .vocabulary import PAD
from .weights import AriaFile, open_weights
from .windows import AriaRuns

__all__ = ["AriaEncoder"]

IDS_PER_BATCH = {"cpu": 4_096, "cuda": 65_536}
RUNS_PER_GROUP = 4_096  # bounds the memory of one call, however many pieces it is given

FloatRows = NDArray[np.float32]


class AriaEncoder:
    """Aria, ready to embed, with the interface of `Encoder`; `Encoder.load` makes one where its argument
    means Aria.

    The reference's own vectors, with pedals, drums and every rule of the tokenizer, come from files
    (`embed_files`, or what `front` has the reading processes make of them). Notes are read as one piano.

    Attributes
    ----------
    weights : the file, and the size of the model
    devices : where its layers lie
    """

    front = "aria"

    def __init__(self, weights: AriaFile, device: str | None = None, precision: str | None = None) -> None:
        if weights.config.embedding is None:
            raise EncoderError(f"{weights.path} has no emb_head.weight: it continues music, it is no encoder")
        if weights.config.positions < LONGEST_RUN:
            raise EncoderError(
                f"{weights.path} has {weights.config.positions:,} positions by its config.json; an encoder "
                f"reads up to {LONGEST_RUN:,} ids"
            )
        self.weights = weights
        self.name = "aria"
        self.id = f"{self.name}-files@{weights.digest()}"  # vectors of notes alone were called aria@
        self.dim = weights.config.embedding
        self.parts = {"learned": slice(0, self.dim)}
        self.devices, dtype = place(weights.parameters, device, precision)
        self.device = self.devices[0]
        self._model = weights.load(self.devices, dtype)

    @classmethod
    def load(
        cls, name_or_path: str | Path = "", device: str | None = None, precision: str | None = None
    ) -> Self:
        """Load a released model by its name on the hub, or a file or folder.

        Parameters
        ----------
        device, precision : as for `placing.place`

        Raises
        ------
        EncoderError
            Naming the first thing that is missing or does not fit.
        """
        source = fetch(str(name_or_path)) if str(name_or_path).startswith(OWNER) else name_or_path
        return cls(open_weights(source), device, precision)

    def embed(self, pieces: Sequence[Notes | AriaRuns]) -> Embedded:
        """Vectors of pieces and of their windows.

        Parameters
        ----------
        pieces : what a file says to Aria (`AriaRuns.of_file`), or notes, which are read as one piano. Ranges
            of notes in the answer count in the order of the file, or of the notes

        Raises
        ------
        ValueError
            If a piece holds no notes.
        """
        given = [piece if isinstance(piece, AriaRuns) else AriaRuns.of_notes(piece) for piece in pieces]
        vectors = self._of_runs([ids for piece in given for ids in piece.ids])
        piece_of = np.repeat(np.arange(len(given)), [len(piece.ids) for piece in given])

        def joined(name: str, dtype: type) -> NDArray[Any]:
            return np.concatenate([np.empty(0, dtype), *(getattr(piece, name) for piece in given)])

        return Embedded(
            pieces=_unit(_means(vectors, piece_of, len(given))),
            windows=_unit(vectors),
            piece_of_window=piece_of,
            start_s=joined("start_s", np.float64),
            end_s=joined("end_s", np.float64),
            first_note=joined("first_note", np.int64),
            last_note=joined("last_note", np.int64),
        )

    def embed_files(self, paths: Sequence[str | os.PathLike[str]], *, unit: bool = True) -> FloatRows:
        """The reference's vectors of files, float32 [n, dim]; NaN for a file without usable notes.

        Parameters
        ----------
        unit : give unit rows; if not, the plain means of the windows, as the reference does

        Raises
        ------
        TypeError
            If given one path instead of a list of paths.
        """
        if isinstance(paths, (str, bytes, os.PathLike)):
            raise TypeError("embed_files takes a list of paths: put the one path in a list")
        vectors = np.full((len(paths), self.dim), np.nan, dtype=np.float32)
        runs: list[Ids] = []
        rows: list[int] = []
        for row, path in enumerate(paths):
            try:
                data, _ = load(path, Limits())
                own = AriaRuns.of_file(data).ids
            except MidiError:
                continue
            runs += own
            rows += [row] * len(own)
            if len(runs) > RUNS_PER_GROUP:
                self._fill_rows(vectors, runs, rows)
                runs, rows = [], []
        self._fill_rows(vectors, runs, rows)
        return _unit(vectors) if unit else vectors

    def _fill_rows(self, vectors: FloatRows, runs: list[Ids], rows: list[int]) -> None:
        if runs:
            which, row_of = np.unique(rows, return_inverse=True)
            vectors[which] = _means(self._of_runs(runs), row_of, len(which))

    def _of_runs(self, runs: Sequence[Ids]) -> FloatRows:
        """Vectors of runs of ids that end with <E>, float32 [n, dim]."""
        lengths = np.array([len(ids) for ids in runs], np.int64)
        order = np.argsort(-lengths, kind="stable")  # runs of like length share a batch
        vectors = np.empty((len(runs), self.dim), np.float32)
        budget = IDS_PER_BATCH.get(self.device.type, IDS_PER_BATCH["cpu"])
        at = 0
        while at < len(order):
            longest = int(lengths[order[at]])
            chosen = order[at : at + max(1, budget // longest)]
            batch = np.full((len(chosen), longest), PAD, np.int64)
            for i, number in enumerate(chosen):
                batch[i, : lengths[number]] = runs[number]
            vectors[chosen] = self._batch(batch, lengths[chosen])
            at += len(chosen)
        return vectors

    @torch.inference_mode()
    def _batch(self, batch: NDArray[np.int64], lengths: NDArray[np.int64]) -> FloatRows:
        ends = torch.from_numpy(lengths - 1)
        vectors: FloatRows = self._model.vectors(torch.from_numpy(batch), ends).cpu().numpy()
        return vectors


def _means(vectors: FloatRows, row_of: NDArray[np.int64], rows: int) -> FloatRows:
    """Mean of the vectors [w, dim] of each row, [rows, dim]."""
    total = np.zeros((rows, vectors.shape[1]), np.float64)
    np.add.at(total, row_of, vectors)
    means: FloatRows = (total / np.maximum(np.bincount(row_of, minlength=rows), 1)[:, None]).astype(
        np.float32
    )
    return means


def _unit(rows: FloatRows) -> FloatRows:
    unit: FloatRows = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(
        np.float32
    )
    return unit
