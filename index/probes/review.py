"""Predictions as people see them: only where nobody has labelled, to be accepted or rejected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from embedder.core.errors import TagError

from ..storage import from_bytes, schema
from ..storage.pieces import chunks
from ..tags.labels import standing
from ..tags.names import shown
from ..tags.records import FACET, FREE, YES, Wish
from ..tags.targets import Contents
from .records import Prediction
from .store import Predicted, Trained, has_predictions, load_predicted, load_trained

__all__ = [
    "first_paths",
    "labelled_pieces",
    "open_predictions",
    "predicted_counts",
    "predictions_of",
    "ranked",
    "rows_of_pieces",
    "wishes_of",
]

IntArray = NDArray[np.int64]


def labelled_pieces(connection: Connection, tag: Row[Any]) -> tuple[set[int], list[tuple[int, str]]]:
    """Pieces with a label as a whole, and pieces with a value of a facet that they are not."""
    rows = [row for row in standing(connection, tag.id) if row.start_s is None]
    number = _numbers(connection, {row.sha256 for row in rows})
    if tag.kind == FREE:
        return {number[row.sha256] for row in rows if row.sha256 in number}, []
    settled = {number[row.sha256] for row in rows if row.holds and row.sha256 in number}
    refused = [(number[row.sha256], row.value) for row in rows if not row.holds and row.sha256 in number]
    return settled, refused


def _numbers(connection: Connection, hashes: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    columns = schema.pieces.c
    for some in chunks(sorted(hashes)):
        query = select(columns.sha256, columns.id).where(columns.sha256.in_(some))
        found.update((row.sha256, row.id) for row in connection.execute(query))
    return found


def open_predictions(connection: Connection, tag: Row[Any], probe: Trained) -> Predicted:
    """What the probe said of the pieces that are there and have no label; what people ruled out is out.

    Raises
    ------
    TagError
        If the probe was not applied yet.
    """
    said = load_predicted(connection, tag, len(probe.classes))
    settled, refused = labelled_pieces(connection, tag)
    existing = np.fromiter(connection.execute(select(schema.pieces.c.id)).scalars(), dtype=np.int64)
    wanted = np.isin(said.numbers, existing) & ~np.isin(said.numbers, sorted(settled))
    numbers, probabilities = said.numbers[wanted], said.probabilities[wanted]
    place = {name: i for i, name in enumerate(probe.classes)}
    for number, value in refused:
        row = int(np.searchsorted(numbers, number))
        if value in place and row < len(numbers) and numbers[row] == number:
            probabilities[row, place[value]] = 0.0
            total = float(probabilities[row].sum())
            probabilities[row] /= total if total > 0 else 1.0
    return Predicted(numbers, probabilities, said.outside[wanted])


def predicted_counts(connection: Connection, tag: Row[Any]) -> dict[str, int]:
    """How many pieces without a label are predicted to be of each class; none if no probe was applied."""
    if not has_predictions(connection, tag):
        return {}
    probe = load_trained(connection, tag)
    said = open_predictions(connection, tag, probe)
    best = said.probabilities.argmax(1)[~said.outside]
    counts = np.bincount(best, minlength=len(probe.classes))
    return {name: int(count) for name, count in zip(probe.classes, counts, strict=True) if count}


def rows_of_pieces(
    connection: Connection, tag: Row[Any], said: Predicted, rows: IntArray, targets: Sequence[Any]
) -> IntArray:
    """Those of the rows that belong to pieces that are named.

    Raises
    ------
    PieceNotFound
        If a target is not in the library.
    TagError
        If a named piece is not among the rows.
    """
    contents = Contents(connection)
    wanted: set[int] = set()
    for target in targets:
        found = {number for number, _ in contents.of(target)}
        if not found & set(said.numbers[rows].tolist()):
            number = min(found)
            raise TagError(
                f"{shown(tag.name)}: piece {number} has no such prediction; it is labelled, or left untagged"
            )
        wanted |= found
    mine: IntArray = rows[np.isin(said.numbers[rows], sorted(wanted))]
    return mine


def ranked(
    tag: Row[Any], probe: Trained, said: Predicted, value: str | None, least: float, *, outside: bool
) -> IntArray:
    """Rows of the predictions that are asked for, likeliest first.

    Parameters
    ----------
    value : only pieces whose likeliest class this is
    least : only probabilities of at least this
    outside : those outside instead of those inside

    Raises
    ------
    TagError
        If the probe knows no such value.
    """
    best = said.probabilities.argmax(1)
    sure = said.probabilities.max(1)
    wanted = (sure >= least) & (said.outside == outside)
    if value is not None:
        if value not in probe.classes:
            known = ", ".join(shown(name) for name in probe.classes[:8])
            raise TagError(f"{shown(tag.name)}: the probe knows no {shown(value)}; it knows {known}")
        wanted &= best == probe.classes.index(value)
    rows = np.flatnonzero(wanted)
    found: IntArray = rows[np.lexsort((said.numbers[rows], -sure[rows]))]
    return found


def predictions_of(
    connection: Connection, tag: Row[Any], probe: Trained, said: Predicted, rows: IntArray
) -> list[Prediction]:
    """Some rows of the predictions as records."""
    paths = first_paths(connection, said.numbers[rows].tolist())
    records = []
    for row in rows:
        number = int(said.numbers[row])
        order = np.argsort(-said.probabilities[row], kind="stable")
        second = said.probabilities[row, order[1]] > 0
        records.append(
            Prediction(
                piece_id=number,
                path=paths[number],
                tag=tag.name,
                value=probe.classes[order[0]],
                probability=round(float(said.probabilities[row, order[0]]), 4),
                runner_up=probe.classes[order[1]] if second else None,
                outside=bool(said.outside[row]),
            )
        )
    return records


def first_paths(connection: Connection, numbers: Iterable[int]) -> dict[int, str]:
    """The first path of each piece, by number."""
    columns = schema.paths.c
    found = {}
    for some in chunks(sorted(set(numbers))):
        query = select(columns.piece_id, columns.path).where(columns.piece_id.in_(some))
        for number, path in connection.execute(query.order_by(columns.path.desc())):
            found[number] = from_bytes(path)  # the first one comes last
    return found


def wishes_of(
    tag: Row[Any], probe: Trained, said: Predicted, rows: IntArray, *, accepted: bool
) -> list[Wish]:
    """Labels that say that predictions are right, or wrong."""
    wishes = []
    for row in rows:
        value = probe.classes[int(said.probabilities[row].argmax())]
        number = int(said.numbers[row])
        if tag.kind == FACET:
            wishes.append(Wish(number, tag.name, value, accepted))
        else:
            wishes.append(Wish(number, tag.name, None, (value == YES) == accepted))
    return wishes
