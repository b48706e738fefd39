"""Search by melody: pieces by the line that is sung in them.

A query of one voice is a melody as it stands; of any other music its melody is extracted, as it was of every
piece (`embedder.melody`). Key and tempo do not matter. Where a piece's file is still there, its tracks count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select

from embedder.core.errors import MidiError
from embedder.core.progress import OnProgress, no_progress
from embedder.core.text import count
from embedder.notes import Notes

from ..arguments import check_part, whole
from ..matching import matchable_notes
from ..records import Named, Piece
from ..resolve import Target, resolve
from ..storage import Database, schema
from ..storage.pieces import notes_of, pieces_by_id
from .melody_cache import MelodyCache, PieceMelody
from .melody_index import MIN_NOTES, MelodyIndex, MelodyMatch

__all__ = ["MelodyHit", "MelodyResult", "MelodySearch"]


@dataclass(frozen=True)
class MelodyHit(Named):
    """A piece whose melody holds the query's, and where.

    Attributes
    ----------
    start_s, end_s : first and last onset of the passage
    transposition : by how many semitones the query sounds higher
    matched : share of the query's notes that occur there in order, 0..1
    """

    rank: int
    piece_id: int
    path: str
    title: str | None
    start_s: float
    end_s: float
    transposition: int
    matched: float


@dataclass(frozen=True)
class MelodyResult:
    """Answers, best first, to a query whose melody has `notes` notes, among `pieces` pieces.

    Attributes
    ----------
    extracted : whether the melody is only part of the query's notes
    """

    notes: int
    extracted: bool
    pieces: int
    results: tuple[MelodyHit, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"results": [hit.to_json() for hit in self.results]}


class MelodySearch:
    """The melodies of a library's pieces, extracted and indexed by the first search.

    Parameters
    ----------
    database : of the library
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._indexed: tuple[list[int], list[PieceMelody], MelodyIndex] | None = None

    def search(
        self,
        query: Target,
        k: int = 10,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        include_self: bool = False,
        on_progress: OnProgress = no_progress,
    ) -> MelodyResult:
        """See `Library.search_melody`."""
        from embedder.melody import lead, melody_of_query
        from embedder.midi.reading import parts_of

        k = whole(k, "k", least=1)
        check_part(start_s, end_s)
        with self._database.read() as connection:
            source = resolve(connection, query)
            excerpt = matchable_notes(source).slice_time(start_s, end_s)
            parts = None if source.path is None else parts_of(excerpt, source.path)
            melody = melody_of_query(excerpt, parts)
            if len(melody) < MIN_NOTES:
                raise MidiError(
                    f"a melody of {count(len(melody), 'note')} is too short to look for; "
                    f"give at least {MIN_NOTES}",
                    source.display if source.path else None,
                )
            numbers = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id)).scalars()
            pieces = list(numbers)
            library = self._database.library_id(connection)

            def extract(number: int) -> Notes:
                notes = notes_of(connection, number)
                path = pieces_by_id(connection, [number])[number].path
                known = len(notes.parts) > 1  # pieces of an earlier midikin are stored without parts
                return notes.select(lead(notes, None if known else parts_of(notes, path)))

            melodies, index = self._index(pieces, library, extract, on_progress)
            matches = [
                (pieces[match.number], match)
                for match in index.search(melody.pitch, k + 1)
                if include_self or pieces[match.number] != source.piece_id
            ][:k]
            records = pieces_by_id(connection, {number for number, _ in matches})
        hits = [
            _hit(rank, records[number], match, melodies[match.number])
            for rank, (number, match) in enumerate(matches, 1)
        ]
        return MelodyResult(len(melody), len(melody) < len(excerpt), len(pieces), tuple(hits))

    def _index(
        self,
        pieces: list[int],
        library: str,
        extract: Callable[[int], Notes],
        on_progress: OnProgress,
    ) -> tuple[list[PieceMelody], MelodyIndex]:
        """Melodies of all pieces and their index, reused as long as the pieces are the same."""
        from embedder.melody import melody_model

        if self._indexed is not None and self._indexed[0] == pieces:
            return self._indexed[1:]
        made_by = f"{library} {melody_model().digest} by part"
        cache = MelodyCache(self._database.folder, made_by, read_only=self._database.read_only)
        melodies = cache.melodies(pieces, extract, on_progress)
        index = MelodyIndex([melody.pitch for melody in melodies])
        self._indexed = pieces, melodies, index
        return melodies, index


def _hit(rank: int, piece: Piece, match: MelodyMatch, melody: PieceMelody) -> MelodyHit:
    return MelodyHit(
        rank=rank,
        piece_id=piece.id,
        path=piece.path,
        title=piece.title,
        start_s=float(melody.onset_s[match.first]),
        end_s=float(melody.onset_s[max(match.last - 1, match.first)]),
        transposition=match.transposition,
        matched=match.matched,
    )
