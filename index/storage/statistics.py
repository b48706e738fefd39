"""Sums over all pieces, computed once for each state of the library.

    LIBRARY/statistics.json   the last sums, with the library and commit number that they are of

Adding up a million pieces takes a second, and `midikin info` is a new process each time: so the sums lie on
disk too, as a cache that is believed only for the very state that it names.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from . import schema
from .database import Database

__all__ = ["Statistics", "Sums"]

_NAME = "statistics.json"


@dataclass(frozen=True)
class Sums:
    """Pieces, windows, notes and seconds of music of a library."""

    pieces: int
    windows: int
    notes: int
    seconds: float


class Statistics:
    """The sums of one library, as they are now."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._path = database.folder / _NAME
        self._known: tuple[list[str | int], Sums] | None = None

    def sums(self, connection: Connection) -> Sums:
        """The sums of the state that a connection sees."""
        state: list[str | int] = [
            self._database.library_id(connection),
            self._database.commit_number(connection),
        ]
        known = self._known or _read(self._path)
        if known is None or known[0] != state:
            known = state, _computed(connection)
            if not self._database.read_only:
                self._write(known)
        self._known = known
        return known[1]

    def _write(self, known: tuple[list[str | int], Sums]) -> None:
        beside = self._path.with_suffix(f".{os.getpid()}.new")
        with suppress(OSError):
            beside.write_text(json.dumps({"state": known[0], "sums": asdict(known[1])}))
            os.replace(beside, self._path)
            return
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _read(path: Path) -> tuple[list[str | int], Sums] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sums = Sums(**found["sums"])
        return (list(found["state"]), sums) if sums.seconds >= 0 and sums.pieces >= 0 else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _computed(connection: Connection) -> Sums:
    names = ("windows", "notes", "duration_s")
    sums = (func.coalesce(func.sum(schema.pieces.c[name]), 0) for name in names)
    pieces, windows, notes, seconds = connection.execute(select(func.count(), *sums)).one()
    return Sums(int(pieces), int(windows), int(notes), float(seconds))
