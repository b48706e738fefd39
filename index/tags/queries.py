"""The tags of a library, their active labels, and all tags of one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, distinct, func, select

from ..probes.predict import predicted_counts, predictions_of_piece
from ..probes.store import probe_state
from ..storage import chunks, from_bytes, schema
from .labels import find_tag
from .records import FREE, NO, YES, Label, PieceTag, Tag, TagValue
from .schema import label_actions, labels, tags

__all__ = ["list_labels", "list_tags", "tags_of_piece"]


def list_tags(connection: Connection, encoder: str | None) -> list[Tag]:
    """All tags with labels or a probe, by name.

    Parameters
    ----------
    encoder : id of the encoder of the library's vectors
    """
    listed = []
    for row in connection.execute(select(tags).order_by(tags.c.name)).all():
        tag = _tag(connection, row, encoder)
        if tag.labels or tag.probe != "none":
            listed.append(tag)
    return listed


def _tag(connection: Connection, row: Row[Any], encoder: str | None) -> Tag:
    is_active = (labels.c.tag_id == row.id) & labels.c.ended_by.is_(None)
    grouped = select(labels.c.value, labels.c.holds, func.count()).where(is_active)
    counts: Counter[str] = Counter()
    total = 0
    for value, holds, count in connection.execute(grouped.group_by(labels.c.value, labels.c.holds)):
        total += count
        if row.kind == FREE:
            counts[YES if holds else NO] += count
        else:
            counts[value] += count if holds else 0
    joined = labels.join(schema.pieces, labels.c.sha256 == schema.pieces.c.sha256)
    pieces = select(func.count(distinct(schema.pieces.c.id))).select_from(joined).where(is_active)
    predicted = predicted_counts(connection, row)
    names = sorted(set(counts) | set(predicted), key=lambda name: (-counts[name], name))
    return Tag(
        name=row.name,
        kind=row.kind,
        values=tuple(TagValue(name, counts[name], predicted.get(name, 0)) for name in names),
        labels=total,
        pieces=int(connection.execute(pieces).scalar_one()),
        probe=probe_state(connection, row.id, encoder),
    )


def list_labels(connection: Connection, names: Sequence[str] | None, piece_id: int | None) -> list[Label]:
    """Active labels, oldest first; of some tags and of one piece if these are given.

    Raises
    ------
    TagError
        If there is no tag of a name.
    """
    joined = labels.join(tags, labels.c.tag_id == tags.c.id)
    joined = joined.join(label_actions, labels.c.set_by == label_actions.c.id)
    columns = (labels, tags.c.name, tags.c.kind, label_actions.c.source, label_actions.c.done_s)
    query = select(*columns).select_from(joined).where(labels.c.ended_by.is_(None))
    if names is not None:
        tag_ids = [find_tag(connection, name).id for name in names]
        query = query.where(labels.c.tag_id.in_(tag_ids))
    if piece_id is not None:
        own = select(schema.pieces.c.sha256).where(schema.pieces.c.id == piece_id)
        query = query.where(labels.c.sha256 == own.scalar_subquery())
    rows = connection.execute(query.order_by(labels.c.id)).all()
    pieces = _pieces_by_content(connection, sorted({row.sha256 for row in rows}))
    listed = []
    for row in rows:
        piece, path = pieces.get(row.sha256, (None, None))
        listed.append(
            Label(
                piece_id=piece,
                path=path,
                sha256=row.sha256,
                tag=row.name,
                value=None if row.kind == FREE else row.value,
                holds=bool(row.holds),
                start_s=row.start_s,
                end_s=row.end_s,
                source=row.source,
                set_s=row.done_s,
                action=row.set_by,
            )
        )
    return listed


def _pieces_by_content(connection: Connection, hashes: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Id and first path of the pieces with some contents, by hash."""
    pieces: dict[str, tuple[int, str]] = {}
    joined = schema.pieces.join(schema.paths, schema.paths.c.piece_id == schema.pieces.c.id)
    columns = (schema.pieces.c.sha256, schema.pieces.c.id, schema.paths.c.path)
    for chunk in chunks(hashes):
        query = select(*columns).select_from(joined).where(schema.pieces.c.sha256.in_(chunk))
        for sha256, piece_id, path in connection.execute(query.order_by(schema.paths.c.path.desc())):
            pieces[sha256] = piece_id, from_bytes(path)  # the first path comes last and stays
    return pieces


def tags_of_piece(connection: Connection, piece_id: int) -> list[PieceTag]:
    """Labels of a piece as a whole, then predictions for the tags without one."""
    known = [
        PieceTag(
            tag=label.tag,
            value=label.value or (YES if label.holds else NO),
            holds=label.holds or label.value is None,
            source="label",
            probability=None,
        )
        for label in list_labels(connection, None, piece_id)
        if label.start_s is None
    ]
    predicted = [
        PieceTag(tag, value, True, "prediction", probability)
        for tag, value, probability in predictions_of_piece(connection, piece_id)
    ]
    return known + predicted
