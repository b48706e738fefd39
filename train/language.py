"""Language models of notes: bits a note on held-out pieces, and the Markov chains that they have to beat.

Bits: every note is scored once. The model reads windows of its context that overlap by half; a window scores
its later half, the first one all of it. Nothing is altered. The first note of a piece is given; its end is an
event like a note.

Markov chains: a note is predicted as the transformer does it, p(gap) p(pitch | gap) p(duration | gap, pitch)
p(velocity | gap, pitch, duration). Each factor is conditioned on the attributes of the note that are known,
and on its own attribute in the last `order` notes. Long contexts back off to shorter ones by absolute
discounting (Ney, Essen and Kneser 1994), p(x | c) = (max(n(c, x) - d, 0) + d t(c) p(x | shorter c)) / n(c),
with n(c) values seen after c, t(c) of them different; the shortest context backs off to equal probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from embedder.core.arrays import FloatArray, IntArray
from embedder.generation.language_model import NoteLanguage
from embedder.tokens import ATTRIBUTES, END, to_tokens

from .corpus import Corpus

__all__ = ["NoteChain", "language_bits", "split_tokens", "with_end"]

ROWS = 16
IGNORE = -100
Tokens = NDArray[np.uint8]


def split_tokens(corpus: Corpus, split: str, max_pieces: int | None = None, seed: int = 0) -> list[Tokens]:
    """Token rows [n + 1, 4] with ends of the pieces of a split, or of `max_pieces` drawn at random."""
    pieces = corpus.indices(split)
    pieces = pieces[corpus.sizes[pieces] >= 2]
    if max_pieces is not None and max_pieces < len(pieces):
        pieces = np.sort(np.random.default_rng(seed).choice(pieces, max_pieces, replace=False))
    return [with_end(to_tokens(corpus.notes(int(piece)))) for piece in pieces]


@torch.inference_mode()
def language_bits(language: NoteLanguage, pieces: Sequence[Tokens]) -> FloatArray:
    """Bits [4] of each attribute, an event: the sum over all notes and ends, divided by their number.

    `pieces` are token rows with ends, as of `split_tokens`.
    """
    device = language.model.norm.weight.device
    total = np.zeros(len(ATTRIBUTES))
    events = 0
    for given, target in _batches(pieces, language.context):
        following = torch.from_numpy(np.maximum(target, 0)).to(device)
        targets = torch.from_numpy(target).to(device)
        hidden = language.model(torch.from_numpy(given).to(device))
        for attribute in range(len(ATTRIBUTES)):
            logits = language.model.next_logits(hidden, following, attribute).float()
            total[attribute] += functional.cross_entropy(
                logits.flatten(0, 1), targets[..., attribute].flatten(), ignore_index=IGNORE, reduction="sum"
            ).item()
        events += int((target[..., 0] != IGNORE).sum())
    bits: FloatArray = total / np.log(2) / events
    return bits


def _batches(pieces: Sequence[Tokens], context: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Windows [b, n, 4] and what follows each of their notes, `IGNORE` where that is not scored."""
    windows = [window for piece in pieces for window in _windows(piece.astype(np.int64), context)]
    windows.sort(key=lambda window: -len(window[0]))  # windows of like length share a batch
    for first in range(0, len(windows), ROWS):
        some = windows[first : first + ROWS]
        given = np.zeros((len(some), len(some[0][0]), len(ATTRIBUTES)), np.int64)
        target = np.full_like(given, IGNORE)
        for row, (notes, following) in enumerate(some):
            given[row, : len(notes)], target[row, : len(notes)] = notes, following
        yield given, target


def _windows(piece: NDArray[np.int64], context: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    end, half = len(piece) - 1, context // 2
    for begin in range(0, max(end - half, 1), half):
        last = min(begin + context, end)
        given, following = piece[begin:last].copy(), piece[begin + 1 : last + 1].copy()
        given[0, 0] = 0  # a window begins its own time
        following[following[:, 0] == END, 1:] = IGNORE
        if begin:
            following[: context - half] = IGNORE  # scored by the window before
        yield given, following


BITS = 8  # of a value in a code; no attribute has more than 128, and 0 stands for none


@dataclass(frozen=True)
class _Counts:
    """How often each value followed each context, as sorted codes of context and value together."""

    codes: IntArray
    counts: IntArray

    @classmethod
    def of(cls, contexts: IntArray, values: IntArray) -> _Counts:
        codes, counts = np.unique(contexts << BITS | values, return_counts=True)
        return cls(codes, counts)

    def back_off(
        self, contexts: IntArray, values: IntArray, shorter: FloatArray, discount: float
    ) -> FloatArray:
        """p(value | context) [n], given the same of shorter contexts [n]."""
        first = np.searchsorted(self.codes, contexts << BITS)
        last = np.searchsorted(self.codes, (contexts + 1) << BITS)
        seen = np.append(0, np.cumsum(self.counts))
        total, kinds = seen[last] - seen[first], last - first
        at = np.minimum(np.searchsorted(self.codes, contexts << BITS | values), len(self.codes) - 1)
        own = np.where(self.codes[at] == contexts << BITS | values, self.counts[at], 0)
        discounted = np.maximum(own - discount, 0) + discount * kinds * shorter
        probabilities: FloatArray = np.where(total > 0, discounted / np.maximum(total, 1), shorter)
        return probabilities

    def back_off_all(self, context: int, shorter: FloatArray, discount: float) -> FloatArray:
        """p(value | one context) for all values [v]."""
        first, last = np.searchsorted(self.codes, [context << BITS, (context + 1) << BITS])
        if first == last:
            return shorter
        own = np.zeros(len(shorter))
        own[self.codes[first:last] & ((1 << BITS) - 1)] = self.counts[first:last]
        discounted = np.maximum(own - discount, 0) + discount * (last - first) * shorter
        probabilities: FloatArray = discounted / own.sum()
        return probabilities


class NoteChain:
    """A chain of some order; order 0 knows the note's own attributes alone or, without them, nothing.

    Parameters
    ----------
    pieces : token rows [n, 4] of the pieces to learn from, each with its end (`with_end`)
    order : notes that are looked back on
    known : how many of the attributes of the note that are known are looked at; 0 is a plain unigram model
        where the order is 0
    discount : in 0..1, what each count gives to the shorter context; may be changed later
    """

    def __init__(
        self, pieces: Sequence[Tokens], order: int = 3, known: int = 1, discount: float = 0.9
    ) -> None:
        self.order, self.known, self.discount = order, known, discount
        self._levels: list[list[_Counts]] = []
        for attribute in range(len(ATTRIBUTES)):
            rows, values, lags = _events(pieces, attribute, order)
            self._levels.append(
                [_Counts.of(context, values) for context in self._contexts(rows, lags, attribute)]
            )

    def _contexts(self, rows: IntArray, lags: IntArray, attribute: int) -> Iterator[IntArray]:
        """Codes [n] of contexts, from short to long."""
        context = np.ones(len(rows), np.int64)  # so that codes of different lengths differ
        yield context
        for known in range(min(attribute, self.known)):
            context = context << BITS | rows[:, known]
        if attribute and self.known:
            yield context
        for lag in range(lags.shape[1]):
            context = context << BITS | lags[:, lag]
            yield context

    def bits(self, pieces: Sequence[Tokens], order: int | None = None) -> FloatArray:
        """Bits [4] of each attribute, an event: the sum over all notes and ends, divided by their number.

        `order` may be smaller than the chain's, which is then used as one of that order.
        """
        total = np.zeros(len(ATTRIBUTES))
        for attribute, size in enumerate(ATTRIBUTES.values()):
            rows, values, lags = _events(pieces, attribute, self.order if order is None else order)
            probability = np.full(len(values), 1 / size)
            levels = self._levels[attribute]
            for counts, context in zip(levels, self._contexts(rows, lags, attribute), strict=False):
                probability = counts.back_off(context, values, probability, self.discount)
            total[attribute] = -np.log2(probability).sum()
            if attribute == 0:
                events = len(values)
        bits: FloatArray = total / events
        return bits

    def draw(self, last: Tokens, rng: np.random.Generator) -> IntArray | None:
        """A note [4] that follows token rows [n, 4], or None for the end of the piece."""
        note = np.zeros((1, len(ATTRIBUTES)), np.int64)
        lags = np.zeros((1, self.order, len(ATTRIBUTES)), np.int64)
        for lag in range(min(self.order, len(last))):
            lags[0, lag] = last[-1 - lag].astype(np.int64) + 1
        for attribute, size in enumerate(ATTRIBUTES.values()):
            probability = np.full(size, 1 / size)
            contexts = self._contexts(note, lags[:, :, attribute], attribute)
            for counts, context in zip(self._levels[attribute], contexts, strict=True):
                probability = counts.back_off_all(int(context[0]), probability, self.discount)
            note[0, attribute] = rng.choice(size, p=probability / probability.sum())
            if attribute == 0 and note[0, 0] == END:
                return None
        drawn: IntArray = note[0]
        return drawn


def with_end(tokens: Tokens) -> Tokens:
    """Token rows of a piece [n, 4] with a last row that stands for its end."""
    end = np.zeros((1, len(ATTRIBUTES)), np.uint8)
    end[0, 0] = END
    return np.concatenate([tokens, end])


def _events(pieces: Sequence[Tokens], attribute: int, order: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows [n, 4], values [n] and earlier values [n, order] of all that is predicted of an attribute.

    The first note of a piece is given. An end has a gap and nothing else. Earlier values are counted from 1,
    and 0 stands for what is before the piece.
    """
    rows, lags = [], []
    for piece in pieces:
        some = piece if attribute == 0 else piece[piece[:, 0] != END]
        values = some[:, attribute].astype(np.int64)
        before = np.zeros((len(some), order), np.int64)
        for lag in range(order):
            before[lag + 1 :, lag] = values[: len(values) - lag - 1] + 1
        rows.append(some[1:])
        lags.append(before[1:])
    joined = np.concatenate(rows).astype(np.int64)
    return joined, joined[:, attribute], np.concatenate(lags)
