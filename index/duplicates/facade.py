"""`library.duplicates`: pieces that hold the same music, and what was decided about them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from embedder.core.errors import PieceNotFound

from ..matching.facade import Matching
from ..matching.relations import Kind
from ..storage import piece_reader, schema
from ..storage.database import Database
from ..storage.piece_writer import known_contents
from . import decisions
from .decisions import Decision, Verdict
from .duplicates import Duplicates, find_duplicates

__all__ = ["DuplicateSearch"]


class DuplicateSearch:
    """Duplicates in a library and decisions about them; calling it looks for them.

    Parameters
    ----------
    database : of the library
    matching : its fingerprints and comparisons
    """

    def __init__(self, database: Database, matching: Matching) -> None:
        self._database = database
        self._matching = matching

    def __call__(
        self,
        *,
        loosest: Kind | str = Kind.CONTAINS,
        workers: int | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Duplicates:
        """Group the library's pieces that hold the same music. No file is touched.

        Parameters
        ----------
        loosest : the loosest kind of sameness to report: bytes, notes, edited, work or contains
        workers : processes; as many as there are cores, up to 8, if not given
        progress : told now and then what is being done, how much is done, and of how much
        """
        many = workers or max(1, min(8, os.cpu_count() or 1))
        with self._database.read() as connection:
            snapshot = self._matching.snapshot(connection)
            return find_duplicates(
                connection,
                snapshot,
                loosest=Kind(loosest),
                workers=many,
                progress=progress or (lambda phase, done, total: None),
            )

    def decide(
        self,
        one: int,
        other: int,
        verdict: Verdict | str,
        *,
        keeper: int | None = None,
        evidence: dict[str, Any] | None = None,
    ) -> int:
        """Decide about two pieces of the library, by number; the number of the decision.

        Parameters
        ----------
        verdict : "keep" (both stay), "duplicate" (the keeper stays) or "not-same"
        keeper : the number of the piece to keep, for a duplicate
        evidence : to be stored with it; a comparison of the two if not given

        Raises
        ------
        PieceNotFound
            If there is no piece of a number.
        ValueError
            If the verdict or the keeper makes no sense.
        """
        if evidence is None:
            evidence = self._matching.compare(one, other).summary()
        hashes = {}
        with self._database.write() as connection:
            for number in (one, other):
                column = schema.pieces.c.sha256
                found = connection.execute(select(column).where(schema.pieces.c.id == number)).scalar()
                if found is None:
                    raise PieceNotFound(f"no piece of the library has the number {number}")
                hashes[number] = found
            kept = None if keeper is None else hashes.get(keeper, "")
            return decisions.record(connection, hashes[one], hashes[other], Verdict(verdict), evidence, kept)

    def undo(self, number: int) -> None:
        """End a decision; the pair is open again.

        Raises
        ------
        LibraryError
            If no decision of that number stands.
        """
        with self._database.write() as connection:
            decisions.undo(connection, number)

    def decisions(self, *, undone: bool = False) -> list[Decision]:
        """Decisions that stand, or with `undone` all there ever were, oldest first."""
        with self._database.read() as connection:
            found = decisions.list_decisions(connection, undone=undone)
            held = _by_hash(connection, {content for one in found for content in (one.one, one.other)})
        nothing = (None, None)
        return [
            replace(
                one,
                pieces=(held.get(one.one, nothing)[0], held.get(one.other, nothing)[0]),
                paths=(held.get(one.one, nothing)[1], held.get(one.other, nothing)[1]),
            )
            for one in found
        ]


def _by_hash(connection: Connection, hashes: set[str]) -> dict[str, tuple[int, str]]:
    """Number and path of the pieces with these contents."""
    numbers = known_contents(connection, hashes)
    pieces = piece_reader.pieces_by_id(connection, numbers.values())
    return {content: (number, pieces[number].path) for content, number in numbers.items()}
