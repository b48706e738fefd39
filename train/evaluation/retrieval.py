"""Retrieval tasks: which queries look for what, and the figures.

Every query is one vector; a gallery piece is one vector, or its best window where windows are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from ..retrieval_metrics import average_precision, retrieval
from .alterations import ALTERATIONS, excerpt
from .datasets import Collection
from .systems import Made

__all__ = ["Search", "SearchFigures", "figures", "searches"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """One task.

    Attributes
    ----------
    name : as the table says it
    queries : notes to embed; None if the pieces `asked` themselves are the queries
    asked : int64 [q], the piece that each query was made of
    gallery : int64 [g], pieces searched
    same_work : whether any piece of the work is right (else only the piece itself)
    windows : whether a gallery piece counts by its best window
    measure : "R@1" or "MAP"
    """

    name: str
    queries: list[Notes] | None
    asked: IntArray
    gallery: IntArray
    same_work: bool
    windows: bool = False
    measure: str = "R@1"


@dataclass(frozen=True)
class SearchFigures:
    """The figure of a task (0..1) and how many queries and gallery pieces it is of."""

    name: str
    measure: str
    value: float
    queries: int
    gallery: int


def searches(collection: Collection, *, queries: int, gallery: int, seed: int) -> list[Search]:
    """All tasks that the labels of a collection allow.

    Parameters
    ----------
    queries : altered pieces for each alteration, and performances, at most
    gallery : pieces in the gallery of altered copies at most
    """
    rng = np.random.default_rng(seed)
    return [
        *_performances(collection, queries, rng),
        *_takes(collection, queries, rng),
        *_altered(collection, queries, gallery, rng),
    ]


def _performances(collection: Collection, most: int, rng: np.random.Generator) -> list[Search]:
    """Scores and performances of one work, told apart by the label `kind`."""
    pieces, works = collection.pieces, collection.works
    score: dict[int, int] = {}
    performed: dict[int, list[int]] = {}
    for i, piece in enumerate(pieces):
        if piece.labels.get("kind") == "score":
            score.setdefault(piece.work, i)
        elif piece.labels.get("kind") == "performance":
            performed.setdefault(piece.work, []).append(i)
    both = sorted(set(score) & set(performed))
    found: list[Search] = []
    if len(both) > 1:
        scores = np.array([score[work] for work in both])
        plays = np.array([performed[work][0] for work in both])
        found.append(Search("performance -> score", None, plays, scores, same_work=True))
        found.append(Search("score -> performance", None, scores, plays, same_work=True))
        parts = [excerpt(pieces[i].notes, rng) for i in np.repeat(plays, 3).tolist()]
        asked = np.repeat(plays, 3)
        for transposed, what in ((0, "30 s of it -> score"), (3, "30 s of it, transposed -> score")):
            moved = [part.transpose(transposed) for part in parts]
            found.append(Search(what, moved, asked, scores, same_work=True))
            found.append(Search(f"{what}, by windows", moved, asked, scores, same_work=True, windows=True))
    several = [i for work, of in performed.items() for i in of if len(of) > 1]
    if several and len(set(works[several].tolist())) > 1:
        gallery = np.array([i for of in performed.values() for i in of])
        asked = _some(np.array(several), most, rng)
        found.append(Search("other performances", None, asked, gallery, same_work=True, measure="MAP"))
    return found


def _takes(collection: Collection, most: int, rng: np.random.Generator) -> list[Search]:
    """Takes of one song, in sets with a label `song`."""
    has = np.array(collection.having("song"), dtype=np.int64)
    works = collection.works[has]
    several = has[np.bincount(works, minlength=1)[works] > 1] if len(has) else has
    if len(set(collection.works[several].tolist())) < 2:
        return []
    asked = _some(several, 2 * most, rng)
    return [Search("takes of a song", None, asked, has, same_work=True, measure="MAP")]


def _altered(collection: Collection, most: int, gallery: int, rng: np.random.Generator) -> list[Search]:
    count = len(collection.pieces)
    if count < 2:
        return []
    everything = _some(np.arange(count), gallery, rng)
    asked = _some(everything, most, rng)
    found = []
    for name, alter in ALTERATIONS.items():
        altered = [_altered_piece(collection.pieces[i].notes, alter, rng) for i in asked.tolist()]
        found.append(Search(name, altered, asked, everything, same_work=False))
        if alter is excerpt:
            found.append(Search(f"{name}, by windows", altered, asked, everything, False, windows=True))
    return found


def _altered_piece(
    notes: Notes, alter: Callable[[Notes, np.random.Generator], Notes], rng: np.random.Generator
) -> Notes:
    altered = alter(notes, rng)
    return altered if len(altered) else notes


def _some(numbers: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return np.sort(rng.permutation(numbers)[:most])


def figures(
    search: Search, collection: Collection, every: Made, queries: Made | None
) -> SearchFigures | None:
    """Score a task; None if the system has no windows and the task wants them.

    Parameters
    ----------
    every : vectors of all pieces of the collection
    queries : vectors of the queries that are no pieces of the collection
    """
    if search.windows and every.windows is None:
        return None
    asking = every.pieces[search.asked] if queries is None else queries.pieces
    if search.windows:
        similarity = _by_window(asking, every)[:, search.gallery]
    else:
        similarity = asking @ every.pieces[search.gallery].T
    works = collection.works
    itself = search.asked[:, None] == search.gallery[None]
    same = works[search.asked][:, None] == works[search.gallery][None]
    if search.same_work:
        right, left_out = same, itself & (queries is None)
    else:
        right, left_out = itself, same & ~itself  # other versions of the work are no wrong answers
    if search.measure == "MAP":
        value = average_precision(similarity, right, left_out)
    else:
        value = retrieval(similarity, right, left_out).recall_at_1
    return SearchFigures(search.name, search.measure, value, len(search.asked), len(search.gallery))


def _by_window(asking: NDArray[np.float32], every: Made) -> NDArray[np.float32]:
    """Similarity of each query to the best window of each piece, [q, pieces]."""
    assert every.windows is not None
    assert every.piece_of_window is not None
    first = np.flatnonzero(np.diff(every.piece_of_window, prepend=-1))
    best: NDArray[np.float32] = np.maximum.reduceat(asking @ every.windows.T, first, axis=1)
    return best
