"""The masker of Adversarial-MidiBERT (arXiv 2407.08306): a small network that picks the notes to hide.

It scores every note and is paid for the model's loss, so it learns which notes the context hardly gives.
Notes that no context could give would only teach the model what is common: the hardest tenth to third leave
the pool from which notes are hidden. They are still hidden now and then, as often as chance would, so that
the masker goes on judging them; but the model is not asked for them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedder.transformer import ModelConfig, NoteReader

__all__ = ["Masker", "masker_loss", "pick"]


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
    """Which notes are hidden, and which of them the model is asked for; bool [b, n] each.

    Parameters
    ----------
    scores : [b, n], of the masker; draw : [b, n], uniform random numbers in 0..1
    lengths : [b]
    share : of a row's notes that the model is asked for
    hardest : scalar or [b, 1], share of a row's notes that leave the pool
    """
    held = torch.arange(scores.shape[1], device=scores.device)[None] < lengths[:, None]
    scores = scores.detach().float().masked_fill(~held, float("-inf"))
    in_pool = held & (_rank(scores) >= hardest * lengths[:, None])
    # Gumbel noise: a draw without replacement, each note in proportion to the exponential of its score.
    noise = -torch.log(-torch.log(draw.clamp(1e-6, 1 - 1e-6)))
    drawn = (scores + noise).masked_fill(~in_pool, float("-inf"))
    asked = in_pool & (_rank(drawn) < share * lengths[:, None])
    return asked | (held & ~in_pool & (draw < share)), asked


def masker_loss(scores: Tensor, losses: Tensor, hidden: Tensor) -> Tensor:
    """Minus the model's loss, weighted over the hidden notes by the masker's scores.

    Falls as notes with a loss above the mean get higher scores; no gradient reaches the model.
    """
    weight = torch.sigmoid(scores.float()) * hidden
    return -(weight * losses.detach()).sum() / weight.sum().clamp(min=1e-6)


def _rank(values: Tensor) -> Tensor:
    """Rank of each value in its row, the largest first."""
    return values.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
