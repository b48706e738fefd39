"""Active learning: which pieces to label next, what the labels so far achieved, and what more would.

Pieces are chosen by transductive experimental design (Yu, Bi and Tresp 2006, "Active learning via
transductive experimental design"). Under a Gaussian process whose kernel is the cosine of the scaled vectors,
each choice is the piece whose label lowers the variance over all candidates most; then it counts as labelled.
So the choices are typical of many other pieces, and no two are alike. Candidates are weighted by the cube of
their uncertainty (1 minus the margin between the two likeliest classes). Before there are labels of two
classes all are equally uncertain, and the choices are simply varied and typical. The power was chosen on
composers of piano-midi.de and on game series: the labels needed for 90 % of full accuracy, as a share of
those that random choice needs, were 0.85 with the uncertainty itself, 0.77 with its square, 0.69 with its
cube, 0.77 and 0.81 with powers 4 and 6 (geometric means of both, 40 draws).

The learning curve is cross-validated accuracy with growing subsets of the labels. It is extrapolated as a
power law with a floor, error = floor + scale * labels ** -power, which linear classifiers on fixed vectors
follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from embedder.core.arrays import FloatRows, IntArray, unit_rows
from embedder.core.errors import TagError
from embedder.core.files import shortened

from ..tags import checked_name
from ..tags.schema import tags
from .classifier import FeatureScaling, fit_logistic_regression, softmax
from .crossval import group_folds, splits
from .dataset import Examples, PieceVectors, collect_examples, sample_rows, works_of
from .predict import first_paths, labelled_pieces
from .records import CurvePoint, Suggestion, Suggestions

__all__ = ["choose", "suggest", "uncertainty"]

MAX_CANDIDATES = 3_000
MAX_IN_CURVE = 600  # labels of the learning curve, which is recomputed after every few labels
_C = 10.0
_UNDECIDED = 0.35  # uncertainty above which a piece counts as undecided
_MIN_NORM = 1e-9

# Choice of pieces.
_NOISE = 0.03  # variance of a label, where a row's own is 1
_POWER = 3  # of the uncertainty
_MIN_WEIGHT = 0.01  # of a candidate whose class is certain

# Learning curve.
SHARES = (0.2, 0.35, 0.5, 0.7, 1.0)
FORECAST_FACTORS = (1.5, 2.0, 3.0, 5.0)
_DRAWS = 3
_POWERS = np.linspace(0.1, 1.0, 10)


@dataclass(frozen=True)
class _Model:
    """The labels so far and, where they are of two classes or more, a classifier fitted to them."""

    examples: Examples | None
    weights: FloatRows | None = None
    bias: FloatRows | None = None

    def predict_proba(self, rows: FloatRows) -> FloatRows | None:
        if self.weights is None or self.bias is None:
            return None
        return softmax(rows @ self.weights.T + self.bias)


def suggest(connection: Connection, name: str, k: int, library: PieceVectors) -> Suggestions:
    """Pieces to label next for a tag, which need not exist yet; see `Library.probes.suggest`."""
    tag_name = checked_name(name)
    tag = connection.execute(select(tags).where(tags.c.name == tag_name)).first()
    scaling = FeatureScaling.fit(library.vectors)
    model = _fit_model(connection, tag, library, scaling)
    labelled_ids = labelled_pieces(connection, tag)[0] if tag is not None else set()
    unlabelled = np.flatnonzero(~np.isin(library.piece_ids, sorted(labelled_ids)))
    candidates = _candidates(library, unlabelled, model, scaling)
    rows = scaling(library.vectors[candidates])
    probabilities = model.predict_proba(rows)
    doubt = np.ones(len(rows), dtype=np.float32) if probabilities is None else uncertainty(probabilities)
    labelled = rows[:0] if model.examples is None else scaling(model.examples.vectors)
    chosen = choose(rows, labelled, doubt, k)
    curve, further, sentence = _curve(connection, model, scaling)
    piece_ids = library.piece_ids[candidates[chosen]].tolist()
    paths = first_paths(connection, piece_ids)
    suggestions = []
    for rank, (piece_id, row) in enumerate(zip(piece_ids, chosen, strict=True), 1):
        of_row = None if probabilities is None else probabilities[row]
        value, probability, why = _reason(model, of_row, float(doubt[row]))
        suggestions.append(Suggestion(rank, piece_id, paths[piece_id], value, probability, why))
    return Suggestions(tag_name, tuple(suggestions), curve, further, sentence)


def _fit_model(
    connection: Connection, tag: Row[Any] | None, library: PieceVectors, scaling: FeatureScaling
) -> _Model:
    if tag is None:
        return _Model(None)
    try:
        examples = collect_examples(connection, tag, library)
    except TagError:  # no labelled piece is in the library: as if there were no labels
        return _Model(None)
    if len(np.unique(examples.label)) < 2:
        return _Model(examples)
    some = examples.subset(sample_rows(examples.label, MAX_CANDIDATES))
    fitted = fit_logistic_regression(scaling(some.vectors), some.label, len(examples.classes), _C)
    return _Model(examples, *fitted)


def _candidates(
    library: PieceVectors, unlabelled: IntArray, model: _Model, scaling: FeatureScaling
) -> IntArray:
    """Rows of the library to choose from: of very many, half the most uncertain and half at random."""
    if len(unlabelled) <= MAX_CANDIDATES:
        return unlabelled
    rng = np.random.default_rng(len(unlabelled))
    shuffled = rng.permutation(unlabelled)
    pool = shuffled[: 20 * MAX_CANDIDATES]
    if model.weights is None:
        return np.sort(shuffled[:MAX_CANDIDATES])
    probabilities = model.predict_proba(scaling(library.vectors[pool]))
    assert probabilities is not None
    most_uncertain = pool[np.argsort(-uncertainty(probabilities), kind="stable")[: MAX_CANDIDATES // 2]]
    return np.union1d(most_uncertain, shuffled[: MAX_CANDIDATES // 2])


def _reason(
    model: _Model, probabilities: FloatRows | None, doubt: float
) -> tuple[str | None, float | None, str]:
    """The present prediction for a piece, and why the piece was chosen."""
    if probabilities is None or model.examples is None:
        return None, None, "typical of pieces without similar labelled ones"
    order = np.argsort(-probabilities, kind="stable")
    first, second = (model.examples.classes[i] for i in order[:2])
    why = "similar to undecided pieces"
    if doubt > _UNDECIDED:
        why = f"undecided between {shortened(first)} and {shortened(second)}, and similar to other pieces"
    return first, round(float(probabilities[order[0]]), 4), why


# -- choice of pieces -------------------------------------------------------------------------------


def uncertainty(probabilities: FloatRows) -> FloatRows:
    """1 minus the margin between the two likeliest classes, float32 [n]; 1 where they are equally likely."""
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    doubt: FloatRows = 1 - (two[:, 1] - two[:, 0])
    return doubt


def choose(rows: FloatRows, labelled: FloatRows, doubt: FloatRows, k: int) -> IntArray:
    """Rows to label next, the most useful first, int64 [at most k].

    Parameters
    ----------
    rows : float32 [n, dim], scaled vectors of the candidates
    labelled : float32 [m, dim], scaled vectors of labelled pieces
    doubt : float32 [n], uncertainty of the candidates
    """
    covariance = _posterior_covariance(unit_rows(rows, _MIN_NORM), unit_rows(labelled, _MIN_NORM))
    weight = np.maximum(doubt**_POWER, np.float32(_MIN_WEIGHT))
    is_open = np.ones(len(rows), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(k, len(rows))):
        gain = weight @ np.square(covariance) / (np.diag(covariance) + _NOISE)
        gain[~is_open] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        is_open[best] = False
        explained = covariance[best] / np.sqrt(covariance[best, best] + np.float32(_NOISE))
        covariance -= np.outer(explained, explained)
    return np.array(chosen, dtype=np.int64)


def _posterior_covariance(unit: FloatRows, labelled: FloatRows) -> FloatRows:
    """Covariances of the predictions of unit rows [n, dim] given the labels of others, [n, n]."""
    if not len(labelled):
        return unit @ unit.T
    known = labelled.astype(np.float64)
    precision = np.eye(known.shape[1]) + known.T @ known / _NOISE
    factor = np.linalg.inv(np.linalg.cholesky(precision))  # its product with itself is the covariance
    projected = (unit @ factor.T).astype(np.float32)
    return projected @ projected.T


# -- learning curve ---------------------------------------------------------------------------------


def _curve(
    connection: Connection, model: _Model, scaling: FeatureScaling
) -> tuple[tuple[CurvePoint, ...], tuple[CurvePoint, ...], str]:
    """Learning curve, forecast and a sentence; both empty where there are too few labels."""
    if model.examples is None:
        return (), (), "no labels yet: these pieces are varied, and each is typical of many others"
    some = model.examples.subset(sample_rows(model.examples.label, MAX_IN_CURVE))
    works = works_of(connection, some.pieces.tolist())
    work = np.array([works[int(piece)] for piece in some.pieces], dtype=np.int64)
    try:
        some, work = some.with_enough_works(work)
    except TagError as error:
        return (), (), str(error)
    curve = learning_curve(scaling(some.vectors), some.label, work, len(some.classes))
    further = forecast(curve)
    return curve, further, _forecast_sentence(curve, further)


def learning_curve(rows: FloatRows, label: IntArray, work: IntArray, classes: int) -> tuple[CurvePoint, ...]:
    """Accuracy on held-out works with growing subsets of the labels of the others.

    The last point uses all labels. Numbers of labels are scaled to the whole: a fold trains on four fifths.
    """
    accuracies: dict[float, list[float]] = {share: [] for share in SHARES}
    for draw in range(_DRAWS):
        rng = np.random.default_rng(draw)
        for train, test in splits(group_folds(label, work, seed=draw)):
            order = rng.permutation(np.flatnonzero(train))
            for share in SHARES:
                some = order[: max(2, round(share * len(order)))]
                weights, bias = fit_logistic_regression(rows[some], label[some], classes, _C)
                right = (rows[test] @ weights.T + bias).argmax(1) == label[test]
                accuracies[share].append(float(right.mean()))
    return tuple(
        CurvePoint(max(2, round(share * len(label))), float(np.mean(drawn)), float(np.std(drawn)))
        for share, drawn in accuracies.items()
    )


def forecast(curve: Sequence[CurvePoint]) -> tuple[CurvePoint, ...]:
    """The learning curve at FORECAST_FACTORS times the labels, fitted by least squares."""
    labels = np.array([point.labels for point in curve], dtype=np.float64)
    error = 1 - np.array([point.accuracy for point in curve])
    best: tuple[float, float, float, float] | None = None
    for power in _POWERS:
        decay = labels**-power
        for floor in np.linspace(0, max(float(error.min()), 0.0), 11):
            scale = max(float((decay * (error - floor)).sum() / (decay**2).sum()), 0.0)
            squares = float(((floor + scale * decay - error) ** 2).sum())
            if best is None or squares < best[0] - 1e-12:
                best = squares, floor, scale, power
    assert best is not None
    squares, floor, scale, power = best
    last = labels[-1]
    # The forecast continues from the last measured point.
    shift = float(error[-1] - (floor + scale * last**-power))
    spread = float(np.sqrt(squares / len(curve)))
    points = []
    for factor in FORECAST_FACTORS:
        expected = floor + scale * (factor * last) ** -power + shift
        expected = min(max(expected, 0.0), float(error[-1]))
        points.append(CurvePoint(round(factor * last), float(1 - expected), spread + curve[-1].spread))
    return tuple(points)


def _forecast_sentence(curve: Sequence[CurvePoint], further: Sequence[CurvePoint]) -> str:
    now, double = curve[-1], further[FORECAST_FACTORS.index(2.0)]
    gain = 100 * (double.accuracy - now.accuracy)
    start = f"{now.labels:,} labels give {100 * now.accuracy:.0f} % accuracy on held-out works"
    if gain < 1.5:
        return f"{start}; twice as many would add about a percentage point or less"
    return f"{start}; {double.labels:,} would add about {gain:.0f} percentage points"
