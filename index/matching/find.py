"""Finding: which pieces of a library hold a passage, and where.

A short query is looked for as one fragment. A long one is cut into fragments that are looked for one by one;
every piece that some of them point to is then compared with the whole query. The second pass, in all keys, is
taken only if the first finds nothing it is sure of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from .align import surprise_bits
from .block_matching import Sketch, agreement, anchors
from .compare import compare_one_way, share_reached
from .confidence import confidence_of, default_confidence
from .fingerprints import Snapshot
from .landmarks import Line, line_of, variety
from .places import Place, Query, find_places
from .voting import CHUNK_EVENTS

__all__ = ["FEWEST_NOTES", "Occurrence", "find_occurrences"]

FEWEST_NOTES = 6  # below, no landmark is rare enough to mean anything
_FRAGMENT_EVENTS = 160  # of a long query
_FRAGMENTS = 8
_COMPARED = 24  # pieces compared with a whole long query
_CLOSE_S = 0.05
_WORTH_COMPARING = 0.2


@dataclass(frozen=True)
class Occurrence:
    """A passage of a piece that holds a query, or part of it.

    Attributes
    ----------
    start_s, end_s : the passage in the piece, first to last onset
    query_start_s, query_end_s : the part of the query that it holds
    transposition : by how many semitones the query sounds higher than the piece
    tempo_ratio : tempo of the query over that of the piece
    matched : share of the query's notes that have a counterpart there, 0..1
    confidence : 0..1, see `confidence`
    """

    piece_id: int
    start_s: float
    end_s: float
    query_start_s: float
    query_end_s: float
    transposition: int
    tempo_ratio: float
    matched: float
    confidence: float


def find_occurrences(
    snapshot: Snapshot,
    notes: Notes,
    *,
    transposed: bool = True,
    without: Iterable[int] = (),
    every_place: bool = False,
) -> list[Occurrence]:
    """Passages that hold the query, the likeliest first; those of hardly any confidence included.

    Parameters
    ----------
    transposed : look in other keys too, if the query's own gives nothing sure
    without : pieces that may not answer
    every_place : all places of a piece and not only the best one
    """
    if len(notes) < FEWEST_NOTES or not snapshot.segments:
        return []
    query = Query.of(notes)
    allowed = snapshot.without(without)
    look = _fragment if query.line.events <= CHUNK_EVENTS else _long
    found = look(snapshot, query, False, allowed)
    sure = default_confidence(len(notes))
    if transposed and not any(one.confidence >= sure for one, _ in found):
        found += look(snapshot, query, True, allowed)
    found.sort(key=lambda pair: (-round(pair[0].confidence, 3), -pair[1]))
    answers: list[Occurrence] = []
    for one, _ in found:
        others = [a for a in answers if a.piece_id == one.piece_id]
        if others and (not every_place or any(_overlap(one, other) for other in others)):
            continue
        answers.append(one)
    return answers


def _overlap(one: Occurrence, other: Occurrence) -> bool:
    shared = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return shared > 0.5 * min(one.end_s - one.start_s, other.end_s - other.start_s)


_Allowed = tuple[NDArray[np.bool_], ...]


def _fragment(
    snapshot: Snapshot, query: Query, transposed: bool, allowed: _Allowed
) -> list[tuple[Occurrence, float]]:
    """Occurrences of a short query, each with a quality that orders those of equal confidence."""
    places = find_places(snapshot.segments, query, transposed=transposed, allowed=allowed)
    return [
        (_occurrence(place, query), _quality(place.alignment.bits, place.alignment.late_s))
        for place in places
    ]


def _quality(bits: float, late_s: NDArray[np.float64]) -> float:
    """Of two places that hold the notes, the one that holds them at the very same times comes first."""
    return bits / (1 + float(np.median(np.abs(late_s))) / _CLOSE_S)


def _occurrence(place: Place, query: Query) -> Occurrence:
    alignment = place.alignment
    return Occurrence(
        piece_id=place.piece_id,
        start_s=place.start_s,
        end_s=place.end_s,
        query_start_s=float(query.line.onset_s.min()),
        query_end_s=float(query.line.onset_s.max()),
        transposition=-alignment.transposition,
        tempo_ratio=alignment.warp.slope,
        matched=alignment.matched,
        confidence=place_confidence(place, query.line),
    )


def place_confidence(place: Place, line: Line) -> float:
    """Confidence in a place found by `find_places` for the notes of `line`."""
    alignment = place.alignment
    return confidence_of(
        alignment.matched,
        alignment.bits,
        place.votes,
        alignment.notes,
        alignment.warp.slope,
        variety(line, alignment.query_note),
        place.mutual,
        alignment.transposition,
    )


def _long(
    snapshot: Snapshot, query: Query, transposed: bool, allowed: _Allowed
) -> list[tuple[Occurrence, float]]:
    """Occurrences of a long query: what its fragments point to, compared with all of it."""
    starts = query.line.event_onsets_s()
    count = min(_FRAGMENTS, -(-query.line.events // _FRAGMENT_EVENTS))
    firsts = np.linspace(0, query.line.events - _FRAGMENT_EVENTS, count).astype(np.int64)
    sums: dict[tuple[int, int], float] = {}
    for first in firsts.tolist():
        last = first + _FRAGMENT_EVENTS
        end_s = float(starts[last]) if last < len(starts) else None
        part = Query.of(query.notes.slice_time(float(starts[first]), end_s))
        for place in find_places(snapshot.segments, part, transposed=transposed, allowed=allowed):
            if place_confidence(place, part.line) >= _WORTH_COMPARING:
                key = (place.piece_id, place.alignment.transposition)
                sums[key] = sums.get(key, 0.0) + place.votes
    best = sorted(sums, key=lambda key: -sums[key])[:_COMPARED]
    if not best:
        return []
    sketch = Sketch(line_of(query.notes))
    compared = (_compared(snapshot, sketch, piece_id, up, sums[piece_id, up]) for piece_id, up in best)
    return [pair for pair in compared if pair is not None]


def _compared(
    snapshot: Snapshot, query: Sketch, piece_id: int, up: int, votes: float
) -> tuple[Occurrence, float] | None:
    held = snapshot.place(piece_id)
    if held is None:
        return None
    piece = Sketch(held[0].line(held[1]))
    shared = anchors(query, piece, up)
    found = compare_one_way(query, piece, shared, agreement(query, shared), up)
    if found is None:
        return None
    covered = round(found.covered * len(query.line))
    share = min(1.0, found.matched / found.covered)
    bits = surprise_bits(share, found.chance, covered)
    own = sum(p.end_s - p.start_s for p in found.passages)
    there = sum(p.other_end_s - p.other_start_s for p in found.passages)
    ratio = there / own if own > 0 and there > 0 else 1.0
    different = variety(query.line, found.note)
    mutual = min(1.0, len(found.other_note) / max(1.0, share_reached(piece, found) * len(piece.line)))
    occurrence = Occurrence(
        piece_id=piece_id,
        start_s=min(p.other_start_s for p in found.passages),
        end_s=max(p.other_end_s for p in found.passages),
        query_start_s=min(p.start_s for p in found.passages),
        query_end_s=max(p.end_s for p in found.passages),
        transposition=-up,
        tempo_ratio=ratio,
        matched=found.matched,
        confidence=confidence_of(share, bits, votes, covered, ratio, different, mutual, up),
    )
    return occurrence, _quality(bits, found.late_s)
