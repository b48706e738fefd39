"""Contrast over slices and pooled pieces, with the next note predicted beside it.

A view is one slice of a piece, or several from all over it, pooled as the encoder pools windows. The two
views of a pair are of one piece or of two versions of a work; all views of other works are negatives
(NT-Xent, Chen et al. 2020, arXiv 2002.05709), and so are the vectors of the last steps (cross-batch memory,
Wang et al. 2020, arXiv 1912.06798), which cost nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from embedder.core.errors import CorpusError
from embedder.ensemble.fusion import count_rows, numbers_of
from embedder.ensemble.model import PREDICTED, EnsembleTransformer

from .corpus import EnsembleCorpus
from .views import Chain, alter, cut

__all__ = ["Contrast", "Memory", "Settings"]

Batch = dict[str, Tensor]
TRANSPOSED = 0.7  # probability that counts, which hear absolute pitch, are taken of a transposed view


@dataclass(frozen=True)
class Settings:
    """What a stage trains.

    Attributes
    ----------
    notes : notes a step, all rows together
    shortest, longest : notes a slice; one length a batch, evenly on a logarithmic scale, in steps of 16
    shapes : (probability, slices of the first views, of the second views)
    temperature : of NT-Xent
    versions : probability that the second view comes from another version, if there is one
    near : probability that the second view begins near the first
    contrast, fused, next_note : weights of the losses: contrast of the transformer's vector and of the one
        of states and counts together, and the next note
    memory : vectors of past steps that are negatives too
    hard : share of a batch that is drawn from one set, so that negatives are alike
    chunk : rows that go through the network at once
    """

    notes: int = 32_768
    shortest: int = 64
    longest: int = 256
    shapes: tuple[tuple[float, int, int], ...] = ((0.5, 1, 1), (0.3, 1, 4), (0.2, 4, 4))
    temperature: float = 0.1
    versions: float = 0.6
    near: float = 0.5
    contrast: float = 1.0
    fused: float = 0.0
    next_note: float = 0.1
    memory: int = 4096
    hard: float = 0.0
    chunk: int = 64


class Memory:
    """The last vectors and their works, unit rows."""

    def __init__(self, size: int, width: int) -> None:
        self.vectors = torch.zeros(size, width)
        self.works = torch.full((size,), -1)

    def add(self, vectors: Tensor, works: Tensor) -> None:
        size = len(self.works)
        if size:
            self.vectors = torch.cat((self.vectors, vectors.detach().float().cpu()))[-size:]
            self.works = torch.cat((self.works, works.cpu()))[-size:]


class Contrast:
    """Batches of pairs of a corpus's split, and their losses."""

    def __init__(
        self, corpus: EnsembleCorpus, split: str, settings: Settings, chain: Chain | None = None
    ) -> None:
        self.corpus, self.settings, self.chain = corpus, settings, chain or Chain()
        pieces = corpus.indices(split)
        self.pieces = pieces[corpus.sizes[pieces] >= 48]
        self.works = np.array([corpus.pieces[i].work for i in self.pieces])
        self.by_work: dict[int, list[int]] = {}
        for piece, work in zip(self.pieces.tolist(), self.works.tolist(), strict=True):
            self.by_work.setdefault(work, []).append(piece)
        sizes = corpus.sizes[self.pieces].astype(np.float64)
        # Works with versions teach most; a work's chance does not grow with their number.
        versions = np.array([len(self.by_work[w]) for w in self.works.tolist()])
        self.weight = np.sqrt(np.minimum(sizes, 4000)) * np.where(versions > 1, 2.0, 1.0) / versions
        self.sets = np.array([corpus.pieces[i].set for i in self.pieces])

    def batch(self, rng: np.random.Generator) -> Batch:
        """tokens uint8 [rows, n, columns], lengths and view [rows], works [views], which pair as i, i + half;
        patterns and numbers [views, ...] where counts are asked for."""
        s = self.settings
        ratio = s.longest / s.shortest
        length = round(s.shortest * ratio ** float(rng.random()) / 16) * 16
        _, one, two = s.shapes[rng.choice(len(s.shapes), p=[shape[0] for shape in s.shapes])]
        pairs = max(2, s.notes // length // (one + two))
        chosen = self._pieces(pairs, rng)
        pairs = len(chosen)
        starts: list[tuple[int, int]] = []
        view: list[int] = []
        places = rng.random(pairs)
        for side, slices in enumerate((one, two)):
            for number, piece in enumerate(chosen):
                version = piece if side == 0 else self._version(piece, rng)
                place = places[number]
                if side == 1:
                    near = rng.random() < s.near
                    place = np.clip(place + rng.normal(0, 0.02), 0, 1) if near else rng.random()
                starts += self._slices(version, place, slices, length)
                view += [side * pairs + number] * slices
        rows = cut(self.corpus, starts, length, self.chain, rng)
        tokens, lengths = alter(rows, self.chain, rng, length)
        works = np.array([self.corpus.pieces[i].work for i in chosen])
        counted = {}
        if s.fused:
            of_row = np.array(view, dtype=np.int64)
            shift = rng.integers(-6, 7, 2 * pairs) * (rng.random(2 * pairs) < TRANSPOSED)
            pattern, statistic, band = count_rows(rows, of_row, 2 * pairs, length, shift)
            counted = {"patterns": torch.from_numpy(pattern)}
            counted["numbers"] = torch.from_numpy(numbers_of(statistic, band))
        return {
            **counted,
            "tokens": torch.from_numpy(tokens),
            "lengths": torch.from_numpy(lengths),
            "view": torch.tensor(view),
            "works": torch.from_numpy(np.tile(works, 2)),
        }

    def _pieces(self, count: int, rng: np.random.Generator) -> list[int]:
        key = rng.exponential(1, len(self.pieces)) / self.weight
        if self.settings.hard and rng.random() < self.settings.hard:
            drawn = rng.choice(len(self.sets), p=self.weight / self.weight.sum())
            key = np.where(self.sets == self.sets[drawn], key, np.inf)
        order = np.argsort(key)
        chosen: list[int] = []
        seen: set[int] = set()
        for at in order[np.isfinite(key[order])].tolist():
            if int(self.works[at]) not in seen:
                seen.add(int(self.works[at]))
                chosen.append(int(self.pieces[at]))
            if len(chosen) == count:
                break
        return chosen

    def _version(self, piece: int, rng: np.random.Generator) -> int:
        others = self.by_work[self.corpus.pieces[piece].work]
        if len(others) > 1 and rng.random() < self.settings.versions:
            return int(rng.choice([other for other in others if other != piece]))
        return piece

    def _slices(self, piece: int, place: float, slices: int, length: int) -> list[tuple[int, int]]:
        begin, end = int(self.corpus.offsets[piece]), int(self.corpus.offsets[piece + 1])
        room = max(end - begin - length, 0)
        places = [place] if slices == 1 else ((np.arange(slices) + place) / slices).tolist()
        return [(begin + int(at * room), end) for at in places]

    def loss(
        self, model: EnsembleTransformer, batch: Batch, memory: Memory, fused_memory: Memory | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor | None], dict[str, float]]:
        """The loss of a batch, the vectors of its views (the second with counts), and numbers to log.

        Rows go through the network in groups, whose activations fit into the caches of a processor.
        """
        s = self.settings
        rows, views = len(batch["tokens"]), len(batch["works"])
        predicted = (batch["lengths"] - model.config.patch).clamp(min=0).sum()
        size = s.chunk or rows
        sums, following = [], torch.zeros(len(PREDICTED), device=batch["tokens"].device)
        for at in range(0, rows, size):
            tokens, lengths = batch["tokens"][at : at + size], batch["lengths"][at : at + size]
            states, notes, units = model(tokens)
            sums.append(model.sums(states, units, lengths))
            share = (lengths - model.config.patch).clamp(min=0).sum() / predicted.clamp(min=1)
            if s.next_note and share > 0:
                following = following + share * model.next_losses(states, notes, tokens, lengths)
        view = batch["view"]
        every = torch.cat(sums)
        total = torch.zeros(views, every.shape[1], device=view.device).index_add(0, view, every)
        count = torch.zeros(views, device=view.device).index_add(0, view, batch["lengths"].float())
        pooled = model.moments(total, count)
        vectors = functional.normalize(model.project(pooled).float(), dim=1)
        loss, numbers = nt_xent(vectors, batch["works"], memory, s.temperature)
        loss = s.contrast * loss
        fused = None
        if s.fused and model.fusion is not None and fused_memory is not None:
            fused = model.fusion(pooled, batch["patterns"], batch["numbers"])
            more, found = nt_xent(fused, batch["works"], fused_memory, s.temperature)
            loss = loss + s.fused * more
            numbers |= {f"fused_{name}": value for name, value in found.items()}
        if s.next_note:
            bits = following.detach() / math.log(2)
            numbers["bits"] = float(bits.sum())
            numbers |= {f"bits_{name}": float(b) for name, b in zip(PREDICTED, bits, strict=True)}
            loss = loss + s.next_note * following.sum()
        return loss, (vectors.detach(), None if fused is None else fused.detach()), numbers


def nt_xent(
    unit: Tensor, works: Tensor, memory: Memory, temperature: float
) -> tuple[Tensor, dict[str, float]]:
    """NT-Xent of unit rows, row i paired with row i + half, over all other rows and the memory's."""
    count = len(unit)
    known = memory.works >= 0
    others = torch.cat((unit, memory.vectors[known].to(unit)))
    of = torch.cat((works, memory.works[known].to(works)))
    logits = unit @ others.T / temperature
    partner = (torch.arange(count, device=unit.device) + count // 2) % count
    same = works[:, None] == of[None]
    same[torch.arange(count, device=unit.device), partner] = False
    logits = logits.masked_fill(same, float("-inf"))
    loss = functional.cross_entropy(logits, partner)
    right = (logits.argmax(1) == partner).float().mean().item()
    if not torch.isfinite(loss):
        raise CorpusError("the contrast is not finite; lower the learning rate")
    return loss, {"contrast": loss.item(), "right": right}
