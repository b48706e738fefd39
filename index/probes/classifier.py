"""Logistic regression on vectors: its strength chosen by cross-validation, its probabilities calibrated.

Classes weigh alike in the fit, however many labels each has. The fit is then calibrated on what it says of
pieces that it was not trained on: one temperature for all classes (Guo et al. 2017, "On calibration of modern
neural networks"), and how far to go back to the frequencies of the labels that equal weights had taken out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .folds import fold_of_rows, splits

__all__ = ["STRENGTHS", "Linear", "fit", "fit_plainly", "softmax"]

# How little is regularised (scikit-learn's C) on rows of mean square length one, weakest last.
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)
_INNER_FOLDS = 4
_ITERATIONS = 400
_TEMPERATURES = np.geomspace(0.1, 10, 41)
_PRIORS = np.linspace(0, 1, 5)
_IMPOSSIBLE = -1e4

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Logits = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """A calibrated linear probe.

    Attributes
    ----------
    weights : float32 [classes, dim]
    bias : float32 [classes]
    strength : the C that was chosen
    temperature : what logits are divided by
    offset : float32 [classes], added after that: the frequencies of the labels, as far as they help
    """

    weights: FloatArray
    bias: FloatArray
    strength: float
    temperature: float
    offset: FloatArray

    def calibrated(self, raw: FloatArray) -> FloatArray:
        """Calibrated logits of raw ones, float32 [n, classes]."""
        logits: FloatArray = raw / np.float32(self.temperature) + self.offset
        return logits

    def probabilities(self, rows: FloatArray) -> FloatArray:
        """Probabilities of the classes for rows [n, dim], float32 [n, classes]."""
        return softmax(self.calibrated(rows @ self.weights.T + self.bias))


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of logits [n, classes]."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    shares: FloatArray = shifted / shifted.sum(1, keepdims=True)
    return shares


def fit_plainly(
    rows: FloatArray, label: IntArray, classes: int, strength: float
) -> tuple[FloatArray, FloatArray]:
    """Weights [classes, dim] and bias [classes] without calibration; a class without rows is impossible."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((classes, rows.shape[1]), dtype=np.float32)
    bias = np.full(classes, _IMPOSSIBLE, dtype=np.float32)
    present = np.unique(label)
    if len(present) == 1:
        bias[present] = 0.0
        return weights, bias
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=_ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a little short of the best is as good here
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # a few labels of many
        model.fit(rows, label)
    if len(present) == 2:  # one column says both: half of it for, half against
        half, middle = model.coef_[0] / 2, model.intercept_[0] / 2
        weights[present], bias[present] = np.stack([-half, half]), np.array([-middle, middle])
    else:
        weights[present], bias[present] = model.coef_, model.intercept_
    return weights, bias


def fit(rows: FloatArray, label: IntArray, work: IntArray, classes: int) -> Linear:
    """A probe whose strength and calibration come from folds that keep works together.

    Parameters
    ----------
    rows : float32 [n, dim]
    label, work : int64 [n]; each class has at least two works, or cross-validation says nothing of it
    """
    fold = fold_of_rows(label, work, _INNER_FOLDS)
    prior = _log_frequencies(label, classes)
    best: tuple[float, float, float, float] | None = None
    for strength in STRENGTHS:
        held_out, known = _held_out(rows, label, fold, classes, strength)
        loss, temperature, share = calibrate(held_out[known], label[known], prior)
        if best is None or loss < best[0]:
            best = loss, strength, temperature, share
    assert best is not None
    _, strength, temperature, share = best
    weights, bias = fit_plainly(rows, label, classes, strength)
    return Linear(weights, bias, strength, temperature, (share * prior).astype(np.float32))


def _held_out(
    rows: FloatArray, label: IntArray, fold: IntArray, classes: int, strength: float
) -> tuple[Logits, NDArray[np.bool_]]:
    """Logits of every row from fits without its fold, and whether its class was among what they knew."""
    logits = np.zeros((len(rows), classes))
    known = np.zeros(len(rows), dtype=bool)
    for train, test in splits(fold):
        if not train.any():
            continue
        weights, bias = fit_plainly(rows[train], label[train], classes, strength)
        logits[test] = rows[test] @ weights.T + bias
        known[test] = np.isin(label[test], label[train])
    return logits, known


def _log_frequencies(label: IntArray, classes: int) -> NDArray[np.float64]:
    """Logarithms of the classes' shares of the labels, their mean taken out."""
    share = np.log(np.bincount(label, minlength=classes) + 1.0)
    centred: NDArray[np.float64] = share - share.mean()
    return centred


def calibrate(logits: Logits, label: IntArray, prior: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean loss, temperature and share of the prior that fit held-out logits [n, classes] best.

    With few labels the temperature is drawn towards 1 and the share towards none.
    """
    if not len(label):
        return np.inf, 1.0, 0.0
    caution = 0.5 / len(label)  # as if half a label spoke for leaving the logits as they are
    best = (np.inf, 1.0, 0.0)
    at = np.arange(len(label))
    for share in _PRIORS if len(np.unique(prior)) > 1 else _PRIORS[:1]:
        for temperature in _TEMPERATURES:
            scaled = logits / temperature + share * prior
            top = scaled.max(1)
            loss = float((top + np.log(np.exp(scaled - top[:, None]).sum(1)) - scaled[at, label]).mean())
            loss += caution * (np.log(temperature) ** 2 + share**2)
            if loss < best[0]:
                best = (loss, float(temperature), float(share))
    return best
