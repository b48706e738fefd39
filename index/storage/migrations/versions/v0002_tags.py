"""Tags, labels, probes and predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations

revision = "2"
down_revision = "1"


def upgrade(op: Operations) -> None:
    _labels(op)
    op.create_table(
        "probes",
        _of_tag(),
        sa.Column("encoder", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
        sa.Column("trained_s", sa.Float, nullable=False),
    )
    op.create_table(
        "predictions",
        _of_tag(),
        sa.Column("trained_s", sa.Float, nullable=False),
        sa.Column("pieces", sa.LargeBinary, nullable=False),
        sa.Column("probabilities", sa.LargeBinary, nullable=False),
        sa.Column("outside", sa.LargeBinary, nullable=False),
    )


def _labels(op: Operations) -> None:
    op.create_table(
        "tags",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "label_actions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("done_s", sa.Float, nullable=False),
        sa.Column("undone_s", sa.Float),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tag_id", sa.Integer, sa.ForeignKey("tags.id"), nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("holds", sa.Integer, nullable=False),
        sa.Column("start_s", sa.Float),
        sa.Column("end_s", sa.Float),
        sa.Column("set_by", sa.Integer, sa.ForeignKey("label_actions.id"), nullable=False),
        sa.Column("ended_by", sa.Integer, sa.ForeignKey("label_actions.id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_labels_tag_id", "labels", ["tag_id", "sha256"])
    for name in ("sha256", "set_by", "ended_by"):
        op.create_index(f"ix_labels_{name}", "labels", [name])


def _of_tag() -> sa.Column[int]:
    return sa.Column("tag_id", sa.Integer, sa.ForeignKey("tags.id"), primary_key=True, nullable=False)
