"""Tables of tags, labels, probes and predictions.

    tags           the user's tags: free ones (yes or no) and facets (one of many values)
    label_actions  every change of labels, by number and date, for history and undo
    labels         labels of contents; a removed or replaced one keeps its row, with the action that ended it
    probes         the probe of a tag: its arrays, metadata and scores
    predictions    a probe's predictions for all pieces, packed: piece numbers and class probabilities

A label refers to a content by its hash, not to a piece by its number, so it survives removing the piece and
adding it again. Predictions are one row per tag, because they are always written and read together: for a
hundred thousand pieces that is a megabyte, written in one step.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, Table, Text

from ..storage.schema import metadata

__all__ = ["label_actions", "labels", "predictions", "probes", "tags"]

tags = Table(
    "tags",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    sqlite_autoincrement=True,
)

label_actions = Table(
    "label_actions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("what", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("done_s", Float, nullable=False),
    Column("undone_s", Float),
    sqlite_autoincrement=True,
)

labels = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.id"), nullable=False),
    Column("sha256", Text, nullable=False),
    Column("value", Text, nullable=False),  # of a facet; empty for a free tag
    Column("holds", Integer, nullable=False),  # 1 for "is", 0 for "is not"
    Column("start_s", Float),  # of a time range; null for the whole piece
    Column("end_s", Float),
    Column("set_by", Integer, ForeignKey("label_actions.id"), nullable=False),
    Column("ended_by", Integer, ForeignKey("label_actions.id")),
    Index("ix_labels_tag_id", "tag_id", "sha256"),
    Index("ix_labels_sha256", "sha256"),
    Index("ix_labels_set_by", "set_by"),
    Index("ix_labels_ended_by", "ended_by"),
    sqlite_autoincrement=True,
)

probes = Table(
    "probes",
    metadata,
    Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True),
    Column("encoder", Text, nullable=False),
    Column("labels", Text, nullable=False),  # digest of the labels it was trained on
    Column("facts", Text, nullable=False),  # JSON
    Column("arrays", LargeBinary, nullable=False),
    Column("trained_s", Float, nullable=False),
)

predictions = Table(
    "predictions",
    metadata,
    Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True),
    Column("trained_s", Float, nullable=False),  # of the probe that made them
    Column("pieces", LargeBinary, nullable=False),  # int64 [n]
    Column("probabilities", LargeBinary, nullable=False),  # float16 [n, classes]
    Column("outside", LargeBinary, nullable=False),  # one byte per piece: 1 if out of distribution
)
