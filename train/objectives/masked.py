"""Masked modelling: masked attributes of notes are predicted from their context.

Plain: positions are drawn at random (BERT, Devlin et al. 2018, arXiv 1810.04805; on compound tokens
MIDIBERT-Piano, arXiv 2107.05223). With a masker: a second network picks them (`Masker`). Every attribute has
a head and a loss of its own; the loss is their sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from embedder.core.errors import CorpusError
from embedder.tokens import ATTRIBUTES
from embedder.transformer import ModelConfig, NoteReader, NoteTransformer

from ..corpus import Corpus
from ..monitor import training_flops
from .base import Batch
from .masking import MaskedSlices, is_note, spread

__all__ = ["Masked", "Masker", "masker_loss", "pick"]


class Masked(MaskedSlices):
    """Parameters as of `MaskedSlices`, and these:

    Parameters
    ----------
    kept : share of the masked notes that stay visible and are predicted too, as in BERT
    together : whether the attributes of a note are masked together, or each by a draw of its own
    masker : width, layers and heads of a masker; places are drawn at random if None
    hardest : smallest and largest share of a row's notes that leave the pool, drawn for each row
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        kept: float = 0.1,
        together: bool = True,
        masker: dict[str, int] | None = None,
        hardest: tuple[float, float] = (0.1, 0.3),
        **slices: Any,
    ) -> None:
        super().__init__(corpus, split, **slices)
        self.kept, self.together = kept, together
        self.masker = None if masker is None else {"width": 64, "layers": 2, "heads": 2, **masker}
        self.hardest = hardest
        if len(self.hardest) != 2 or not 0 <= self.hardest[0] <= self.hardest[1] <= 1 - self.share:
            raise CorpusError(
                "recipe: hardest is two shares, the first not above the second, below 1 - share"
            )
        if masker is not None and not together:
            raise CorpusError("recipe: a masker picks whole notes; leave together = true")

    def _make(self, model: NoteTransformer) -> nn.Module:
        width = model.config.width
        own = nn.Module()
        own.masks = nn.Parameter(torch.zeros(len(ATTRIBUTES), width))
        own.heads = nn.ModuleList(nn.Linear(width, size) for size in ATTRIBUTES.values())
        if self.masker is not None:
            try:
                own.masker = Masker(**self.masker)
            except TypeError as error:
                raise CorpusError(f"recipe: settings of the masker: {error}") from None
        return own

    def batch(self, rng: np.random.Generator) -> Batch:
        """As of `MaskedSlices`, with masked [rows, length, 4] by attribute, and what a masker draws with."""
        batch = super().batch(rng)
        shape = batch["masked"].shape
        if self.together:
            masked = batch["masked"][..., None].expand(*shape, len(ATTRIBUTES))
        else:
            draw = torch.from_numpy(rng.random((*shape, len(ATTRIBUTES))) < self.share)
            masked = draw & is_note(batch)[..., None]
        batch["masked"] = masked.contiguous()
        batch["visible"] = torch.from_numpy(rng.random(shape) < self.kept)
        if self.masker is not None:
            batch["draw"] = torch.from_numpy(rng.random(shape, dtype=np.float32))
            batch["hardest"] = torch.from_numpy(
                rng.uniform(self.hardest[0], self.hardest[1], (shape[0], 1)).astype(np.float32)
            )
        return batch

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        targets, masked, scores = batch["masked"], batch["masked"], None
        if self.masker is not None:
            scores = self.own.masker(batch["tokens"], batch["lengths"])  # type: ignore[operator]
            picked, of_pool = pick(scores, batch["draw"], batch["lengths"], self.share, batch["hardest"])
            masked, targets = (which[..., None].expand_as(targets) for which in (picked, of_pool))
        unseen = masked & ~batch["visible"][..., None]
        states = model.read(self._inputs(model, batch["tokens"], unseen), lengths=batch["lengths"])
        losses = self._losses(states, batch["tokens"])
        means = (losses * targets).sum((0, 1)) / targets.sum((0, 1)).clamp(min=1)
        loss = means.sum()
        bits = (means / np.log(2)).tolist()
        numbers = {"bits": sum(bits), "spread": spread(states, is_note(batch))}
        numbers |= {f"bits_{name}": value for name, value in zip(ATTRIBUTES, bits, strict=True)}
        if scores is not None:
            game = masker_loss(scores, losses.sum(-1), masked[..., 0])
            numbers["masker"] = -game.item() / float(np.log(2))
            loss = loss + game
        return loss, numbers

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        rows, length, _ = batch["tokens"].shape
        both = super().flops(config, batch)
        if self.masker is not None:
            width = self.masker["width"]
            layers, heads = self.masker["layers"], self.masker["heads"]
            small = ModelConfig(width=width, layers=layers, heads=heads, hidden=4 * width, causal=False)
            both += training_flops(small, rows, length, predicts=False, projects=False)
        return both

    def _inputs(self, model: NoteTransformer, tokens: Tensor, masked: Tensor) -> Tensor:
        """Sum of the embeddings of a note's attributes, with a mask in place of each masked one."""
        masks: Tensor = self.own.masks  # type: ignore[assignment]
        x: Tensor | None = None
        for attribute, embedding in enumerate(model.embeddings):
            embedded = embedding(tokens[..., attribute].long())
            embedded = torch.where(
                masked[..., attribute, None], masks[attribute].to(embedded.dtype), embedded
            )
            x = embedded if x is None else x + embedded
        assert x is not None
        return x

    def _losses(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Negative log-likelihood of every attribute of every note, [b, n, 4] in nats."""
        heads = self.own.heads
        assert isinstance(heads, nn.ModuleList)
        columns = [
            functional.cross_entropy(
                head(states).float().flatten(0, 1), tokens[..., attribute].long().flatten(), reduction="none"
            ).view(states.shape[:2])
            for attribute, head in enumerate(heads)
        ]
        return torch.stack(columns, dim=-1)


class Masker(nn.Module):
    """A score for every note [b, n] of token rows; higher is harder."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.reader = NoteReader(
            ModelConfig(width=width, layers=layers, heads=heads, hidden=4 * width, causal=False)
        )
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        scores: Tensor = self.score(self.reader(tokens, lengths=lengths)).squeeze(-1)
        return scores


def pick(
    scores: Tensor, draw: Tensor, lengths: Tensor, share: float, hardest: Tensor
) -> tuple[Tensor, Tensor]:
    """Which notes are masked, and which of them the model has to predict; bool [b, n] each.

    Parameters
    ----------
    scores : [b, n], of the masker; draw : [b, n], uniform random numbers in 0..1
    lengths : [b]
    share : of a row's notes that the model has to predict
    hardest : scalar or [b, 1], share of a row's notes that leave the pool
    """
    real = torch.arange(scores.shape[1], device=scores.device)[None] < lengths[:, None]
    scores = scores.detach().float().masked_fill(~real, float("-inf"))
    in_pool = real & (_rank(scores) >= hardest * lengths[:, None])
    # Gumbel noise: a draw without replacement, each note in proportion to the exponential of its score.
    noise = -torch.log(-torch.log(draw.clamp(1e-6, 1 - 1e-6)))
    drawn = (scores + noise).masked_fill(~in_pool, float("-inf"))
    targets = in_pool & (_rank(drawn) < share * lengths[:, None])
    return targets | (real & ~in_pool & (draw < share)), targets


def masker_loss(scores: Tensor, losses: Tensor, masked: Tensor) -> Tensor:
    """Minus the model's loss, weighted over the masked notes by the masker's scores.

    Falls as notes with a loss above the mean get higher scores; no gradient reaches the model.
    """
    weight = torch.sigmoid(scores.float()) * masked
    return -(weight * losses.detach()).sum() / weight.sum().clamp(min=1e-6)


def _rank(values: Tensor) -> Tensor:
    """Rank of each value in its row, the largest first."""
    return values.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
