"""A copy of a library that is one itself, made while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from embedder.core.errors import LibraryError

from .errors import DATABASE_NAME, disk_errors, library_error
from .paths import display
from .verify import open_plain

__all__ = ["backup"]


def backup(database: Path, target: Path) -> Path:
    """Copy a library's database into a folder; its path there.

    The copy holds what was committed when it began. It is written beside its place and renamed when it is
    complete and has been checked, so that an earlier copy stays good until then. Indexes are not
    copied: they are made from the database.

    Raises
    ------
    LibraryError
        If the folder holds another library, or is the library's own.
    DiskFull, LibraryReadOnly
    """
    copy = target / DATABASE_NAME
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        if copy.exists() and os.path.samefile(copy, database):
            raise LibraryError(f"{display(str(target))}: is the library itself; name another folder")
    beside = target / f"{DATABASE_NAME}.new"
    try:
        with closing(open_plain(database)) as source:
            if copy.exists() and _library_id(copy) != _id_of(source):
                raise LibraryError(
                    f"{display(str(target))}: holds another library; name an empty folder for the copy"
                )
            with disk_errors(target):
                beside.unlink(missing_ok=True)
            with closing(sqlite3.connect(beside)) as written:
                source.backup(written)
                # Of the source's kind, but without a journal beside it: one file is the whole copy.
                written.execute("PRAGMA journal_mode=DELETE")
                answer = written.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise library_error(f"malformed: {answer}", database.parent)
        with disk_errors(target):
            with open(beside, "rb") as file:
                os.fsync(file.fileno())
            for end in ("-wal", "-shm"):  # of an earlier copy that was opened as a library
                copy.with_name(copy.name + end).unlink(missing_ok=True)
            os.replace(beside, copy)
    except sqlite3.Error as error:
        said = str(error)
        full = "full" in said or "disk" in said
        raise library_error(said, target if full else database.parent) from error
    finally:
        beside.unlink(missing_ok=True)
    return copy


def _library_id(database: Path) -> str | None:
    try:
        with closing(open_plain(database)) as connection:
            return _id_of(connection)
    except sqlite3.Error:
        return None


def _id_of(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'library'").fetchone()
    return None if row is None else row[0]
