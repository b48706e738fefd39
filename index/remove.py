"""Taking pieces out of the library. Files are never touched: only the library's knowledge of them goes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from .add import is_gone
from .arguments import LARGEST, is_number
from .records import RemoveReport
from .resolve import no_such_piece, not_in_library
from .storage import Database, absolute, below, schema, to_bytes
from .storage.pieces import clear_failures, delete_paths, delete_pieces, delete_unfiled

__all__ = ["remove"]


def remove(
    database: Database, targets: Iterable[str | os.PathLike[str] | int], *, vanished: bool
) -> RemoveReport:
    """Remove files, folders and pieces in one transaction; the writer's lock must be held.

    See `Library.remove`.
    """
    with database.write() as connection:
        files: set[bytes] = set()
        numbers: set[int] = set()
        for target in targets:
            if is_number(target):
                numbers.add(_existing(connection, int(target)))  # type: ignore[arg-type]
            else:
                files |= _files(connection, absolute(target))  # type: ignore[arg-type]
        if vanished:
            files |= {
                path for path in connection.execute(select(schema.paths.c.path)).scalars() if is_gone(path)
            }
        of_pieces = delete_pieces(connection, numbers)
        of_files = _count(connection)
        loose = delete_paths(connection, files)
        of_files -= _count(connection)
        clear_failures(connection, files)
        pieces = len(numbers) + delete_unfiled(connection, loose)
        if pieces:
            database.count_commit(connection)
    return RemoveReport(paths=of_pieces + of_files, pieces=pieces)


def _count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(schema.paths)).scalar_one())


def _existing(connection: Connection, number: int) -> int:
    known = select(schema.pieces.c.id).where(schema.pieces.c.id == number)
    if abs(number) > LARGEST or connection.execute(known).first() is None:
        raise no_such_piece(number)
    return number


def _files(connection: Connection, path: str) -> set[bytes]:
    """A file's path, or all paths on record inside a folder; failures count, so that they can be cleared."""
    first, last = below(path)
    found: set[bytes] = set()
    for table in (schema.paths, schema.failures):
        column = table.c.path
        inside = (column == to_bytes(path)) | ((column >= first) & (column < last))
        found.update(connection.execute(select(column).where(inside)).scalars())
    if not found:
        raise not_in_library(path)
    return found
