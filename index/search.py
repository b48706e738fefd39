"""Answering a search: what is the query, what may answer, which vectors are nearest, what do they share.

The query itself is never an answer unless asked: for a file or a piece that is the piece with the same bytes,
under whatever path; for notes given as a value, every piece that holds exactly these notes. Other files with
the same notes are answers, and say so.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from embedder.core.errors import LibraryError, MidiError
from embedder.descriptors import describe
from embedder.notes import Notes

from .filter_cache import Allowed
from .filters import Filters
from .library_encoder import EncoderLike, LibraryEncoder, front_of
from .records import Hit, Query, SearchResult
from .resolve import Source, resolve
from .storage import Database, display, schema
from .storage.pieces import pieces_by_id, spans_of, vector_of
from .vectors.faiss_store import ordinals_of, pieces_of
from .vectors.vector_indexes import Catalogue

if TYPE_CHECKING:
    from embedder.descriptors import Descriptors

    from .vectors.faiss_store import VectorStore

__all__ = ["Asked", "Passage", "best_windows", "join_windows", "search", "shared_traits"]

PASSAGES_PER_PIECE = 3
NEIGHBOUR_DROP = 0.05  # a neighbour joins a passage if its score is at most this far below the passage's best


@dataclass(frozen=True)
class Passage:
    """Windows `first` to `last` (inclusive) of a piece, with the score of the best of them."""

    piece_id: int
    first: int
    last: int
    score: float


def best_windows(keys: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Passage]:
    """The best window of each piece, best piece first, from windows that come best first."""
    numbers, at = np.unique(pieces_of(keys), return_index=True)
    order = np.argsort(at)
    best = at[order]
    rows = zip(numbers[order].tolist(), ordinals_of(keys[best]).tolist(), scores[best].tolist(), strict=True)
    return [Passage(piece, ordinal, ordinal, score) for piece, ordinal, score in rows]


def join_windows(keys: NDArray[np.int64], scores: NDArray[np.float32], longest: int) -> list[Passage]:
    """Passages, best first, from windows that come best first.

    A passage grows from the best window that no passage holds yet towards its better neighbour, while that
    one is among the windows given and scores nearly as well, up to `longest` windows. A piece gives a few
    at most.
    """
    of_piece: dict[int, dict[int, float]] = {}
    rows = zip(pieces_of(keys).tolist(), ordinals_of(keys).tolist(), scores.tolist(), strict=True)
    for piece, ordinal, score in rows:
        of_piece.setdefault(piece, {})[ordinal] = score
    passages = []
    for piece, free in of_piece.items():
        for _ in range(PASSAGES_PER_PIECE):
            if not free:
                break
            passages.append(_grown(piece, free, longest))
    return sorted(passages, key=lambda p: (-p.score, p.piece_id, p.first))


def _grown(piece: int, free: dict[int, float], longest: int) -> Passage:
    """Take one passage out of the free windows (ordinal -> score, best first)."""
    seed, best = next(iter(free.items()))
    del free[seed]
    first = last = seed
    while last - first + 1 < longest:
        beside = max((first - 1, last + 1), key=lambda ordinal: free.get(ordinal, -np.inf))
        if free.get(beside, -np.inf) < best - NEIGHBOUR_DROP:
            break
        del free[beside]
        first, last = min(first, beside), max(last, beside)
    return Passage(piece, first, last, best)


SURE_OF_KEY = 0.5

# (descriptor, largest ratio that still counts as similar, words)
_RATIOS = (
    ("tempo_bpm", 1.05, "similar tempo, {:.0f} BPM"),
    ("duration_s", 1.1, "similar length, {}"),
    ("density", 1.15, "similar density, {:.1f} notes per second"),
    ("polyphony", 1.12, "similar texture, {:.1f} notes at once"),
)
PITCH_NEAR = 2.0  # semitones between mean pitches
VELOCITY_NEAR = 6.0
# What programs write where nobody has chosen a tempo: two files that have it need not share anything.
DEFAULT_BPM = 120.0
DEFAULT_METER = "4/4"


def shared_traits(query: Descriptors, hit: Descriptors, *, same_notes: bool) -> tuple[str, ...]:
    """Short phrases, the most telling first; empty if nothing is alike.

    Parameters
    ----------
    same_notes : whether the two hold exactly the same notes in different files
    """
    traits = ["the very same notes in another file"] if same_notes else []
    if query.key == hit.key and min(query.key_confidence, hit.key_confidence) >= SURE_OF_KEY:
        traits.append(f"same key, {hit.key}")
    instruments = _shared_instruments(query, hit)
    if instruments:
        traits.append(f"same instruments: {instruments}")
    if query.meter == hit.meter and hit.meter not in (None, DEFAULT_METER):
        traits.append(f"same metre, {hit.meter}")
    guessed = query.tempo_estimated or hit.tempo_estimated
    for name, ratio, words in _RATIOS:
        ours, theirs = getattr(query, name), getattr(hit, name)
        if name == "tempo_bpm" and (ours == theirs == DEFAULT_BPM or guessed):
            continue
        if ours and theirs and max(ours, theirs) <= ratio * min(ours, theirs):
            traits.append(words.format(_clock(theirs) if name == "duration_s" else theirs))
    if abs(query.pitch_mean - hit.pitch_mean) <= PITCH_NEAR:
        traits.append("similar register")
    if abs(query.velocity_mean - hit.velocity_mean) <= VELOCITY_NEAR:
        traits.append("similar dynamics")
    return tuple(traits)


def _shared_instruments(query: Descriptors, hit: Descriptors) -> str:
    """Families of instruments that both have; empty if that says nothing: no common one, or a piano alone."""
    families = [family for family in hit.families if family in query.families]
    if query.drum_notes and hit.drum_notes:
        families.append("drums")
    return "" if families in ([], ["piano"]) else ", ".join(families)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@dataclass(frozen=True)
class Asked:
    """A search as the caller put it; see `Library.search`."""

    query: str | os.PathLike[str] | Notes | int
    k: int
    start_s: float | None
    end_s: float | None
    passages: bool
    filters: Filters
    include_self: bool

    @property
    def part(self) -> bool:
        return self.start_s is not None or self.end_s is not None


@dataclass(frozen=True)
class _Resolved:
    """A query that is ready: its vector and what is known of it."""

    vector: NDArray[np.float32]
    windows: int
    path: str | None
    piece_id: int | None
    title: str | None
    start_s: float
    end_s: float
    descriptors: Descriptors
    same_notes: frozenset[int]

    @property
    def itself(self) -> frozenset[int]:
        """Numbers of the pieces that are the query itself and no answer to it."""
        if self.piece_id is not None:
            return frozenset({self.piece_id})
        return self.same_notes if self.path is None else frozenset()


def search(
    database: Database, catalogue: Catalogue, encoder: LibraryEncoder, allowed: Allowed, asked: Asked
) -> SearchResult:
    """Answer a search; see `Library.search` for what it takes and raises."""
    name = "windows" if asked.passages or asked.part else "pieces"
    while True:
        store = catalogue.store(name)
        with database.read() as connection:
            if catalogue.serves(connection, name):
                return _answered(database, connection, store, encoder, allowed, asked)
        # Between the two the library came to be embedded anew: neither may be used with the other.


def _answered(
    database: Database,
    connection: Connection,
    store: VectorStore | None,
    encoder: LibraryEncoder,
    allowed: Allowed,
    asked: Asked,
) -> SearchResult:
    resolved = _resolve(database, connection, encoder, asked)
    only = allowed.pieces(connection, asked.filters) if asked.filters else None
    without = frozenset() if asked.include_self else resolved.itself
    found: list[Passage] = []
    if store is not None:
        found = _nearest(store, resolved, asked, only, without)
    hits = _hits(connection, found, resolved, asked)
    return SearchResult(
        query=Query(
            path=resolved.path,
            piece_id=resolved.piece_id,
            title=resolved.title,
            start_s=resolved.start_s,
            end_s=resolved.end_s,
            descriptors=resolved.descriptors,
            passages=asked.passages,
            filters=str(asked.filters),
            pieces=_compared(allowed.total(connection), only, without),
        ),
        results=hits,
    )


def _compared(total: int, only: NDArray[np.int64] | None, without: Collection[int]) -> int:
    if only is None:
        return total - len(without)
    return len(only) - int(np.isin(only, list(without)).sum())


# -- the query ---------------------------------------------------------------------------------------


def _resolve(database: Database, connection: Connection, encoder: LibraryEncoder, asked: Asked) -> _Resolved:
    source = resolve(connection, asked.query)
    remembered, encoder_source = database.encoder(connection)
    if source.piece is not None and not asked.part:
        # Everything is on record: no file is read and no encoder loaded.
        encoder.check(remembered)
        piece, dim = source.piece, database.number(connection, "dim")
        return _Resolved(
            vector=vector_of(connection, piece.id, dim),
            windows=piece.windows,
            path=source.path,
            piece_id=piece.id,
            title=piece.title,
            start_s=piece.start_s,
            end_s=piece.end_s,
            descriptors=piece.descriptors,
            same_notes=_same_notes(connection, piece_id=piece.id),
        )
    whole = source.load()
    notes = whole.slice_time(asked.start_s, asked.end_s) if asked.part else whole
    if not len(notes):
        raise MidiError(_no_notes(whole, asked), display(source.path) if source.path else None)
    model = encoder.get(remembered, encoder_source)
    embedded = encoder.embed(model, [_heard(model, source, notes, asked)])
    return _Resolved(
        vector=embedded.pieces[0],
        windows=len(embedded.windows),
        path=source.path,
        piece_id=source.piece_id,
        title=source.title,
        start_s=notes.start_s,
        end_s=notes.end_s,
        descriptors=describe(notes, source.tempo_bpm),
        same_notes=_same_notes(connection, digest=whole.digest(instruments=False)),
    )


def _no_notes(whole: Notes, asked: Asked) -> str:
    if not len(whole):
        return "no notes to search for"
    since = "the start" if asked.start_s is None else f"{asked.start_s:g} s"
    until = "the end" if asked.end_s is None else f"{asked.end_s:g} s"
    spans = f"its notes lie between {whole.start_s:.1f} and {whole.end_s:.1f} s"
    return f"no note begins between {since} and {until}; {spans}"


def _heard(encoder: EncoderLike, source: Source, notes: Notes, asked: Asked) -> Any:
    """What is to be embedded: a whole file as the encoder's front hears it, else its notes."""
    front = front_of(encoder)
    if front is None or asked.part or source.path is None:
        return notes
    from embedder.midi.pool_worker import read_file

    return read_file(source.path, {"front": front}).prepared


def _same_notes(
    connection: Connection, *, digest: str | None = None, piece_id: int | None = None
) -> frozenset[int]:
    """Numbers of the pieces that hold exactly these notes, `piece_id` itself included."""
    pieces = schema.pieces.c
    wanted = (
        digest if piece_id is None else select(pieces.digest).where(pieces.id == piece_id).scalar_subquery()
    )
    return frozenset(connection.execute(select(pieces.id).where(pieces.digest == wanted)).scalars())


# -- the answers -------------------------------------------------------------------------------------


def _nearest(
    store: VectorStore,
    resolved: _Resolved,
    asked: Asked,
    only: NDArray[np.int64] | None,
    without: Collection[int],
) -> list[Passage]:
    """The k best answers: pieces, best windows of pieces, or passages."""
    if len(resolved.vector) != store.dim:
        raise LibraryError(
            "the encoder's vectors and the library's differ in dimension; use the library's encoder"
        )
    wanted = asked.k if not (asked.passages or asked.part) else 8 * asked.k
    while True:
        keys, scores = store.search(resolved.vector, wanted, only=only, without=without)
        if asked.passages:
            found = join_windows(keys, scores, longest=resolved.windows)
        else:
            found = best_windows(keys, scores)
        if len(found) >= asked.k or len(keys) < wanted:
            return found[: asked.k]
        wanted *= 4  # one piece took many of the windows: look further down


def _hits(connection: Connection, found: list[Passage], resolved: _Resolved, asked: Asked) -> tuple[Hit, ...]:
    pieces = pieces_by_id(connection, {passage.piece_id for passage in found}, asked.filters)
    hits: list[Hit] = []
    for passage in found:
        piece = pieces.get(passage.piece_id)
        if piece is None:  # removed by another process a moment ago
            continue
        start_s, end_s = piece.start_s, piece.end_s
        if asked.passages or asked.part:
            spans = spans_of(connection, piece.id)[passage.first : passage.last + 1]
            start_s, end_s = float(spans["start_s"].min()), float(spans["end_s"].max())
        same = piece.id in resolved.same_notes and piece.id != resolved.piece_id
        hits.append(
            Hit(
                rank=len(hits) + 1,
                piece_id=piece.id,
                path=piece.path,
                paths=piece.paths,
                score=min(float(passage.score), 1.0),  # rounding may lift a cosine above 1
                start_s=start_s,
                end_s=end_s,
                title=piece.title,
                descriptors=piece.descriptors,
                shared=shared_traits(resolved.descriptors, piece.descriptors, same_notes=same),
            )
        )
    return tuple(hits)
