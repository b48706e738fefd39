"""Finetuning a classifier: a pretrained transformer with a linear layer learns a user's labels, all of it.

Dropout acts on what each block adds to the stream and grows with its depth: deep blocks, which know most of
the old task, lean least on any one number. After every epoch the validation pieces are judged whole; the best
epoch is kept, and training stops when none has been better for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from embedder.aria.hub import OWNER, fetch
from embedder.aria.weights import is_aria, open_weights
from embedder.classifier import AriaBody, Body, Classifier, NoteBody
from embedder.errors import CorpusError
from embedder.generation.language import DEFAULT_MODEL, load_language
from embedder.notes import Notes

__all__ = ["Epoch", "FinetuneSettings", "Finetuned", "Labelled", "finetune", "pretrained", "split_by_work"]

HALF_WINDOW = 128  # notes of a window of midikin's models, half of what they were trained on


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
    epochs, patience : most epochs; epochs without a better one after which it stops
    windows : of each piece an epoch, drawn at random
    batch : windows a step
    learning_rate, head_rate : of the transformer; of the new layer
    weight_decay : of AdamW
    dropout : of the last block; that of the first is next to nothing
    pooling : "mean" over the notes of a window, or "last", the end token of Aria
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
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.windows, self.batch) < 1:
            raise CorpusError("finetuning: epochs, patience, windows and batch are 1 or more")
        if not 0 <= self.dropout < 1 or self.learning_rate <= 0 or self.head_rate <= 0:
            raise CorpusError("finetuning: dropout lies in 0..1, rates are positive")


@dataclass(frozen=True)
class Epoch:
    """What an epoch gave: mean training loss, and loss and accuracy of whole validation pieces."""

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
    if weights is not None and is_aria(weights):
        file = open_weights(fetch(str(weights)) if str(weights).startswith(OWNER) else weights)
        return AriaBody(file.load([torch.device(device)], torch.float32).without_heads())
    language = load_language(weights or DEFAULT_MODEL, device)
    return NoteBody(language.model, min(HALF_WINDOW, language.context))


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
    held: set[str] = set()
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
        held |= set(rng.permutation(works)[:count].tolist())
    learn = [piece for piece in pieces if piece.work not in held]
    missing = set(classes) - {piece.label for piece in learn}
    if missing:
        raise CorpusError(f"label {min(missing)!r} shares all its works with others; label more of its works")
    return learn, [piece for piece in pieces if piece.work in held]


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
    strange = {piece.label for piece in validate} - set(classes)
    if strange or not validate:
        raise CorpusError(
            f"nothing is learned of {min(strange)!r}" if strange else "no pieces to validate on"
        )
    torch.manual_seed(settings.seed)
    classifier = Classifier(body, classes, settings.pooling)
    classifier.head.to(next(body.model.parameters()).device)
    hooks = _drop_by_depth(body.model, settings.dropout)
    optimiser = _optimiser(classifier, settings)
    rng = np.random.default_rng(settings.seed)
    epochs: list[Epoch] = []
    best_state: dict[str, Tensor] = {}
    try:
        while len(epochs) < settings.epochs:
            loss = _learn(classifier, optimiser, list(_batches(classifier, learn, settings, rng)))
            epochs.append(Epoch(len(epochs) + 1, loss, *_judged(classifier, validate)))
            if on_epoch is not None:
                on_epoch(epochs[-1])
            best = min(epochs, key=lambda epoch: epoch.held_out_loss)
            if best is epochs[-1]:
                best_state = {name: tensor.clone() for name, tensor in classifier.state().items()}
            elif len(epochs) - best.number >= settings.patience:
                break
    finally:
        for hook in hooks:
            hook.remove()
    for name, tensor in classifier.state().items():
        tensor.copy_(best_state[name])
    body.model.eval().requires_grad_(False)
    return Finetuned(classifier, best, tuple(epochs))


def _drop_by_depth(model: nn.Module, most: float) -> list[torch.utils.hooks.RemovableHandle]:
    """Dropout behind the two layers of each block that add to the stream, growing with its depth."""
    blocks = [module for name in ("blocks", "model.encode_layers") for module in _children(model, name)]
    hooks = []
    for depth, block in enumerate(blocks, 1):
        share = most * depth / len(blocks)
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
    classifier: Classifier, pieces: Sequence[Labelled], settings: FinetuneSettings, rng: np.random.Generator
) -> Iterator[tuple[list[Notes], list[int]]]:
    """Windows drawn from all pieces, with the numbers of their classes, in random order."""
    size = classifier.body.window
    drawn = []
    for piece in pieces:
        number = classifier.classes.index(piece.label)
        for _ in range(min(settings.windows, -(-len(piece.notes) // size))):
            first = int(rng.integers(0, max(len(piece.notes) - size, 0) + 1))
            drawn.append((piece.notes.slice_notes(first, first + size), number))
    order = rng.permutation(len(drawn))
    for begin in range(0, len(order), settings.batch):
        some = [drawn[i] for i in order[begin : begin + settings.batch]]
        yield [notes for notes, _ in some], [number for _, number in some]


def _learn(
    classifier: Classifier, optimiser: torch.optim.AdamW, batches: Sequence[tuple[list[Notes], list[int]]]
) -> float:
    """One epoch; its mean loss."""
    classifier.body.model.train()
    total = 0.0
    for windows, numbers in batches:
        logits = classifier.logits(windows)
        loss = functional.cross_entropy(logits, torch.tensor(numbers, device=logits.device))
        if not torch.isfinite(loss):
            raise CorpusError("finetuning: the loss is not finite; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(classifier.body.model.parameters(), 1.0)
        optimiser.step()
        total += loss.item() * len(numbers)
    return total / max(sum(len(numbers) for _, numbers in batches), 1)


def _judged(classifier: Classifier, pieces: Sequence[Labelled]) -> tuple[float, float]:
    """Mean loss and accuracy of whole pieces."""
    classifier.body.model.eval()
    chances = classifier.predict([piece.notes for piece in pieces])
    right = np.array([classifier.classes.index(piece.label) for piece in pieces])
    own = np.maximum(chances[np.arange(len(right)), right], 1e-9)
    return float(-np.log(own).mean()), float((chances.argmax(1) == right).mean())
