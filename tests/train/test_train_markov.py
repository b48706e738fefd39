"""Markov chains and bits a note: probabilities that add up, and sums that count every note once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from embedder.generation.language_model import load_language
from embedder.tokens import ATTRIBUTES, END
from tests.support.aria_models import tiny_language
from train.corpus import Corpus
from train.language import NoteChain, _windows, language_bits, split_tokens, with_end


def made_piece(seed: int, count: int = 120) -> np.ndarray:
    """A pattern of four notes that repeats, with some noise in the velocities."""
    rng = np.random.default_rng(seed)
    rows = np.tile([[10, 60, 20, 16], [0, 64, 20, 16], [0, 67, 25, 16], [12, 72, 30, 16]], (count // 4, 1))
    rows[:, 3] += rng.integers(0, 3, len(rows))
    return with_end(rows.astype(np.uint8))


def test_probabilities_of_all_values_add_up() -> None:
    chain = NoteChain([made_piece(0), made_piece(1)])
    shorter = np.full(128, 1 / 128)
    for context in (1, 1 << 8 | 61, 12345):
        for counts in chain._levels[1]:
            probabilities = counts.back_off_all(context, shorter, 0.8)
            assert probabilities.sum() == pytest.approx(1)
            each = counts.back_off(np.full(128, context), np.arange(128), shorter, 0.8)
            np.testing.assert_allclose(each, probabilities)


def test_longer_contexts_predict_a_pattern_better() -> None:
    train, test = [made_piece(seed) for seed in range(6)], [made_piece(9)]
    unigram = NoteChain(train, order=0, known=0).bits(test)
    chains = [NoteChain(train, order=order).bits(test).sum() for order in (0, 1, 3)]
    assert unigram.sum() > chains[0] > chains[1] > chains[2]
    pitches = train[0][1:-1, 1]
    shares = np.unique(pitches, return_counts=True)[1] / len(pitches)
    entropy = -(shares * np.log2(shares)).sum()
    assert unigram[1] == pytest.approx(
        entropy, abs=0.15
    )  # of the pitches, a little more for what is not seen


def test_a_chain_draws_what_it_has_heard() -> None:
    chain = NoteChain([made_piece(seed) for seed in range(3)])
    rng = np.random.default_rng(0)
    piece = made_piece(0)[:8]
    heard = []
    for _ in range(200):
        note = chain.draw(piece, rng)
        if note is not None:
            piece = np.concatenate([piece, note[None].astype(np.uint8)])
            heard.append(int(note[1]))
    assert np.isin(heard, [60, 64, 67, 72]).mean() > 0.9
    assert chain.draw(made_piece(0)[:0], rng) is not None


def test_every_note_is_scored_once() -> None:
    for count in (1, 2, 5, 8, 9, 12, 13, 16, 17, 40):
        piece = np.arange(count + 1)[:, None] * np.ones((1, 4), np.int64)
        piece[-1] = [END, 0, 0, 0]
        piece[piece[:, 0] == END, 1:] = 0
        scored = [row[0] for given, wanted in _windows(piece, 8) for row in wanted if row[0] != -100]
        assert scored == [*range(1, count), END]


def test_bits_of_a_model_are_its_mean_log_likelihood(tmp_path: Path, corpus: Corpus) -> None:
    language = load_language(tiny_language(tmp_path / "lm", context=32), "cpu")
    piece = split_tokens(corpus, "validation")[0][-20:]  # one window
    bits = language_bits(language, [piece])
    with torch.inference_mode():
        given = torch.from_numpy(piece[:-1].astype(np.int64))[None].clone()
        given[:, 0, 0] = 0
        hidden = language.model(given)
        total = np.zeros(4)
        for place in range(len(piece) - 1):
            following = torch.from_numpy(piece[place + 1].astype(np.int64))
            for attribute in range(1 if piece[place + 1, 0] == END else len(ATTRIBUTES)):
                logits = language.model.next_logits(hidden[0, place], following, attribute)
                total[attribute] -= float(logits.log_softmax(-1)[following[attribute]]) / np.log(2)
    np.testing.assert_allclose(bits, total / (len(piece) - 1), rtol=1e-4)
    np.testing.assert_allclose(language_bits(language, [piece, piece]), bits, rtol=1e-5)


def test_splits_are_drawn_the_same_each_time(corpus: Corpus) -> None:
    few = split_tokens(corpus, "train", 3)
    assert len(few) == 3
    assert all((a == b).all() for a, b in zip(few, split_tokens(corpus, "train", 3), strict=True))
    assert all(piece[-1].tolist() == [END, 0, 0, 0] for piece in few)
