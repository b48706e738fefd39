"""Tasks about single notes: which voice it belongs to, how loud it is played. Linear heads on frozen states.

Songs are those of a corpus with voices (`train.voices`); heads learn on its training songs and are measured
on its test songs. For loudness all velocities are made equal before a system reads the notes.
"""

from __future__ import annotations

import warnings

import numpy as np

from embedder.core.arrays import FloatRows, IntArray

from ..corpus import Corpus
from ..voices import loudness, voices_of
from .systems import DescribeNotes

__all__ = ["note_accuracy"]

SONGS = 60  # that a head learns from, and is measured on
NOTES = 30_000  # that it learns from
EVEN_VELOCITY = 64


def note_accuracy(task: str, describe: DescribeNotes, corpus: Corpus, seed: int = 0) -> float | None:
    """Accuracy over the notes of test songs of a linear head on `describe`; None if all notes of the training
    songs are of one class.

    Parameters
    ----------
    task : "melody" (the voice of a note) or "velocity" (its degree of loudness)
    """
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
    test_rows, test_classes = _described(task, describe, corpus, "test", seed)
    return float((head.predict((test_rows - mean) / scale) == test_classes).mean())


def _described(
    task: str, describe: DescribeNotes, corpus: Corpus, split: str, seed: int
) -> tuple[FloatRows, IntArray]:
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
