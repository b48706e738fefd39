"""Alignment of notes: a fragment with a place in a piece, and a whole piece with another, passage by passage.

A copy has constant tempo against its original, and is aligned with one line first (`linear_alignment`).
Otherwise, and for what that leaves over, sequences of matching blocks (`block_matching`) become passages,
each with a time map of its own that is fitted to the notes. A passage may lead anywhere in the other piece,
so repeats that one player leaves out, cuts, excerpts and medleys are recognised as what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embedder.core.arrays import BoolArray, FloatArray, IntArray

from .block_matching import BLOCK_GROUPS, BlockMatches, IndexedPiece, SharedLandmarks
from .landmarks import NoteSequence
from .linear_alignment import fit_linear_map, matching_stretches
from .time_map import (
    MAX_TEMPO_RATIO,
    PitchIndex,
    TimeMap,
    initial_time_map,
    longest_increasing_subsequence,
    match_notes,
    refine_time_map,
)

__all__ = [
    "MIN_CHANCE",
    "NO_ALIGNMENT",
    "TOLERANCE_S",
    "FragmentAlignment",
    "Passage",
    "PieceAlignment",
    "align_fragment",
    "align_pieces",
    "identity_alignment",
    "share_covered",
    "surprise_bits",
    "tempo_ratio_of",
]

TOLERANCE_S = 0.15  # around the time map; players of one score differ by less at nearly every note
MIN_CHANCE = 0.02
_MAX_CHANCE = 0.98
_NEIGHBOURHOOD_S = 4.0
_RUN_GROUPS = 30  # diagonals of neighbouring blocks of one passage differ by less
_RUN_BLOCKS = 8  # a passage bridges so many blocks of ostinato, whose landmarks do not locate it
_MARGIN_BLOCKS = 1
_LINEAR_SHARE = 0.85  # a linear map must cover so much of what the blocks do, or the pieces are no copies
_SHIFTS = (-13, -8, -5, -3, 3, 5, 8, 13)  # onset groups
_MAX_SHIFTED_NOTES = 400  # of a passage
_LANDMARKS_PER_KNOT = 16  # about, of a rough time map
_NEAR_DIAGONAL = 24  # onset groups


def surprise_bits(share: float, chance: float, notes: int) -> float:
    """How unlikely it is by chance that such a share of `notes` notes matches: -log2, by Chernoff's bound."""
    share = min(share, 1 - 1e-9)
    if share <= chance:
        return 0.0
    divergence = share * np.log2(share / chance) + (1 - share) * np.log2((1 - share) / (1 - chance))
    return float(notes * divergence)


# -- a fragment -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FragmentAlignment:
    """What a query and a place in a piece have in common.

    Attributes
    ----------
    query_note, piece_note : int64 [m], matched notes, as positions in the two sequences
    late_s : float64 [m], by how much the piece's note deviates from the smooth time map
    time_map : from the query's time to the piece's
    notes : number of notes of the query
    chance : share of the query's notes that unrelated music of the piece's notes would match
    transposition : semitones from the query up to the piece
    """

    query_note: IntArray
    piece_note: IntArray
    late_s: FloatArray
    time_map: TimeMap
    notes: int
    chance: float
    transposition: int

    @property
    def matched(self) -> float:
        """Share of the query's notes that are matched, 0..1."""
        return len(self.query_note) / self.notes

    @property
    def bits(self) -> float:
        """How surprising so many matches are, see `surprise_bits`."""
        return surprise_bits(self.matched, self.chance, self.notes)


def align_fragment(
    query: NoteSequence, piece: NoteSequence, transposition: int, query_s: FloatArray, piece_s: FloatArray
) -> FragmentAlignment | None:
    """Align a query with part of a piece, given times where they seem to agree.

    Parameters
    ----------
    query, piece : notes of both; of the piece, the part around the place
    query_s, piece_s : float64 [h], times of agreeing landmarks in the query and in the piece

    Returns
    -------
    None if the times agree on no tempo.
    """
    rough = initial_time_map(query_s, piece_s)
    if rough is None or not len(query):
        return None
    index = PitchIndex(piece)
    time_map = refine_time_map(query, transposition, index, rough)
    own, other, late = match_notes(query, transposition, index, time_map, TOLERANCE_S)
    chance = _chance_of_fragment(query, transposition, index, time_map)
    return FragmentAlignment(own, other, late, time_map, len(query), chance, transposition)


def _chance_of_fragment(
    query: NoteSequence, transposition: int, index: PitchIndex, time_map: TimeMap
) -> float:
    """Share of notes that would match if the piece had the same pitches around there at random times."""
    expected = time_map(query.onset_s)
    reach = _NEIGHBOURHOOD_S * max(1.0, time_map.slope)
    count = index.count_between(query.pitch + transposition, expected - reach, expected + reach)
    rate = count * (TOLERANCE_S * max(1.0, time_map.slope) / reach)
    return float(np.clip(np.mean(1 - np.exp(-rate)), MIN_CHANCE, _MAX_CHANCE))


# -- a whole piece ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """Music of a piece that recurs in another.

    Attributes
    ----------
    start_s, end_s : first and last matched onset in the piece
    other_start_s, other_end_s : and in the other
    tempo_ratio : tempo of the piece over that of the other
    notes, matched : notes of the piece in this passage, and how many of them the other has there too
    knots_s, other_knots_s : float64 [k], the time map: where moments of the piece fall in the other
    """

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float
    tempo_ratio: float
    notes: int
    matched: int
    knots_s: FloatArray
    other_knots_s: FloatArray


_NO_NOTES = np.empty(0, np.int64)


@dataclass(frozen=True)
class PieceAlignment:
    """What of a piece is found in another.

    Attributes
    ----------
    passages : in order of time
    covered : share of the piece's notes that lie in the passages
    matched : share of the piece's notes that have a counterpart
    note, other_note : int64 [m], the matched notes, as positions in the two sequences
    late_s : float64 [m], seconds by which the other's note deviates from its passage's smooth time map
    chance : share of the passages' notes that match even if the passages are shifted by some onset groups: in
        music of few notes and patterns, most
    """

    passages: tuple[Passage, ...]
    covered: float
    matched: float
    note: IntArray
    other_note: IntArray
    late_s: FloatArray
    chance: float

    @property
    def tempo_ratio(self) -> float:
        """Tempo of the piece over that of the other, over all passages; 1 if there are none."""
        own = sum(p.end_s - p.start_s for p in self.passages)
        return tempo_ratio_of(own, sum(p.other_end_s - p.other_start_s for p in self.passages))


def identity_alignment(sequence: NoteSequence, offset_s: float) -> PieceAlignment:
    """The alignment of a piece with one whose notes are the same, `offset_s` later."""
    notes = np.arange(len(sequence))
    start_s, end_s = float(sequence.onset_s.min()), float(sequence.onset_s.max())
    knots_s = np.array([start_s, end_s])
    passage = Passage(
        start_s=start_s,
        end_s=end_s,
        other_start_s=start_s + offset_s,
        other_end_s=end_s + offset_s,
        tempo_ratio=1.0,
        notes=len(notes),
        matched=len(notes),
        knots_s=knots_s,
        other_knots_s=knots_s + offset_s,
    )
    return PieceAlignment((passage,), 1.0, 1.0, notes, notes, np.zeros(len(notes)), MIN_CHANCE)


NO_ALIGNMENT = PieceAlignment((), 0.0, 0.0, _NO_NOTES, _NO_NOTES, np.empty(0), 0.0)


def tempo_ratio_of(length_s: float, other_length_s: float) -> float:
    """Tempo of a passage over that of its counterpart, from their lengths; 1 if one of them has none."""
    return other_length_s / length_s if length_s > 0 and other_length_s > 0 else 1.0


def align_pieces(
    piece: IndexedPiece,
    other: IndexedPiece,
    shared: SharedLandmarks,
    blocks: BlockMatches,
    transposition: int,
    min_matched: float = 0.0,
) -> PieceAlignment | None:
    """Align the notes of `piece` with those of `other`.

    None if no passage is left, or if less than the share `min_matched` of the piece's notes is matched.

    Parameters
    ----------
    shared, blocks : what `find_shared_landmarks` and `match_blocks` gave
    transposition : semitones from `piece` up to `other`
    """
    passages: list[Passage] = []
    notes: list[IntArray] = []
    others: list[IntArray] = []
    late: list[FloatArray] = []
    inside = np.zeros(len(piece.sequence), bool)
    aligned: list[tuple[NoteSequence, TimeMap]] = []
    index = PitchIndex(other.sequence)
    for low, high, time_map in _mapped_ranges(piece, other, shared, blocks, transposition, index):
        stretch = piece.sequence.slice_notes(low, high)
        own, there, error = match_notes(stretch, transposition, index, time_map, TOLERANCE_S)
        if len(own) < 4:
            continue
        passages.append(_passage(stretch, other.sequence, own, there, time_map))
        fresh = ~inside[own + low]
        notes.append(own[fresh] + low)
        others.append(there[fresh])
        late.append(error[fresh])
        inside[low:high] = True
        aligned.append((stretch, time_map))
    total = max(1, len(piece.sequence))
    own_notes = np.concatenate(notes) if notes else _NO_NOTES
    if not aligned or len(own_notes) < min_matched * total:
        return None
    chances = [
        _chance_of_passage(stretch, other, transposition, index, time_map) for stretch, time_map in aligned
    ]
    return PieceAlignment(
        passages=tuple(sorted(passages, key=lambda passage: passage.start_s)),
        covered=float(inside.sum()) / total,
        matched=len(own_notes) / total,
        note=own_notes,
        other_note=np.concatenate(others),
        late_s=np.concatenate(late),
        chance=float(np.average(chances, weights=[len(stretch) for stretch, _ in aligned])),
    )


def share_covered(other: IndexedPiece, alignment: PieceAlignment) -> float:
    """Share of the other piece's notes that lie within the passages."""
    onset_s = other.sequence.onset_s
    inside = np.zeros(len(onset_s), bool)
    for passage in alignment.passages:
        inside |= (onset_s >= passage.other_start_s - 1e-6) & (onset_s <= passage.other_end_s + 1e-6)
    return float(inside.mean()) if len(inside) else 0.0


def _mapped_ranges(
    piece: IndexedPiece,
    other: IndexedPiece,
    shared: SharedLandmarks,
    blocks: BlockMatches,
    transposition: int,
    index: PitchIndex,
) -> Iterator[tuple[int, int, TimeMap]]:
    """Ranges of notes of `piece` that recur in `other`, each with its time map."""
    sequence = piece.sequence
    inside = np.zeros(len(sequence), bool)
    line = fit_linear_map(piece, other, shared, index, transposition)
    if line is not None:
        stretches = matching_stretches(piece, index, line, transposition)
        if sum(high - low for low, high in stretches) >= _LINEAR_SHARE * blocks.covered * len(sequence):
            for low, high in stretches:
                inside[low:high] = True
                yield low, high, line
    done_in_block = np.bincount(sequence.group[inside] // BLOCK_GROUPS, minlength=piece.blocks)
    left = blocks.matches & (done_in_block <= 0.5 * piece.notes_in_block)
    for first, last in _block_runs(left, blocks.diagonal):
        rough = _map_of_run(piece, other, shared, blocks, first, last)
        if rough is not None:
            low, high = _notes_of_run(piece, first, last)
            yield (
                low,
                high,
                refine_time_map(sequence.slice_notes(low, high), transposition, index, rough),
            )


def _chance_of_passage(
    stretch: NoteSequence, other: IndexedPiece, transposition: int, index: PitchIndex, time_map: TimeMap
) -> float:
    """Share of notes that match though the passage is shifted by some onset groups of the other piece."""
    sample = np.linspace(0, len(stretch) - 1, min(len(stretch), _MAX_SHIFTED_NOTES)).astype(np.int64)
    expected = time_map(stretch.onset_s[sample])
    group = np.searchsorted(other.group_s, expected)
    last = len(other.group_s) - 1
    there = other.group_s[np.clip(group[None, :] + np.array(_SHIFTS)[:, None], 0, last)]
    moved = expected + there - other.group_s[np.clip(group, 0, last)]
    _, late = index.nearest(np.tile(stretch.pitch[sample] + transposition, len(_SHIFTS)), moved.ravel())
    matched = np.abs(late) <= TOLERANCE_S * max(1.0, time_map.slope)
    shares = matched.reshape(moved.shape).mean(axis=1)
    return float(np.clip(np.median(shares), MIN_CHANCE, _MAX_CHANCE))


def _block_runs(matches: BoolArray, diagonal: IntArray) -> list[tuple[int, int]]:
    """Half-open ranges of matching blocks that follow each other on nearly one diagonal."""
    blocks = np.flatnonzero(matches)
    if not len(blocks):
        return []
    breaks = (np.diff(blocks) > _RUN_BLOCKS) | (np.abs(np.diff(diagonal[blocks])) > _RUN_GROUPS)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(blocks)]])
    return [(int(blocks[a]), int(blocks[b - 1]) + 1) for a, b in itertools.pairwise(starts)]


def _notes_of_run(piece: IndexedPiece, first: int, last: int) -> tuple[int, int]:
    """Notes of a sequence of blocks, with a margin: blocks at its edges may match in part."""
    begin = max(0, first - _MARGIN_BLOCKS) * BLOCK_GROUPS
    end = (last + _MARGIN_BLOCKS) * BLOCK_GROUPS
    low, high = np.searchsorted(piece.sequence.group, [begin, end])
    return int(low), int(high)


def _map_of_run(
    piece: IndexedPiece,
    other: IndexedPiece,
    shared: SharedLandmarks,
    blocks: BlockMatches,
    first: int,
    last: int,
) -> TimeMap | None:
    """A rough time map through the medians of the landmarks of blocks [first, last)."""
    block = shared.group // BLOCK_GROUPS
    inside = (block >= first) & (block < last)
    off_diagonal = shared.other_group - shared.group - blocks.diagonal[np.minimum(block, piece.blocks - 1)]
    near = np.flatnonzero(inside & (np.abs(off_diagonal) <= _NEAR_DIAGONAL))
    if len(near) < 3:
        return None
    near = near[:: max(1, len(near) // (_LANDMARKS_PER_KNOT * 2 * (last - first)))]
    half = shared.group[near] * 2 // BLOCK_GROUPS  # two knots a block
    at = _medians(half, piece.group_s[shared.group[near]])
    to = _medians(half, other.group_s[shared.other_group[near]])
    kept = longest_increasing_subsequence(to)
    at, to = at[kept], to[kept]
    kept = np.flatnonzero(np.concatenate([[True], np.diff(at) > 0]))
    at, to = at[kept], to[kept]
    if len(at) < 2:
        return None
    slope = float(np.clip((to[-1] - to[0]) / (at[-1] - at[0]), 1 / MAX_TEMPO_RATIO, MAX_TEMPO_RATIO))
    return TimeMap(at, to, slope)


def _medians(label: IntArray, values: FloatArray) -> FloatArray:
    """The middle value of each label that occurs, by ascending label."""
    order = np.lexsort((values, label))
    first = np.flatnonzero(np.concatenate([[True], np.diff(label[order]) > 0]))
    count = np.diff(np.concatenate([first, [len(label)]]))
    medians: FloatArray = values[order[first + count // 2]]
    return medians


def _passage(
    stretch: NoteSequence, other: NoteSequence, own: IntArray, there: IntArray, time_map: TimeMap
) -> Passage:
    at, to = stretch.onset_s[own], other.onset_s[there]
    return Passage(
        start_s=float(at.min()),
        end_s=float(at.max()),
        other_start_s=float(to.min()),
        other_end_s=float(to.max()),
        tempo_ratio=tempo_ratio_of(float(np.ptp(at)), float(np.ptp(to))),
        notes=len(stretch),
        matched=len(own),
        knots_s=time_map.query_s,
        other_knots_s=time_map.piece_s,
    )
