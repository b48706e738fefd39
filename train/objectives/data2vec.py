"""data2vec (Baevski et al. 2022, arXiv 2202.03555; on music music2vec, arXiv 2307.05161).

A teacher, the moving average of the model, reads the whole slice; the model reads it with notes masked, and
at the masked positions regresses the mean of the teacher's top layers. Nothing but the average keeps the two
from agreeing on a constant, so how much both still differ from note to note is logged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from embedder.core.errors import CorpusError
from embedder.transformer import ModelConfig, NoteReader, NoteTransformer

from ..corpus import Corpus
from .base import Batch
from .masking import MaskedSlices, apply_mask, is_note, spread

__all__ = ["Data2Vec", "top_layers"]


class Data2Vec(MaskedSlices):
    """Parameters as of `MaskedSlices`, and these:

    Parameters
    ----------
    top : how many of the teacher's last layers are averaged
    momentum_first, momentum_last : of the moving average a step, at the beginning and the end of the run
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        top: int = 2,
        momentum_first: float = 0.99,
        momentum_last: float = 0.999,
        share: float = 0.4,
        span: int = 5,
        **slices: Any,
    ) -> None:
        super().__init__(corpus, split, share=share, span=span, **slices)
        if top < 1 or not 0 <= momentum_first <= momentum_last < 1:
            raise CorpusError("recipe: top is 1 or more, and the momentum rises within 0..1")
        self.top, self.momentum_first, self.momentum_last = top, momentum_first, momentum_last

    def _make(self, model: NoteTransformer) -> nn.Module:
        width = model.config.width
        own = nn.Module()
        own.mask = nn.Parameter(torch.zeros(width))
        own.head = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        teacher = NoteReader(model.config)
        teacher.load_state_dict({name: model.state_dict()[name] for name in teacher.state_dict()})
        own.teacher = teacher.requires_grad_(False)
        return own

    @torch.no_grad()
    def after_step(self, model: NoteTransformer, done: float) -> None:
        momentum = self.momentum_first + (self.momentum_last - self.momentum_first) * done
        weights = dict(model.named_parameters())
        for name, average in self._teacher.named_parameters():
            average.lerp_(weights[name], 1 - momentum)

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        masked, real = batch["masked"], is_note(batch)
        with torch.no_grad():
            target = top_layers(self._teacher, batch, self.top)
        mask: Tensor = self.own.mask  # type: ignore[assignment]
        states = model.read(apply_mask(model.embed(batch["tokens"]), masked, mask), lengths=batch["lengths"])
        predicted = self.own.head(states).float()  # type: ignore[operator]
        error = (predicted - target).square().mean(-1)
        loss = (error * masked).sum() / masked.sum().clamp(min=1)
        variance = target[real].var(0, correction=0).mean().clamp(min=1e-9)
        return loss, {
            "explained": 1 - loss.item() / variance.item(),
            "spread": spread(states, real),
            "target_spread": spread(target, real),
        }

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        return super().flops(config, batch) * 4 / 3  # the teacher reads too, forward only

    @property
    def _teacher(self) -> NoteReader:
        teacher = self.own.teacher
        assert isinstance(teacher, NoteReader)
        return teacher


def top_layers(reader: NoteReader, batch: Batch, top: int) -> Tensor:
    """Mean of a reader's last `top` layers, each brought to mean 0 and variance 1 a note; [b, n, width]."""
    layers: list[Tensor] = []
    reader.read(reader.embed(batch["tokens"]), lengths=batch["lengths"], layers=layers)
    chosen = [functional.layer_norm(layer.float(), layer.shape[-1:]) for layer in layers[-top:]]
    return torch.stack(chosen).mean(0)
