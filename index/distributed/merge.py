"""Taking results of shards into a library: rows are copied, nothing is read or embedded again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from embedder.core.errors import EncoderMismatch, LibraryError
from embedder.core.files import sha256_of

from ..storage import Database, display, from_bytes, schema
from ..storage.pieces import clear_failures, delete_unfiled, known_contents, put_failure, put_path
from ..storage.verify import open_plain
from .shards import Done, done_of

__all__ = ["Merged", "merge", "merge_all"]

_AT_ONCE = 500
_OF_PIECE = (schema.piece_vectors, schema.windows, schema.notes)


@dataclass(frozen=True)
class Merged:
    """What came into the library from one result: pieces that were new, files, and failures."""

    pieces: int = 0
    paths: int = 0
    failures: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(self.pieces + other.pieces, self.paths + other.paths, self.failures + other.failures)


def merge_all(database: Database, folder: Path) -> Merged:
    """Take in every result of a folder that is done; the writer's lock must be held."""
    records = sorted(folder.glob("shard-*.json"))
    if not records:
        raise LibraryError(f"{display(str(folder))}: no results of shards here; name their folder")
    merged = Merged()
    for record in records:
        done = done_of(record)
        if done is not None:
            merged += merge(database, record.with_suffix(".db"), done)
            for left in folder.glob(f"{done.name}.*/"):  # by a worker that died at it
                shutil.rmtree(left, ignore_errors=True)
    return merged


def merge(database: Database, result: Path, done: Done) -> Merged:
    """Take in one result; the writer's lock must be held. Taking it in again changes nothing.

    Raises
    ------
    LibraryError
        If the result is not what its done-record says.
    EncoderMismatch
        If it was made by another encoder than the library.
    """
    if sha256_of(result) != done.sha256:
        raise LibraryError(f"{display(str(result))}: is not what was written; delete it and run it again")
    merged = Merged()
    with closing(open_plain(result)) as source:
        source.row_factory = sqlite3.Row
        facts = {row["name"]: row["value"] for row in source.execute("SELECT name, value FROM meta")}
        after = 0
        while True:
            pieces = source.execute(
                "SELECT * FROM pieces WHERE id > ? ORDER BY id LIMIT ?", (after, _AT_ONCE)
            ).fetchall()
            with database.write() as connection:
                if not after:
                    _check_encoder(database, connection, facts, result)
                    merged += _failures(connection, source)
                merged += _pieces(database, connection, source, pieces)
            if not pieces:
                return merged
            after = pieces[-1]["id"]


def _check_encoder(database: Database, connection: Connection, facts: dict[str, str], result: Path) -> None:
    mine, theirs = database.encoder(connection)[0], facts.get("encoder")
    if theirs is None:  # it holds no pieces
        return
    if mine not in (None, theirs):
        raise EncoderMismatch(
            f"{display(str(result))}: made by {theirs}, and the library by {mine}; embed one of them anew"
        )
    names = ("encoder", "dim", "encoder_source")
    database.set(connection, **{name: facts[name] for name in names if name in facts})


def _pieces(
    database: Database, connection: Connection, source: sqlite3.Connection, pieces: Sequence[sqlite3.Row]
) -> Merged:
    known = known_contents(connection, [row["sha256"] for row in pieces])
    new = 0
    numbers: dict[int, int] = {}
    for row in pieces:
        number = known.get(row["sha256"])
        if number is None:
            new += 1
            number = _insert(connection, source, row)
        numbers[row["id"]] = number
    paths = 0
    loose: set[int] = set()
    for old, number in numbers.items():
        for path in source.execute("SELECT * FROM paths WHERE piece_id = ?", (old,)):
            name = from_bytes(path["path"])
            at = select(schema.paths.c.piece_id).where(schema.paths.c.path == path["path"])
            loose.update(set(connection.execute(at).scalars()) - {number})
            put_path(connection, name, number, path["size_bytes"], path["mtime_ns"])
            clear_failures(connection, [path["path"]])
            paths += 1
    if delete_unfiled(connection, loose) or new:
        database.count_commit(connection)
    return Merged(pieces=new, paths=paths)


def _insert(connection: Connection, source: sqlite3.Connection, row: sqlite3.Row) -> int:
    """Copy a piece with its parts under a new number."""
    values: dict[str, Any] = {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118
    key = connection.execute(insert(schema.pieces).values(values)).inserted_primary_key
    assert key is not None
    for table in _OF_PIECE:
        part = source.execute(f"SELECT * FROM {table.name} WHERE piece_id = ?", (row["id"],)).fetchone()
        if part is None:
            raise LibraryError(
                f"piece {row['id']} of a result is not whole; delete the result and run it again"
            )
        connection.execute(insert(table), dict(part) | {"piece_id": int(key[0])})
    return int(key[0])


def _failures(connection: Connection, source: sqlite3.Connection) -> Merged:
    count = 0
    for row in source.execute("SELECT * FROM failures"):
        path = from_bytes(row["path"])
        known = select(schema.paths.c.id).where(schema.paths.c.path == row["path"])
        if connection.execute(known).first() is None:
            put_failure(connection, path, row["reason"], row["size_bytes"], row["changed_ns"])
            count += 1
    return Merged(failures=count)
