"""Tables of tags, labels, probes and predictions.

    tags           the user's tags: free ones (yes or no) and facets (one of many values)
    label_actions  every change of labels, by number and date: what history shows and undo takes back
    labels         what people said of contents; one that ended keeps its row, with the action that ended it
    probes         the probe of a tag: its arrays, and what is known of how good it is
    predictions    what a probe says of all pieces, packed: numbers of pieces and their probabilities

A label names a content by its hash, not a piece by its number, and so outlives removing and adding again.
Predictions are one row a tag, because they are always written and read together: a hundred thousand
pieces are a megabyte, and writing them is one step.
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
    Column("start_s", Float),  # of a part of the piece; empty for the whole
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
    Column("labels", Text, nullable=False),  # digest of the labels that it was trained on
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
    Column("outside", LargeBinary, nullable=False),  # one byte a piece
)
