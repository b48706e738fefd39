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
from embedder.notes import Notes

from ..arguments import check_part, whole
from ..matching.sources import Target, resolve
from ..named import Named
from ..storage import piece_reader, schema
from ..storage.database import Database
from .cache_file import MelodyCache, MelodyLine
from .line_index import FEWEST, Tune, TuneIndex

__all__ = ["MelodyHit", "MelodyResult", "MelodySearch"]


@dataclass(frozen=True)
class MelodyHit(Named):
    """A piece whose melody holds the query's, and where.

    Attributes
    ----------
    start_s, end_s : first and last onset of the passage
    transposition : by how many semitones the query sounds higher
    matched : share of the query's notes that stand there in order, 0..1
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
    """Answers, best first; `notes` of the query's melody were looked for in `pieces` pieces."""

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
        self._held_tunes: tuple[list[int], list[MelodyLine], TuneIndex] | None = None

    def search(
        self,
        query: Target,
        k: int = 10,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        include_self: bool = False,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> MelodyResult:
        """See `Library.search_melody`."""
        from embedder.melody import lead, melody_of_query
        from embedder.midi.reading import parts_of

        k = whole(k, "k", least=1)
        check_part(start_s, end_s)
        with self._database.read() as connection:
            source = resolve(connection, query)
            part = source.notes.slice_time(start_s, end_s)
            line = melody_of_query(part, None if source.path is None else parts_of(part, source.path))
            if len(line) < FEWEST:
                raise MidiError(
                    f"a melody of {len(line)} notes is too short to look for; give at least {FEWEST}",
                    source.display if source.path else None,
                )
            numbers = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id)).scalars()
            wanted = list(numbers)
            library = self._database.library_id(connection)

            def melody(number: int) -> Notes:
                notes = piece_reader.notes_of(connection, number)
                path = piece_reader.pieces_by_id(connection, [number])[number].path
                return notes.select(lead(notes, parts_of(notes, path)))

            lines, tunes = self._tunes(wanted, library, melody, on_progress)
            found = tunes.search(line.pitch, k + 1)
            kept = [
                (wanted[tune.number], tune)
                for tune in found
                if include_self or wanted[tune.number] != source.piece_id
            ][:k]
            pieces = piece_reader.pieces_by_id(connection, {number for number, _ in kept})
        hits = [
            _hit(rank, number, tune, lines[tune.number], pieces[number].path, pieces[number].title)
            for rank, (number, tune) in enumerate(kept, 1)
        ]
        return MelodyResult(len(line), len(line) < len(part), len(wanted), tuple(hits))

    def _tunes(
        self,
        wanted: list[int],
        library: str,
        melody: Callable[[int], Notes],
        on_progress: Callable[[int, int], None],
    ) -> tuple[list[MelodyLine], TuneIndex]:
        """Melodies of all pieces and their index, kept as long as the pieces are the same."""
        from embedder.melody import melody_model

        held = self._held_tunes
        if held is not None and held[0] == wanted:
            return held[1], held[2]
        made_by = f"{library} {melody_model().digest} by part"
        cache = MelodyCache(self._database.folder, made_by, read_only=self._database.read_only)
        lines = cache.lines(wanted, melody, on_progress)
        tunes = TuneIndex([line.pitch for line in lines])
        self._held_tunes = wanted, lines, tunes
        return lines, tunes


def _hit(rank: int, number: int, tune: Tune, line: MelodyLine, path: str, title: str | None) -> MelodyHit:
    return MelodyHit(
        rank=rank,
        piece_id=number,
        path=path,
        title=title,
        start_s=float(line.onset_s[tune.first]),
        end_s=float(line.onset_s[max(tune.last - 1, tune.first)]),
        transposition=tune.up,
        matched=tune.matched,
    )
