"""Candidates: pieces that may hold the same music as a given one, from landmarks alone.

Every piece asks for a sample of its own rarest landmarks. The sample and the positions read are bounded, so
the cost of a piece does not grow with the library, and that of all pieces grows about as they do. A part
finds the whole that contains it even where the whole, being long, would not notice the part: a pair counts if
either side finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .block_matching import Sketch
from .landmarks import PITCH_BITS
from .postings import Segment
from .voting import ranges

__all__ = ["PieceCandidate", "find_candidates"]

_SAMPLE = 1_500  # landmarks
_BUDGET = 40_000  # positions
_MOST, _MOST_TRANSPOSED = 40, 16  # works have many players; copies in other keys ask for their originals too
# Share of the landmarks asked for: players of one work share a third and more, takes of a song an eighth,
# other music in the same key up to a tenth. Keys that only happen to fit must do better.
_LEAST_SHARE, _LEAST_SHARE_TRANSPOSED = 0.1, 0.12
# A folk tune shares so much with a dozen others by chance, and half with an arrangement of itself.
_FEW_LANDMARKS, _MORE_OF_FEW = 600, 0.1
_FEWEST = 5
_PITCHES = (1 << PITCH_BITS) - 1

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PieceCandidate:
    """A piece that shares landmarks with the one that asked.

    Attributes
    ----------
    piece_id : the piece
    up : semitones from the asking piece up to this one
    share : share of the landmarks asked for that it has
    """

    piece_id: int
    up: int
    share: float


def find_candidates(
    segments: Sequence[Segment],
    alive: Sequence[NDArray[np.bool_]],
    piece_id: int,
    sketch: Sketch,
    *,
    transposed: bool,
) -> list[PieceCandidate]:
    """Other pieces that share many of a piece's landmarks, most first.

    Parameters
    ----------
    transposed : look in other keys than the piece's own, and only there
    """
    keys = sketch.key.astype(np.int64)
    if len(keys) > _SAMPLE:
        keys = keys[np.linspace(0, len(keys) - 1, _SAMPLE).astype(np.int64)]
    bounds = [_bounds(segment.keys, keys, transposed) for segment in segments]
    length = sum(
        (
            segment.start[high] - segment.start[low]
            for segment, (low, high) in zip(segments, bounds, strict=True)
        ),
        start=np.zeros(len(keys), np.int64),
    )
    order = np.argsort(length, kind="stable")
    order = order[: max(1, int(np.searchsorted(np.cumsum(length[order]), _BUDGET)))]
    found: list[PieceCandidate] = []
    for segment, (low, high), mask in zip(segments, bounds, alive, strict=True):
        held, of_held = ranges(low[order], high[order])
        place, of_place = ranges(segment.start[held], segment.start[held + 1])
        which = of_held[of_place]
        sound = np.flatnonzero(segment.position[place] < segment.span)  # a damaged position may be anything
        place, which = place[sound], which[sound]
        row = np.searchsorted(segment.event0, segment.position[place], "right") - 1
        up = np.zeros(len(place), np.int64)
        if transposed:
            pitch = (segment.keys[held] & np.uint32(_PITCHES)).astype(np.int64)
            up = pitch[of_place[sound]] - (keys[order] & _PITCHES)[which]
        least = _LEAST_SHARE_TRANSPOSED if transposed else _LEAST_SHARE
        least += _MORE_OF_FEW if len(keys) < _FEW_LANDMARKS else 0.0
        found += _counted(segment, mask, row, up, which, len(order), least)
    others = [c for c in found if c.piece_id != piece_id and not (transposed and c.up == 0)]
    return sorted(others, key=lambda c: -c.share)[: _MOST_TRANSPOSED if transposed else _MOST]


def _bounds(held: NDArray[np.uint32], keys: IntArray, transposed: bool) -> tuple[IntArray, IntArray]:
    """Half-open ranges of a segment's keys that are the given ones, or those in any key of music."""
    if transposed:
        low = held.searchsorted((keys & ~_PITCHES).astype(np.uint32), "left")
        return low, held.searchsorted((keys | _PITCHES).astype(np.uint32), "right")
    low = held.searchsorted(keys.astype(np.uint32), "left")
    if not len(held):
        return low, low
    return low, low + (held[np.minimum(low, len(held) - 1)] == keys)


def _counted(
    segment: Segment,
    mask: NDArray[np.bool_],
    row: IntArray,
    up: IntArray,
    which: IntArray,
    asked: int,
    least: float,
) -> list[PieceCandidate]:
    """Pieces by the number of different landmarks that they have."""
    target = row * 256 + up + 128
    # Plain sorts: they are several times as fast as numpy's way to what is unique.
    pairs = np.sort(target * asked + which)
    named = pairs[np.flatnonzero(np.diff(pairs, prepend=-1))] // asked
    first = np.flatnonzero(np.diff(named, prepend=-1))
    targets, counts = named[first], np.diff(first, append=len(named))
    good = np.flatnonzero((counts >= max(_FEWEST, least * asked)) & mask[targets // 256])
    return [
        PieceCandidate(
            int(segment.ids[targets[i] // 256]), int(targets[i] % 256) - 128, float(counts[i] / asked)
        )
        for i in good
    ]
