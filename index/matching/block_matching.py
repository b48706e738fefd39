"""Agreement of two whole pieces, block by block.

One piece is cut into blocks of some events. Each block looks for the diagonal (difference of event counts, as
in `voting`) on which most of its landmarks recur in the other piece. A block agrees if enough do *and* a
block near it agrees on nearly the same diagonal: shared turns of phrase come alone, shared music comes in
runs. Blocks need not follow each other in the other piece as they do here, so repeats taken or left out, cuts
and reordered movements are all covered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .landmarks import PITCH_BITS, Line, find_landmarks

__all__ = ["BLOCK_EVENTS", "Agreement", "Anchors", "Sketch", "agreement", "anchors", "likely_transposition"]

BLOCK_EVENTS = 16
_BUCKET = 12  # events
_FEWEST_LANDMARKS = 4  # that agree, for a block to agree
_LEAST_SHARE = 0.06  # of a block's landmarks
_NEAR_BLOCKS = 2
_NEAR_EVENTS = 30
_SLAB_BLOCKS = 256  # handled at a time, so that memory stays small for pieces of any length
_COMMONEST = 12  # a key more frequent than this in a piece is an ostinato: most of its pairs mislead
_TIE = 0.25
_SAMPLE = 1_500  # landmarks that are asked about the transposition
_OWN_KEY = 1.5  # how much better another key must fit than the own

_PITCHES = (1 << PITCH_BITS) - 1

IntArray = NDArray[np.int64]


class Sketch:
    """A piece's notes and its landmarks by rising key, in few bytes: grouping a library holds many at once.

    Attributes
    ----------
    line : the notes
    landmarks : how many there are
    event : int32 [landmarks], event of each landmark's first note
    key : uint32 [d], their different keys, rising
    first, times : int32 [d], where the landmarks of each key begin in `event`, and how many they are
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        found = find_landmarks(line)
        order = np.argsort(found.key, kind="stable")
        every = found.key[order]
        first = np.flatnonzero(np.diff(every.astype(np.int64), prepend=-1))
        self.landmarks = len(every)
        self.event = found.event[order].astype(np.int32)
        self.key, self.first = every[first], first.astype(np.int32)
        self.times = np.diff(first, append=len(every)).astype(np.int32)
        self.landmarks_in_block = np.bincount(self.event // BLOCK_EVENTS, minlength=self.blocks)
        self.notes_in_block = np.bincount(line.event // BLOCK_EVENTS, minlength=self.blocks)
        self.event_s = line.event_onsets_s()

    @property
    def blocks(self) -> int:
        return -(-self.line.events // BLOCK_EVENTS)


@dataclass(frozen=True)
class Anchors:
    """Landmarks that two pieces share: int64 [h] events of each in the one and in the other."""

    event: IntArray
    other: IntArray


@dataclass(frozen=True)
class Agreement:
    """Blocks of a piece that recur in another.

    Attributes
    ----------
    agrees : bool [blocks]
    diagonal : int64 [blocks], event there minus event here, where the block agrees
    share : float64 [blocks], share of the block's landmarks that agree on that diagonal
    covered : share of the piece's notes in blocks that agree, 0..1
    landmarks : share of the piece's landmarks that agree in these blocks, 0..1
    """

    agrees: NDArray[np.bool_]
    diagonal: IntArray
    share: NDArray[np.float64]
    covered: float
    landmarks: float


def anchors(one: Sketch, other: Sketch, transposition: int = 0) -> Anchors:
    """Pairs of equal landmarks.

    Of keys that are common in either piece (an ostinato), only the first with the first, the second with the
    second and so on, counted from the beginning and from the end: which is right in copies, and elsewhere
    points everywhere and nowhere.
    """
    if not len(other.key):
        return Anchors(np.empty(0, np.int64), np.empty(0, np.int64))
    # The pitch is the key's low bits; off the keyboard nothing is found.
    wanted, keys = one.key.astype(np.int64) + transposition, other.key.astype(np.int64)
    there = np.minimum(keys.searchsorted(wanted), len(keys) - 1)
    times = one.times.astype(np.int64)
    low = np.repeat(other.first[there].astype(np.int64), times)
    count = np.repeat(np.where(keys[there] == wanted, other.times[there], 0).astype(np.int64), times)
    first, own = np.repeat(one.first.astype(np.int64), times), np.repeat(times, times)
    rare = (count <= _COMMONEST) & (own <= _COMMONEST)
    keep = np.flatnonzero((count > 0) & rare)
    which = np.repeat(keep, count[keep])
    place = np.arange(len(which)) - np.repeat(np.cumsum(count[keep]) - count[keep] - low[keep], count[keep])
    rank = np.arange(one.landmarks) - first
    forward = np.flatnonzero(~rare & (rank < count))
    backward = np.flatnonzero(~rare & (own - rank <= count) & (own != count))
    return Anchors(
        one.event[np.concatenate([which, forward, backward])].astype(np.int64),
        other.event[
            np.concatenate(
                [
                    place,
                    low[forward] + rank[forward],
                    low[backward] + count[backward] - own[backward] + rank[backward],
                ]
            )
        ].astype(np.int64),
    )


def agreement(one: Sketch, shared: Anchors) -> Agreement:
    """Which blocks of `one` recur where `shared` leads."""
    blocks = one.blocks
    agrees, share = np.zeros(blocks, bool), np.zeros(blocks)
    diagonal = np.zeros(blocks, np.int64)
    if not len(shared.event):
        return Agreement(agrees, diagonal, share, 0.0, 0.0)
    for first in range(0, blocks, _SLAB_BLOCKS):
        last = min(blocks, first + _SLAB_BLOCKS)
        diagonal[first:last], share[first:last] = _best_diagonals(one, shared, first, last)
    strong = (share >= _LEAST_SHARE) & (share * one.landmarks_in_block >= _FEWEST_LANDMARKS - 0.5)
    for offset in range(1, _NEAR_BLOCKS + 1):
        near = strong[offset:] & strong[:-offset]
        near &= np.abs(diagonal[offset:] - diagonal[:-offset]) <= _NEAR_EVENTS
        agrees[offset:] |= near
        agrees[:-offset] |= near
    if blocks <= 2:
        agrees |= strong  # a piece of a line or two has no neighbourhood
    covered = float(one.notes_in_block[agrees].sum() / max(1, one.notes_in_block.sum()))
    landmarks = float((share * agrees * one.landmarks_in_block).sum() / max(1, one.landmarks))
    return Agreement(agrees, diagonal, share, covered, landmarks)


def _best_diagonals(
    one: Sketch, shared: Anchors, first: int, last: int
) -> tuple[IntArray, NDArray[np.float64]]:
    """The diagonal that suits each block of [first, last) and its neighbours best, and the block's share on
    it.

    Where music comes twice, a block alone cannot tell the one place from the other; its neighbours can.
    """
    begin, end = max(0, first - _NEAR_BLOCKS), last + _NEAR_BLOCKS
    block = shared.event // BLOCK_EVENTS
    held = (block >= begin) & (block < end)
    diagonal = np.zeros(last - first, np.int64)
    if not held.any():
        return diagonal, np.zeros(last - first)
    block = block[held] - begin
    bucket = (shared.other - shared.event)[held] // _BUCKET
    lowest = int(bucket.min()) - 1
    width = int(bucket.max()) - lowest + 3
    height = end - begin
    single = np.bincount(block * width + bucket - lowest, minlength=height * width)
    count = single.reshape(height, width).astype(np.float32)
    count[:, :-1] += count[:, 1:].copy()  # buckets overlap by half
    wide = count.copy()  # a neighbour may have drifted by one bucket
    np.maximum(wide[:, 1:], count[:, :-1], out=wide[:, 1:])
    np.maximum(wide[:, :-1], count[:, 1:], out=wide[:, :-1])
    support = count.copy()
    for offset in range(1, _NEAR_BLOCKS + 1):
        support[offset:] += wide[:-offset] / (1 + offset)
        support[:-offset] += wide[offset:] / (1 + offset)
    # Where a passage comes twice, both places fit it alike: the one that fits the rest as well is meant.
    overall = wide.sum(axis=0)
    support += _TIE * count * (overall / max(1.0, float(overall.max())))
    inner = slice(first - begin, first - begin + last - first)
    best = np.argmax(support[inner], axis=1)
    diagonal[:] = (best + lowest + 1) * _BUCKET
    agreeing = count[inner][np.arange(len(best)), best]
    # One key may meet several equal ones on a diagonal; a share is never more than the whole.
    share = np.minimum(1.0, agreeing / np.maximum(one.landmarks_in_block[first:last], 1))
    return diagonal, share.astype(np.float64)


def likely_transposition(one: Sketch, other: Sketch) -> int:
    """Semitones up from `one` on which most landmarks agree; 0 unless another key fits much better."""
    wanted = one.key.astype(np.int64)
    if len(wanted) > _SAMPLE:
        wanted = wanted[np.linspace(0, len(wanted) - 1, _SAMPLE).astype(np.int64)]
    held = other.key.astype(np.int64)
    low = np.searchsorted(held, wanted & ~_PITCHES, "left")
    count = np.searchsorted(held, wanted | _PITCHES, "right") - low
    which = np.repeat(np.arange(len(wanted)), count)
    place = np.arange(len(which)) - (np.cumsum(count) - count)[which] + low[which]
    votes = np.bincount(held[place] - wanted[which] + 128, minlength=257).astype(np.float64)
    votes[128] *= _OWN_KEY
    return int(np.argmax(votes)) - 128 if votes.any() else 0
