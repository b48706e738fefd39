"""The part of `Library` that answers "is this the same music?"."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from embedder.core.errors import MidiError, PieceNotFound
from embedder.notes import Notes

from ..arguments import check_part, whole
from ..duplicates import decisions
from ..duplicates.decisions import Decision, Verdict
from ..duplicates.duplicates import Duplicates, find_duplicates
from ..filter_cache import Allowed
from ..filters import Filters
from ..storage import piece_reader, schema
from ..storage.codecs import unpack_notes
from ..storage.database import Database
from ..storage.piece_writer import chunks, known_contents
from .comparison import Compared, compare_sources
from .confidence import default_confidence
from .find import FEWEST_NOTES, Occurrence, find_occurrences
from .fingerprints import Fingerprints, Snapshot
from .records import FindQuery, FindResult, Found
from .relations import Kind
from .sources import Source, Target, resolve

__all__ = ["Identity"]


class Identity:
    """What `Library` inherits to answer for identity; it brings the database and the folder."""

    folder: Path
    read_only: bool
    _database: Database
    _allowed: Allowed
    _held_fingerprints: Fingerprints | None = None

    def find(
        self,
        query: Target,
        k: int = 10,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        transposed: bool = True,
        min_confidence: float | None = None,
        include_self: bool = True,
        every_place: bool = False,
        filters: Filters | Iterable[str] | None = None,
    ) -> FindResult:
        """Find the pieces that a passage is from, and where in them.

        Parameters
        ----------
        query : a MIDI file, notes, or a piece of the library by its number; 10 notes are enough if they are
            characteristic
        k : how many answers at most
        start_s, end_s : only the notes that begin in this part of the query
        transposed : look in other keys too, where nothing sure is found in the query's own
        min_confidence : leave out answers below it; 0.75 if not given, 0.9 of fewer than 15 notes: then about
            one fragment in a hundred that is not in the library gets a false answer
        include_self : let the very file that is asked about be an answer, if the library holds it
        every_place : every place of a piece that holds the passage, not only the best one
        filters : conditions that every answer meets, or strings for `Filters.parse`

        Raises
        ------
        MidiError
            If the file cannot be read or the part holds too few notes.
        PieceNotFound
            If there is no piece of that number.
        ValueError
            If k, a filter or the part makes no sense.
        """
        k = whole(k, "k", least=1)
        check_part(start_s, end_s)
        if not isinstance(filters, Filters):
            filters = Filters.parse(filters or ())
        with self._database.read() as connection:
            source = resolve(connection, query)
            notes = _part(source, start_s, end_s)
            least = default_confidence(len(notes)) if min_confidence is None else min_confidence
            snapshot = self._snapshot(connection)
            without = {source.piece_id} if source.piece_id is not None and not include_self else set()
            unmet: set[int] = set()
            if filters:
                allowed = self._allowed.pieces(connection, filters)
                unmet = set(np.setdiff1d(snapshot.pieces, allowed).tolist())
            occurrences = find_occurrences(
                snapshot, notes, transposed=transposed, without=without | unmet, every_place=every_place
            )
            kept = [one for one in occurrences if one.confidence >= least][:k]
            results = _found(connection, kept)
        return FindResult(
            query=FindQuery(
                path=source.path,
                piece_id=source.piece_id,
                start_s=notes.start_s,
                end_s=float(notes.onset[-1]),
                notes=len(notes),
                pieces=len(snapshot.pieces) - len(unmet),
                min_confidence=least,
            ),
            results=results,
        )

    def compare(self, one: Target, other: Target, *, transposition: int | None = None) -> Compared:
        """Compare the notes of two pieces: where they agree, how much of each is covered, what differs.

        Parameters
        ----------
        one, other : MIDI files, notes, or pieces of the library by their numbers
        transposition : by how many semitones the one sounds higher; the likeliest is looked for if not given

        Raises
        ------
        MidiError
            If a file cannot be read or holds no notes.
        PieceNotFound
            If there is no piece of a number.
        """
        with self._database.read() as connection:
            return compare_sources(resolve(connection, one), resolve(connection, other), transposition)

    def duplicates(
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
            snapshot = self._snapshot(connection)
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
            evidence = self.compare(one, other).summary()
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

    def undo_decision(self, number: int) -> None:
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

    # -- fingerprints ---------------------------------------------------------------------------

    @property
    def _fingerprints(self) -> Fingerprints:
        if self._held_fingerprints is None:
            self._held_fingerprints = Fingerprints(self.folder, read_only=self.read_only)
        return self._held_fingerprints

    def _snapshot(self, connection: Connection) -> Snapshot:
        """Fingerprints of all pieces as the connection sees them."""
        numbers = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id)).scalars()
        wanted = np.fromiter(numbers, dtype=np.int64)

        def fetch(missing: NDArray[np.int64]) -> Iterator[tuple[int, Notes]]:
            table = schema.notes
            for some in chunks(missing.tolist()):
                query = select(table.c.piece_id, table.c.packed).where(table.c.piece_id.in_(some))
                for piece_id, packed in connection.execute(query.order_by(table.c.piece_id)):
                    yield piece_id, unpack_notes(packed)

        return self._fingerprints.snapshot(wanted, fetch, self._database.library_id(connection))

    def _store_fingerprints(self) -> None:
        """Make fingerprints of pieces that have none yet; every add ends with it."""
        with self._database.read() as connection:
            self._snapshot(connection)


def _part(source: Source, start_s: float | None, end_s: float | None) -> Notes:
    whole = source.notes
    notes = whole.slice_time(start_s, end_s)
    if len(notes) < FEWEST_NOTES:
        where = source.display if source.path else None
        spans = f"the file's notes lie between {whole.start_s:.1f} and {whole.end_s:.1f} s"
        raise MidiError(
            f"too few notes to look for ({len(notes)}), give at least {FEWEST_NOTES}; {spans}", where
        )
    return notes


def _by_hash(connection: Connection, hashes: set[str]) -> dict[str, tuple[int, str]]:
    """Number and path of the pieces with these contents."""
    numbers = known_contents(connection, hashes)
    pieces = piece_reader.pieces_by_id(connection, numbers.values())
    return {content: (number, pieces[number].path) for content, number in numbers.items()}


def _found(connection: Connection, occurrences: list[Occurrence]) -> tuple[Found, ...]:
    pieces = piece_reader.pieces_by_id(connection, {one.piece_id for one in occurrences})
    return tuple(
        Found(
            rank=rank,
            piece_id=one.piece_id,
            path=pieces[one.piece_id].path,
            paths=pieces[one.piece_id].paths,
            title=pieces[one.piece_id].title,
            start_s=one.start_s,
            end_s=one.end_s,
            query_start_s=one.query_start_s,
            query_end_s=one.query_end_s,
            transposition=one.transposition,
            tempo_ratio=one.tempo_ratio,
            matched=one.matched,
            confidence=one.confidence,
        )
        for rank, one in enumerate(occurrences, 1)
    )
