"""How good a probe is: nested cross-validation with works kept together, beside rivals on the same folds.

The strength of regularisation and the calibration are chosen anew inside each training part, so nothing of
a tested piece has a say in its own prediction. Rivals are the majority class and the same kind of probe on
plain hand-made statistics of the notes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .classifier import fit
from .folds import fold_of_rows, splits
from .records import ClassScore, ProbeScores, Rival

__all__ = ["calibration_error", "cross_validate", "majority_of", "score_of"]

_BINS = 10

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


def cross_validate(
    rows: FloatArray,
    label: IntArray,
    work: IntArray,
    classes: int,
    told: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float64], IntArray]:
    """Probabilities of the classes for every row from probes that did not see its work, and its fold.

    Returns
    -------
    float64 [n, classes], int64 [n]
    """
    fold = fold_of_rows(label, work)
    said = np.zeros((len(rows), classes))
    parts = list(splits(fold))
    for done, (train, test) in enumerate(parts, 1):
        probe = fit(rows[train], label[train], work[train], classes)
        said[test] = probe.probabilities(rows[test])
        if told is not None:
            told(done, len(parts))
    return said, fold


def majority_of(label: IntArray, fold: IntArray, classes: int) -> IntArray:
    """For each row the class that is the most frequent in the other folds."""
    said = np.zeros(len(label), dtype=np.int64)
    for train, test in splits(fold):
        said[test] = np.bincount(label[train], minlength=classes).argmax()
    return said


def confusion_of(label: IntArray, said: IntArray, classes: int) -> IntArray:
    """Counts, rows true and columns said, int64 [classes, classes]."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (label, said), 1)
    return counts


def _per_class(confusion: IntArray) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 of each class; zero where a class is never said or never true."""
    right = np.diag(confusion).astype(np.float64)
    precision = right / np.maximum(confusion.sum(0), 1)
    recall = right / np.maximum(confusion.sum(1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return precision, recall, f1


def rival_of(label: IntArray, said: IntArray, classes: int) -> Rival:
    confusion = confusion_of(label, said, classes)
    return Rival(float((label == said).mean()), float(_per_class(confusion)[2].mean()))


def calibration_error(said: NDArray[np.floating], label: IntArray) -> float:
    """Expected calibration error of the likeliest class: ten bins of equal width, weighted by their rows."""
    sure = said.max(1)
    right = said.argmax(1) == label
    which = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gap = np.bincount(which, right - sure, minlength=_BINS)
    return float(np.abs(gap).sum() / len(label))


def score_of(
    said: NDArray[np.floating],
    label: IntArray,
    fold: IntArray,
    work: IntArray,
    names: tuple[str, ...],
    grouping: str,
    handmade: NDArray[np.floating] | None,
) -> ProbeScores:
    """The scores of cross-validated probabilities [n, classes] beside their rivals."""
    classes = len(names)
    guess = said.argmax(1)
    confusion = confusion_of(label, guess, classes)
    precision, recall, f1 = _per_class(confusion)
    count = np.bincount(label, minlength=classes)
    return ProbeScores(
        folds=len(np.unique(fold)),
        grouping=grouping,
        works=len(np.unique(work)),
        pieces=len(label),
        accuracy=float((guess == label).mean()),
        macro_f1=float(f1.mean()),
        calibration_error=calibration_error(said, label),
        majority=rival_of(label, majority_of(label, fold, classes), classes),
        handmade=None if handmade is None else rival_of(label, handmade.argmax(1), classes),
        per_class=tuple(
            ClassScore(name, int(count[i]), float(precision[i]), float(recall[i]), float(f1[i]))
            for i, name in enumerate(names)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )
