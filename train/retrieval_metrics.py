"""Retrieval figures from similarities.

Conventions: a query's answer is right if it is of the same work; ties count against the system; every figure
is a mean over queries, in 0..1. Recall at k follows Manning, Raghavan and Schuetze, "Introduction to
Information Retrieval", 2008, for queries of which one right answer is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Retrieval", "average_precision", "retrieval"]


@dataclass(frozen=True)
class Retrieval:
    """Figures over `queries` queries: R@1, R@5 and the mean reciprocal rank of the first right answer."""

    queries: int
    recall_at_1: float
    recall_at_5: float
    mrr: float


def retrieval(
    similarity: NDArray[np.floating],
    right: NDArray[np.bool_],
    left_out: NDArray[np.bool_] | None = None,
) -> Retrieval:
    """Score a table of similarities.

    Parameters
    ----------
    similarity : [queries, gallery], larger is nearer
    right : [queries, gallery], which answers are right
    left_out : [queries, gallery], optional; answers that do not count at all (the query itself)

    Raises
    ------
    ValueError
        If shapes differ, a similarity is NaN, or a query has no right answer.
    """
    right, left_out = _checked(similarity, right, left_out)
    best = np.where(right, similarity, -np.inf).max(axis=1)
    rank = 1 + ((similarity >= best[:, None]) & ~right & ~left_out).sum(axis=1)
    return Retrieval(
        queries=len(rank),
        recall_at_1=float((rank == 1).mean()),
        recall_at_5=float((rank <= 5).mean()),
        mrr=float((1 / rank).mean()),
    )


def average_precision(
    similarity: NDArray[np.floating],
    right: NDArray[np.bool_],
    left_out: NDArray[np.bool_] | None = None,
) -> float:
    """Mean average precision over queries; parameters and errors as for `retrieval`.

    Of equal similarities, wrong answers come first.
    """
    right, left_out = _checked(similarity, right, left_out)
    precisions = []
    for row, hits, gone in zip(similarity, right, left_out, strict=True):
        kept = np.flatnonzero(~gone)
        order = kept[np.lexsort((hits[kept], -row[kept]))]
        at = np.flatnonzero(hits[order]) + 1
        precisions.append(float((np.arange(1, len(at) + 1) / at).mean()))
    return float(np.mean(precisions))


def _checked(
    similarity: NDArray[np.floating], right: NDArray[np.bool_], left_out: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if left_out is None:
        left_out = np.zeros_like(right)
    if not similarity.shape == right.shape == left_out.shape:
        raise ValueError("similarity, right and left_out differ in shape")
    if np.isnan(similarity).any():
        raise ValueError("a similarity is NaN")
    right = right & ~left_out
    if not right.any(axis=1).all():
        raise ValueError("a query has no right answer in the gallery")
    return right, left_out
