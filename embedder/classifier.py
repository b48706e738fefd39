"""A finetuned classifier as a folder: `model.safetensors`, `classifier.json`, `MODEL_CARD.md`.

A transformer of either family (notes or Aria's ids) with one linear layer on the state of a window: the mean
over its notes, or the state at its last token. A piece's answer is the mean of its windows' by length. A
classifier may also read the whole piece's hand-made statistics, whose logits are added to each window's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .aria.tokenizer import NOTES_PER_RUN, cut_run, notes_ids
from .aria.transformer import AriaConfig, AriaTransformer
from .aria.vocabulary import PAD
from .core.errors import EncoderError
from .features.handcrafted import STATISTICS, Layout, column_count, statistic_counts, statistics
from .notes import Notes
from .tensor_files import check_fit, meant, read_settings, read_tensors, write_tensors
from .tokens import ATTRIBUTES, to_tokens
from .transformer import ModelConfig, NoteTransformer

__all__ = ["POOLINGS", "AriaBody", "Body", "Classifier", "NoteBody", "StatisticsHead", "new_folder"]

POOLINGS = ("mean", "last")
PIECES_AT_ONCE = 16
LONGEST_WINDOW = 2_048  # notes

Row = NDArray[np.int64]


class Body(Protocol):
    """A pretrained transformer, as a classifier sees it."""

    family: str
    model: Any
    width: int
    window: int

    def row(self, notes: Notes) -> Row:
        """Tokens [t, ...] of the notes of one window."""
        ...

    def states(self, rows: Sequence[Row], pooling: str) -> Tensor:
        """States of windows [b, width] in float32."""
        ...

    def settings(self) -> dict[str, Any]:
        """What rebuilds it without weights."""
        ...


class NoteBody:
    """midikin's transformer over notes."""

    family = "notes"

    def __init__(self, model: NoteTransformer, window: int) -> None:
        self.model, self.window = model, window
        self.width = model.config.width

    def row(self, notes: Notes) -> Row:
        return to_tokens(notes).astype(np.int64)

    def states(self, rows: Sequence[Row], pooling: str) -> Tensor:
        device = self.model.norm.weight.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        batch = np.zeros((len(rows), max(map(len, rows)), len(ATTRIBUTES)), np.int64)
        for i, row in enumerate(rows):
            batch[i, : len(row)] = row
        hidden = self.model(torch.from_numpy(batch).to(device))
        if pooling == "mean":
            return self.model.pool(hidden, lengths)
        last: Tensor = hidden[torch.arange(len(rows), device=device), lengths - 1]
        return last.float()

    def settings(self) -> dict[str, Any]:
        return asdict(self.model.config)


class AriaBody:
    """Aria's transformer over ids; the last token of a window is <E>."""

    family = "aria"

    def __init__(self, model: AriaTransformer, window: int = NOTES_PER_RUN) -> None:
        self.model, self.window = model, window
        self.width = model.config.width

    def row(self, notes: Notes) -> Row:
        return cut_run(notes_ids(notes)).astype(np.int64)

    def states(self, rows: Sequence[Row], pooling: str) -> Tensor:
        batch = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
        for i, row in enumerate(rows):
            batch[i, : len(row)] = row
        hidden = self.model(torch.from_numpy(batch))
        lengths = torch.tensor([len(row) for row in rows], device=hidden.device)
        if pooling == "last":
            last: Tensor = hidden[torch.arange(len(rows), device=hidden.device), lengths - 1]
            return last.float()
        inside = torch.arange(hidden.shape[1], device=hidden.device)[None] < lengths[:, None]
        total: Tensor = (hidden * inside[..., None]).sum(1).float()
        return total / lengths[:, None]

    def settings(self) -> dict[str, Any]:
        return asdict(self.model.config)


class StatisticsHead(nn.Module):
    """A linear layer from the hand-made statistics of whole pieces, in standard deviations.

    Parameters
    ----------
    names : of the histograms, some of `embedder.features.handcrafted.STATISTICS`
    classes : to tell apart
    """

    CLIP = 4.0  # standard deviations
    mean: Tensor
    spread: Tensor

    def __init__(self, names: Sequence[str], classes: int) -> None:
        super().__init__()
        self.names = tuple(names)
        columns = column_count(self.names)
        self.linear = nn.Linear(columns, classes)
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(columns))

    def count(self, pieces: Sequence[Notes]) -> NDArray[np.float32]:
        """Statistics of whole pieces, float32 [n, columns]."""
        rows = [
            statistics(
                statistic_counts(Layout.of([piece], [[(0, len(piece))]]), self.names),
                self.names,
            )
            for piece in pieces
        ]
        return np.concatenate(rows) if rows else np.empty((0, len(self.mean)), np.float32)

    def standardised(self, rows: Tensor) -> Tensor:
        """Rows [n, columns] of `count` in standard deviations, clipped, about of length one."""
        scaled: Tensor = ((rows - self.mean) / self.spread).clamp(-self.CLIP, self.CLIP) / len(
            self.mean
        ) ** 0.5
        return scaled

    def forward(self, rows: Tensor) -> Tensor:
        """Logits [n, classes] of rows of `count`."""
        logits: Tensor = self.linear(self.standardised(rows))
        return logits


class Classifier:
    """Ready to predict; `Classifier.load` reads one, `train.finetune` makes one.

    Attributes
    ----------
    classes : names of the classes, in the order of the columns of predictions
    body : the transformer
    head : linear layer from its states
    pooling : "mean" or "last"
    beside : what reads the statistics of the whole piece, if anything does
    """

    def __init__(
        self, body: Body, classes: Sequence[str], pooling: str, statistics: Sequence[str] = ()
    ) -> None:
        if pooling not in POOLINGS or len(classes) < 2:
            raise EncoderError(f"a classifier has two classes at least, and pooling {' or '.join(POOLINGS)}")
        self.body, self.classes, self.pooling = body, tuple(classes), pooling
        self.head = nn.Linear(body.width, len(self.classes))
        self.beside = StatisticsHead(statistics, len(self.classes)) if statistics else None

    def windows(self, piece: Notes) -> list[Notes]:
        """A piece as consecutive windows."""
        size = self.body.window
        return [piece.slice_notes(a, min(a + size, len(piece))) for a in range(0, len(piece), size)]

    def logits(self, windows: Sequence[Notes]) -> Tensor:
        """Logits [b, classes] of windows, by the transformer alone."""
        states = self.body.states([self.body.row(notes) for notes in windows], self.pooling)
        logits: Tensor = self.head(states.to(self.head.weight.device))
        return logits

    @torch.inference_mode()
    def predict(self, pieces: Sequence[Notes]) -> NDArray[np.float32]:
        """Probabilities of the classes, float32 [n, classes], rows that add up to 1.

        Raises
        ------
        ValueError
            If a piece holds no notes.
        EncoderError
            If the answer is no number, as of weights that are beyond all bounds.
        """
        if any(len(piece) == 0 for piece in pieces):
            raise ValueError("nothing can be said of a piece without notes")
        answers = np.zeros((len(pieces), len(self.classes)), np.float64)
        beside = torch.zeros(len(pieces), len(self.classes), device=self.head.weight.device)
        if self.beside is not None:
            beside = self.beside(torch.from_numpy(self.beside.count(pieces)).to(beside.device))
        windows = [(i, window) for i, piece in enumerate(pieces) for window in self.windows(piece)]
        windows.sort(key=lambda one: -len(one[1]))  # windows of like length share a batch
        for first in range(0, len(windows), PIECES_AT_ONCE):
            some = windows[first : first + PIECES_AT_ONCE]
            logits = self.logits([notes for _, notes in some]) + beside[[piece for piece, _ in some]]
            rows = logits.softmax(1).cpu().numpy()
            if not np.isfinite(rows).all():
                raise EncoderError("the classifier's answer is no number; its weights are of no use")
            for (piece, notes), row in zip(some, rows, strict=True):
                answers[piece] += row * len(notes)
        chances: NDArray[np.float32] = (answers / answers.sum(1, keepdims=True)).astype(np.float32)
        return chances

    def modules(self) -> dict[str, nn.Module]:
        """Its parts, by the first part of the names of their weights."""
        parts: dict[str, nn.Module] = {"body": self.body.model, "head": self.head}
        return parts if self.beside is None else {**parts, "beside": self.beside}

    def state(self) -> dict[str, Tensor]:
        """All weights by name."""
        return nn.ModuleDict(self.modules()).state_dict()

    def save(self, folder: str | Path, card: str) -> None:
        """Write a new folder, `classifier.json` last, so that a folder is a classifier only when complete.

        Raises
        ------
        EncoderError
            If there is a file, or a folder that holds anything.
        OSError
            If it cannot be written.
        """
        folder = new_folder(folder)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state().items()}
        write_tensors(weights, folder / "model.safetensors")
        (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        settings = {
            "format": 1,
            "family": self.body.family,
            "size": self.body.settings(),
            "window": self.body.window,
            "classes": list(self.classes),
            "pooling": self.pooling,
            "statistics": list(self.beside.names) if self.beside is not None else [],
        }
        unfinished = folder / "classifier.json.part"
        unfinished.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        for file in (folder / "model.safetensors", unfinished):
            with open(file, "rb") as written:
                os.fsync(written.fileno())
        unfinished.replace(folder / "classifier.json")

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Self:
        """Read a classifier's folder.

        Raises
        ------
        EncoderError
            Naming the first thing that is missing or does not fit.
        """
        folder = Path(folder)
        what = f"classifier {folder}"
        settings = read_settings(folder / "classifier.json", what)
        if settings.get("format") != 1:
            raise EncoderError(f"{what} has a format that this midikin does not know")
        classes, pooling = _classes(what, settings), str(settings.get("pooling"))
        names = _statistics(what, settings)
        weights = read_tensors(folder / "model.safetensors")

        def made() -> nn.ModuleDict:
            return nn.ModuleDict(cls(_body(what, settings), classes, pooling, names).modules())

        check_fit(what, meant(made, what), weights, "classifier.json")
        if names and not (weights["beside.spread"] > 0).all():
            raise EncoderError(f"{what}: beside.spread holds numbers that are not positive")
        classifier = cls(_body(what, settings), classes, pooling, names)
        for name, wanted in classifier.state().items():
            wanted.copy_(weights[name])
        body = classifier.body
        body.model.to(device).eval()
        classifier.head.to(device)
        if classifier.beside is not None:
            classifier.beside.to(device)
        return classifier


def new_folder(folder: str | Path) -> Path:
    """Make a folder for what is to be written, or take an empty one.

    Raises
    ------
    EncoderError
        If there is a file, or a folder that holds anything.
    OSError
        If it cannot be made.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EncoderError(f"{folder} is there already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _classes(what: str, settings: dict[str, Any]) -> list[str]:
    classes = settings.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) and name for name in classes):
        raise EncoderError(f"{what}: classes must be a list of names")
    if len(set(classes)) < len(classes):
        raise EncoderError(f"{what}: two of its classes have the same name")
    return classes


def _statistics(what: str, settings: dict[str, Any]) -> list[str]:
    names = settings.get("statistics", [])
    if not isinstance(names, list) or names != [name for name in STATISTICS if name in names]:
        raise EncoderError(f"{what}: statistics must be a list of some that this midikin knows, in its order")
    if names and "pitch_class" not in names:
        raise EncoderError(f"{what}: statistics must begin with pitch_class")
    return names


def _body(what: str, settings: dict[str, Any]) -> Body:
    family, size, window = (settings.get(name) for name in ("family", "size", "window"))
    if isinstance(window, bool) or not isinstance(window, int) or not 1 <= window <= LONGEST_WINDOW:
        raise EncoderError(f"{what}: window must be a whole number of notes up to {LONGEST_WINDOW:,}")
    if not isinstance(size, dict):
        raise EncoderError(f"{what}: size must name the sizes of its model")
    if family == "notes":
        return NoteBody(NoteTransformer(ModelConfig.from_dict(size)), window)
    if family == "aria":
        return AriaBody(AriaTransformer(AriaConfig.from_dict(size)), window)
    raise EncoderError(f"{what}: there is no family {family!r}")
