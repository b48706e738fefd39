"""Tasks about single notes: the voice it belongs to, how loud it is played. Linear heads on frozen states.

Songs are those of a corpus with voices (`train.voices`); heads learn on its training songs and are measured
on its test songs. For loudness the velocities are made equal before anything sees them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes
from embedder.voices import surroundings

from ..corpus import Corpus
from ..voices import loudness, voices_of

__all__ = ["NOTE_TASKS", "note_accuracy", "plain_numbers"]

# What each asks.
NOTE_TASKS = {"melody": "melody, bridge or piano", "velocity": "which of six degrees of loudness"}
SONGS = 60  # that a head learns from, and is measured on
NOTES = 30_000  # that it learns from
EVEN_VELOCITY = 64

Describe = Callable[[Notes], NDArray[np.float32]]


def plain_numbers(notes: Notes) -> NDArray[np.float32]:
    """The hand-made row: every note's own pitch, duration and loudness, and its surroundings."""
    own = np.stack([notes.pitch / 12, np.log2(notes.duration), notes.velocity / 16], axis=1)
    return np.concatenate([own.astype(np.float32), surroundings(notes)], axis=1)


def note_accuracy(task: str, describe: Describe, corpus: Corpus, seed: int = 0) -> float | None:
    """Share of the notes of test songs that a linear head on `describe` [n, d] names rightly; None if all
    notes of the training songs are of one class."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    rows, classes = _described(task, describe, corpus, "train", seed)
    if len(np.unique(classes)) < 2:
        return None
    kept = np.random.default_rng(seed).permutation(len(rows))[:NOTES]
    mean, scale = rows.mean(0), rows.std(0) + 1e-3
    head = LogisticRegression(C=1.0, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # all systems stop at the same step
        head.fit((rows[kept] - mean) / scale, classes[kept])
    asked, right = _described(task, describe, corpus, "test", seed)
    return float((head.predict((asked - mean) / scale) == right).mean())


def _described(
    task: str, describe: Describe, corpus: Corpus, split: str, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    voices = voices_of(corpus)
    rows, classes = [], []
    for i in np.random.default_rng([seed, 1]).permutation(corpus.indices(split))[:SONGS].tolist():
        notes = corpus.notes(i)
        if task == "melody":
            classes.append(voices[corpus.offsets[i] : corpus.offsets[i + 1]].astype(np.int64))
        else:
            classes.append(loudness(notes.velocity).astype(np.int64))
            notes = notes.with_velocity(EVEN_VELOCITY)
        rows.append(describe(notes))
    return np.concatenate(rows), np.concatenate(classes)
