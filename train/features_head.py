"""Training of the hand-crafted head: contrast over counted windows, minutes on one core.

Each piece is altered a few times, its small windows are counted once, and the counts are kept sparse. A view
is then the sum of consecutive windows of one variant: counts add up, so views of any length cost one sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embedder.base_encoder import window_ranges
from embedder.features.handcrafted import PATTERN_BINS, Layout, pattern_counts, statistic_counts, statistics
from embedder.features.projection import CLIP, HandmadeHead
from embedder.notes import Notes

from .corpus import Corpus, PieceRecord
from .label_projection import fit_projection, label_sets, style_axes
from .loop import fit
from .objectives.contrastive import nt_xent

__all__ = ["CountedCorpus", "count_corpus", "fit_head", "vary"]

BASE_WINDOW = 64  # notes; the shortest view


@dataclass(frozen=True)
class CountedCorpus:
    """Counts of every small window of every variant of the pieces of a split.

    Attributes
    ----------
    statistic : float16 [w, columns], counts of every histogram
    bins, counts, ends : patterns of window i lie at ends[i - 1]..ends[i], bins uint16, counts uint8
    ranges : for each piece the windows (first, last) of each of its variants
    records : what the corpus knows of each piece
    """

    statistic: NDArray[np.float16]
    bins: NDArray[np.uint16]
    counts: NDArray[np.uint8]
    ends: NDArray[np.int64]
    ranges: list[list[tuple[int, int]]]
    records: list[PieceRecord]

    @property
    def works(self) -> list[int]:
        """The work of each piece."""
        return [record.work for record in self.records]

    def pattern(self, first: int, last: int) -> NDArray[Any]:
        """Summed pattern counts of windows first..last, [PATTERN_BINS]."""
        part = slice(self.ends[first], self.ends[last])
        return np.bincount(self.bins[part], self.counts[part], PATTERN_BINS)


def vary(notes: Notes, rng: np.random.Generator) -> Notes:
    """A random alteration of a whole piece; the piece itself where too little would be left."""
    altered = notes.transpose(int(rng.integers(-6, 7))).stretch(float(np.exp(rng.uniform(-0.35, 0.35))))
    if rng.random() < 0.4:
        altered = altered.jitter(rng.uniform(0, 0.045), rng)
    if rng.random() < 0.25:
        altered = altered.quantise(rng.uniform(0.03, 0.2))
    if rng.random() < 0.35:
        altered = altered.drop(rng.uniform(0, 0.35), rng)
    if rng.random() < 0.2:
        altered = altered.with_velocity(64)
    elif rng.random() < 0.5:
        altered = altered.with_velocity(np.clip(altered.velocity + rng.integers(-20, 21), 1, 127))
    if rng.random() < 0.3:
        longer = altered.duration * np.exp(rng.uniform(-0.7, 0.7))
        altered = Notes(altered.onset, longer, altered.pitch, altered.velocity)
    if rng.random() < 0.12:
        split = rng.integers(55, 68)
        upper = rng.random() < 0.5
        hand = altered.select(altered.pitch >= split if upper else altered.pitch < split)
        if len(hand) >= max(BASE_WINDOW, 0.3 * len(altered)):
            altered = hand
    return altered if len(altered) >= min(len(notes), BASE_WINDOW // 2) else notes


def count_corpus(
    corpus: Corpus,
    *splits: str,
    variants: int = 4,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> CountedCorpus:
    """Count the pieces of some splits, as they are and in `variants - 1` alterations each."""
    pieces = corpus.indices(*splits)
    rng = np.random.default_rng(seed)
    statistic, bins, counts, sizes = [], [], [], []
    ranges: list[list[tuple[int, int]]] = []
    at = 0
    for done, index in enumerate(pieces.tolist()):
        notes = corpus.notes(index)
        versions = [notes, *(vary(notes, rng) for _ in range(variants - 1))]
        layout = Layout.of(versions, [window_ranges(len(v), BASE_WINDOW) for v in versions])
        statistic.append(statistic_counts(layout).astype(np.float16))
        pattern = pattern_counts(layout)
        row, column = np.nonzero(pattern)
        bins.append(column.astype(np.uint16))
        counts.append(np.minimum(pattern[row, column], 255).astype(np.uint8))
        sizes.append(np.bincount(row, minlength=len(pattern)))
        edges = at + np.searchsorted(layout.piece_of_window, np.arange(len(versions) + 1))
        ranges.append(list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)))
        at += len(pattern)
        if on_progress is not None:
            on_progress(done + 1, len(pieces))
    return CountedCorpus(
        statistic=np.concatenate(statistic),
        bins=np.concatenate(bins),
        counts=np.concatenate(counts),
        ends=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
        ranges=ranges,
        records=[corpus.pieces[i] for i in pieces.tolist()],
    )


class _Views:
    """Draws pairs of views: consecutive windows of two variants of a work, near each other or anywhere."""

    def __init__(self, counted: CountedCorpus, versions: float) -> None:
        self.counted, self.versions = counted, versions
        self.by_work: dict[int, list[int]] = {}
        for piece, work in enumerate(counted.works):
            self.by_work.setdefault(work, []).append(piece)
        self.works = np.array(list(self.by_work))

    def batch(self, pairs: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Patterns [2p, PATTERN_BINS], statistics [2p, columns], works [2p]; pairs are rows i, i + p."""
        works = rng.choice(self.works, min(pairs, len(self.works)), replace=False)
        runs: list[list[tuple[int, int]]] = [[], []]
        for work in works.tolist():
            pieces = self.by_work[work]
            first = second = pieces[rng.integers(len(pieces))]
            if rng.random() < self.versions:
                second = pieces[rng.integers(len(pieces))]
            place: float | None = None
            for view, piece in enumerate((first, second)):
                run, place = self._run(piece, place, rng)
                runs[view].append(run)
        every = runs[0] + runs[1]
        pattern = np.stack([self.counted.pattern(*run) for run in every]).astype(np.float32)
        summed = np.stack([self.counted.statistic[a:b].astype(np.float32).sum(0) for a, b in every])
        return (
            torch.from_numpy(pattern),
            torch.from_numpy(statistics(summed)),
            torch.from_numpy(np.tile(works, 2).astype(np.int64)),
        )

    def _run(
        self, piece: int, place: float | None, rng: np.random.Generator
    ) -> tuple[tuple[int, int], float]:
        variants = self.counted.ranges[piece]
        first, last = variants[rng.integers(len(variants))]
        count = last - first
        # A third of the views are whole, the others of every length from one window up.
        size = count if rng.random() < 0.33 else round(count ** rng.random())
        if place is None or rng.random() > 0.7:
            place = rng.random()
        begin = first + round(place * (count - size))
        return (begin, begin + size), place


def fit_head(
    counted: CountedCorpus,
    *,
    identity: int = 256,
    style: int = 176,
    taught: int = 48,
    steps: int = 1000,
    pairs: int = 384,
    temperature: float = 0.07,
    learning_rate: float = 2e-3,
    versions: float = 0.6,
    seed: int = 0,
    start_from: Mapping[str, torch.Tensor] | None = None,
    on_progress: Callable[[int, float, float], None] = lambda step, loss, accuracy: None,
) -> HandmadeHead:
    """Fit the style part (`train.label_projection`), then the identity map by NT-Xent.

    Parameters
    ----------
    taught : how many of the style numbers are supervised by labels; 0 where the corpus has none
    steps, pairs, temperature, learning_rate, versions : of the identity map; `versions` is the
        probability that the second view comes from any piece of the work
    start_from : weights of a head whose identity map is trained on; histograms that it did not read
        start with weight zero
    on_progress : called with the step, the loss and the in-batch accuracy
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = HandmadeHead(identity, style, taught)
    _set_scales(head, counted)
    if taught:
        fit_projection(head, label_sets(counted.records), _StyleViews(counted).draw, seed=seed)
    if start_from is not None:
        _take_identity(head, start_from)
    learned = [head.pattern_log_weight, head.mix]
    learned += [*head.pattern_map.parameters(), *head.statistic_map.parameters()]
    optimiser = torch.optim.AdamW(learned, lr=learning_rate, weight_decay=0.05)
    views = _Views(counted, versions)
    accuracy = 0.0

    def contrast(step: int) -> torch.Tensor:
        nonlocal accuracy
        pattern, features, works = views.batch(pairs, rng)
        loss, accuracy = nt_xent(head.identity(pattern, features), temperature, works)
        return loss

    fit(
        optimiser,
        steps,
        contrast,
        schedule=lambda step: min(1.0, (step + 1) / 30) * (1 - 0.95 * step / steps),
        on_step=lambda step, loss: on_progress(step, loss, accuracy),
    )
    return head.eval()


class _StyleViews:
    """Statistics of random parts of pieces, as they are and altered."""

    def __init__(self, counted: CountedCorpus) -> None:
        self.counted = counted

    def draw(self, pieces: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """Statistics [k, columns] of a view of each of k pieces: half of them whole, a quarter altered."""
        sums = []
        for piece in pieces.tolist():
            variants = self.counted.ranges[piece]
            first, last = variants[0 if rng.random() < 0.75 else rng.integers(len(variants))]
            if rng.random() < 0.5:
                size = max(1, round((last - first) * rng.uniform(0.2, 1)))
                first += int(rng.integers(last - first - size + 1))
                last = first + size
            sums.append(self.counted.statistic[first:last].astype(np.float32).sum(0))
        return statistics(np.stack(sums))


def _take_identity(head: HandmadeHead, weights: Mapping[str, torch.Tensor]) -> None:
    """Take over an identity map; it reads the same histograms, or the first of them."""
    with torch.no_grad():
        head.pattern_log_weight.copy_(weights["pattern_log_weight"])
        head.mix.copy_(weights["mix"])
        head.pattern_map.weight.copy_(weights["pattern_map.weight"])
        head.statistic_map.bias.copy_(weights["statistic_map.bias"])
        known = weights["statistic_map.weight"]
        head.statistic_map.weight.zero_()
        head.statistic_map.weight[:, : known.shape[1]] = known


def _set_scales(head: HandmadeHead, counted: CountedCorpus) -> None:
    """Weights of patterns from their document frequency; scales and axes of the statistics."""
    whole = [variants[0] for variants in counted.ranges]
    frequency = np.zeros(PATTERN_BINS)
    for first, last in whole:
        frequency[np.unique(counted.bins[counted.ends[first] : counted.ends[last]])] += 1
    rarity = np.log((len(whole) + 1) / (frequency + 1)) + 0.1
    rows = statistics(np.stack([counted.statistic[a:b].astype(np.float32).sum(0) for a, b in whole]))
    short = statistics(counted.statistic[:: max(1, len(counted.statistic) // 20_000)].astype(np.float32))
    mean, sd = rows.mean(0), 0.5 * (rows.std(0) + short.std(0)) + 0.01
    standard = np.clip((rows - mean) / sd, -CLIP, CLIP)
    axes = style_axes(standard, counted.works, len(head.get_buffer("style_axes")))
    with torch.no_grad():
        head.pattern_log_weight.copy_(torch.from_numpy(np.log(rarity)))
        for name, value in (("statistic_mean", mean), ("statistic_sd", sd), ("style_axes", axes)):
            head.get_buffer(name).copy_(torch.from_numpy(value))
