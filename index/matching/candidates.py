"""Candidate pairs: pieces that may hold the same music as a given one, from landmarks alone.

Each piece queries the inverted index with a sample of its own rarest landmarks. The sample and the postings
read are bounded, so the cost of a piece does not grow with the library, and that of all pieces grows about
linearly. A part finds the whole that contains it even where the whole, being long, would not notice the part:
a pair counts if either side finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedder.core.arrays import BoolArray, IntArray

from .block_matching import IndexedPiece
from .landmarks import PITCH_MASK
from .postings import Segment, expand_ranges, rarest_first

__all__ = ["PieceCandidate", "find_candidates"]

_SAMPLE = 1_500  # landmarks
_BUDGET = 40_000  # postings
_MAX, _MAX_TRANSPOSED = 40, 16  # works have many players; copies in other keys query for their originals too
# Share of the sampled landmarks: players of one work share a third and more, takes of a song an eighth, other
# music in the same key up to a tenth. Keys that only happen to fit must do better.
_MIN_SHARE, _MIN_SHARE_TRANSPOSED = 0.1, 0.12
# A folk tune shares so much with a dozen others by chance, and half with an arrangement of itself.
_FEW_LANDMARKS, _EXTRA_SHARE_OF_FEW = 600, 0.1
_MIN_LANDMARKS = 5


@dataclass(frozen=True)
class PieceCandidate:
    """A piece that shares landmarks with the query piece.

    Attributes
    ----------
    piece_id : the piece
    transposition : semitones from the query piece up to this one
    share : share of the sampled landmarks that it has
    """

    piece_id: int
    transposition: int
    share: float


def find_candidates(
    segments: Sequence[Segment],
    alive: Sequence[BoolArray],
    piece_id: int,
    piece: IndexedPiece,
    *,
    transposed: bool,
) -> list[PieceCandidate]:
    """Other pieces that share many of a piece's landmarks, most first.

    Parameters
    ----------
    transposed : look in other keys than the piece's own, and only there
    """
    keys = piece.key
    if len(keys) > _SAMPLE:
        keys = keys[np.linspace(0, len(keys) - 1, _SAMPLE).astype(np.int64)]
    mask = np.uint32(PITCH_MASK)
    low, high = (keys & ~mask, keys | mask) if transposed else (keys, None)
    ranges = [segment.index.key_ranges(low, high) for segment in segments]
    count = np.zeros(len(keys), np.int64)
    for segment, (first, last) in zip(segments, ranges, strict=True):
        count += segment.index.postings_in(first, last)
    order = rarest_first(count, _BUDGET)
    min_share = _MIN_SHARE_TRANSPOSED if transposed else _MIN_SHARE
    min_share += _EXTRA_SHARE_OF_FEW if len(keys) < _FEW_LANDMARKS else 0.0
    candidates: list[PieceCandidate] = []
    for segment, (first, last), usable in zip(segments, ranges, alive, strict=True):
        key, of_key = expand_ranges(first[order], last[order])
        posting, of_posting = expand_ranges(segment.start[key], segment.start[key + 1])
        which = of_key[of_posting]
        valid = np.flatnonzero(segment.position[posting] < segment.span)  # a damaged one may be anything
        posting, which = posting[valid], which[valid]
        row = np.searchsorted(segment.group0, segment.position[posting], "right") - 1
        shift = np.zeros(len(posting), np.int64)
        if transposed:
            pitch = (segment.keys[key] & mask).astype(np.int64)
            shift = pitch[of_posting[valid]] - (keys[order] & mask).astype(np.int64)[which]
        candidates += _count_by_piece(segment, usable, row, shift, which, len(order), min_share)
    others = [c for c in candidates if c.piece_id != piece_id and not (transposed and c.transposition == 0)]
    return sorted(others, key=lambda c: -c.share)[: _MAX_TRANSPOSED if transposed else _MAX]


def _count_by_piece(
    segment: Segment,
    usable: BoolArray,
    row: IntArray,
    shift: IntArray,
    which: IntArray,
    sampled: int,
    min_share: float,
) -> list[PieceCandidate]:
    """Pieces with the number of different landmarks that they share."""
    target = row * 256 + shift + 128
    # Plain sorts: they are several times as fast as np.unique.
    pairs = np.sort(target * sampled + which)
    matched = pairs[np.flatnonzero(np.diff(pairs, prepend=-1))] // sampled
    first = np.flatnonzero(np.diff(matched, prepend=-1))
    targets, counts = matched[first], np.diff(first, append=len(matched))
    good = np.flatnonzero((counts >= max(_MIN_LANDMARKS, min_share * sampled)) & usable[targets // 256])
    return [
        PieceCandidate(
            int(segment.ids[targets[i] // 256]), int(targets[i] % 256) - 128, float(counts[i] / sampled)
        )
        for i in good
    ]
