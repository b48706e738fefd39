"""Verifying a library: every page, every row and every file of it, read and compared.

SQLite's own check sees what cannot be a database; that each row is what midikin wrote, and each piece whole,
it cannot know. Nothing is changed, and whatever is damaged, the check goes on as far as can be read.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from embedder.core.errors import LibraryError

from . import schema
from .codecs import crc_of, unpack_spans, unpack_vectors
from .note_codec import unpack_notes

__all__ = ["Problem", "VerifyReport", "fits", "open_plain", "parts_error", "verify"]

_MOST = 50  # problems of one kind that are listed; thousands say no more than these
_PIECES_AT_ONCE = 500


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes
    ----------
    what : "database", "piece", "index" or "table"
    name : which of them
    reason : what is wrong
    harmless : whether it mends itself: an index is only a cache of the database
    """

    what: str
    name: str
    reason: str
    harmless: bool = False

    def to_json(self) -> dict[str, Any]:
        return vars(self).copy()


@dataclass(frozen=True)
class VerifyReport:
    """What a check of a library found."""

    folder: str
    pieces: int
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is lost or will go wrong."""
        return all(problem.harmless for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "pieces": self.pieces,
            "sound": self.sound,
            "problems": [problem.to_json() for problem in self.problems],
        }


def verify(folder: Path, database: Path, damaged_indexes: Mapping[str, str]) -> VerifyReport:
    """Check a library's database.

    Parameters
    ----------
    damaged_indexes : what is wrong with search indexes beside it, by name
    """
    problems: list[Problem] = []
    pieces = 0
    try:
        with closing(open_plain(database)) as connection:
            problems += _pages(connection)
            problems += _rows(connection)
            found, pieces = _pieces(connection)
            problems += found
    except (sqlite3.Error, UnicodeDecodeError) as error:
        problems.append(Problem("database", database.name, _words(error)))
    problems += [
        Problem("index", name, f"{reason}; the next search builds it anew", True)
        for name, reason in damaged_indexes.items()
    ]
    return VerifyReport(str(folder), pieces, tuple(problems))


def open_plain(database: Path) -> sqlite3.Connection:
    """The database for reading, past all that could trip over damage."""
    address = f"file:{quote(os.fsencode(database.absolute()))}?mode=ro"
    return sqlite3.connect(address, uri=True, isolation_level=None)


def _pages(connection: sqlite3.Connection) -> Iterator[Problem]:
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({_MOST})"):
            if line != "ok":
                yield Problem("database", "midikin.db", " ".join(str(line).split()))
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST):
            yield Problem("table", str(table), f"row {row} belongs to a row of {parent} that is not there")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        yield Problem("database", "midikin.db", _words(error))


def _rows(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Rows of every table whose values are not of the kind that their column holds."""
    for table in schema.tables().sorted_tables:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        bad = 0
        try:
            for number, *values in connection.execute(f'SELECT rowid, {names} FROM "{table.name}"'):
                wrong = fits(table.columns, values)
                if wrong is not None and bad < _MOST:
                    yield Problem("table", table.name, f"row {number}: {wrong}")
                bad += wrong is not None
        except (sqlite3.Error, UnicodeDecodeError) as error:
            yield Problem("table", table.name, _words(error))


def fits(columns: Any, values: list[Any]) -> str | None:
    """What is wrong with a row of a table; None if every value is of its column's kind."""
    for column, value in zip(columns, values, strict=True):
        if value is None:
            if not column.nullable:
                return f"{column.name} is missing"
            continue
        wanted = column.type.python_type
        if not isinstance(value, (int, float) if wanted is float else wanted):
            return f"{column.name} is no {wanted.__name__}"
    return None


def _pieces(connection: sqlite3.Connection) -> tuple[list[Problem], int]:
    """Pieces of which a part is missing or cannot be read."""
    problems: list[Problem] = []
    facts = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    dim = int(facts.get("dim", 0))
    count, last = 0, 0
    query = """SELECT id, windows.spans, windows.vectors, piece_vectors.vector, notes.packed, pieces.windows,
        windows.crc, piece_vectors.crc, notes.crc,
        EXISTS (SELECT 1 FROM paths WHERE paths.piece_id = pieces.id) FROM pieces
        LEFT JOIN windows ON windows.piece_id = id LEFT JOIN piece_vectors ON piece_vectors.piece_id = id
        LEFT JOIN notes ON notes.piece_id = id WHERE id > ? ORDER BY id LIMIT ?"""
    while True:
        rows = connection.execute(query, (last, _PIECES_AT_ONCE)).fetchall()
        if not rows:
            return problems, count
        for number, *parts, windows, window_crc, vector_crc, notes_crc, filed in rows:
            reason = parts_error(parts, dim, windows) or (None if filed else "no file holds it")
            reason = reason or _checksum_error(parts, (window_crc, vector_crc, notes_crc))
            if reason is not None and len(problems) < _MOST:
                problems.append(Problem("piece", f"#{number}", reason))
        count, last = count + len(rows), rows[-1][0]


def _checksum_error(parts: list[bytes], crcs: tuple[int | None, int | None, int | None]) -> str | None:
    """Which of a piece's blobs is not what was written; rows of an older midikin have no checksum."""
    spans, vectors, vector, notes = parts
    whole = (("windows", (spans, vectors)), ("vector", (vector,)), ("notes", (notes,)))
    for (name, blobs), crc in zip(whole, crcs, strict=True):
        if crc is not None and crc_of(*blobs) != crc:
            return f"the checksum of its {name} does not agree"
    return None


def parts_error(parts: list[Any], dim: int, windows: int) -> str | None:
    """What is wrong with a piece's spans, window vectors, vector and notes; None if nothing is."""
    if any(part is None for part in parts):
        return "a part of it is missing"
    spans, vectors, vector, notes = parts
    try:
        counts = {len(unpack_spans(spans)), len(unpack_vectors(vectors, dim)), windows}
        if len(counts) != 1 or len(unpack_vectors(vector, dim)) != 1:
            return "its vectors and windows differ in number"
        unpack_notes(notes)
    except LibraryError as error:
        return str(error).partition(";")[0].removeprefix("midikin.db is damaged: ")
    return None


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
