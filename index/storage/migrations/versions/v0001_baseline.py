"""Version 1, the baseline: pieces, files, vectors, windows, notes, failures and decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations

revision = "1"
down_revision: str | None = None

# Sizes and times in ns do not fit 32 bits; SQLite's integers are as wide as they need to be.
LARGE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

FILTERED = (
    ("duration_s", sa.Float, False),
    ("notes", sa.Integer, False),
    ("density", sa.Float, False),
    ("pitch_low", sa.Integer, False),
    ("pitch_high", sa.Integer, False),
    ("pitch_mean", sa.Float, False),
    ("polyphony", sa.Float, False),
    ("velocity_mean", sa.Float, False),
    ("key", sa.Text, False),
    ("key_confidence", sa.Float, False),
    ("tempo_bpm", sa.Float, True),
)


def upgrade(op: Operations) -> None:
    op.create_table(
        "meta", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    _pieces(op)
    _paths(op)
    for name, blobs in (
        ("piece_vectors", ("vector",)),
        ("windows", ("spans", "vectors")),
        ("notes", ("packed",)),
    ):
        columns = [sa.Column(blob, sa.LargeBinary, nullable=False) for blob in blobs]
        op.create_table(name, _of_piece(primary_key=True), *columns)
    op.create_table(
        "failures",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("display", sa.Text, nullable=False),
        sa.Column("size_bytes", LARGE),
        sa.Column("changed_ns", LARGE),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("failed_s", sa.Float, nullable=False),
    )
    _decisions(op)


def _pieces(op: Operations) -> None:
    op.create_table(
        "pieces",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("size_bytes", LARGE, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("windows", sa.Integer, nullable=False),
        sa.Column("start_s", sa.Float, nullable=False),
        sa.Column("end_s", sa.Float, nullable=False),
        *(sa.Column(name, kind, nullable=nullable) for name, kind, nullable in FILTERED),
        sa.Column("added_s", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    for name in ("digest", *(name for name, _, _ in FILTERED)):
        op.create_index(f"ix_pieces_{name}", "pieces", [name])


def _paths(op: Operations) -> None:
    op.create_table(
        "paths",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("display", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        _of_piece(primary_key=False),
        sa.Column("size_bytes", LARGE, nullable=False),
        sa.Column("mtime_ns", LARGE, nullable=False),
        sa.Column("seen_s", sa.Float, nullable=False),
    )
    op.create_index("ix_paths_piece_id", "paths", ["piece_id"])


def _decisions(op: Operations) -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("one", sa.Text, nullable=False),
        sa.Column("other", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("keeper", sa.Text),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("decided_s", sa.Float, nullable=False),
        sa.Column("undone_s", sa.Float),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decisions_pair", "decisions", ["one", "other"])


def _of_piece(*, primary_key: bool) -> sa.Column[int]:
    owner = sa.ForeignKey("pieces.id", ondelete="CASCADE")
    return sa.Column("piece_id", sa.Integer, owner, primary_key=primary_key, nullable=False)
