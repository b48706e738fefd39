"""Cross-validation with works kept together: folds, choice of C, calibration, and scores beside baselines.

Cross-validation is nested: C and the calibration are chosen anew inside each training part, so a test piece
never influences its own prediction. The baselines are the majority class and the same classifier on
hand-crafted statistics of the notes, on the same folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import BoolArray, FloatArray, FloatRows, IntArray

from .classifier import LinearClassifier, fit_logistic_regression
from .records import Baseline, ClassScore, ProbeScores

__all__ = [
    "cross_validate",
    "expected_calibration_error",
    "fit_calibrated",
    "group_folds",
    "score",
    "splits",
]

MAX_FOLDS = 5
# Grid of scikit-learn's C for rows of mean square length 1, strongest regularisation first.
C_GRID = (1.0, 3.0, 10.0, 30.0, 100.0)
_INNER_FOLDS = 4
_TEMPERATURES = np.geomspace(0.1, 10, 41)
_PRIOR_WEIGHTS = np.linspace(0, 1, 5)
_CALIBRATION_BINS = 10


# -- folds ------------------------------------------------------------------------------------------


def group_folds(label: IntArray, work: IntArray, folds: int = MAX_FOLDS, seed: int = 0) -> IntArray:
    """Stratified folds that keep works together: the fold of each row, int64 [n].

    Works are assigned class by class, the rarest class first, each to the fold that has the fewest of that
    class. So a class of at least two works never lies in a single fold, where it could not be scored;
    splitters that weigh all classes at once, such as scikit-learn's StratifiedGroupKFold, do not guarantee
    that.

    Parameters
    ----------
    label, work : class and work of each row, int64 [n]
    """
    rng = np.random.default_rng(seed)
    works, work_of_row = np.unique(work, return_inverse=True)
    classes = int(label.max()) + 1
    counts = np.zeros((len(works), classes), dtype=np.int64)
    np.add.at(counts, (work_of_row, label), 1)
    main_class = counts.argmax(1)
    in_fold = np.zeros((folds, classes), dtype=np.int64)
    size = np.zeros(folds, dtype=np.int64)
    fold = np.zeros(len(works), dtype=np.int64)
    for c in np.argsort(np.bincount(main_class, minlength=classes), kind="stable"):
        members = rng.permutation(np.flatnonzero(main_class == c))
        for w in members[np.argsort(-counts[members].sum(1), kind="stable")]:
            smallest = min(range(folds), key=lambda f: (in_fold[f, c], size[f]))
            fold[w] = smallest
            in_fold[smallest] += counts[w]
            size[smallest] += counts[w].sum()
    return fold[work_of_row]


def splits(fold: IntArray) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Training rows and test rows, bool [n] each, of every fold that is not empty."""
    for number in np.unique(fold):
        test = fold == number
        yield ~test, test


# -- fitting ----------------------------------------------------------------------------------------


def fit_calibrated(rows: FloatRows, label: IntArray, work: IntArray, classes: int) -> LinearClassifier:
    """A logistic regression whose C and calibration are chosen by cross-validation over works.

    Parameters
    ----------
    rows : float32 [n, dim]
    label, work : int64 [n]; a class of fewer than two works takes no part in the choice
    """
    fold = group_folds(label, work, _INNER_FOLDS)
    log_prior = _centred_log_frequencies(label, classes)
    best: tuple[float, float, float, float] | None = None
    for C in C_GRID:
        logits, known = _held_out_logits(rows, label, fold, classes, C)
        loss, temperature, weight = _fit_calibration(logits[known], label[known], log_prior)
        if best is None or loss < best[0]:
            best = loss, C, temperature, weight
    assert best is not None
    _, C, temperature, weight = best
    weights, bias = fit_logistic_regression(rows, label, classes, C)
    return LinearClassifier(weights, bias, C, temperature, (weight * log_prior).astype(np.float32))


def _held_out_logits(
    rows: FloatRows, label: IntArray, fold: IntArray, classes: int, C: float
) -> tuple[FloatArray, BoolArray]:
    """Logits of every row from fits without its fold, and whether these fits knew its class."""
    logits = np.zeros((len(rows), classes))
    known = np.zeros(len(rows), dtype=bool)
    for train, test in splits(fold):
        if not train.any():
            continue
        weights, bias = fit_logistic_regression(rows[train], label[train], classes, C)
        logits[test] = rows[test] @ weights.T + bias
        known[test] = np.isin(label[test], label[train])
    return logits, known


def _centred_log_frequencies(label: IntArray, classes: int) -> FloatArray:
    log_frequency = np.log(np.bincount(label, minlength=classes) + 1.0)
    centred: FloatArray = log_frequency - log_frequency.mean()
    return centred


def _fit_calibration(
    logits: FloatArray, label: IntArray, log_prior: FloatArray
) -> tuple[float, float, float]:
    """Mean loss, temperature and weight of the prior that fit held-out logits [n, classes] best.

    With few labels the temperature is drawn towards 1 and the weight towards 0.
    """
    if not len(label):
        return np.inf, 1.0, 0.0
    penalty = 0.5 / len(label)  # as much as half a label in favour of leaving the logits unchanged
    best = (np.inf, 1.0, 0.0)
    rows = np.arange(len(label))
    for weight in _PRIOR_WEIGHTS if len(np.unique(log_prior)) > 1 else _PRIOR_WEIGHTS[:1]:
        for temperature in _TEMPERATURES:
            scaled = logits / temperature + weight * log_prior
            top = scaled.max(1)
            loss = float((top + np.log(np.exp(scaled - top[:, None]).sum(1)) - scaled[rows, label]).mean())
            loss += penalty * (np.log(temperature) ** 2 + weight**2)
            if loss < best[0]:
                best = (loss, float(temperature), float(weight))
    return best


# -- scores -----------------------------------------------------------------------------------------


def cross_validate(
    rows: FloatRows,
    label: IntArray,
    work: IntArray,
    classes: int,
    on_fold: Callable[[int, int], None] | None = None,
) -> tuple[FloatArray, IntArray]:
    """Class probabilities of every row from a classifier that was not trained on its work, and its fold.

    Parameters
    ----------
    on_fold : called with the number of folds done and their total

    Returns
    -------
    float64 [n, classes], int64 [n]
    """
    fold = group_folds(label, work)
    probabilities = np.zeros((len(rows), classes))
    parts = list(splits(fold))
    for done, (train, test) in enumerate(parts, 1):
        classifier = fit_calibrated(rows[train], label[train], work[train], classes)
        probabilities[test] = classifier.predict_proba(rows[test])
        if on_fold is not None:
            on_fold(done, len(parts))
    return probabilities, fold


def score(
    probabilities: NDArray[np.floating],
    label: IntArray,
    fold: IntArray,
    work: IntArray,
    names: tuple[str, ...],
    grouping: str,
    handmade: NDArray[np.floating] | None,
) -> ProbeScores:
    """Scores of cross-validated probabilities [n, classes] beside the baselines.

    Parameters
    ----------
    names : of the classes
    grouping : how works were detected
    handmade : cross-validated probabilities from hand-crafted statistics, if there are any
    """
    classes = len(names)
    predicted = probabilities.argmax(1)
    confusion = _confusion_matrix(label, predicted, classes)
    precision, recall, f1 = _per_class(confusion)
    count = np.bincount(label, minlength=classes)
    return ProbeScores(
        folds=len(np.unique(fold)),
        grouping=grouping,
        works=len(np.unique(work)),
        pieces=len(label),
        accuracy=float((predicted == label).mean()),
        macro_f1=float(f1.mean()),
        calibration_error=expected_calibration_error(probabilities, label),
        majority=_baseline(label, _majority_class(label, fold, classes), classes),
        handmade=None if handmade is None else _baseline(label, handmade.argmax(1), classes),
        per_class=tuple(
            ClassScore(name, int(count[i]), float(precision[i]), float(recall[i]), float(f1[i]))
            for i, name in enumerate(names)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )


def _majority_class(label: IntArray, fold: IntArray, classes: int) -> IntArray:
    """For each row the most frequent class of the other folds."""
    predicted = np.zeros(len(label), dtype=np.int64)
    for train, test in splits(fold):
        predicted[test] = np.bincount(label[train], minlength=classes).argmax()
    return predicted


def _baseline(label: IntArray, predicted: IntArray, classes: int) -> Baseline:
    confusion = _confusion_matrix(label, predicted, classes)
    return Baseline(float((label == predicted).mean()), float(_per_class(confusion)[2].mean()))


def _confusion_matrix(label: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Counts, rows true and columns predicted, int64 [classes, classes]."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (label, predicted), 1)
    return counts


def _per_class(confusion: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 of each class; zero for a class that is never predicted or never true."""
    right = np.diag(confusion).astype(np.float64)
    precision = right / np.maximum(confusion.sum(0), 1)
    recall = right / np.maximum(confusion.sum(1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return precision, recall, f1


def expected_calibration_error(probabilities: NDArray[np.floating], label: IntArray) -> float:
    """Expected calibration error of the likeliest class: ten bins of equal width, weighted by their rows."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == label
    bin_of_row = np.minimum((confidence * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
    gap = np.bincount(bin_of_row, right - confidence, minlength=_CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(label))
