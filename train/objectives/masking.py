"""Masking notes for a bidirectional model: what masked modelling, data2vec and HuBERT share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from embedder.core.errors import CorpusError
from embedder.transformer import ModelConfig, NoteTransformer

from ..corpus import Corpus
from ..monitor import training_flops
from .base import Batch, Step
from .next_note import NextNote

__all__ = ["MaskedSlices", "apply_mask", "is_note", "spans", "spread"]


class MaskedSlices:
    """Slices drawn evenly over the notes of a split, some of whose notes are masked.

    Parameters
    ----------
    rows, length : slices a batch, notes a slice
    share : of the notes that are masked
    span : consecutive notes that are masked together
    augment : settings of the `Chain`, over those of pretraining
    """

    coupled = False

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        rows: int = 32,
        length: int = 256,
        share: float = 0.15,
        span: int = 1,
        augment: dict[str, Any] | None = None,
    ) -> None:
        if not 0 < share < 1 or span < 1:
            raise CorpusError("recipe: share lies between 0 and 1, span is 1 or more")
        self.slices = NextNote(corpus, split, rows=rows, length=length, augment=augment)
        self.longest = self.slices.length
        self.share, self.span = share, span
        self.own: nn.Module = nn.Module()

    def batch(self, rng: np.random.Generator) -> Batch:
        """tokens uint8 [rows, length, 4]; lengths [rows]; masked bool [rows, length]."""
        batch = self.slices.batch(rng)
        masked = spans((len(batch["tokens"]), batch["tokens"].shape[1]), self.share, self.span, rng)
        batch["masked"] = torch.from_numpy(masked) & is_note(batch)
        return batch

    def equip(self, model: NoteTransformer) -> nn.Module:
        """Weights of the objective; see `train.objectives.base.Equipped`.

        Raises
        ------
        CorpusError
            If the model is causal.
        """
        if model.config.causal:
            raise CorpusError(
                "recipe: masked notes are predicted from both sides; set causal = false in [model]"
            )
        return self._make(model)

    def after_step(self, model: NoteTransformer, done: float) -> None:
        """Nothing, unless an objective has weights that do not learn by gradient."""

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError

    def backward(self, model: NoteTransformer, batch: Batch, step: Step) -> dict[str, float]:
        with step.precision():
            loss, numbers = self.loss(model, batch)
        (loss * step.scale).backward()  # type: ignore[no-untyped-call]
        return {"loss": loss.item(), **numbers}

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        rows, length, _ = batch["tokens"].shape
        return training_flops(config, rows, length, predicts=False, projects=False)

    def _make(self, model: NoteTransformer) -> nn.Module:
        raise NotImplementedError


def spans(shape: tuple[int, int], share: float, span: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Positions of spans of `span` that together cover `share` of all on average; they may overlap."""
    begins = rng.random(shape) < 1 - (1 - share) ** (1 / span)
    count = np.cumsum(np.pad(begins, ((0, 0), (span, 0))), axis=1)
    covered: NDArray[np.bool_] = count[:, span:] > count[:, :-span]
    return covered


def apply_mask(x: Tensor, masked: Tensor, mask: Tensor) -> Tensor:
    """Inputs [b, n, width] with `mask` [width] in place of those under `masked` [b, n]."""
    return torch.where(masked[..., None], mask.to(x.dtype), x)


def is_note(batch: Batch) -> Tensor:
    """Which positions [b, n] hold a note."""
    length = batch["tokens"].shape[1]
    return torch.arange(length, device=batch["lengths"].device)[None] < batch["lengths"][:, None]


def spread(states: Tensor, where: Tensor) -> float:
    """How far states [b, n, width] differ from note to note: mean over columns of their standard deviation.

    Where a model collapses, all notes get one state and this goes to 0.
    """
    rows = states.detach().float()[where]
    return rows.std(0, correction=0).mean().item() if len(rows) else 0.0
