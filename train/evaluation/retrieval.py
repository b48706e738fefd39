"""Retrieval: which queries look for what, the alterations of queries, and the measures.

Every query is one vector; a gallery piece is one vector, or its best window where a search is by windows. An
answer is right if it is of the same work; ties count against the system; every measure is a mean over
queries, in 0..1. Recall at k follows Manning, Raghavan and Schuetze, "Introduction to Information Retrieval",
2008, for queries of which one relevant answer is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import BoolArray, FloatRows, IntArray
from embedder.notes import Notes

from .datasets import Collection
from .systems import Embeddings

__all__ = [
    "ALTERATIONS",
    "ALTERED_TASK",
    "EXCERPT_TASK",
    "Alteration",
    "Retrieval",
    "Search",
    "SearchScore",
    "average_precision",
    "excerpt",
    "retrieval",
    "score_search",
    "searches",
]

EXCERPT_TASK = "30 s of it -> score"
ALTERED_TASK = "altered copies"
Alteration = Callable[[Notes, np.random.Generator], Notes]
_MIN_EXCERPT = 20  # notes


def excerpt(notes: Notes, rng: np.random.Generator, seconds: float = 30.0) -> Notes:
    """A random span of a piece with at least some notes in it; the whole piece if it is no longer."""
    latest = notes.end_s - seconds
    if latest <= notes.start_s:
        return notes
    for _ in range(50):
        start = rng.uniform(notes.start_s, latest)
        candidate = notes.slice_time(start, start + seconds)
        if len(candidate) >= min(_MIN_EXCERPT, len(notes)):
            return candidate
    return notes


ALTERATIONS: dict[str, Alteration] = {
    "transposed +1": lambda notes, rng: notes.transpose(1),
    "transposed +5": lambda notes, rng: notes.transpose(5),
    "transposed -6": lambda notes, rng: notes.transpose(-6),
    "tempo x 0.8": lambda notes, rng: notes.stretch(1 / 0.8),
    "tempo x 1.25": lambda notes, rng: notes.stretch(1 / 1.25),
    "30 ms jitter": lambda notes, rng: notes.jitter(0.03, rng),
    "flat velocity": lambda notes, rng: notes.with_velocity(64),
    "20 % dropped": lambda notes, rng: notes.drop(0.2, rng),
    "30 s excerpt": excerpt,
    "quantised": lambda notes, rng: notes.quantise(0.125),
}


@dataclass(frozen=True)
class Search:
    """Queries that are looked for in a gallery.

    Attributes
    ----------
    name : of its row in the table
    task : that it belongs to, by its name in `train.evaluation.tasks`
    queries : notes to embed; None if the pieces `sources` themselves are the queries
    sources : int64 [q], the piece that each query was made of
    gallery : int64 [g], pieces searched
    same_work : whether any piece of the work is relevant (else only the piece itself)
    windows : whether a gallery piece is scored by its best window
    measure : "R@1" or "MAP"
    """

    name: str
    task: str
    queries: list[Notes] | None
    sources: IntArray
    gallery: IntArray
    same_work: bool
    windows: bool = False
    measure: str = "R@1"


@dataclass(frozen=True)
class SearchScore:
    """The value of a measure (0..1), and how many queries and gallery pieces it is of."""

    name: str
    task: str
    measure: str
    value: float
    queries: int
    gallery: int


def searches(
    collection: Collection, *, queries: int, gallery: int, seed: int, altered: bool = True
) -> list[Search]:
    """All searches that the labels of a collection allow.

    Parameters
    ----------
    queries : altered pieces for each alteration, and performances, at most
    gallery : pieces in the gallery of altered copies at most
    altered : whether altered copies are looked for
    """
    rng = np.random.default_rng(seed)
    return [
        *_performances(collection, queries, rng),
        *_takes(collection, queries, rng),
        *(_altered(collection, queries, gallery, rng) if altered else []),
    ]


def _performances(collection: Collection, max_queries: int, rng: np.random.Generator) -> list[Search]:
    """Scores and performances of one work, distinguished by the label `kind`."""
    pieces, works = collection.pieces, collection.works
    score: dict[int, int] = {}
    performed: dict[int, list[int]] = {}
    for i, piece in enumerate(pieces):
        if piece.labels.get("kind") == "score":
            score.setdefault(piece.work, i)
        elif piece.labels.get("kind") == "performance":
            performed.setdefault(piece.work, []).append(i)
    both = sorted(set(score) & set(performed))
    made: list[Search] = []
    if len(both) > 1:
        scores = np.array([score[work] for work in both])
        plays = np.array([performed[work][0] for work in both])
        for name, sources, gallery in (
            ("performance -> score", plays, scores),
            ("score -> performance", scores, plays),
        ):
            made.append(Search(name, name, None, sources, gallery, same_work=True))
        sources = np.repeat(plays, 3)
        excerpts = [excerpt(pieces[i].notes, rng) for i in sources.tolist()]
        for semitones, name in ((0, EXCERPT_TASK), (3, "30 s of it, transposed -> score")):
            moved = [notes.transpose(semitones) for notes in excerpts]
            for by_windows in (False, True):
                row = f"{name}, by windows" if by_windows else name
                made.append(
                    Search(row, EXCERPT_TASK, moved, sources, scores, same_work=True, windows=by_windows)
                )
    several = [i for work, of in performed.items() for i in of if len(of) > 1]
    if several and len(set(works[several].tolist())) > 1:
        gallery = np.array([i for of in performed.values() for i in of])
        sources = _sample(np.array(several), max_queries, rng)
        name = "other performances"
        made.append(Search(name, name, None, sources, gallery, same_work=True, measure="MAP"))
    return made


def _takes(collection: Collection, max_queries: int, rng: np.random.Generator) -> list[Search]:
    """Takes of one song, in sets with a label `song`."""
    has = np.array(collection.having("song"), dtype=np.int64)
    works = collection.works[has]
    several = has[np.bincount(works, minlength=1)[works] > 1] if len(has) else has
    if len(set(collection.works[several].tolist())) < 2:
        return []
    sources = _sample(several, 2 * max_queries, rng)
    name = "takes of a song"
    return [Search(name, name, None, sources, has, same_work=True, measure="MAP")]


def _altered(
    collection: Collection, max_queries: int, gallery: int, rng: np.random.Generator
) -> list[Search]:
    count = len(collection.pieces)
    if count < 2:
        return []
    searched = _sample(np.arange(count), gallery, rng)
    sources = _sample(searched, max_queries, rng)
    made = []
    for name, alter in ALTERATIONS.items():
        altered = [_altered_piece(collection.pieces[i].notes, alter, rng) for i in sources.tolist()]
        made.append(Search(name, ALTERED_TASK, altered, sources, searched, same_work=False))
        if alter is excerpt:
            row = f"{name}, by windows"
            made.append(Search(row, ALTERED_TASK, altered, sources, searched, False, windows=True))
    return made


def _altered_piece(notes: Notes, alter: Alteration, rng: np.random.Generator) -> Notes:
    altered = alter(notes, rng)
    return altered if len(altered) else notes


def _sample(numbers: IntArray, size: int, rng: np.random.Generator) -> IntArray:
    return np.sort(rng.permutation(numbers)[:size])


def score_search(
    search: Search, collection: Collection, gallery: Embeddings, queries: Embeddings | None
) -> SearchScore | None:
    """Score a search; None if it is by windows and the system has none.

    Parameters
    ----------
    gallery : vectors of all pieces of the collection
    queries : vectors of the queries, where these are not pieces of the collection
    """
    if search.windows and gallery.windows is None:
        return None
    vectors = gallery.pieces[search.sources] if queries is None else queries.pieces
    if search.windows:
        similarity = _best_windows(vectors, gallery)[:, search.gallery]
    else:
        similarity = vectors @ gallery.pieces[search.gallery].T
    works = collection.works
    itself = search.sources[:, None] == search.gallery[None]
    same_work = works[search.sources][:, None] == works[search.gallery][None]
    if search.same_work:
        relevant, ignored = same_work, itself & (queries is None)
    else:
        relevant, ignored = itself, same_work & ~itself  # other versions of the work are not wrong answers
    if search.measure == "MAP":
        value = average_precision(similarity, relevant, ignored)
    else:
        value = retrieval(similarity, relevant, ignored).recall_at_1
    return SearchScore(
        search.name, search.task, search.measure, value, len(search.sources), len(search.gallery)
    )


def _best_windows(queries: FloatRows, gallery: Embeddings) -> FloatRows:
    """Similarity of each query to the best window of each piece, [q, pieces]."""
    assert gallery.windows is not None
    assert gallery.piece_of_window is not None
    first = np.flatnonzero(np.diff(gallery.piece_of_window, prepend=-1))
    best: FloatRows = np.maximum.reduceat(queries @ gallery.windows.T, first, axis=1)
    return best


@dataclass(frozen=True)
class Retrieval:
    """Over `queries` queries: R@1, R@5 and the mean reciprocal rank of the first relevant answer."""

    queries: int
    recall_at_1: float
    recall_at_5: float
    mrr: float


def retrieval(
    similarity: NDArray[np.floating],
    relevant: BoolArray,
    ignored: BoolArray | None = None,
) -> Retrieval:
    """Score a table of similarities.

    Parameters
    ----------
    similarity : [queries, gallery], larger is nearer
    relevant : [queries, gallery], which answers are right
    ignored : [queries, gallery], optional; answers that do not count at all (the query itself)

    Raises
    ------
    ValueError
        If shapes differ, a similarity is NaN, or a query has no relevant answer.
    """
    relevant, ignored = _checked(similarity, relevant, ignored)
    best = np.where(relevant, similarity, -np.inf).max(axis=1)
    rank = 1 + ((similarity >= best[:, None]) & ~relevant & ~ignored).sum(axis=1)
    return Retrieval(
        queries=len(rank),
        recall_at_1=float((rank == 1).mean()),
        recall_at_5=float((rank <= 5).mean()),
        mrr=float((1 / rank).mean()),
    )


def average_precision(
    similarity: NDArray[np.floating],
    relevant: BoolArray,
    ignored: BoolArray | None = None,
) -> float:
    """Mean average precision over queries; parameters and errors as for `retrieval`.

    Of equal similarities, wrong answers come first.
    """
    relevant, ignored = _checked(similarity, relevant, ignored)
    precisions = []
    for row, hits, gone in zip(similarity, relevant, ignored, strict=True):
        kept = np.flatnonzero(~gone)
        order = kept[np.lexsort((hits[kept], -row[kept]))]
        at = np.flatnonzero(hits[order]) + 1
        precisions.append(float((np.arange(1, len(at) + 1) / at).mean()))
    return float(np.mean(precisions))


def _checked(
    similarity: NDArray[np.floating], relevant: BoolArray, ignored: BoolArray | None
) -> tuple[BoolArray, BoolArray]:
    if ignored is None:
        ignored = np.zeros_like(relevant)
    if not similarity.shape == relevant.shape == ignored.shape:
        raise ValueError("similarity, relevant and ignored differ in shape")
    if np.isnan(similarity).any():
        raise ValueError("a similarity is NaN")
    relevant = relevant & ~ignored
    if not relevant.any(axis=1).all():
        raise ValueError("a query has no relevant answer in the gallery")
    return relevant, ignored
