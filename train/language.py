"""How well a language model predicts held-out pieces: bits a note, every note scored once.

The model reads windows of its context that overlap by half; a window scores its later half, the first one all
of it. Nothing is altered. The first note of a piece is given; its end is an event like a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from embedder.generation.language_model import NoteLanguage
from embedder.tokens import ATTRIBUTES, END, to_tokens

from .corpus import Corpus
from .markov import with_end

__all__ = ["language_bits", "split_tokens"]

ROWS = 16
IGNORE = -100
Tokens = NDArray[np.uint8]


def split_tokens(corpus: Corpus, split: str, most: int | None = None, seed: int = 0) -> list[Tokens]:
    """Token rows [n + 1, 4] with ends of the pieces of a split, or of `most` of them drawn at random."""
    pieces = corpus.indices(split)
    pieces = pieces[corpus.sizes[pieces] >= 2]
    if most is not None and most < len(pieces):
        pieces = np.sort(np.random.default_rng(seed).choice(pieces, most, replace=False))
    return [with_end(to_tokens(corpus.notes(int(piece)))) for piece in pieces]


@torch.inference_mode()
def language_bits(language: NoteLanguage, pieces: Sequence[Tokens]) -> NDArray[np.float64]:
    """Bits [4] of each attribute, an event: the sum over all notes and ends, divided by their number.

    `pieces` are token rows with ends, as of `split_tokens`.
    """
    device = language.model.norm.weight.device
    total = np.zeros(len(ATTRIBUTES))
    events = 0
    for given, wanted in _batches(pieces, language.context):
        following = torch.from_numpy(np.maximum(wanted, 0)).to(device)
        targets = torch.from_numpy(wanted).to(device)
        hidden = language.model(torch.from_numpy(given).to(device))
        for attribute in range(len(ATTRIBUTES)):
            logits = language.model.next_logits(hidden, following, attribute).float()
            total[attribute] += functional.cross_entropy(
                logits.flatten(0, 1), targets[..., attribute].flatten(), ignore_index=IGNORE, reduction="sum"
            ).item()
        events += int((wanted[..., 0] != IGNORE).sum())
    bits: NDArray[np.float64] = total / np.log(2) / events
    return bits


def _batches(pieces: Sequence[Tokens], context: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Windows [b, n, 4] and what follows each of their notes, `IGNORE` where that is not scored."""
    windows = [window for piece in pieces for window in _windows(piece.astype(np.int64), context)]
    windows.sort(key=lambda window: -len(window[0]))  # windows of like length share a batch
    for first in range(0, len(windows), ROWS):
        some = windows[first : first + ROWS]
        given = np.zeros((len(some), len(some[0][0]), len(ATTRIBUTES)), np.int64)
        wanted = np.full_like(given, IGNORE)
        for row, (notes, following) in enumerate(some):
            given[row, : len(notes)], wanted[row, : len(notes)] = notes, following
        yield given, wanted


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
