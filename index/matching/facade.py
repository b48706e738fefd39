"""Which pieces a passage is from, and where two pieces agree: `Library.find` and `Library.compare`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from embedder.core.errors import MidiError
from embedder.notes import Notes

from ..arguments import check_part, whole
from ..filter_cache import Allowed
from ..filters import Filters
from ..storage import piece_reader, schema
from ..storage.codecs import unpack_notes
from ..storage.database import Database
from ..storage.piece_writer import chunks
from .comparison import Compared, compare_sources
from .confidence import default_confidence
from .find import FEWEST_NOTES, Occurrence, find_occurrences
from .fingerprints import Fingerprints, Snapshot
from .records import FindQuery, FindResult, Found
from .sources import Source, Target, resolve

__all__ = ["Matching"]


class Matching:
    """Finding and comparing the pieces of a library by their notes.

    Parameters
    ----------
    database : of the library
    allowed : the pieces that meet filters
    """

    def __init__(self, database: Database, allowed: Allowed) -> None:
        self._database = database
        self._allowed = allowed
        self.fingerprints = Fingerprints(database.folder, read_only=database.read_only)

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
        """See `Library.find`."""
        k = whole(k, "k", least=1)
        check_part(start_s, end_s)
        if not isinstance(filters, Filters):
            filters = Filters.parse(filters or ())
        with self._database.read() as connection:
            source = resolve(connection, query)
            notes = _part(source, start_s, end_s)
            least = default_confidence(len(notes)) if min_confidence is None else min_confidence
            snapshot = self.snapshot(connection)
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
        """See `Library.compare`."""
        with self._database.read() as connection:
            return compare_sources(resolve(connection, one), resolve(connection, other), transposition)

    # -- fingerprints ---------------------------------------------------------------------------

    def snapshot(self, connection: Connection) -> Snapshot:
        """Fingerprints of all pieces as the connection sees them."""
        numbers = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id)).scalars()
        wanted = np.fromiter(numbers, dtype=np.int64)

        def fetch(missing: NDArray[np.int64]) -> Iterator[tuple[int, Notes]]:
            table = schema.notes
            for some in chunks(missing.tolist()):
                query = select(table.c.piece_id, table.c.packed).where(table.c.piece_id.in_(some))
                for piece_id, packed in connection.execute(query.order_by(table.c.piece_id)):
                    yield piece_id, unpack_notes(packed)

        return self.fingerprints.snapshot(wanted, fetch, self._database.library_id(connection))

    def store_fingerprints(self) -> None:
        """Make fingerprints of pieces that have none yet; every add ends with it."""
        with self._database.read() as connection:
            self.snapshot(connection)


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
