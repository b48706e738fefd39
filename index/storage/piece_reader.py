"""Rows of the database as the records that a library answers with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from embedder.descriptors import Descriptors
from embedder.notes import Notes

from ..arguments import LARGEST
from ..filters import Filters
from ..records import Piece
from . import schema
from .codecs import unpack_spans, unpack_vectors
from .damage import damaged, decoding
from .note_codec import unpack_notes
from .paths import from_bytes
from .piece_writer import chunks, instruments_of

__all__ = ["notes_of", "pieces_by_id", "pieces_of_rows", "spans_of", "vector_of"]

NO_FILTERS = Filters()
_OPTIONAL = ("tempo_bpm", "meter")


def pieces_of_rows(
    connection: Connection, rows: Sequence[Row[Any]], filters: Filters = NO_FILTERS
) -> list[Piece]:
    """Pieces of rows of the table of pieces, with their paths; those that meet the filters come first."""
    paths: dict[int, list[str]] = {row.id: [] for row in rows}
    matching = filters.path_clause()
    columns = [schema.paths.c.piece_id, schema.paths.c.path]
    for some in chunks(list(paths)):
        query = select(*columns).where(schema.paths.c.piece_id.in_(some))
        if matching is not None:
            query = query.order_by(matching.desc())
        for number, path in connection.execute(query.order_by(schema.paths.c.path)):
            with decoding("a path"):
                paths[number].append(from_bytes(path))
    with decoding("what describes a piece"):
        return [_piece(row, tuple(paths[row.id])) for row in rows]


def _piece(row: Row[Any], paths: tuple[str, ...]) -> Piece:
    described = {name: getattr(row, name) for name in schema.DESCRIPTOR_COLUMNS}
    numbers = [
        value for name, value in described.items() if name not in ("key", "meter") and value is not None
    ]
    numbers += [row.id, row.size_bytes, row.start_s, row.end_s, row.windows]
    if not paths or not isinstance(row.key, str) or not all(isinstance(n, int | float) for n in numbers):
        raise ValueError("a row that was never written so")
    return Piece(
        id=row.id,
        paths=paths,
        title=row.title,
        size_bytes=row.size_bytes,
        start_s=row.start_s,
        end_s=row.end_s,
        windows=row.windows,
        descriptors=Descriptors(**_known(described), instruments=instruments_of(row.instruments)),
        composer=row.composer,
        partly_read=row.partly_read,
    )


def _known(described: dict[str, Any]) -> dict[str, Any]:
    """Descriptors without those that an older reader did not give, which keep their defaults."""
    known = {name: value for name, value in described.items() if value is not None or name in _OPTIONAL}
    return known | {"tempo_estimated": bool(described["tempo_estimated"])}


def pieces_by_id(
    connection: Connection, numbers: Collection[int], filters: Filters = NO_FILTERS
) -> dict[int, Piece]:
    """Pieces of these numbers that exist."""
    found: dict[int, Piece] = {}
    for some in chunks(sorted(number for number in numbers if abs(number) <= LARGEST)):
        rows = connection.execute(select(schema.pieces).where(schema.pieces.c.id.in_(some))).all()
        found.update((piece.id, piece) for piece in pieces_of_rows(connection, rows, filters))
    return found


def vector_of(connection: Connection, piece_id: int, dim: int) -> NDArray[np.float32]:
    """The vector of a piece, float32 [dim]."""
    query = select(schema.piece_vectors.c.vector).where(schema.piece_vectors.c.piece_id == piece_id)
    vectors = unpack_vectors(_blob(connection.execute(query).scalar(), piece_id), dim)
    if len(vectors) != 1:
        raise damaged(f"piece {piece_id} has {len(vectors)} vectors")
    vector: NDArray[np.float32] = vectors[0]
    return vector


def spans_of(connection: Connection, piece_id: int) -> NDArray[np.void]:
    """Times and note ranges of a piece's windows, structured [w] of dtype packing.SPAN."""
    query = select(schema.windows.c.spans).where(schema.windows.c.piece_id == piece_id)
    return unpack_spans(_blob(connection.execute(query).scalar(), piece_id))


def notes_of(connection: Connection, piece_id: int) -> Notes:
    """The notes of a piece as they were when it was added."""
    query = select(schema.notes.c.packed).where(schema.notes.c.piece_id == piece_id)
    return unpack_notes(_blob(connection.execute(query).scalar(), piece_id))


def _blob(blob: bytes | None, piece_id: int) -> bytes:
    if blob is None:
        raise damaged(f"a part of piece {piece_id} is missing")
    return blob
