"""Block matching: which blocks of a piece recur in another, from the landmarks that the two share.

One piece is cut into blocks of some onset groups. Each block takes the diagonal (difference of group counts,
as in `voting`) on which most of its landmarks recur in the other piece. A block matches if enough do *and* a
block near it matches on nearly the same diagonal: shared figures come alone, shared music comes in sequences
of blocks. Blocks need not follow each other in the other piece as they do here, so repeats taken or left out,
cuts and reordered movements are all covered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedder.core.arrays import BoolArray, FloatArray, IntArray, ragged_ranges
from embedder.notes import Notes

from .landmarks import PITCH_MASK, NoteSequence, find_landmarks, note_sequence

__all__ = [
    "BLOCK_GROUPS",
    "BlockMatches",
    "IndexedPiece",
    "SharedLandmarks",
    "estimate_transposition",
    "find_shared_landmarks",
    "match_blocks",
]

BLOCK_GROUPS = 16  # onset groups in a block
_BUCKET = 12  # onset groups
_MIN_LANDMARKS = 4  # shared on the diagonal, for a block to match
_MIN_SHARE = 0.06  # of a block's landmarks
_NEAR_BLOCKS = 2
_NEAR_GROUPS = 30
_SLAB_BLOCKS = 256  # processed at a time, so that memory stays small for pieces of any length
_MAX_REPEATS = 12  # a key more frequent than this in a piece is an ostinato: most of its pairs mislead
_TIE_WEIGHT = 0.25
_SAMPLE = 1_500  # landmarks that vote on the transposition
_OWN_KEY_BONUS = 1.5  # how much better another key must fit than the own


class IndexedPiece:
    """A piece's notes and its landmarks by ascending key, compact: grouping a library keeps many at once.

    Attributes
    ----------
    sequence : the notes
    landmarks : how many there are
    landmark_group : int32 [landmarks], onset group of each landmark's first note
    key : uint32 [d], their distinct keys, ascending
    first, count : int32 [d], where the landmarks of each key begin in `landmark_group`, and how many they are
    group_s : float64 [groups], when each onset group begins
    """

    def __init__(self, sequence: NoteSequence) -> None:
        self.sequence = sequence
        landmarks = find_landmarks(sequence)
        order = np.argsort(landmarks.key, kind="stable")
        keys = landmarks.key[order]
        first = np.flatnonzero(np.diff(keys.astype(np.int64), prepend=-1))
        self.landmarks = len(keys)
        self.landmark_group = landmarks.group[order].astype(np.int32)
        self.key, self.first = keys[first], first.astype(np.int32)
        self.count = np.diff(first, append=len(keys)).astype(np.int32)
        self.landmarks_in_block = np.bincount(self.landmark_group // BLOCK_GROUPS, minlength=self.blocks)
        self.notes_in_block = np.bincount(sequence.group // BLOCK_GROUPS, minlength=self.blocks)
        self.group_s = sequence.group_onsets_s()

    @classmethod
    def of(cls, notes: Notes) -> IndexedPiece:
        """A piece given by its notes."""
        return cls(note_sequence(notes))

    @property
    def blocks(self) -> int:
        return -(-self.sequence.groups // BLOCK_GROUPS)


@dataclass(frozen=True)
class SharedLandmarks:
    """Pairs of equal landmarks of two pieces: int64 [h], onset groups of each in the two pieces."""

    group: IntArray
    other_group: IntArray

    def swapped(self) -> SharedLandmarks:
        """The same pairs as seen from the other piece."""
        return SharedLandmarks(self.other_group, self.group)


@dataclass(frozen=True)
class BlockMatches:
    """Blocks of a piece that recur in another.

    Attributes
    ----------
    matches : bool [blocks]
    diagonal : int64 [blocks], group there minus group here, where the block matches
    share : float64 [blocks], share of the block's landmarks that are shared on that diagonal
    covered : share of the piece's notes in matching blocks, 0..1
    landmarks : share of the piece's landmarks that are shared in these blocks, 0..1
    """

    matches: BoolArray
    diagonal: IntArray
    share: FloatArray
    covered: float
    landmarks: float


def find_shared_landmarks(
    piece: IndexedPiece, other: IndexedPiece, transposition: int = 0
) -> SharedLandmarks:
    """Pairs of equal landmarks.

    Of keys that are frequent in either piece (an ostinato), only the first with the first, the second with
    the second and so on, counted from the beginning and from the end: this is right in copies, and elsewhere
    the pairs scatter over all diagonals.

    Parameters
    ----------
    transposition : semitones from `piece` up to `other`
    """
    if not len(other.key):
        return SharedLandmarks(np.empty(0, np.int64), np.empty(0, np.int64))
    # The pitch is in the key's low bits; beyond the keyboard nothing is found.
    sought, keys = piece.key.astype(np.int64) + transposition, other.key.astype(np.int64)
    there = np.minimum(keys.searchsorted(sought), len(keys) - 1)
    repeats = piece.count.astype(np.int64)
    low = np.repeat(other.first[there].astype(np.int64), repeats)
    count = np.repeat(np.where(keys[there] == sought, other.count[there], 0).astype(np.int64), repeats)
    first, own = np.repeat(piece.first.astype(np.int64), repeats), np.repeat(repeats, repeats)
    rare = (count <= _MAX_REPEATS) & (own <= _MAX_REPEATS)
    keep = np.flatnonzero((count > 0) & rare)
    which = np.repeat(keep, count[keep])
    position = ragged_ranges(low[keep], count[keep])
    rank = np.arange(piece.landmarks) - first
    forward = np.flatnonzero(~rare & (rank < count))
    backward = np.flatnonzero(~rare & (own - rank <= count) & (own != count))
    return SharedLandmarks(
        piece.landmark_group[np.concatenate([which, forward, backward])].astype(np.int64),
        other.landmark_group[
            np.concatenate(
                [
                    position,
                    low[forward] + rank[forward],
                    low[backward] + count[backward] - own[backward] + rank[backward],
                ]
            )
        ].astype(np.int64),
    )


def match_blocks(piece: IndexedPiece, shared: SharedLandmarks) -> BlockMatches:
    """Which blocks of a piece recur in the other, by the landmarks that the two share."""
    blocks = piece.blocks
    matches, share = np.zeros(blocks, bool), np.zeros(blocks)
    diagonal = np.zeros(blocks, np.int64)
    if not len(shared.group):
        return BlockMatches(matches, diagonal, share, 0.0, 0.0)
    for first in range(0, blocks, _SLAB_BLOCKS):
        last = min(blocks, first + _SLAB_BLOCKS)
        diagonal[first:last], share[first:last] = _best_diagonals(piece, shared, first, last)
    strong = (share >= _MIN_SHARE) & (share * piece.landmarks_in_block >= _MIN_LANDMARKS - 0.5)
    for offset in range(1, _NEAR_BLOCKS + 1):
        near = strong[offset:] & strong[:-offset]
        near &= np.abs(diagonal[offset:] - diagonal[:-offset]) <= _NEAR_GROUPS
        matches[offset:] |= near
        matches[:-offset] |= near
    if blocks <= 2:
        matches |= strong  # a piece of a line or two has no neighbouring blocks
    covered = float(piece.notes_in_block[matches].sum() / max(1, piece.notes_in_block.sum()))
    landmarks = float((share * matches * piece.landmarks_in_block).sum() / max(1, piece.landmarks))
    return BlockMatches(matches, diagonal, share, covered, landmarks)


def _best_diagonals(
    piece: IndexedPiece, shared: SharedLandmarks, first: int, last: int
) -> tuple[IntArray, FloatArray]:
    """The diagonal that fits each block of [first, last) and its neighbours best, and the share on it.

    Where music comes twice, a block alone cannot tell the two places apart; its neighbours can.
    """
    begin, end = max(0, first - _NEAR_BLOCKS), last + _NEAR_BLOCKS
    block = shared.group // BLOCK_GROUPS
    inside = (block >= begin) & (block < end)
    diagonal = np.zeros(last - first, np.int64)
    if not inside.any():
        return diagonal, np.zeros(last - first)
    block = block[inside] - begin
    bucket = (shared.other_group - shared.group)[inside] // _BUCKET
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
    # Where a passage comes twice, both places fit equally: the one that fits the rest as well breaks the tie.
    overall = wide.sum(axis=0)
    support += _TIE_WEIGHT * count * (overall / max(1.0, float(overall.max())))
    inner = slice(first - begin, first - begin + last - first)
    best = np.argmax(support[inner], axis=1)
    diagonal[:] = (best + lowest + 1) * _BUCKET
    agreeing = count[inner][np.arange(len(best)), best]
    # One key may meet several equal ones on a diagonal; a share is never more than the whole.
    share = np.minimum(1.0, agreeing / np.maximum(piece.landmarks_in_block[first:last], 1))
    return diagonal, share.astype(np.float64)


def estimate_transposition(piece: IndexedPiece, other: IndexedPiece) -> int:
    """Semitones up from `piece` on which most landmarks agree; 0 unless another key fits much better."""
    sought = piece.key.astype(np.int64)
    if len(sought) > _SAMPLE:
        sought = sought[np.linspace(0, len(sought) - 1, _SAMPLE).astype(np.int64)]
    keys = other.key.astype(np.int64)
    low = np.searchsorted(keys, sought & ~PITCH_MASK, "left")
    count = np.searchsorted(keys, sought | PITCH_MASK, "right") - low
    votes = np.bincount(
        keys[ragged_ranges(low, count)] - np.repeat(sought, count) + 128, minlength=257
    ).astype(np.float64)
    votes[128] *= _OWN_KEY_BONUS
    return int(np.argmax(votes)) - 128 if votes.any() else 0
