"""Contrastive finetuning: SimCLR with NT-Xent (Chen et al. 2020, arXiv 2002.05709) over slices of pieces.

The two views of a positive pair are slices of one piece, or of two versions of one work at about the same
place, each altered by its own draw of the chain. All other 2N - 2 views of the batch are negatives, except
those of the same work, which are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from embedder.core.errors import CorpusError
from embedder.transformer import ModelConfig, NoteTransformer

from ..augment import Chain, alter, cut, to_batch
from ..corpus import Corpus
from ..monitor import training_flops
from .base import Batch, Step
from .cached import cached_backward
from .next_note import attribute_losses, count_events

__all__ = ["Contrastive", "nt_xent"]

# Rows are padded to multiples of so many notes: of batches of every other width, the allocator and oneDNN
# keep what they have freed, in a run of hundreds of steps five times what one step needs.
WIDTHS = 16


class Contrastive:
    """Pairs of slices of works, one work at most once a batch where the split has enough of them.

    Parameters
    ----------
    pairs : positive pairs a batch
    shortest, longest : notes a slice, drawn evenly on a logarithmic scale for the whole batch
    temperature : of NT-Xent
    versions : probability that the second view comes from another version of the work, if there is one
    near : probability that the second view begins near the first (else anywhere in the piece)
    next_note : weight of the next-note loss kept beside the contrast, so that the model stays generative
    pooling : "mean" of a slice's states, or "last", its last state alone
    chunk : rows that go through the model at once, by gradient caching; 0 for the whole batch
    augment : settings of the `Chain`
    """

    coupled = True

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        pairs: int = 128,
        shortest: int = 64,
        longest: int = 256,
        temperature: float = 0.1,
        versions: float = 0.7,
        near: float = 0.5,
        next_note: float = 0.0,
        pooling: str = "mean",
        chunk: int = 0,
        augment: dict[str, Any] | None = None,
    ) -> None:
        if pooling not in ("mean", "last"):
            raise CorpusError(f"recipe: pooling is mean or last, not {pooling!r}")
        if pairs < 1 or chunk < 0 or temperature <= 0 or not 2 <= shortest <= longest:
            raise CorpusError(
                "recipe: pairs and temperature are positive, chunk is not negative, shortest is 2 to longest"
            )
        self.pooling, self.chunk = pooling, chunk
        self.corpus, self.pairs, self.temperature = corpus, pairs, temperature
        self.shortest, self.longest = shortest, longest
        if max(versions, near) > 1:
            raise CorpusError("recipe: versions and near are shares")
        self.versions, self.near, self.next_note = versions, near, next_note
        self.chain = Chain.from_dict(augment or {})
        pieces = corpus.indices(split)
        self.pieces = pieces[corpus.sizes[pieces] >= 2]
        self.works = np.array([corpus.pieces[i].work for i in self.pieces])
        self.by_work: dict[int, list[int]] = {}
        for piece, work in zip(self.pieces.tolist(), self.works.tolist(), strict=True):
            self.by_work.setdefault(work, []).append(piece)
        if len(self.by_work) < 2:
            raise CorpusError(f"the split {split!r} of {corpus.folder} holds fewer than two works")

    def batch(self, rng: np.random.Generator) -> Batch:
        """tokens uint8 [2 * pairs, n, 4], the views of a pair in rows i and i + pairs; lengths; works."""
        first_pieces = self._pieces(rng)
        ratio = self.longest / self.shortest
        length = round(self.shortest * ratio ** rng.random())
        ranges: list[list[tuple[int, int]]] = [[], []]
        for piece in first_pieces:
            second = self._version(piece, rng)
            place = rng.random()
            for view, of in enumerate((piece, second)):
                if view == 1:
                    place = (
                        np.clip(place + rng.normal(0, 0.02), 0, 1)
                        if rng.random() < self.near
                        else rng.random()
                    )
                ranges[view].append(self._slice(of, place, length))
        margin = length + length // 2  # room for the notes that the chain drops
        rows = cut(self.corpus, ranges[0] + ranges[1], margin)
        tokens, lengths = to_batch(alter(rows, self.chain, rng, length))
        width = min(-(-length // WIDTHS) * WIDTHS, self.longest)
        tokens = np.pad(tokens, ((0, 0), (0, width - tokens.shape[1]), (0, 0)))
        works = np.array([self.corpus.pieces[i].work for i in first_pieces])
        return {
            "tokens": torch.from_numpy(tokens),
            "lengths": torch.from_numpy(lengths),
            "ended": torch.zeros(len(tokens), dtype=torch.bool),
            "works": torch.from_numpy(np.tile(works, 2)),
        }

    def _pieces(self, rng: np.random.Generator) -> list[int]:
        """Pieces of different works, long works more often: weight is the square root of the notes."""
        sizes = self.corpus.sizes[self.pieces].astype(np.float64)
        key = rng.exponential(1, len(self.pieces)) / np.sqrt(np.minimum(sizes, 4000))
        chosen: list[int] = []
        seen: set[int] = set()
        for at in np.argsort(key):
            if self.works[at] not in seen:
                seen.add(int(self.works[at]))
                chosen.append(int(self.pieces[at]))
            if len(chosen) == self.pairs:
                break
        return chosen

    def _version(self, piece: int, rng: np.random.Generator) -> int:
        others = self.by_work[self.corpus.pieces[piece].work]
        if len(others) > 1 and rng.random() < self.versions:
            return int(rng.choice([other for other in others if other != piece]))
        return piece

    def _slice(self, piece: int, place: float, length: int) -> tuple[int, int]:
        begin, end = int(self.corpus.offsets[piece]), int(self.corpus.offsets[piece + 1])
        margin = min(length + length // 2, end - begin)
        first = begin + int(place * (end - begin - margin))
        return first, first + margin

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        vectors, notes = self._embed(model, batch, count_events(batch))
        loss, numbers = self._score(vectors, batch["works"])
        return loss + notes, self._with_bits({**numbers, "rows_loss": notes.item()})

    def backward(self, model: NoteTransformer, batch: Batch, step: Step) -> dict[str, float]:
        if not self.chunk and step.processes.count == 1:
            with step.precision():
                loss, numbers = self.loss(model, batch)
            (loss * step.scale).backward()  # type: ignore[no-untyped-call]
            return {"loss": loss.item(), **numbers}
        events = count_events(batch)
        numbers = cached_backward(
            lambda rows: self._embed(model, rows, events),
            lambda vectors: self._score(vectors, batch["works"]),
            batch,
            step,
            self.chunk,
        )
        return self._with_bits(numbers)

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        rows, length, _ = batch["tokens"].shape
        return training_flops(config, rows, length, predicts=self.next_note > 0, projects=True)

    def _embed(self, model: NoteTransformer, batch: Batch, events: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [r, d], and the weighted next-note loss of these rows among `events` predictions in all."""
        hidden = model(batch["tokens"], lengths=batch["lengths"])
        if self.pooling == "mean":
            pooled = model.pool(hidden, batch["lengths"])
        else:
            pooled = hidden[torch.arange(len(hidden), device=hidden.device), batch["lengths"] - 1]
        vectors = model.project(pooled.to(hidden.dtype))
        if not self.next_note:
            return vectors, vectors.new_zeros(())
        return vectors, self.next_note * attribute_losses(model, batch, hidden, events).sum()

    def _score(self, vectors: Tensor, works: Tensor) -> tuple[Tensor, dict[str, float]]:
        loss, right = nt_xent(vectors.float(), self.temperature, works)
        return loss, {"contrast": loss.item(), "in_batch_accuracy": right}

    def _with_bits(self, numbers: dict[str, float]) -> dict[str, float]:
        rows_loss = numbers.pop("rows_loss")
        if self.next_note:
            numbers["bits"] = rows_loss / self.next_note / float(np.log(2))
        return numbers


def nt_xent(vectors: Tensor, temperature: float, works: Tensor | None = None) -> tuple[Tensor, float]:
    """NT-Xent of 2N vectors, row i paired with row i + N, over all 2N - 1 others.

    Parameters
    ----------
    vectors : [2N, d], of any length (they are made unit vectors here)
    temperature : divides the cosines
    works : int [2N], optional; views of one work are no negatives of each other

    Returns
    -------
    Mean loss, and the share of views whose partner is the nearest of all others.
    """
    count = len(vectors)
    unit = functional.normalize(vectors, dim=1)
    logits = unit @ unit.T / temperature
    partner = (torch.arange(count, device=vectors.device) + count // 2) % count
    hidden = torch.eye(count, dtype=torch.bool, device=vectors.device)
    if works is not None:
        hidden |= (works[:, None] == works[None]) & (
            partner[:, None] != torch.arange(count, device=works.device)
        )
    logits = logits.masked_fill(hidden, float("-inf"))
    right = (logits.argmax(1) == partner).float().mean().item()
    return functional.cross_entropy(logits, partner), right
