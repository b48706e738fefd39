"""Predictions: computed for all pieces in one pass, and shown for pieces without a label, to be reviewed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from embedder.core.arrays import IntArray
from embedder.core.errors import TagError
from embedder.core.files import shortened

from ..resolve import Contents
from ..storage import chunks, from_bytes, schema
from ..storage.pieces import known_contents
from ..tags import FACET, FREE, YES, LabelEdit, active_labels
from .dataset import PieceVectors
from .records import Applied, Prediction
from .store import (
    PredictedPieces,
    TrainedProbe,
    has_predictions,
    load_predictions,
    load_probe,
    tags_with_probes,
)

__all__ = [
    "append_predictions",
    "edits_from_predictions",
    "first_paths",
    "labelled_pieces",
    "predict_pieces",
    "predicted_counts",
    "prediction_records",
    "predictions_of_piece",
    "rank_rows",
    "rows_of_targets",
    "summarise",
    "unlabelled_predictions",
]


def predict_pieces(
    probes: Sequence[TrainedProbe], library: PieceVectors, on_batch: Callable[[int, int], None]
) -> list[PredictedPieces]:
    """Predictions of each probe for each piece.

    Parameters
    ----------
    on_batch : called with the number of pieces done and their total
    """
    count = len(library)
    probabilities = [np.empty((count, len(probe.classes)), dtype=np.float32) for probe in probes]
    out_of_distribution = [np.empty(count, dtype=bool) for _ in probes]
    for batch in library.batches():
        vectors = library.vectors[batch].astype(np.float32)
        for i, probe in enumerate(probes):
            probabilities[i][batch], out_of_distribution[i][batch] = probe.predict(vectors)
        on_batch(min(batch.stop, count), count)
    return [
        PredictedPieces(library.piece_ids, rows, outside)
        for rows, outside in zip(probabilities, out_of_distribution, strict=True)
    ]


def append_predictions(known: PredictedPieces, predicted: PredictedPieces) -> PredictedPieces:
    """Known predictions, and those of others for pieces with higher ids."""
    newest = int(known.piece_ids[-1]) if len(known.piece_ids) else 0
    new = predicted.piece_ids > newest
    return PredictedPieces(
        np.concatenate([known.piece_ids, predicted.piece_ids[new]]),
        np.concatenate([known.probabilities, predicted.probabilities[new]]),
        np.concatenate([known.out_of_distribution, predicted.out_of_distribution[new]]),
    )


def summarise(
    connection: Connection,
    tag: Row[Any],
    probe: TrainedProbe,
    *,
    pieces: int,
    retrained: bool,
    seconds: float,
) -> Applied:
    """What applying a probe did, from its stored predictions."""
    unlabelled = unlabelled_predictions(connection, tag, probe)
    counts = _class_counts(unlabelled, len(probe.classes))
    order = np.argsort(-counts, kind="stable")
    return Applied(
        tag=tag.name,
        pieces=pieces,
        labelled=pieces - len(unlabelled.piece_ids),
        predicted=tuple((probe.classes[i], int(counts[i])) for i in order if counts[i]),
        outside=int(unlabelled.out_of_distribution.sum()),
        retrained=retrained,
        seconds=round(seconds, 3),
    )


def _class_counts(predicted: PredictedPieces, classes: int) -> IntArray:
    """Pieces in distribution predicted to be of each class."""
    likeliest = predicted.probabilities.argmax(1)[~predicted.out_of_distribution]
    return np.bincount(likeliest, minlength=classes)


# -- predictions beside labels ----------------------------------------------------------------------


def labelled_pieces(connection: Connection, tag: Row[Any]) -> tuple[set[int], list[tuple[int, str]]]:
    """Pieces with a label as a whole, and pieces with a value of a facet that they do not have."""
    rows = [row for row in active_labels(connection, tag.id) if row.start_s is None]
    piece_id = known_contents(connection, {row.sha256 for row in rows})
    rows = [row for row in rows if row.sha256 in piece_id]
    if tag.kind == FREE:
        return {piece_id[row.sha256] for row in rows}, []
    labelled = {piece_id[row.sha256] for row in rows if row.holds}
    return labelled, [(piece_id[row.sha256], row.value) for row in rows if not row.holds]


def unlabelled_predictions(connection: Connection, tag: Row[Any], probe: TrainedProbe) -> PredictedPieces:
    """Stored predictions for the pieces that exist and have no label.

    A value that a negative label excludes has probability 0, and the others add up to 1.

    Raises
    ------
    TagError
        If the probe was not applied yet.
    """
    stored = load_predictions(connection, tag, len(probe.classes))
    labelled, excluded = labelled_pieces(connection, tag)
    existing = np.fromiter(connection.execute(select(schema.pieces.c.id)).scalars(), dtype=np.int64)
    open_rows = np.isin(stored.piece_ids, existing) & ~np.isin(stored.piece_ids, sorted(labelled))
    piece_ids, probabilities = stored.piece_ids[open_rows], stored.probabilities[open_rows]
    class_number = {name: i for i, name in enumerate(probe.classes)}
    for piece_id, value in excluded:
        row = int(np.searchsorted(piece_ids, piece_id))
        if value in class_number and row < len(piece_ids) and piece_ids[row] == piece_id:
            probabilities[row, class_number[value]] = 0.0
            total = float(probabilities[row].sum())
            probabilities[row] /= total if total > 0 else 1.0
    return PredictedPieces(piece_ids, probabilities, stored.out_of_distribution[open_rows])


def predicted_counts(connection: Connection, tag: Row[Any]) -> dict[str, int]:
    """How many unlabelled pieces are predicted to be of each class; empty if no probe was applied."""
    if not has_predictions(connection, tag):
        return {}
    probe = load_probe(connection, tag)
    counts = _class_counts(unlabelled_predictions(connection, tag, probe), len(probe.classes))
    return {name: int(count) for name, count in zip(probe.classes, counts, strict=True) if count}


def predictions_of_piece(connection: Connection, piece_id: int) -> list[tuple[str, str, float]]:
    """Tag, likeliest value and probability of each probe that was applied, where a piece has no label."""
    predictions = []
    for tag in tags_with_probes(connection):
        if not has_predictions(connection, tag):
            continue
        probe = load_probe(connection, tag)
        predicted = unlabelled_predictions(connection, tag, probe)
        row = int(np.searchsorted(predicted.piece_ids, piece_id))
        if row == len(predicted.piece_ids) or predicted.piece_ids[row] != piece_id:
            continue
        if not predicted.out_of_distribution[row]:
            likeliest = int(predicted.probabilities[row].argmax())
            probability = round(float(predicted.probabilities[row, likeliest]), 4)
            predictions.append((tag.name, probe.classes[likeliest], probability))
    return predictions


# -- review -----------------------------------------------------------------------------------------


def rank_rows(
    tag: Row[Any],
    probe: TrainedProbe,
    predicted: PredictedPieces,
    value: str | None,
    min_probability: float,
    *,
    out_of_distribution: bool,
) -> IntArray:
    """Rows of the predictions that meet the conditions, likeliest first.

    Parameters
    ----------
    value : only pieces whose likeliest class this is
    out_of_distribution : those pieces instead of the ones in distribution

    Raises
    ------
    TagError
        If the probe has no such class.
    """
    likeliest = predicted.probabilities.argmax(1)
    confidence = predicted.probabilities.max(1)
    matching = (confidence >= min_probability) & (predicted.out_of_distribution == out_of_distribution)
    if value is not None:
        if value not in probe.classes:
            known = ", ".join(shortened(name) for name in probe.classes[:8])
            raise TagError(
                f"{shortened(tag.name)}: the probe has no value {shortened(value)}; it has {known}"
            )
        matching &= likeliest == probe.classes.index(value)
    rows = np.flatnonzero(matching)
    ranked: IntArray = rows[np.lexsort((predicted.piece_ids[rows], -confidence[rows]))]
    return ranked


def rows_of_targets(
    connection: Connection, tag: Row[Any], predicted: PredictedPieces, rows: IntArray, targets: Sequence[Any]
) -> IntArray:
    """Those of the rows that belong to the targets.

    Raises
    ------
    PieceNotFound
        If a target is not in the library.
    TagError
        If a target has none of the rows.
    """
    contents = Contents(connection)
    available = set(predicted.piece_ids[rows].tolist())
    chosen: set[int] = set()
    for target in targets:
        piece_ids = {piece_id for piece_id, _ in contents.of(target)}
        if not piece_ids & available:
            raise TagError(
                f"{shortened(tag.name)}: piece {min(piece_ids)} has no such prediction; "
                "it is labelled, or left untagged"
            )
        chosen |= piece_ids
    own: IntArray = rows[np.isin(predicted.piece_ids[rows], sorted(chosen))]
    return own


def prediction_records(
    connection: Connection, tag: Row[Any], probe: TrainedProbe, predicted: PredictedPieces, rows: IntArray
) -> list[Prediction]:
    """Some rows of the predictions as records."""
    paths = first_paths(connection, predicted.piece_ids[rows].tolist())
    records = []
    for row in rows:
        piece_id = int(predicted.piece_ids[row])
        order = np.argsort(-predicted.probabilities[row], kind="stable")
        has_runner_up = predicted.probabilities[row, order[1]] > 0
        records.append(
            Prediction(
                piece_id=piece_id,
                path=paths[piece_id],
                tag=tag.name,
                value=probe.classes[order[0]],
                probability=round(float(predicted.probabilities[row, order[0]]), 4),
                runner_up=probe.classes[order[1]] if has_runner_up else None,
                outside=bool(predicted.out_of_distribution[row]),
            )
        )
    return records


def first_paths(connection: Connection, piece_ids: Iterable[int]) -> dict[int, str]:
    """The first path of each piece in alphabetical order, by id."""
    columns = schema.paths.c
    paths = {}
    for chunk in chunks(sorted(set(piece_ids))):
        query = select(columns.piece_id, columns.path).where(columns.piece_id.in_(chunk))
        for piece_id, path in connection.execute(query.order_by(columns.path.desc())):
            paths[piece_id] = from_bytes(path)  # the first path comes last and stays
    return paths


def edits_from_predictions(
    tag: Row[Any], probe: TrainedProbe, predicted: PredictedPieces, rows: IntArray, *, accepted: bool
) -> list[LabelEdit]:
    """Label edits that confirm predictions or, if not accepted, contradict them."""
    edits = []
    for row in rows:
        value = probe.classes[int(predicted.probabilities[row].argmax())]
        piece_id = int(predicted.piece_ids[row])
        if tag.kind == FACET:
            edits.append(LabelEdit(piece_id, tag.name, value, accepted))
        else:
            edits.append(LabelEdit(piece_id, tag.name, None, (value == YES) == accepted))
    return edits
