"""Folds for cross-validation in which all pieces of one work lie together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_FOLDS", "fold_of_rows", "splits", "works_of_classes"]

MOST_FOLDS = 5

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def works_of_classes(label: IntArray, work: IntArray, classes: int) -> IntArray:
    """How many works each class has, int64 [classes]."""
    pairs = np.unique(np.stack([label, work]), axis=1)
    return np.bincount(pairs[0], minlength=classes)


def fold_of_rows(label: IntArray, work: IntArray, folds: int = MOST_FOLDS, seed: int = 0) -> IntArray:
    """The fold of each row, int64 [n].

    Works are dealt to the folds class by class, the rarest first, each to the fold that has least of
    the class. So a class of two works or more is never all in one fold, which the stratified splitters that
    weigh all classes at once do not promise; a probe could not be scored on it then.

    Parameters
    ----------
    label, work : class and work of each row, int64 [n]
    """
    rng = np.random.default_rng(seed)
    works, row_work = np.unique(work, return_inverse=True)
    classes = int(label.max()) + 1
    counts = np.zeros((len(works), classes), dtype=np.int64)
    np.add.at(counts, (row_work, label), 1)
    of_work = counts.argmax(1)
    held = np.zeros((folds, classes), dtype=np.int64)
    size = np.zeros(folds, dtype=np.int64)
    fold = np.zeros(len(works), dtype=np.int64)
    for one in np.argsort(np.bincount(of_work, minlength=classes), kind="stable"):
        mine = rng.permutation(np.flatnonzero(of_work == one))
        for w in mine[np.argsort(-counts[mine].sum(1), kind="stable")]:
            best = min(range(folds), key=lambda f: (held[f, one], size[f]))
            fold[w] = best
            held[best] += counts[w]
            size[best] += counts[w].sum()
    return fold[row_work]


def splits(fold: IntArray) -> Iterator[tuple[BoolArray, BoolArray]]:
    """(rows to train on, rows to test on) of every fold that holds any."""
    for number in np.unique(fold):
        test = fold == number
        yield ~test, test
