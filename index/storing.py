"""Rows in and out of the database: what one batch of read files becomes, inside one transaction."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select

from . import schema
from .database import upsert
from .packing import SPAN, pack_notes, pack_vectors
from .paths import display, to_bytes
from .scan import clamped_ns

if TYPE_CHECKING:
    from embedder.encoder import Embedded
    from embedder.midi.pool import FileRead

__all__ = [
    "Vectors",
    "chunks",
    "clear_failures",
    "delete_paths",
    "delete_pieces",
    "delete_unfiled",
    "insert_piece",
    "known_contents",
    "put_failure",
    "put_path",
    "vectors_of",
]

_VARIABLES = 500  # values in one IN (...), well below SQLite's limit
T = TypeVar("T")


@dataclass(frozen=True)
class Vectors:
    """What the encoder made of one piece.

    Attributes
    ----------
    piece : float32 [dim]
    windows : float32 [w, dim]
    spans : structured [w] of dtype SPAN
    """

    piece: NDArray[np.float32]
    windows: NDArray[np.float32]
    spans: NDArray[np.void]


def vectors_of(embedded: Embedded) -> Iterator[Vectors]:
    """Split what was embedded together into pieces, in their order."""
    spans = np.empty(len(embedded.windows), dtype=SPAN)
    for name in SPAN.names or ():
        spans[name] = getattr(embedded, name)
    bounds = np.searchsorted(embedded.piece_of_window, np.arange(len(embedded.pieces) + 1))
    for piece, first, last in zip(embedded.pieces, bounds[:-1], bounds[1:], strict=True):
        yield Vectors(piece, embedded.windows[first:last], spans[first:last])


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Runs short enough for one IN (...)."""
    for first in range(0, len(values), _VARIABLES):
        yield values[first : first + _VARIABLES]


def known_contents(connection: Connection, hashes: Iterable[str]) -> dict[str, int]:
    """Numbers of the pieces that hold these bytes, by SHA-256."""
    known: dict[str, int] = {}
    for some in chunks(list(hashes)):
        rows = select(schema.pieces.c.sha256, schema.pieces.c.id).where(schema.pieces.c.sha256.in_(some))
        known.update((sha256, number) for sha256, number in connection.execute(rows))
    return known


def insert_piece(connection: Connection, read: FileRead, vectors: Vectors) -> int:
    """Store a new content with all that is known of it; its number."""
    notes = read.midi.notes
    described = {name: getattr(read.descriptors, name) for name in schema.DESCRIPTOR_COLUMNS}
    row = insert(schema.pieces).values(
        sha256=read.sha256,
        digest=notes.digest(instruments=False),
        size_bytes=read.size_bytes,
        title=_storable(read.midi.title),
        windows=len(vectors.windows),
        start_s=notes.start_s,
        end_s=notes.end_s,
        added_s=time.time(),
        **{name: _plain(value) for name, value in described.items()},
    )
    key = connection.execute(row).inserted_primary_key
    assert key is not None
    piece_id = int(key[0])
    connection.execute(
        insert(schema.piece_vectors), {"piece_id": piece_id, "vector": pack_vectors(vectors.piece)}
    )
    connection.execute(
        insert(schema.windows),
        {"piece_id": piece_id, "spans": vectors.spans.tobytes(), "vectors": pack_vectors(vectors.windows)},
    )
    connection.execute(insert(schema.notes), {"piece_id": piece_id, "packed": pack_notes(notes)})
    return piece_id


def _plain(value: object) -> object:
    """numpy numbers as Python's own, which is what the database takes."""
    return value.item() if isinstance(value, np.generic) else value


def _storable(text: str | None) -> str | None:
    """Text that every database takes: no lone surrogates, no NUL."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def put_path(connection: Connection, path: str, piece_id: int, size_bytes: int, mtime_ns: int) -> None:
    """Record that a file holds a piece, whatever was recorded of it before."""
    values = {
        "piece_id": piece_id,
        "size_bytes": size_bytes,
        "mtime_ns": clamped_ns(mtime_ns),
        "seen_s": time.time(),
    }
    names = {"path": to_bytes(path), "display": display(path), "name": display(os.path.basename(path))}
    row = upsert(connection, schema.paths).values(**names, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["path"], set_=values))


def put_failure(
    connection: Connection, path: str, reason: str, size_bytes: int | None, changed_ns: int | None
) -> None:
    """Record why a file or folder could not be read."""
    values = {
        "reason": _storable(reason),
        "size_bytes": size_bytes,
        "changed_ns": changed_ns,
        "failed_s": time.time(),
    }
    row = upsert(connection, schema.failures).values(path=to_bytes(path), display=display(path), **values)
    connection.execute(row.on_conflict_do_update(index_elements=["path"], set_=values))


def clear_failures(connection: Connection, paths: Collection[bytes]) -> None:
    for some in chunks(list(paths)):
        connection.execute(delete(schema.failures).where(schema.failures.c.path.in_(some)))


def delete_paths(connection: Connection, paths: Collection[bytes]) -> set[int]:
    """Forget files; the pieces that they held."""
    held: set[int] = set()
    for some in chunks(list(paths)):
        where = schema.paths.c.path.in_(some)
        held.update(connection.execute(select(schema.paths.c.piece_id).where(where)).scalars())
        connection.execute(delete(schema.paths).where(where))
    return held


def delete_unfiled(connection: Connection, candidates: Collection[int]) -> int:
    """Delete those of these pieces that no file holds any more; how many."""
    filed = select(schema.paths.c.piece_id)
    deleted = 0
    for some in chunks(sorted(candidates)):
        where = schema.pieces.c.id.in_(some) & schema.pieces.c.id.not_in(
            filed.where(schema.paths.c.piece_id.in_(some))
        )
        deleted += connection.execute(delete(schema.pieces).where(where)).rowcount
    return deleted


def delete_pieces(connection: Connection, numbers: Collection[int]) -> int:
    """Delete pieces with all their paths; how many paths."""
    paths = 0
    for some in chunks(sorted(numbers)):
        paths += connection.execute(delete(schema.paths).where(schema.paths.c.piece_id.in_(some))).rowcount
        connection.execute(delete(schema.pieces).where(schema.pieces.c.id.in_(some)))
    return paths
