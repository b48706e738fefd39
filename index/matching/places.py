"""Places: where in the library's pieces a fragment may be, each place borne out by its notes.

The vote proposes, the alignment disposes. A first pass looks for the fragment in its own key, a second in
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from .align import Alignment, align
from .landmarks import Line, find_landmarks, find_more_landmarks, line_of
from .postings import Segment
from .voting import Candidate, vote

__all__ = ["Place", "Query", "find_places"]

_SHORT_NOTES = 80  # queries up to this long look for more landmarks than the pieces have stored
_BUDGET, _BUDGET_TRANSPOSED = 400_000, 300_000
_ALIGNED, _ALIGNED_MORE = 16, 40  # places to align; more where votes are few or keys many
_ALIGNED_AT_LEAST = 6
_EDGE_S = 0.05
_HOPELESS = 0.3  # of the best vote: below it, a place is aligned only if few have been


@dataclass(frozen=True)
class Query:
    """A fragment of at most CHUNK_EVENTS events, ready to be voted on."""

    notes: Notes
    line: Line

    @classmethod
    def of(cls, notes: Notes) -> Query:
        return cls(notes, line_of(notes))


@dataclass(frozen=True)
class Place:
    """A place of a piece that holds a fragment, or seems to.

    Attributes
    ----------
    piece_id : the piece
    start_s, end_s : first and last onset of the fragment's counterpart in the piece
    votes : weight of the landmarks that agree
    mutual : share of the piece's notes there that have a counterpart in the fragment, 0..1
    alignment : of the fragment with the piece there
    """

    piece_id: int
    start_s: float
    end_s: float
    votes: float
    mutual: float
    alignment: Alignment


def find_places(
    segments: Sequence[Segment],
    query: Query,
    *,
    transposed: bool = False,
    allowed: Sequence[NDArray[np.bool_]] | None = None,
) -> list[Place]:
    """Places that the vote proposes, aligned; the most surprising agreement first.

    Parameters
    ----------
    transposed : look in every key, not only in the fragment's own
    allowed : bool [p] for each segment, the pieces that may answer; None if all may
    """
    line = query.line
    short = len(line) <= _SHORT_NOTES
    landmarks = find_more_landmarks(query.notes, line) if short else find_landmarks(line)
    candidates = vote(
        segments,
        line,
        landmarks,
        transposed=transposed,
        budget=_BUDGET_TRANSPOSED if transposed else _BUDGET,
        keep=_ALIGNED_MORE if transposed or short else _ALIGNED,
        allowed=allowed,
    )
    places = []
    for tried, candidate in enumerate(candidates):
        if tried >= _ALIGNED_AT_LEAST and candidate.votes < _HOPELESS * candidates[0].votes:
            break
        place = _place(segments[candidate.segment], candidate, line)
        if place is not None:
            places.append(place)
    return sorted(places, key=lambda place: -place.alignment.bits)


def _place(segment: Segment, candidate: Candidate, line: Line) -> Place | None:
    if not len(candidate.event):
        return None
    room = 24 + line.events // 3
    first = max(0, int(candidate.event.min()) - room)
    piece = segment.line(candidate.row, first, int(candidate.event.max()) + room)
    begins = np.searchsorted(piece.event, candidate.event)
    if not len(piece) or begins.max() >= len(piece):
        return None  # events between which no note is left: a damaged file
    alignment = align(line, piece, candidate.transposition, candidate.at_s, piece.onset_s[begins])
    if alignment is None or len(alignment.query_note) < 3:
        return None
    start_s, end_s = alignment.warp(np.array([line.onset_s.min(), line.onset_s.max()])).tolist()
    there = (piece.onset_s >= start_s - _EDGE_S) & (piece.onset_s <= end_s + _EDGE_S)
    mutual = min(1.0, len(alignment.piece_note) / max(1, int(there.sum())))
    piece_id = int(segment.ids[candidate.row])
    return Place(piece_id, start_s, end_s, candidate.votes, mutual, alignment)
