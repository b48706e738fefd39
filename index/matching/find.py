"""Finding a passage: which pieces of a library hold it, and where.

Landmarks propose places (`voting`), aligned notes decide. A short query is looked for as one fragment. A long
one is cut into fragments that are looked for one by one; every piece that some of them point to is then
aligned with the whole query. A second pass, in all keys, is made only if the first finds nothing of
sufficient confidence.

Confidence is the probability that an answer is right: a logistic regression on the share of notes matched,
both ways; on how surprising that is for the pitches around (bits); on how rare the landmarks were that led
there (votes); on how long the query is; and on how varied: a scale or a trill is found in many pieces, note
for note. Another tempo and another key are further ways to be right by chance. Its weights were fitted on
fragments of 5 and 10 s and of 10 and 20 notes, some with wrong and missing notes, some melodies alone, some
in another key and tempo, taken from half of the works of ASAP and half of the songs of POP909, once with the
rest of the work in the library and once without. tests/bench/identity.py measures it on the other halves,
tests/bench/strangers.py on fragments of whole sets that the library lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from embedder.core.arrays import BoolArray, FloatArray, IntArray
from embedder.core.errors import MidiError
from embedder.notes import Notes

from ..records import Named
from ..resolve import Source
from ..storage.pieces import pieces_by_id
from .align import FragmentAlignment, align_fragment, align_pieces, share_covered, surprise_bits
from .block_matching import IndexedPiece, find_shared_landmarks, match_blocks
from .compare import matchable_notes
from .fingerprints import Snapshot
from .landmarks import (
    NoteSequence,
    find_landmarks,
    find_query_landmarks,
    interval_variety,
    note_sequence,
)
from .postings import Segment
from .voting import MAX_QUERY_GROUPS, Candidate, vote

__all__ = [
    "MIN_NOTES",
    "FindQuery",
    "FindResult",
    "Found",
    "Match",
    "default_confidence",
    "find_in_library",
    "find_matches",
]

MIN_NOTES = 6  # below, no landmark is rare enough to mean anything

_SHORT_NOTES = 80  # queries up to this long look for more landmarks than the index holds of a piece
_BUDGET, _BUDGET_TRANSPOSED = 400_000, 300_000  # postings
_ALIGNED, _ALIGNED_MORE = 16, 40  # candidates to align; more where votes are few or keys many
_ALIGNED_AT_LEAST = 6
_MIN_VOTES = 0.3  # of the best candidate's: below it, a candidate is aligned only if few have been
_EDGE_S = 0.05

_FRAGMENT_GROUPS = 160  # onset groups, of a long query
_MAX_FRAGMENTS = 8
_MAX_ALIGNED = 24  # pieces aligned with a whole long query
_MIN_CONFIDENCE_TO_ALIGN = 0.2
_CLOSE_S = 0.05

# About one fragment in a hundred that is not in the library gets an answer of so much. Ten notes occur in
# many pieces note for note, and so must do better.
_DEFAULT_CONFIDENCE, _DEFAULT_CONFIDENCE_OF_FEW = 0.75, 0.9
_FEW_NOTES = 15

# Weights of the logistic regression.
_BIAS = -16.105
_MATCHED, _MUTUAL, _BITS, _VOTES = 4.542, 3.881, 2.799, 1.189
_LENGTH, _VARIETY, _TEMPO, _TRANSPOSED = -3.571, 4.156, -4.254, -0.904

_Allowed = tuple[BoolArray, ...]


@dataclass(frozen=True)
class FindQuery(Named):
    """What was looked for.

    Attributes
    ----------
    path : the file, or None for notes given as a value
    piece_id : its number if it is a piece of the library
    start_s, end_s : first and last onset of what was looked for
    notes : number of notes
    pieces : number of pieces that were looked through
    min_confidence : answers below it were left out
    """

    path: str | None
    piece_id: int | None
    start_s: float
    end_s: float
    notes: int
    pieces: int
    min_confidence: float


@dataclass(frozen=True, kw_only=True)
class Match(Named):
    """A passage of a piece that holds a query, or part of it.

    Attributes
    ----------
    rank : 1 for the likeliest
    path, paths : a file of the piece, and all its files; empty if only the fingerprints were asked
    start_s, end_s : the passage in the piece, first to last onset
    query_start_s, query_end_s : the part of the query that it holds
    transposition : by how many semitones the query sounds higher than the piece
    tempo_ratio : tempo of the query over that of the piece: 1.25 if the query is a quarter faster
    matched : share of the query's notes that have a counterpart in the passage, 0..1
    confidence : 0..1, calibrated: of answers near 0.9 about nine in ten are right
    votes : weight of the landmarks that led here
    quality : orders matches of equal confidence
    """

    rank: int = 0
    piece_id: int
    path: str = ""
    paths: tuple[str, ...] = ()
    title: str | None = None
    start_s: float
    end_s: float
    query_start_s: float
    query_end_s: float
    transposition: int
    tempo_ratio: float
    matched: float
    confidence: float
    votes: float = field(default=0.0, repr=False, compare=False)
    quality: float = field(default=0.0, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        values = super().to_json() | {"paths": list(self.paths)}
        return {name: value for name, value in values.items() if name not in ("votes", "quality")}


Found = Match  # its name in earlier versions


@dataclass(frozen=True)
class FindResult:
    """A query and the passages that hold it, likeliest first; empty if no piece does."""

    query: FindQuery
    results: tuple[Match, ...]

    def to_json(self) -> dict[str, Any]:
        return {"query": self.query.to_json(), "results": [match.to_json() for match in self.results]}


# -- in a library -----------------------------------------------------------------------------------


def find_in_library(
    connection: Connection,
    snapshot: Snapshot,
    source: Source,
    k: int,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    transposed: bool = True,
    min_confidence: float | None = None,
    include_self: bool = True,
    every_place: bool = False,
    filtered: IntArray | None = None,
) -> FindResult:
    """The pieces that hold a passage; see `Library.find`.

    Parameters
    ----------
    filtered : int64 [n], the pieces that meet the filters; None if there are no filters
    """
    whole = matchable_notes(source)
    notes = whole.slice_time(start_s, end_s)
    if len(notes) < MIN_NOTES:
        first, last = whole.start_s, whole.end_s
        raise MidiError(
            f"too few notes to look for ({len(notes)}), give at least {MIN_NOTES}; "
            f"the file's notes lie between {first:.1f} and {last:.1f} s",
            source.display if source.path else None,
        )
    threshold = default_confidence(len(notes)) if min_confidence is None else min_confidence
    excluded: set[int] = set()
    if filtered is not None:
        excluded = set(np.setdiff1d(snapshot.pieces, filtered).tolist())
    own = set() if include_self or source.piece_id is None else {source.piece_id}
    matches = find_matches(
        snapshot, notes, transposed=transposed, without=excluded | own, every_place=every_place
    )
    kept = [match for match in matches if match.confidence >= threshold][:k]
    pieces = pieces_by_id(connection, {match.piece_id for match in kept})
    return FindResult(
        query=FindQuery(
            path=source.path,
            piece_id=source.piece_id,
            start_s=notes.start_s,
            end_s=float(notes.onset[-1]),
            notes=len(notes),
            pieces=len(snapshot.pieces) - len(excluded),
            min_confidence=threshold,
        ),
        results=tuple(
            replace(match, rank=rank, path=piece.path, paths=piece.paths, title=piece.title)
            for rank, match in enumerate(kept, 1)
            for piece in (pieces[match.piece_id],)
        ),
    )


# -- in fingerprints --------------------------------------------------------------------------------


def find_matches(
    snapshot: Snapshot,
    notes: Notes,
    *,
    transposed: bool = True,
    without: Iterable[int] = (),
    every_place: bool = False,
) -> list[Match]:
    """Passages that hold the query, the likeliest first; those of hardly any confidence included.

    Parameters
    ----------
    transposed : look in other keys too, if the query's own gives nothing of sufficient confidence
    without : pieces that may not answer
    every_place : all places of a piece and not only the best one
    """
    if len(notes) < MIN_NOTES or not snapshot.segments:
        return []
    sequence = note_sequence(notes)
    allowed = snapshot.without(without)
    search = _find_fragment if sequence.groups <= MAX_QUERY_GROUPS else _find_long
    matches = search(snapshot, notes, sequence, False, allowed)
    sufficient = default_confidence(len(notes))
    if transposed and not any(match.confidence >= sufficient for match in matches):
        matches += search(snapshot, notes, sequence, True, allowed)
    matches.sort(key=lambda match: (-round(match.confidence, 3), -match.quality))
    kept: list[Match] = []
    for match in matches:
        others = [other for other in kept if other.piece_id == match.piece_id]
        if others and (not every_place or any(_overlap(match, other) for other in others)):
            continue
        kept.append(match)
    return kept


def _overlap(match: Match, other: Match) -> bool:
    shared = min(match.end_s, other.end_s) - max(match.start_s, other.start_s)
    return shared > 0.5 * min(match.end_s - match.start_s, other.end_s - other.start_s)


def _find_fragment(
    snapshot: Snapshot, notes: Notes, sequence: NoteSequence, transposed: bool, allowed: _Allowed
) -> list[Match]:
    """Matches of a query of at most MAX_QUERY_GROUPS onset groups; the most surprising first."""
    short = len(sequence) <= _SHORT_NOTES
    candidates = vote(
        snapshot.segments,
        sequence,
        find_query_landmarks(notes, sequence) if short else find_landmarks(sequence),
        transposed=transposed,
        budget=_BUDGET_TRANSPOSED if transposed else _BUDGET,
        keep=_ALIGNED_MORE if transposed or short else _ALIGNED,
        allowed=allowed,
    )
    matches: list[tuple[float, Match]] = []
    for tried, candidate in enumerate(candidates):
        if tried >= _ALIGNED_AT_LEAST and candidate.votes < _MIN_VOTES * candidates[0].votes:
            break
        aligned = _align_candidate(snapshot.segments, candidate, sequence)
        if aligned is not None:
            matches.append(aligned)
    return [match for _, match in sorted(matches, key=lambda pair: -pair[0])]


def _align_candidate(
    segments: Sequence[Segment], candidate: Candidate, query: NoteSequence
) -> tuple[float, Match] | None:
    """The match at a place that the vote proposed, with its surprise in bits; None if there is none."""
    if not len(candidate.group):
        return None
    segment = segments[candidate.segment]
    margin = 24 + query.groups // 3
    first = max(0, int(candidate.group.min()) - margin)
    piece = segment.sequence(candidate.row, first, int(candidate.group.max()) + margin)
    begins = np.searchsorted(piece.group, candidate.group)
    if not len(piece) or begins.max() >= len(piece):
        return None  # onset groups between which no note is left: a damaged file
    alignment = align_fragment(
        query, piece, candidate.transposition, candidate.query_s, piece.onset_s[begins]
    )
    if alignment is None or len(alignment.query_note) < 3:
        return None
    query_start_s, query_end_s = float(query.onset_s.min()), float(query.onset_s.max())
    start_s, end_s = alignment.time_map(np.array([query_start_s, query_end_s])).tolist()
    there = (piece.onset_s >= start_s - _EDGE_S) & (piece.onset_s <= end_s + _EDGE_S)
    mutual = min(1.0, len(alignment.piece_note) / max(1, int(there.sum())))
    return alignment.bits, Match(
        piece_id=int(segment.ids[candidate.row]),
        start_s=start_s,
        end_s=end_s,
        query_start_s=query_start_s,
        query_end_s=query_end_s,
        transposition=-alignment.transposition,
        tempo_ratio=alignment.time_map.slope,
        matched=alignment.matched,
        confidence=_confidence_of_fragment(alignment, query, candidate.votes, mutual),
        votes=candidate.votes,
        quality=_quality(alignment.bits, alignment.late_s),
    )


def _find_long(
    snapshot: Snapshot, notes: Notes, sequence: NoteSequence, transposed: bool, allowed: _Allowed
) -> list[Match]:
    """Matches of a long query: the pieces that its fragments point to, aligned with all of it."""
    starts = sequence.group_onsets_s()
    count = min(_MAX_FRAGMENTS, -(-sequence.groups // _FRAGMENT_GROUPS))
    firsts = np.linspace(0, sequence.groups - _FRAGMENT_GROUPS, count).astype(np.int64)
    votes: dict[tuple[int, int], float] = {}
    for first in firsts.tolist():
        last = first + _FRAGMENT_GROUPS
        end_s = float(starts[last]) if last < len(starts) else None
        fragment = notes.slice_time(float(starts[first]), end_s)
        for match in _find_fragment(snapshot, fragment, note_sequence(fragment), transposed, allowed):
            if match.confidence >= _MIN_CONFIDENCE_TO_ALIGN:
                key = (match.piece_id, match.transposition)
                votes[key] = votes.get(key, 0.0) + match.votes
    best = sorted(votes, key=lambda key: -votes[key])[:_MAX_ALIGNED]
    if not best:
        return []
    query = IndexedPiece(sequence)
    aligned = (_align_whole(snapshot, query, piece_id, up, votes[piece_id, up]) for piece_id, up in best)
    return [match for match in aligned if match is not None]


def _align_whole(
    snapshot: Snapshot, query: IndexedPiece, piece_id: int, transposition: int, votes: float
) -> Match | None:
    """The match of a whole long query with a piece, `transposition` semitones lower than the query."""
    row = snapshot.locate(piece_id)
    if row is None:
        return None
    piece = IndexedPiece(row[0].sequence(row[1]))
    shared = find_shared_landmarks(query, piece, -transposition)
    alignment = align_pieces(query, piece, shared, match_blocks(query, shared), -transposition)
    if alignment is None:
        return None
    covered = round(alignment.covered * len(query.sequence))
    share = min(1.0, alignment.matched / alignment.covered)
    bits = surprise_bits(share, alignment.chance, covered)
    covered_there = share_covered(piece, alignment) * len(piece.sequence)
    passages = alignment.passages
    return Match(
        piece_id=piece_id,
        start_s=min(p.other_start_s for p in passages),
        end_s=max(p.other_end_s for p in passages),
        query_start_s=min(p.start_s for p in passages),
        query_end_s=max(p.end_s for p in passages),
        transposition=transposition,
        tempo_ratio=alignment.tempo_ratio,
        matched=alignment.matched,
        confidence=_confidence(
            matched=share,
            mutual=min(1.0, len(alignment.other_note) / max(1.0, covered_there)),
            bits=bits,
            votes=votes,
            notes=covered,
            variety=interval_variety(query.sequence, alignment.note),
            tempo_ratio=alignment.tempo_ratio,
            transposed=transposition != 0,
        ),
        votes=votes,
        quality=_quality(bits, alignment.late_s),
    )


def _quality(bits: float, late_s: FloatArray) -> float:
    """Of two places that hold the notes, the one that holds them at the very same times comes first."""
    return bits / (1 + float(np.median(np.abs(late_s))) / _CLOSE_S)


# -- confidence -------------------------------------------------------------------------------------


def default_confidence(notes: int) -> float:
    """The least confidence of an answer to a query of so many notes, unless another is asked for."""
    return _DEFAULT_CONFIDENCE if notes >= _FEW_NOTES else _DEFAULT_CONFIDENCE_OF_FEW


def _confidence_of_fragment(
    alignment: FragmentAlignment, query: NoteSequence, votes: float, mutual: float
) -> float:
    return _confidence(
        matched=alignment.matched,
        mutual=mutual,
        bits=alignment.bits,
        votes=votes,
        notes=alignment.notes,
        variety=interval_variety(query, alignment.query_note),
        tempo_ratio=alignment.time_map.slope,
        transposed=alignment.transposition != 0,
    )


def _confidence(
    *,
    matched: float,
    mutual: float,
    bits: float,
    votes: float,
    notes: int,
    variety: int,
    tempo_ratio: float,
    transposed: bool,
) -> float:
    """Confidence 0..1.

    Parameters
    ----------
    matched : share of the query's notes that are matched
    mutual : share of the piece's notes there that have a counterpart in the query
    bits : surprise of so many matches (`surprise_bits`)
    votes : weight of the landmarks that agree (`Candidate.votes`)
    notes : number of notes of the query
    variety : different steps among the matched notes (`interval_variety`)
    tempo_ratio : tempo of the query over that of the piece
    transposed : whether they are in different keys
    """
    score = _BIAS + _MATCHED * matched + _MUTUAL * mutual
    score += _BITS * math.log1p(bits) + _VOTES * math.log1p(votes)
    score += _LENGTH * math.log(max(1, notes)) + _VARIETY * math.log1p(variety)
    score += _TEMPO * abs(math.log2(tempo_ratio)) + _TRANSPOSED * transposed
    return 1 / (1 + math.exp(-score))
