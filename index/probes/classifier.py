"""Features and classifier of a probe: scaled vectors, and calibrated logistic regression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import FloatRows, IntArray

__all__ = ["FeatureScaling", "LinearClassifier", "fit_logistic_regression", "softmax"]

_MAX_ITERATIONS = 400
_IMPOSSIBLE_LOGIT = -1e4
_SCALING_SAMPLE = 20_000  # pieces from which mean and standard deviation are estimated


@dataclass(frozen=True)
class FeatureScaling:
    """Centring and half standardisation of the columns of a vector, estimated from the whole library.

    Each column is divided by the square root of its standard deviation. Unscaled, columns with little spread
    count for nothing; fully standardised, noise counts as much as signal. Half way was the most robust over
    four sets, with few labels and with many; whitening by neighbours or by the windows of a piece, and
    descriptors or hand-crafted statistics beside the vector, gained a point on one set and lost it on
    another. The unlabelled pieces of the library make this possible: a few labelled ones cannot tell the
    spread.

    Attributes
    ----------
    mean, factor : float32 [dim], subtracted first and multiplied then
    """

    mean: FloatRows
    factor: FloatRows

    @classmethod
    def fit(cls, vectors: NDArray[np.floating]) -> FeatureScaling:
        """The scaling for a library's vectors [n, dim], n at least 1."""
        sample = vectors
        if len(vectors) > _SCALING_SAMPLE:
            rows = np.random.default_rng(0).choice(len(vectors), _SCALING_SAMPLE, replace=False)
            sample = vectors[np.sort(rows)]
        sample = sample.astype(np.float32)
        mean, spread = sample.mean(0), sample.std(0)
        factor = np.where(spread > 1e-6, 1 / np.sqrt(np.maximum(spread, 1e-6)), 0.0)
        # Rows of mean square length 1, so that a value of C means the same for every library.
        length = float(np.sqrt((((sample - mean) * factor) ** 2).sum(1).mean()))
        return cls(mean, (factor / max(length, 1e-6)).astype(np.float32))

    def __call__(self, vectors: NDArray[np.floating]) -> FloatRows:
        """Scaled vectors [n, dim], float32."""
        scaled: FloatRows = (vectors.astype(np.float32) - self.mean) * self.factor
        return scaled


@dataclass(frozen=True)
class LinearClassifier:
    """Multinomial logistic regression with calibrated probabilities.

    The logits are divided by one temperature for all classes (Guo et al. 2017, "On calibration of modern
    neural networks") and shifted towards the frequencies of the labels, which the balanced class weights of
    the fit had taken out.

    Attributes
    ----------
    weights : float32 [classes, dim]
    bias : float32 [classes]
    C : inverse strength of regularisation, as in scikit-learn
    temperature : divisor of the logits
    log_prior : float32 [classes], added to the divided logits
    """

    weights: FloatRows
    bias: FloatRows
    C: float
    temperature: float
    log_prior: FloatRows

    def calibrate(self, logits: FloatRows) -> FloatRows:
        """Calibrated logits, float32 [n, classes]."""
        calibrated: FloatRows = logits / np.float32(self.temperature) + self.log_prior
        return calibrated

    def predict_proba(self, rows: FloatRows) -> FloatRows:
        """Probabilities of the classes for rows [n, dim], float32 [n, classes]."""
        return softmax(self.calibrate(rows @ self.weights.T + self.bias))


def softmax(logits: FloatRows) -> FloatRows:
    """Probabilities of logits [n, classes]."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: FloatRows = exponentials / exponentials.sum(1, keepdims=True)
    return probabilities


def fit_logistic_regression(
    rows: FloatRows, label: IntArray, classes: int, C: float
) -> tuple[FloatRows, FloatRows]:
    """Weights [classes, dim] and bias [classes] with balanced class weights, without calibration.

    Classes without rows get a logit of -10,000.

    Parameters
    ----------
    rows : float32 [n, dim], of mean square length about 1
    label : int64 [n], class numbers below `classes`
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((classes, rows.shape[1]), dtype=np.float32)
    bias = np.full(classes, _IMPOSSIBLE_LOGIT, dtype=np.float32)
    present = np.unique(label)
    if len(present) == 1:
        bias[present] = 0.0
        return weights, bias
    model = LogisticRegression(C=C, class_weight="balanced", max_iter=_MAX_ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is good enough here
        warnings.filterwarnings(
            "ignore", "The number of unique classes", UserWarning
        )  # many classes, few rows
        model.fit(rows, label)
    if len(present) == 2:
        # scikit-learn fits a single column for two classes: half of it for one, half against the other.
        half, middle = model.coef_[0] / 2, model.intercept_[0] / 2
        weights[present], bias[present] = np.stack([-half, half]), np.array([-middle, middle])
    else:
        weights[present], bias[present] = model.coef_, model.intercept_
    return weights, bias
