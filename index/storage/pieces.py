"""Pieces as rows of the database: read as the records that a library answers with, written and deleted."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update

from embedder.descriptors import Descriptors
from embedder.midi.general_midi import PROGRAMS, family_of
from embedder.notes import Notes

from ..arguments import LARGEST
from ..filters import Filters
from ..records import Piece
from . import schema
from .codecs import SPAN, crc_of, pack_vectors, unpack_spans, unpack_vectors
from .database import chunks, upsert
from .errors import damaged, decoding
from .note_codec import pack_notes, unpack_notes
from .paths import clamped_ns, display, from_bytes, to_bytes

if TYPE_CHECKING:
    from embedder.embedded import Embedded
    from embedder.midi.pool import FileRead

__all__ = [
    "READING",
    "Vectors",
    "clear_failures",
    "delete_paths",
    "delete_pieces",
    "delete_unfiled",
    "insert_piece",
    "instruments_of",
    "known_contents",
    "notes_of",
    "outdated",
    "pieces_by_id",
    "pieces_of_rows",
    "put_failure",
    "put_path",
    "spans_of",
    "update_piece",
    "vector_blobs",
    "vector_of",
    "vectors_of",
]

# Version of what reading a file gives; pieces of a lower one are read again by the next add.
READING = 1
# A title that at least so many pieces of a library have is none.
COMMON_TITLE = 4
NO_FILTERS = Filters()
_OPTIONAL = ("tempo_bpm", "meter")


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


def outdated(connection: Connection, numbers: Iterable[int]) -> set[int]:
    """Those of some pieces that an older reader read."""
    old: set[int] = set()
    for some in chunks(sorted(numbers)):
        column = schema.pieces.c
        rows = select(column.id).where(column.id.in_(some), column.reading < READING)
        old.update(connection.execute(rows).scalars())
    return old


def known_contents(connection: Connection, hashes: Iterable[str]) -> dict[str, int]:
    """Numbers of the pieces that hold these bytes, by SHA-256."""
    known: dict[str, int] = {}
    for some in chunks(list(hashes)):
        rows = select(schema.pieces.c.sha256, schema.pieces.c.id).where(schema.pieces.c.sha256.in_(some))
        known.update((sha256, number) for sha256, number in connection.execute(rows))
    return known


# -- reading -----------------------------------------------------------------------------------------


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
    common = _common_titles(connection, {row.title for row in rows if isinstance(row.title, str)})
    with decoding("what describes a piece"):
        return [_piece(row, tuple(paths[row.id]), common) for row in rows]


def _common_titles(connection: Connection, titles: Collection[str]) -> set[str]:
    """Those of some titles that so many pieces have that they name no piece: a program's or an album's."""
    column = schema.pieces.c.title
    common: set[str] = set()
    for some in chunks(sorted(titles)):
        counted = select(column).where(column.in_(some)).group_by(column).having(func.count() >= COMMON_TITLE)
        common.update(connection.execute(counted).scalars())
    return common


def _piece(row: Row[Any], paths: tuple[str, ...], common: Collection[str]) -> Piece:
    described = {name: getattr(row, name) for name in schema.DESCRIPTOR_COLUMNS}
    words = ("key", "meter")
    numbers = [value for name, value in described.items() if name not in words and value is not None]
    numbers += [row.id, row.size_bytes, row.start_s, row.end_s, row.windows]
    if not paths or not isinstance(row.key, str) or not all(isinstance(n, int | float) for n in numbers):
        raise ValueError("a row that was never written so")
    return Piece(
        id=row.id,
        paths=paths,
        title=None if row.title in common else row.title,
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


# -- writing -----------------------------------------------------------------------------------------


def insert_piece(connection: Connection, read: FileRead, vectors: Vectors) -> int:
    """Store a new content with all that is known of it; its number."""
    row = insert(schema.pieces).values(
        sha256=read.sha256, size_bytes=read.size_bytes, added_s=time.time(), **_described(read, vectors)
    )
    key = connection.execute(row).inserted_primary_key
    assert key is not None
    piece_id = int(key[0])
    for table, blobs in _blobs(read, vectors).items():
        connection.execute(insert(table), {"piece_id": piece_id, **blobs})
    return piece_id


def update_piece(connection: Connection, piece_id: int, read: FileRead, vectors: Vectors) -> None:
    """Store anew what was read of a content, under the number and with the tags that it has."""
    pieces = schema.pieces
    connection.execute(update(pieces).where(pieces.c.id == piece_id).values(**_described(read, vectors)))
    for table, blobs in _blobs(read, vectors).items():
        connection.execute(update(table).where(table.c.piece_id == piece_id).values(**blobs))


def _described(read: FileRead, vectors: Vectors) -> dict[str, object]:
    """Columns of `pieces` that follow from what was read."""
    notes = read.midi.notes
    described = {name: _plain(getattr(read.descriptors, name)) for name in schema.DESCRIPTOR_COLUMNS}
    return described | {
        "instruments": instruments_text(read.descriptors.instruments),
        "composer": _storable(read.midi.composer),
        "partly_read": _storable(read.midi.partly_read),
        "digest": notes.digest(instruments=False),
        "title": _storable(read.midi.title),
        "windows": len(vectors.windows),
        "start_s": notes.start_s,
        "end_s": notes.end_s,
        "reading": READING,
    }


def instruments_text(names: Sequence[str]) -> str:
    """Instruments as the database holds them, each with its family, so that a filter finds both."""
    return "; ".join(f"{name} ({family_of(PROGRAMS.index(name))})" for name in names)


def instruments_of(text: str | None) -> tuple[str, ...]:
    """Names of the instruments in a text of `instruments_text`; none where it is not known."""
    return tuple(entry.rpartition(" (")[0] for entry in (text or "").split("; ") if entry)


def _blobs(read: FileRead, vectors: Vectors) -> dict[Table, dict[str, object]]:
    """The packed columns of a piece, by table, each row with its checksum."""
    packed = pack_notes(read.midi.notes)
    vector, windows = vector_blobs(vectors)
    notes: dict[str, object] = {"packed": packed, "crc": crc_of(packed)}
    return {schema.piece_vectors: vector, schema.windows: windows, schema.notes: notes}


def vector_blobs(vectors: Vectors) -> tuple[dict[str, object], dict[str, object]]:
    """Columns of `piece_vectors` and of `windows` for one piece."""
    vector, windows, spans = (
        pack_vectors(vectors.piece),
        pack_vectors(vectors.windows),
        vectors.spans.tobytes(),
    )
    return (
        {"vector": vector, "crc": crc_of(vector)},
        {"spans": spans, "vectors": windows, "crc": crc_of(spans, windows)},
    )


def _plain(value: object) -> object:
    """numpy numbers as Python's own, which is what the database takes."""
    return value.item() if isinstance(value, np.generic) else value


def _storable(text: str | None) -> str | None:
    """Text that every database takes: no lone surrogates, no NUL."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def put_path(
    connection: Connection,
    path: str,
    piece_id: int,
    size_bytes: int,
    mtime_ns: int,
    changed_ns: int | None = None,
    inode: int | None = None,
) -> None:
    """Record that a file holds a piece, whatever was recorded of it before.

    `changed_ns` and `inode` are None where only another machine has seen the file.
    """
    values = {
        "piece_id": piece_id,
        "size_bytes": size_bytes,
        "mtime_ns": clamped_ns(mtime_ns),
        "changed_ns": None if changed_ns is None else clamped_ns(changed_ns),
        "inode": None if inode is None else clamped_ns(inode),
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
