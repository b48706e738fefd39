"""Repairing a library: a new database of all that can be read in the damaged one.

Every row is looked for by its number: where a stretch cannot be read it is halved until what is damaged
stands alone. A piece stays if all its parts are there and make sense; the rest of it goes, its files
with it, and the next `midikin add` reads those again. The damaged database is kept under another name.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table, create_engine
from sqlalchemy.pool import NullPool

from embedder.core.errors import LibraryError

from . import schema
from .errors import DATABASE_NAME, disk_errors, library_error
from .paths import display
from .verify import fits, open_plain, parts_error

__all__ = ["RepairReport", "repair"]

_AT_ONCE = 512
_FARTHEST = 1 << 40  # where no number of a row is known to lie beyond


@dataclass(frozen=True)
class RepairReport:
    """What a repair kept.

    Attributes
    ----------
    pieces, paths : kept
    lost_pieces : pieces that were seen but are not whole
    lost_rows : places of all tables that could not be read, or held nonsense
    kept_as : where the damaged database is now; None if nothing was wrong with it
    indexes : names of the indexes that were damaged and are made anew by the next search
    """

    pieces: int
    paths: int
    lost_pieces: int
    lost_rows: int
    kept_as: str | None
    indexes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"indexes": list(self.indexes)}


def repair(
    folder: Path, damaged_indexes: Collection[str], fallback: Mapping[str, str], *, sound: bool
) -> RepairReport:
    """Mend a library; the writer's lock must be held, and the library open nowhere else.

    Parameters
    ----------
    damaged_indexes : names of search indexes whose files are damaged; the next search builds them anew
    fallback : facts of the database (encoder, dim, library, commit) by other sources than itself
    sound : whether a check found nothing wrong with the database, so that it stays as it is

    Raises
    ------
    LibraryError
        If nothing in the database can be read.
    DiskFull, LibraryReadOnly
    """
    database = folder / DATABASE_NAME
    indexes = tuple(damaged_indexes)
    for name in indexes:
        with disk_errors(folder):
            (folder / f"{name}.json").unlink(missing_ok=True)
    if sound:
        pieces, paths = _counts(database)
        return RepairReport(pieces, paths, 0, 0, None, indexes)
    beside = folder / f"{DATABASE_NAME}.repaired"
    try:
        with disk_errors(folder):
            beside.unlink(missing_ok=True)
        lost_rows, lost_pieces = _salvage(database, beside, fallback)
        pieces, paths = _counts(beside)
        kept = _free_name(database)
        with disk_errors(folder):
            with open(beside, "rb") as file:
                os.fsync(file.fileno())
            _keep(database, kept)
            # The journal belongs to the damaged file and goes with it; it would spoil the new one.
            for end in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.replace(f"{database}{end}", f"{kept}{end}")
            os.replace(beside, database)
    except sqlite3.Error as error:
        raise library_error(str(error), folder) from error
    finally:
        beside.unlink(missing_ok=True)
    return RepairReport(pieces, paths, lost_pieces, lost_rows, str(kept), indexes)


def _salvage(database: Path, beside: Path, fallback: Mapping[str, str]) -> tuple[int, int]:
    """Write what can be read into a new database; places lost, and pieces lost."""
    with _of_full_length(database) as whole, closing(open_plain(whole)) as source:
        facts = _facts(source, fallback)
        metadata = _empty(beside, int(facts["schema"]))
        with closing(sqlite3.connect(beside)) as target:
            highest = _highest(source, metadata)
            lost = _copy_tables(source, target, metadata, highest)
            target.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(facts.items()))
            gone = _drop_broken_pieces(target, int(facts.get("dim", 0)))
            _drop_orphans(target, metadata)
            # Numbers are never used twice, not even those of pieces that were lost.
            target.execute("DELETE FROM sqlite_sequence WHERE name = 'pieces'")
            target.execute("INSERT INTO sqlite_sequence VALUES ('pieces', ?)", (highest,))
            target.commit()
    return lost, gone


@contextmanager
def _of_full_length(database: Path) -> Iterator[Path]:
    """The database, or a copy with the pages that a cut took away as zeros: SQLite reads no shorter one."""
    with open(database, "rb") as file:
        head = file.read(32)
    page = int.from_bytes(head[16:18], "big")
    wanted = int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)
    if not database.stat().st_size < wanted < _FARTHEST:
        yield database
        return
    padded = database.with_name(f"{database.name}.padded")
    try:
        with disk_errors(database.parent):
            shutil.copyfile(database, padded)
            os.truncate(padded, wanted)
        yield padded
    finally:
        for end in ("", "-wal", "-shm"):
            padded.with_name(padded.name + end).unlink(missing_ok=True)


def _empty(beside: Path, version: int) -> MetaData:
    """A database with the tables of a version of the schema, and those tables."""
    from .migrations import upgrade

    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(beside), poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA page_size=8192")
        upgrade(connection, 0, version)
        metadata = MetaData()
        metadata.reflect(connection)
    return metadata


def _facts(source: sqlite3.Connection, fallback: Mapping[str, str]) -> dict[str, str]:
    """The facts that the new database needs; those that cannot be read, as the search indexes know them."""
    found: dict[str, str] = {}
    with suppress(sqlite3.Error, UnicodeDecodeError):
        rows = source.execute("SELECT name, value FROM meta").fetchall()
        found = {n: v for n, v in rows if isinstance(n, str) and isinstance(v, str)}
    found = dict(fallback) | found
    for name, otherwise in (("commit", "0"), ("dim", "0"), ("schema", str(schema.SCHEMA_VERSION))):
        if not found.get(name, "").isdecimal():
            found[name] = otherwise
    # What is repaired is another state than any that an index stands for.
    return found | {"commit": str(int(found["commit"]) + 1)}


def _copy_tables(
    source: sqlite3.Connection, target: sqlite3.Connection, metadata: MetaData, highest: int
) -> int:
    """Copy the readable rows of all tables; how many places could not be read, or held nonsense."""
    lost, read = 0, 0
    for table in metadata.sorted_tables:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        insert = f'INSERT OR IGNORE INTO "{table.name}" ({names}) VALUES ({marks})'
        for values in _rows(source, table, names, highest):
            if values is None or fits(table.columns, values) is not None:
                lost += 1
            else:
                target.execute(insert, values)
                read += 1
        target.commit()
    if not read:
        raise LibraryError(
            "nothing of midikin.db can be read; put a backup in its place, or move it away and add your "
            "folders again"
        )
    return lost


def _highest(source: sqlite3.Connection, metadata: MetaData) -> int:
    """A number that no row's number exceeds, as far as can be seen."""
    highest = 0
    numbers = [f'SELECT max(rowid) FROM "{table.name}"' for table in metadata.sorted_tables]
    for query in (*numbers, "SELECT max(seq) FROM sqlite_sequence"):
        with suppress(sqlite3.Error):
            found = source.execute(query).fetchone()[0]
            highest = max(highest, found) if isinstance(found, int) and found < _FARTHEST else highest
    return highest


def _rows(source: sqlite3.Connection, table: Table, names: str, highest: int) -> Iterator[list[Any] | None]:
    """Rows of a table by their numbers; None for a place that cannot be read."""
    query = f'SELECT {names} FROM "{table.name}" WHERE rowid BETWEEN ? AND ?'

    def between(first: int, last: int) -> Iterator[list[Any] | None]:
        try:
            found = source.execute(query, (first, last)).fetchall()
        except (sqlite3.Error, UnicodeDecodeError):
            if first == last:
                yield None
                return
            middle = (first + last) // 2
            yield from between(first, middle)
            yield from between(middle + 1, last)
            return
        yield from map(list, found)

    try:
        source.execute(f'SELECT 1 FROM "{table.name}" WHERE rowid = 0')
    except sqlite3.OperationalError:  # there is no such table
        return
    except sqlite3.Error:
        pass
    for first in range(0, highest + 1, _AT_ONCE):
        yield from between(first, min(first + _AT_ONCE - 1, highest))


def _drop_broken_pieces(target: sqlite3.Connection, dim: int) -> int:
    """Delete pieces that are not whole; how many are gone, those of which only a file is known included."""
    query = """SELECT id, windows.spans, windows.vectors, piece_vectors.vector, notes.packed, pieces.windows,
        EXISTS (SELECT 1 FROM paths WHERE paths.piece_id = pieces.id) FROM pieces
        LEFT JOIN windows ON windows.piece_id = id LEFT JOIN piece_vectors ON piece_vectors.piece_id = id
        LEFT JOIN notes ON notes.piece_id = id"""
    broken = {
        number
        for number, *parts, windows, filed in target.execute(query)
        if not filed or parts_error(parts, dim, windows) is not None
    }
    target.executemany("DELETE FROM pieces WHERE id = ?", [(number,) for number in broken])
    filed = target.execute(
        "SELECT DISTINCT piece_id FROM paths WHERE piece_id NOT IN (SELECT id FROM pieces)"
    )
    return len(broken.union(number for (number,) in filed))


def _drop_orphans(target: sqlite3.Connection, metadata: MetaData) -> None:
    """Delete rows that belong to rows which are not there."""
    for table in metadata.sorted_tables:  # parents come first
        for key in sorted(table.foreign_keys, key=str):
            child, parent = key.parent, key.column
            target.execute(
                f'DELETE FROM "{table.name}" WHERE "{child.name}" IS NOT NULL AND "{child.name}" NOT IN '
                f'(SELECT "{parent.name}" FROM "{parent.table.name}")'
            )


def _counts(database: Path) -> tuple[int, int]:
    with closing(open_plain(database)) as connection:
        pieces, paths = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("pieces", "paths")
        )
        return pieces, paths


def _keep(database: Path, kept: Path) -> None:
    """The damaged database under another name too, so that there is one under its own all the time."""
    try:
        os.link(database, kept)
    except OSError:  # a file system without links
        shutil.copy2(database, kept)


def _free_name(database: Path) -> Path:
    for number in range(1, 1000):
        path = database.with_name(f"{database.name}.damaged-{number}")
        if not path.exists():
            return path
    raise LibraryError(f"{display(str(database.parent))}: too many damaged copies lie here; delete some")
