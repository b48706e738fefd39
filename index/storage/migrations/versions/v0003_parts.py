"""Parts, drums, instruments and metre of pieces; change time and inode of files; checksums of blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations

revision = "3"
down_revision = "2"

_LARGE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade(op: Operations) -> None:
    for column in (
        sa.Column("reading", sa.Integer, nullable=False, server_default="0"),
        sa.Column("parts", sa.Integer),
        sa.Column("drum_notes", sa.Integer),
        sa.Column("doubled_parts", sa.Integer),
        sa.Column("instruments", sa.Text),
        sa.Column("meter", sa.Text),
        sa.Column("tempo_estimated", sa.Integer),
        sa.Column("composer", sa.Text),
        sa.Column("partly_read", sa.Text),
    ):
        op.add_column("pieces", column)
    for name in ("title", "parts", "drum_notes"):
        op.create_index(f"ix_pieces_{name}", "pieces", [name])
    for name in ("changed_ns", "inode"):
        op.add_column("paths", sa.Column(name, _LARGE))
    there = set(sa.inspect(op.get_bind()).get_table_names())
    # Those with next_ are there while pieces are embedded anew by another encoder.
    for table in ("piece_vectors", "windows", "notes", "next_piece_vectors", "next_windows"):
        if table in there:
            op.add_column(table, sa.Column("crc", _LARGE))
