"""Which pieces a passage is from, and where two pieces match: `Library.find` and `Library.compare`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from sqlalchemy import Connection, select

from embedder.core.arrays import IntArray
from embedder.notes import Notes

from ..arguments import check_part, whole
from ..filter_cache import Allowed
from ..filters import Filters
from ..resolve import Target, resolve
from ..storage import Database, chunks, schema, unpack_notes
from .compare import Compared, compare_sources
from .find import FindResult, find_in_library
from .fingerprints import Fingerprints, Snapshot
from .landmarks import matched_notes

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
            return find_in_library(
                connection,
                self.snapshot(connection),
                resolve(connection, query),
                k,
                start_s=start_s,
                end_s=end_s,
                transposed=transposed,
                min_confidence=min_confidence,
                include_self=include_self,
                every_place=every_place,
                filtered=self._allowed.pieces(connection, filters) if filters else None,
            )

    def compare(self, one: Target, other: Target, *, transposition: int | None = None) -> Compared:
        """See `Library.compare`."""
        with self._database.read() as connection:
            return compare_sources(resolve(connection, one), resolve(connection, other), transposition)

    def snapshot(self, connection: Connection) -> Snapshot:
        """Fingerprints of all pieces as the connection sees them."""
        numbers = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id)).scalars()
        pieces = np.fromiter(numbers, dtype=np.int64)

        def fetch(missing: IntArray) -> Iterator[tuple[int, Notes]]:
            table = schema.notes
            for batch in chunks(missing.tolist()):
                query = select(table.c.piece_id, table.c.packed).where(table.c.piece_id.in_(batch))
                for piece_id, packed in connection.execute(query.order_by(table.c.piece_id)):
                    yield piece_id, matched_notes(unpack_notes(packed))

        return self.fingerprints.snapshot(pieces, fetch, self._database.library_id(connection))

    def store_fingerprints(self) -> None:
        """Compute the fingerprints of pieces that have none yet; every add ends with it."""
        with self._database.read() as connection:
            self.snapshot(connection)
