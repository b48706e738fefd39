"""Answering "which piece should I label next?" from the labels that stand now, probe or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from embedder.core.errors import TagError

from ..tags.names import checked_name, shown
from ..tags.schema import tags
from .classifier import fit_plainly, softmax
from .dataset import Examples, collect
from .gallery import Gallery
from .learning_curve import forecast, learning_curve, says_of
from .records import CurvePoint, Suggestion, Suggestions
from .review import first_paths, labelled_pieces
from .scaling import Space
from .train import sample
from .uncertainty import MOST_WEIGHED, choose, doubt_of
from .works import works_of

__all__ = ["suggest"]

_STRENGTH = 10.0
_MOST_CURVED = 600  # labels that the curve is drawn from: it is asked for again after every few labels
_NEAR = 0.35  # doubt above which a piece counts as undecided

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class _Known:
    """What labels say so far."""

    examples: Examples | None
    weights: FloatArray | None
    bias: FloatArray | None

    def probabilities(self, rows: FloatArray) -> FloatArray | None:
        if self.weights is None or self.bias is None:
            return None
        return softmax(rows @ self.weights.T + self.bias)


def suggest(connection: Connection, name: str, k: int, gallery: Gallery) -> Suggestions:
    """See `Library.suggest`."""
    tag = connection.execute(select(tags).where(tags.c.name == checked_name(name))).first()
    space = Space.of(gallery.vectors)
    known = _known(connection, tag, gallery, space)
    settled = labelled_pieces(connection, tag)[0] if tag is not None else set()
    open_ = np.flatnonzero(~np.isin(gallery.numbers, sorted(settled)))
    candidates = _candidates(gallery, open_, known, space)
    rows = space(gallery.vectors[candidates])
    said = known.probabilities(rows)
    doubt = np.ones(len(rows), dtype=np.float32) if said is None else doubt_of(said)
    labelled = rows[:0] if known.examples is None else space(known.examples.vectors)
    chosen = choose(rows, labelled, doubt, k)
    curve, further, says = _curve(connection, known, space)
    numbers = gallery.numbers[candidates[chosen]].tolist()
    paths = first_paths(connection, numbers)
    pieces = []
    for rank, (number, row) in enumerate(zip(numbers, chosen, strict=True), 1):
        value, probability, why = _thought(known, None if said is None else said[row], float(doubt[row]))
        pieces.append(Suggestion(rank, number, paths[number], value, probability, why))
    return Suggestions(checked_name(name), tuple(pieces), curve, further, says)


def _known(connection: Connection, tag: Row[Any] | None, gallery: Gallery, space: Space) -> _Known:
    if tag is None:
        return _Known(None, None, None)
    try:
        examples = collect(connection, tag, gallery, gallery.vectors.shape[1])
    except TagError:  # nothing that stands is in the library: as if there were no labels
        return _Known(None, None, None)
    if len(np.unique(examples.label)) < 2:
        return _Known(examples, None, None)
    some = examples.only(sample(examples.label, MOST_WEIGHED))
    fitted = fit_plainly(space(some.vectors), some.label, len(examples.classes), _STRENGTH)
    return _Known(examples, *fitted)


def _candidates(gallery: Gallery, open_: IntArray, known: _Known, space: Space) -> IntArray:
    """Rows of the gallery to choose among: of very many, half the most doubtful and half at random."""
    if len(open_) <= MOST_WEIGHED:
        return open_
    rng = np.random.default_rng(len(open_))
    drawn = rng.permutation(open_)
    if known.weights is None:
        return np.sort(drawn[:MOST_WEIGHED])
    pool = drawn[: 20 * MOST_WEIGHED]
    said = known.probabilities(space(gallery.vectors[pool]))
    assert said is not None
    doubtful = pool[np.argsort(-doubt_of(said), kind="stable")[: MOST_WEIGHED // 2]]
    return np.union1d(doubtful, drawn[: MOST_WEIGHED // 2])


def _thought(known: _Known, said: FloatArray | None, doubt: float) -> tuple[str | None, float | None, str]:
    """What is thought of a piece now, and why it was chosen."""
    if said is None or known.examples is None:
        return None, None, "typical of pieces that no label covers yet"
    order = np.argsort(-said, kind="stable")
    first, second = (known.examples.classes[i] for i in order[:2])
    why = "near to pieces that are undecided"
    if doubt > _NEAR:
        why = f"undecided between {shown(first)} and {shown(second)}, and near to others"
    return first, round(float(said[order[0]]), 4), why


def _curve(
    connection: Connection, known: _Known, space: Space
) -> tuple[tuple[CurvePoint, ...], tuple[CurvePoint, ...], str]:
    """The curve so far, where the labels allow one."""
    if known.examples is None:
        return (), (), "no labels yet: these pieces are varied, and each typical of many others"
    some = known.examples.only(sample(known.examples.label, _MOST_CURVED))
    works = works_of(connection, [int(piece) for piece in some.pieces])
    work = np.array([works[int(piece)] for piece in some.pieces], dtype=np.int64)
    try:
        some, work = some.of_enough_works(work)
    except TagError as error:
        return (), (), str(error)
    curve = learning_curve(space(some.vectors), some.label, work, len(some.classes))
    further = forecast(curve)
    return curve, further, says_of(curve, further)
