"""What stands: the tags of a library, their labels, and all that is known of one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, distinct, func, select

from embedder.core.errors import TagError

from ..probes.review import open_predictions, predicted_counts
from ..probes.store import load_trained, probe_state, tags_with_probes
from ..storage import from_bytes, schema
from ..storage.pieces import chunks
from .labels import tag_named
from .names import checked_name
from .records import FREE, NO, YES, Label, PieceTag, Tag, TagValue
from .schema import label_actions, labels, tags

__all__ = ["labelled_tags", "labels_of", "list_tags", "tags_of_piece"]


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
    here = (labels.c.tag_id == row.id) & labels.c.ended_by.is_(None)
    grouped = select(labels.c.value, labels.c.holds, func.count()).where(here)
    counts: Counter[str] = Counter()
    total = 0
    for value, holds, count in connection.execute(grouped.group_by(labels.c.value, labels.c.holds)):
        total += count
        if row.kind == FREE:
            counts[YES if holds else NO] += count
        else:
            counts[value] += count if holds else 0
    joined = labels.join(schema.pieces, labels.c.sha256 == schema.pieces.c.sha256)
    pieces = select(func.count(distinct(schema.pieces.c.id))).select_from(joined).where(here)
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


def labels_of(connection: Connection, names: Sequence[str] | None, piece_id: int | None) -> list[Label]:
    """Labels that stand, of some tags and of one piece if so asked, oldest first.

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
        wanted = [tag_named(connection, checked_name(name)).id for name in names]
        query = query.where(labels.c.tag_id.in_(wanted))
    if piece_id is not None:
        own = select(schema.pieces.c.sha256).where(schema.pieces.c.id == piece_id)
        query = query.where(labels.c.sha256 == own.scalar_subquery())
    found = connection.execute(query.order_by(labels.c.id)).all()
    held = pieces_of_contents(connection, sorted({row.sha256 for row in found}))
    return [
        Label(
            piece_id=held[row.sha256][0] if row.sha256 in held else None,
            path=held[row.sha256][1] if row.sha256 in held else None,
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
        for row in found
    ]


def pieces_of_contents(connection: Connection, hashes: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Number and first path of the pieces that hold contents, by hash."""
    held: dict[str, tuple[int, str]] = {}
    joined = schema.pieces.join(schema.paths, schema.paths.c.piece_id == schema.pieces.c.id)
    columns = (schema.pieces.c.sha256, schema.pieces.c.id, schema.paths.c.path)
    for some in chunks(hashes):
        query = select(*columns).select_from(joined).where(schema.pieces.c.sha256.in_(some))
        for sha256, number, path in connection.execute(query.order_by(schema.paths.c.path.desc())):
            held[sha256] = number, from_bytes(path)  # the first one comes last
    return held


def labelled_tags(connection: Connection) -> list[Row[Any]]:
    """Tags with labels that stand, by name."""
    own = select(labels.c.id).where(labels.c.tag_id == tags.c.id, labels.c.ended_by.is_(None))
    return list(connection.execute(select(tags).where(own.exists()).order_by(tags.c.name)).all())


def tags_of_piece(connection: Connection, piece_id: int) -> list[PieceTag]:
    """Labels of a piece as a whole, then predictions for tags without one."""
    found = [
        PieceTag(
            one.tag, one.value or (YES if one.holds else NO), one.holds or one.value is None, "label", None
        )
        for one in labels_of(connection, None, piece_id)
        if one.start_s is None
    ]
    for tag in tags_with_probes(connection):
        probe = load_trained(connection, tag)
        try:
            said = open_predictions(connection, tag, probe)
        except TagError:  # not applied yet
            continue
        row = int(np.searchsorted(said.numbers, piece_id))
        if row < len(said.numbers) and said.numbers[row] == piece_id and not said.outside[row]:
            best = int(said.probabilities[row].argmax())
            sure = round(float(said.probabilities[row, best]), 4)
            found.append(PieceTag(tag.name, probe.classes[best], True, "prediction", sure))
    return found
