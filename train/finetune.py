"""Finetuning a classifier: a pretrained transformer with a linear layer on top, all of it trained on labels.

Dropout acts on what each block adds to the residual stream and grows with its depth: deep blocks are the most
specific to the old task. After every epoch the validation pieces are classified whole; the best epoch is
kept, and training stops early when none has been better for a while.

With `FinetuneSettings.statistics`, a logistic regression on hand-crafted statistics of whole pieces is fitted
first, and the transformer learns the residual: its linear layer begins at zero, and its logits are added to
those of the regression. For training pieces the latter come from fits without their works (stacked
generalisation, Wolpert 1992), since a regression leaves no residual of what it was fitted to.

Labels are a CSV file with a column `file`, one of labels, and maybe one of works (`read_labelled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embedder.aria.hub import OWNER, fetch
from embedder.aria.weights import is_aria, open_weights
from embedder.classifier import POOLINGS, AriaBody, Body, Classifier, NoteBody, StatisticsHead
from embedder.core.errors import CorpusError, EncoderError, MidiError, TableError
from embedder.core.table_files import read_table
from embedder.features.handcrafted import STATISTICS
from embedder.generation.language_model import DEFAULT_MODEL, load_language
from embedder.midi.reading import read_midi
from embedder.notes import Notes
from index.probes.classifier import LinearClassifier, fit_logistic_regression
from index.probes.crossval import fit_calibrated, group_folds, splits

from .loop import fit

__all__ = [
    "Epoch",
    "FinetuneSettings",
    "Finetuned",
    "Labelled",
    "finetune",
    "pretrained",
    "read_labelled",
    "split_by_work",
]

HALF_WINDOW = 128  # notes of a window of midikin's models, half of what they were trained on
STACKED_FOLDS = 5
MOST_REASONS = 3


@dataclass(frozen=True)
class Labelled:
    """A piece with its label, and the work it belongs to."""

    notes: Notes
    label: str
    work: str


@dataclass(frozen=True)
class FinetuneSettings:
    """Settings of `finetune`.

    Attributes
    ----------
    epochs, patience : epochs at most; epochs without a better one after which it stops
    windows : drawn at random from each piece in an epoch
    batch : windows a step
    learning_rate, head_rate : of the transformer; of the new layer
    weight_decay : of AdamW
    dropout : of the last block; that of the first is next to nothing
    pooling : "mean" over the notes of a window, or "last", the end token of Aria
    statistics : whether hand-crafted statistics of whole pieces are used beside the transformer
    seed : of everything that is drawn
    """

    epochs: int = 12
    patience: int = 3
    windows: int = 4
    batch: int = 16
    learning_rate: float = 2e-4
    head_rate: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.2
    pooling: str = "mean"
    statistics: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.windows, self.batch) < 1:
            raise CorpusError("finetuning: epochs, patience, windows and batch are 1 or more")
        if self.pooling not in POOLINGS:
            raise CorpusError(f"finetuning: pooling is {' or '.join(POOLINGS)}, not {self.pooling!r}")
        rates = (self.learning_rate, self.head_rate)
        if not 0 <= self.dropout < 1 or not all(0 < rate < math.inf for rate in rates):
            raise CorpusError("finetuning: dropout lies in 0..1, rates are positive")
        if not 0 <= self.seed < 2**63:
            raise CorpusError("finetuning: seed is a whole number from 0 to 2**63")


@dataclass(frozen=True)
class Epoch:
    """Mean training loss of an epoch, and loss and accuracy of whole validation pieces.

    Epoch 0, before any training, is the regression on statistics alone.
    """

    number: int
    loss: float
    held_out_loss: float
    held_out_accuracy: float


@dataclass(frozen=True)
class Finetuned:
    """The classifier of the best epoch, and all epochs."""

    classifier: Classifier
    best: Epoch
    epochs: tuple[Epoch, ...]


def pretrained(weights: str | Path | None = None, device: str = "cpu") -> Body:
    """A pretrained transformer: midikin's own, the folder of a run, or Aria's by name, file or folder.

    Raises
    ------
    EncoderError
        Naming the first thing that is missing or does not fit.
    """
    if torch.device(device).type == "meta":
        raise EncoderError("meta is no device to compute on")
    if weights is not None and is_aria(weights):
        file = open_weights(fetch(str(weights)) if str(weights).startswith(OWNER) else weights)
        return AriaBody(file.load([torch.device(device)], torch.float32).without_heads())
    language = load_language(weights or DEFAULT_MODEL, device)
    return NoteBody(language.model, min(HALF_WINDOW, language.context))


def read_labelled(
    path: str | Path,
    column: str,
    *,
    folder: str | Path | None = None,
    work: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Labelled], list[str]]:
    """Read the labelled pieces of a CSV file.

    Parameters
    ----------
    path : the CSV file, whose first line names the columns
    column : of the labels; files without one are passed over
    folder : what the names in the column `file` are relative to; that of the CSV file if None
    work : column that is the same for all files of a work; if None, files with the same notes are one work

    Returns
    -------
    The pieces, and why files were left out.

    Raises
    ------
    CorpusError
        If the file cannot be read, lacks a column, or none of its files can be read.
    """
    path = Path(path)
    root = path.parent if folder is None else Path(folder)
    try:
        table = read_table(str(path))
    except TableError as error:
        raise CorpusError(str(error)) from None
    columns = table.columns
    rows = [dict(zip(columns, cells, strict=True)) for cells in table.rows]
    for name in ("file", column, *([work] if work else [])):
        if name not in columns:
            raise CorpusError(f"{path} has no column {name!r}; there are {', '.join(columns) or 'none'}")
    rows = [row for row in rows if row["file"] and row[column]]
    pieces, left_out = [], []
    for number, row in enumerate(rows):
        try:
            notes = read_midi(root / row["file"], drums=False)
        except MidiError as error:
            left_out.append(str(error))
        else:
            belongs = row[work] if work else ""
            pieces.append(Labelled(notes, row[column], belongs or notes.digest()))
        if on_progress is not None:
            on_progress(number + 1, len(rows))
    if not pieces:
        reasons = "; ".join(left_out[:MOST_REASONS]) or "no line has a file and a label"
        raise CorpusError(f"{path} labels no piece that can be read under {root} (--folder): {reasons}")
    return pieces, left_out


def split_by_work(
    pieces: Sequence[Labelled], share: float = 0.2, seed: int = 0
) -> tuple[list[Labelled], list[Labelled]]:
    """Pieces to learn from and pieces to validate on; a work stands on one side, each class on both.

    Raises
    ------
    CorpusError
        If there are fewer than two classes, or a class has fewer than two works.
    """
    rng = np.random.default_rng(seed)
    held_out: set[str] = set()
    classes = sorted({piece.label for piece in pieces})
    if len(classes) < 2:
        raise CorpusError("finetuning needs pieces of two labels at least")
    for label in classes:
        works = sorted({piece.work for piece in pieces if piece.label == label})
        if len(works) < 2:
            raise CorpusError(
                f"label {label!r} has pieces of one work only; two works are needed to validate"
            )
        count = min(max(1, round(share * len(works))), len(works) - 1)
        held_out |= set(rng.permutation(works)[:count].tolist())
    learn = [piece for piece in pieces if piece.work not in held_out]
    missing = set(classes) - {piece.label for piece in learn}
    if missing:
        raise CorpusError(f"label {min(missing)!r} shares all its works with others; label more of its works")
    return learn, [piece for piece in pieces if piece.work in held_out]


def finetune(
    body: Body,
    learn: Sequence[Labelled],
    validate: Sequence[Labelled],
    settings: FinetuneSettings | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Finetuned:
    """Finetune `body`, whose weights are changed, on labelled pieces.

    Raises
    ------
    CorpusError
        If a piece to validate on has a label that none to learn from has, or the loss is not finite.
    """
    settings = settings or FinetuneSettings()
    classes = sorted({piece.label for piece in learn})
    unknown = {piece.label for piece in validate} - set(classes)
    if unknown or not validate:
        raise CorpusError(
            f"nothing is learned of {min(unknown)!r}" if unknown else "no pieces to validate on"
        )
    torch.manual_seed(settings.seed)
    device = next(body.model.parameters()).device
    classifier = Classifier(body, classes, settings.pooling, tuple(STATISTICS) if settings.statistics else ())
    classifier.head.to(device)
    offsets = torch.zeros(len(learn), len(classes))
    if classifier.beside is not None:
        offsets = _fit_statistics(classifier.beside, learn, classes)
        classifier.beside.to(device)
        nn.init.zeros_(classifier.head.weight)
        nn.init.zeros_(classifier.head.bias)
    hooks = _drop_by_depth(body.model, settings.dropout)
    optimiser = _optimiser(classifier, settings)
    rng = np.random.default_rng(settings.seed)
    epochs: list[Epoch] = []
    best: Epoch | None = None
    best_state: dict[str, Tensor] = {}
    try:
        for number in range(0 if settings.statistics else 1, settings.epochs + 1):
            loss = float("nan")
            if number:
                batches = list(_batches(classifier, learn, offsets, settings, rng))
                loss = _train_epoch(classifier, optimiser, batches)
            epochs.append(Epoch(number, loss, *_validate(classifier, validate)))
            if on_epoch is not None:
                on_epoch(epochs[-1])
            if best is None or epochs[-1].held_out_loss < best.held_out_loss:
                best = epochs[-1]
                best_state = {name: tensor.clone() for name, tensor in classifier.state().items()}
            elif number - best.number >= settings.patience:
                break
    finally:
        for hook in hooks:
            hook.remove()
    for name, tensor in classifier.state().items():
        tensor.copy_(best_state[name])
    body.model.eval().requires_grad_(False)
    assert best is not None
    return Finetuned(classifier, best, tuple(epochs))


def _fit_statistics(head: StatisticsHead, learn: Sequence[Labelled], classes: Sequence[str]) -> Tensor:
    """Fit the regression on statistics; returns each piece's logits, fitted without its work [n, classes]."""
    rows = torch.from_numpy(head.count([piece.notes for piece in learn]))
    head.mean.copy_(rows.mean(0))
    # A bin that hardly any piece fills would weigh as much as all others in a piece that does.
    head.spread.copy_(rows.std(0, correction=0).clamp(min=1e-3))
    label = np.array([classes.index(piece.label) for piece in learn], dtype=np.int64)
    work = np.unique([piece.work for piece in learn], return_inverse=True)[1].astype(np.int64)
    scaled = head.standardised(rows).numpy()
    regression = fit_calibrated(scaled, label, work, len(classes))
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(regression.weights / np.float32(regression.temperature)))
        head.linear.bias.copy_(
            torch.from_numpy(regression.bias / np.float32(regression.temperature) + regression.log_prior)
        )
    head.requires_grad_(False)
    return torch.from_numpy(_stacked(regression, scaled, label, work))


def _stacked(
    regression: LinearClassifier, rows: NDArray[np.float32], label: NDArray[np.int64], work: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Calibrated logits of every row from a fit without its work."""
    logits = np.zeros((len(rows), len(regression.bias)), np.float32)
    for train, test in splits(group_folds(label, work, STACKED_FOLDS)):
        if len(np.unique(label[train])) == len(
            regression.bias
        ):  # else an absent class would never be predicted
            weights, bias = fit_logistic_regression(
                rows[train], label[train], len(regression.bias), regression.C
            )
            logits[test] = regression.calibrate(rows[test] @ weights.T + bias)
    return logits


@dataclass(frozen=True)
class Batch:
    """Windows [b], their classes int64 [b], and the logits of their pieces from statistics [b, classes]."""

    windows: list[Notes]
    classes: Tensor
    offset: Tensor


def _drop_by_depth(model: nn.Module, max_share: float) -> list[torch.utils.hooks.RemovableHandle]:
    """Dropout behind the two layers of each block that add to the stream, growing with its depth."""
    blocks = [module for name in ("blocks", "model.encode_layers") for module in _children(model, name)]
    hooks = []
    for depth, block in enumerate(blocks, 1):
        share = max_share * depth / len(blocks)
        for name in ("attention_out", "down", "att_proj_linear", "ff_down_proj"):
            if hasattr(block, name):
                hooks.append(getattr(block, name).register_forward_hook(_dropping(share)))
    return hooks


def _dropping(share: float) -> Callable[[nn.Module, object, Tensor], Tensor]:
    return lambda module, given, out: functional.dropout(out, share, module.training)


def _children(model: nn.Module, name: str) -> list[nn.Module]:
    for part in name.split("."):
        if not hasattr(model, part):
            return []
        model = getattr(model, part)
    return list(model.children())


def _optimiser(classifier: Classifier, settings: FinetuneSettings) -> torch.optim.AdamW:
    body = list(classifier.body.model.requires_grad_(True).parameters())
    groups = [
        {"params": [p for p in body if p.ndim >= 2], "lr": settings.learning_rate},
        {"params": [p for p in body if p.ndim < 2], "lr": settings.learning_rate, "weight_decay": 0.0},
        {"params": list(classifier.head.parameters()), "lr": settings.head_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, betas=(0.9, 0.95))


def _batches(
    classifier: Classifier,
    pieces: Sequence[Labelled],
    offsets: Tensor,
    settings: FinetuneSettings,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Windows drawn from all pieces in random order."""
    size = classifier.body.window
    drawn = []
    for row, piece in enumerate(pieces):
        number = classifier.classes.index(piece.label)
        for _ in range(min(settings.windows, -(-len(piece.notes) // size))):
            first = int(rng.integers(0, max(len(piece.notes) - size, 0) + 1))
            drawn.append((piece.notes.slice_notes(first, first + size), number, row))
    order = rng.permutation(len(drawn))
    for begin in range(0, len(order), settings.batch):
        some = [drawn[i] for i in order[begin : begin + settings.batch]]
        notes, numbers, rows = (list(column) for column in zip(*some, strict=True))
        yield Batch(notes, torch.tensor(numbers), offsets[rows])


def _train_epoch(classifier: Classifier, optimiser: torch.optim.AdamW, batches: Sequence[Batch]) -> float:
    """One epoch; its mean loss."""
    classifier.body.model.train()
    total = 0.0

    def loss(step: int) -> Tensor:
        batch = batches[step]
        logits = classifier.logits(batch.windows)
        return functional.cross_entropy(
            logits + batch.offset.to(logits.device), batch.classes.to(logits.device)
        )

    def add(step: int, value: float) -> None:
        nonlocal total
        total += value * len(batches[step - 1].windows)

    fit(optimiser, len(batches), loss, clip=classifier.body.model.parameters(), on_step=add)
    return total / max(sum(len(batch.windows) for batch in batches), 1)


def _validate(classifier: Classifier, pieces: Sequence[Labelled]) -> tuple[float, float]:
    """Mean loss and accuracy of whole pieces."""
    classifier.body.model.eval()
    try:
        probabilities = classifier.predict([piece.notes for piece in pieces])
    except EncoderError:
        raise CorpusError("finetuning: the weights went beyond all bounds; lower the learning rate") from None
    classes = np.array([classifier.classes.index(piece.label) for piece in pieces])
    likelihood = np.maximum(probabilities[np.arange(len(classes)), classes], 1e-9)
    return float(-np.log(likelihood).mean()), float((probabilities.argmax(1) == classes).mean())
