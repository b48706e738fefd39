"""Fitting the style part: within-class covariance normalisation, and a projection supervised by labels.

Axes: statistics are whitened by their covariance within works (players, scores and takes of one piece differ
along it, so it is what style should not depend on; Hatch et al. 2006, "Within-class covariance
normalization"), then rotated to their principal axes, which are half whitened.

Supervised half: a linear projection with a classifier for each label column (composer, pianist, kind of tune,
series, set), learned on sequences of windows of training works; the classifiers are discarded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embedder.core.arrays import FloatRows
from embedder.features.projection import HandmadeHead

from .corpus import PieceRecord
from .loop import fit

__all__ = ["LABEL_COLUMNS", "LabelSet", "fit_projection", "label_sets", "plain_key", "style_axes"]

# Columns of labels that have to do with style; one classifier each.
LABEL_COLUMNS = ("composer", "artist", "type", "series")
MIN_WORKS = 3  # of a label that is learned
_SPREAD = 3.0  # directions within works count as at least so many times the mean variance
_SCALE = 8.0  # length of the unit vectors that the classifiers see


@dataclass(frozen=True)
class LabelSet:
    """One column of labels: `pieces` int64 [k] that have one, `classes` int64 [k] in 0..count-1, and the
    probability with which each piece is drawn, `share` float64 [k]."""

    name: str
    pieces: NDArray[np.int64]
    classes: NDArray[np.int64]
    count: int
    share: NDArray[np.float64]


def label_sets(records: Sequence[PieceRecord]) -> list[LabelSet]:
    """The labels to learn from of some pieces; a label that two sets write differently is one label."""
    columns = {"set": [record.set for record in records]}
    columns |= {c: [plain_key(c, record.labels.get(c, "")) for record in records] for c in LABEL_COLUMNS}
    made = [_label_set(name, labels, records) for name, labels in columns.items()]
    return [labels for labels in made if labels.count > 1]


def plain_key(column: str, label: str) -> str:
    """A label's plain form, so that what two sets write differently is one: letters and digits in lower
    case, and of a composer the surname of the first that is named."""
    text = label.partition("/")[0] if column == "composer" else label
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"\w+", plain)
    return " ".join(words[-1:] if column == "composer" else words)


def _label_set(name: str, labels: Sequence[str], records: Sequence[PieceRecord]) -> LabelSet:
    works: dict[str, set[int]] = {}
    for label, record in zip(labels, records, strict=True):
        if label:
            works.setdefault(label, set()).add(record.work)
    known = sorted(label for label, members in works.items() if len(members) >= MIN_WORKS)
    number = {label: i for i, label in enumerate(known)}
    pieces = np.array([i for i, label in enumerate(labels) if label in number], dtype=np.int64)
    classes = np.array([number[labels[i]] for i in pieces.tolist()], dtype=np.int64)
    # Rare labels, and works with few versions, are drawn more often than their number.
    of_work = np.array([records[i].work for i in pieces.tolist()], dtype=np.int64)
    _, work, versions = np.unique(of_work, return_inverse=True, return_counts=True)
    share = (
        1 / np.sqrt(np.bincount(classes, minlength=1)[classes]) / versions[work] if len(pieces) else of_work
    )
    return LabelSet(name, pieces, classes, len(known), share / max(share.sum(), 1e-9))


def style_axes(standard: FloatRows, works: Sequence[int], size: int) -> FloatRows:
    """Axes [size, columns] of standardised statistics [pieces, columns]."""
    rows = standard.astype(np.float64)
    within = np.zeros((rows.shape[1], rows.shape[1]))
    groups = 0
    order = np.argsort(works, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(np.asarray(works)[order])) + 1):
        if len(members) > 1:
            apart = rows[members] - rows[members].mean(0)
            within += apart.T @ apart / (len(members) - 1)
            groups += 1
    if groups:
        variance, turn = np.linalg.eigh(within / groups)
        whiten = (turn / np.sqrt(variance + _SPREAD * variance.mean())) @ turn.T
    else:
        whiten = np.eye(rows.shape[1])
    rows = (rows - rows.mean(0)) @ whiten
    _, length, axes = np.linalg.svd(rows, full_matrices=False)
    axes, length = axes[length > 1e-6 * length[0]], length[length > 1e-6 * length[0]]
    # Half whitened: a small axis may carry a composer's habit, but should not weigh as much as a large one.
    scaled = axes[:size] * ((length[:size] / length[0]) ** -0.5)[:, None]
    padded = np.zeros((size, rows.shape[1]), dtype=np.float32)
    padded[: len(scaled)] = scaled @ whiten
    return padded


def fit_projection(
    head: HandmadeHead,
    labels: Sequence[LabelSet],
    view: Callable[[NDArray[np.int64], np.random.Generator], FloatRows],
    *,
    steps: int = 400,
    rows: int = 256,
    dropout: float = 0.3,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> None:
    """Fit the supervised half of a head whose scales are set.

    Parameters
    ----------
    view : statistics [k, columns] of a random view of each of k pieces
    rows : views of each label set a step
    dropout : share of the statistics that is set to zero in a view
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    classifiers = nn.ModuleList(nn.Linear(head.taught, label.count) for label in labels)
    weights = [*head.taught_map.parameters(), *classifiers.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=1.0)

    def loss(step: int) -> Tensor:
        losses: list[Tensor] = []
        for label, classify in zip(labels, classifiers, strict=True):
            drawn = rng.choice(len(label.pieces), min(rows, len(label.pieces)), p=label.share)
            standard = head.standardise(torch.from_numpy(view(label.pieces[drawn], rng)))
            vectors = functional.normalize(head.taught_map(functional.dropout(standard, dropout)), dim=1)
            classes = torch.from_numpy(label.classes[drawn])
            losses.append(functional.cross_entropy(classify(_SCALE * vectors), classes, label_smoothing=0.1))
        return torch.stack(losses).sum()

    fit(optimiser, steps, loss, schedule=lambda step: 1 - step / steps)
