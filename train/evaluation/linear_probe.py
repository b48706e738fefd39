"""Linear probes: what a single linear layer predicts from the vectors, with all labels and with few.

Convention: vectors are centred and brought to mean length one, by the training side of a fold;
then multinomial logistic regression with one C for every system and task, so that nothing is tuned on what
is reported. Folds and draws keep all pieces of a work on one side. Values are accuracies over pieces.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from embedder.core.arrays import FloatRows, IntArray

from .datasets import Collection

__all__ = ["LABEL_COUNTS", "Probe", "ProbeScore", "build_probe", "score_probe", "share_accuracy", "subsample"]

LABEL_COUNTS = (1, 5, 10)
MIN_WORKS = 4  # of a class
FOLDS = 5
C = 30.0  # inverse of the regularisation, for vectors of mean length one
_DRAWS = 8  # of few labels
_SHARE_DRAWS = 2  # of a share of the labels, in each fold


@dataclass(frozen=True)
class Probe:
    """A classification task: pieces [k], their classes and works."""

    name: str
    pieces: IntArray
    classes: IntArray
    works: IntArray

    @property
    def class_count(self) -> int:
        return int(self.classes.max()) + 1


@dataclass(frozen=True)
class ProbeScore:
    """Accuracy (0..1) of a probe over `pieces` pieces of `classes` classes.

    Attributes
    ----------
    accuracy : by number of labels a class ("1", "5", ..., "all")
    of_shares : by the share of the labels ("1%", "10%"), where that was measured
    """

    name: str
    accuracy: dict[str, float]
    pieces: int
    classes: int
    of_shares: dict[str, float] = field(default_factory=dict)


def build_probe(name: str, labels: Sequence[str], collection: Collection) -> Probe | None:
    """A task from one label a piece, "" for pieces that have none; None if too few works are left."""
    members: dict[str, set[int]] = {}
    for label, piece in zip(labels, collection.pieces, strict=True):
        if label:
            members.setdefault(label, set()).add(piece.work)
    known = sorted(label for label, works in members.items() if len(works) >= MIN_WORKS)
    if len(known) < 2:
        return None
    pieces = np.array([i for i, label in enumerate(labels) if label in known], dtype=np.int64)
    classes = np.array([known.index(labels[i]) for i in pieces.tolist()], dtype=np.int64)
    return Probe(name, pieces, classes, collection.works[pieces])


def subsample(probe: Probe, max_pieces: int, rng: np.random.Generator) -> Probe:
    """Whole works, drawn evenly, until they hold `max_pieces` pieces."""
    if len(probe.pieces) <= max_pieces:
        return probe
    kept: list[int] = []
    for work in rng.permutation(np.unique(probe.works)).tolist():
        kept += np.flatnonzero(probe.works == work).tolist()
        if len(kept) >= max_pieces:
            break
    at = np.sort(kept)
    classes = np.unique(probe.classes[at], return_inverse=True)[1].astype(np.int64)
    return Probe(probe.name, probe.pieces[at], classes, probe.works[at])


def score_probe(
    probe: Probe, vectors: FloatRows, seed: int = 0, *, fold_draws: int = 1, shares: Sequence[float] = ()
) -> ProbeScore:
    """Accuracies of one probe on the vectors [pieces of the collection, d] of one system.

    Parameters
    ----------
    fold_draws : ways to split the works into folds; with all labels, their mean is given
    shares : of the labels that are measured too (`share_accuracy`)
    """
    rows = vectors[probe.pieces]
    accuracy: dict[str, float] = {}
    for count in LABEL_COUNTS:
        draws = [
            float((_predict(rows, probe.classes, train, test) == probe.classes[test]).mean())
            for train, test in _few(probe, count, seed)
        ]
        if draws:
            accuracy[str(count)] = float(np.mean(draws))
    correct = np.zeros((fold_draws, len(rows)), dtype=bool)
    for draw in range(fold_draws):
        for train, test in _folds(probe, seed + draw):
            correct[draw, test] = _predict(rows, probe.classes, train, test) == probe.classes[test]
    accuracy["all"] = float(correct.mean())
    of_shares = {f"{share:.0%}": share_accuracy(probe, vectors, share, seed) for share in shares}
    known = {share: value for share, value in of_shares.items() if value is not None}
    return ProbeScore(probe.name, accuracy, len(rows), probe.class_count, known)


def share_accuracy(probe: Probe, vectors: FloatRows, share: float, seed: int = 0) -> float | None:
    """Accuracy where only a share of each fold's training works has labels, as CLMR measures it.

    Works are drawn whole and without regard to their classes, so a class may be left without a label, and
    then is never predicted. None if so small a share would leave fewer pieces than there are classes.
    """
    rows = vectors[probe.pieces]
    if share * len(rows) * (1 - 1 / FOLDS) < probe.class_count:
        return None
    draws = []
    for train, test in _folds(probe, seed):
        works = np.unique(probe.works[train])
        for draw in range(_SHARE_DRAWS):
            order = np.random.default_rng([seed, draw]).permutation(works)
            labelled = train[np.isin(probe.works[train], order[: max(round(share * len(works)), 1)])]
            if len(np.unique(probe.classes[labelled])) > 1:
                predicted = _predict(rows, probe.classes, labelled, test)
                draws.append(float((predicted == probe.classes[test]).mean()))
    return float(np.mean(draws)) if draws else None


def _folds(probe: Probe, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(min(FOLDS, MIN_WORKS), shuffle=True, random_state=seed)
    yield from folds.split(probe.pieces, probe.classes, probe.works)


def _few(probe: Probe, count: int, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Draws of one piece of each of `count` works a class, tested on all other works; none if a class has no
    more works than that."""
    of_class = [np.unique(probe.works[probe.classes == c]) for c in range(probe.class_count)]
    if min(map(len, of_class)) <= count:
        return
    for draw in range(_DRAWS):
        rng = np.random.default_rng([seed, count, draw])
        train: list[int] = []
        for number, works in enumerate(of_class):
            for work in rng.choice(works, count, replace=False).tolist():
                train.append(
                    int(rng.choice(np.flatnonzero((probe.works == work) & (probe.classes == number))))
                )
        test = np.flatnonzero(~np.isin(probe.works, probe.works[train]))
        if len(test):  # works that have pieces of several classes may all have been drawn
            yield np.array(train), test


def _predict(rows: FloatRows, classes: IntArray, train: IntArray, test: IntArray) -> IntArray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean = rows[train].mean(0)
    scale = float(np.linalg.norm(rows[train] - mean, axis=1).mean()) or 1.0
    probe = LogisticRegression(C=C, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough; all systems stop at the same step
        probe.fit((rows[train] - mean) / scale, classes[train])
    predicted: IntArray = probe.predict((rows[test] - mean) / scale)
    return predicted
