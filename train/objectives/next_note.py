"""Autoregressive pretraining: predict the next note, attribute by attribute.

The loss is the exact negative log-likelihood of the note under p(gap) p(pitch | gap) p(duration | gap,
pitch) p(velocity | gap, pitch, duration), so bits a note are its mean over log 2. The first note of a slice
is context only; the end of a piece is an event of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from embedder.core.errors import CorpusError
from embedder.tokens import ATTRIBUTES, END
from embedder.transformer import ModelConfig, NoteTransformer

from ..augment import Chain, alter, cut, to_batch
from ..corpus import Corpus
from ..monitor import training_flops
from .base import Batch, Step

__all__ = ["NextNote", "attribute_losses", "count_events"]

IGNORE = -100
# Alterations that keep music music: those of Aria's pretraining.
GENTLE = {
    "transpose": 0.8,
    "transpose_most": 5,
    "tempo": 0.8,
    "tempo_most": 1.25,
    "velocity": 0.6,
    "velocity_most": 12,
    "jitter": 0.0,
    "duration": 0.0,
    "flat": 0.1,
    "dropout": 0.0,
    "doubling": 0.0,
    "hand": 0.0,
    "quantise": 0.0,
}


class NextNote:
    """Slices drawn evenly over the notes of a split.

    Parameters
    ----------
    rows, length : slices a batch, notes a slice
    augment : settings of the `Chain`, over Aria's
    """

    coupled = False

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        rows: int = 64,
        length: int = 256,
        augment: dict[str, Any] | None = None,
    ) -> None:
        if rows < 1 or length < 2:
            raise CorpusError("recipe: rows is 1 or more, length 2 or more")
        self.corpus, self.rows, self.length = corpus, rows, length
        self.longest = length
        self.chain = Chain.from_dict({**GENTLE, **(augment or {})})
        pieces = corpus.indices(split)
        self.pieces = pieces[corpus.sizes[pieces] >= 2]
        if not len(self.pieces):
            raise CorpusError(f"the split {split!r} of {corpus.folder} holds no piece of two notes")
        self.ends = np.cumsum(corpus.sizes[self.pieces])

    def batch(self, rng: np.random.Generator) -> Batch:
        """tokens uint8 [rows, length, 4]; lengths [rows]; ended [rows], whether the slice ends its piece."""
        chosen = self.pieces[np.searchsorted(self.ends, rng.integers(0, self.ends[-1], self.rows), "right")]
        begin, end = self.corpus.offsets[chosen], self.corpus.offsets[chosen + 1]
        # Slices may stick out by half at either end, so that beginnings and ends are seen often enough.
        first = rng.integers(begin - self.length // 2, np.maximum(end - self.length // 2, begin + 1))
        first = np.clip(first, begin, end - 2)
        last = np.minimum(first + self.length, end)
        rows = cut(self.corpus, list(zip(first.tolist(), last.tolist(), strict=True)), self.length)
        tokens, lengths = to_batch(alter(rows, self.chain, rng, self.length))
        return {
            "tokens": torch.from_numpy(tokens),
            "lengths": torch.from_numpy(lengths),
            "ended": torch.from_numpy(last == end),
        }

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        per_attribute = attribute_losses(model, batch)
        bits = {
            f"bits_{name}": x.item() for name, x in zip(ATTRIBUTES, per_attribute / np.log(2), strict=True)
        }
        total = per_attribute.sum()
        return total, {"bits": total.item() / float(np.log(2)), **bits}

    def backward(self, model: NoteTransformer, batch: Batch, step: Step) -> dict[str, float]:
        with step.precision():
            loss, numbers = self.loss(model, batch)
        (loss * step.scale).backward()  # type: ignore[no-untyped-call]
        return {"loss": loss.item(), **numbers}

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        rows, length, _ = batch["tokens"].shape
        return training_flops(config, rows, length, predicts=True, projects=False)


def count_events(batch: Batch) -> Tensor:
    """How many events of a batch are predicted: every note but the first of a row, and the ends of pieces."""
    return (batch["lengths"] - 1).clamp(min=0).sum() + batch["ended"].sum()


def attribute_losses(
    model: NoteTransformer, batch: Batch, hidden: Tensor | None = None, events: Tensor | None = None
) -> Tensor:
    """Mean negative log-likelihood a predicted event, by attribute of the note, [4] in nats.

    Each is a sum over the events that have the attribute (an end has only a gap), divided by the number
    of all events, so that they add up to the loss an event.

    Parameters
    ----------
    hidden : states of the batch, if they are known
    events : by how many events to divide, if the rows are part of a larger batch
    """
    if not model.config.causal:
        raise CorpusError("recipe: a model that predicts the next note must not see it; leave causal = true")
    if hidden is None:
        hidden = model(batch["tokens"])
    if events is None:
        events = count_events(batch)
    following, targets = _targets(batch)
    losses = []
    for attribute in range(len(ATTRIBUTES)):
        logits = model.next_logits(hidden, following, attribute)
        losses.append(
            functional.cross_entropy(
                logits.float().flatten(0, 1),
                targets[..., attribute].flatten(),
                ignore_index=IGNORE,
                reduction="sum",
            )
            / events
        )
    return torch.stack(losses)


def _targets(batch: Batch) -> tuple[Tensor, Tensor]:
    """The next note at each place [b, n, 4], and the same with `IGNORE` where nothing is predicted."""
    tokens, lengths = batch["tokens"], batch["lengths"]
    following = functional.pad(tokens.long()[:, 1:], (0, 0, 0, 1))
    place = torch.arange(tokens.shape[1], device=tokens.device)[None]
    targets = following.masked_fill((place >= lengths[:, None] - 1)[..., None], IGNORE)
    at_end = (place == lengths[:, None] - 1) & batch["ended"][:, None]
    targets[..., 0] = targets[..., 0].masked_fill(at_end, END)
    return following, targets
