"""Classification of a pair of pieces: are they the same music, and in which way?

Kinds of sameness, strictest first:

bytes      the same file content
notes      the same notes at the same times: another container, track order, tempo map or velocity scale
edited     the same performance, trimmed, stretched, transposed, quantised or with notes lost
work       another performance or arrangement of the same work; the same notes with other instruments, or
           without the drums, are an arrangement
contains   one holds the other among more

The first three are duplicates: one of the two is not needed. The others are relatives, and both are.

Two pieces are the same music if far more of their notes match than would if they were shifted against each
other by a few onset groups: music of few notes and patterns matches much that it is not. A copy of a
performance keeps its timing: whatever was done to it, the times of its notes lie on one straight line against
the original's. Another player's never do. That, and how much of each piece is covered, determines the kind.

Whether two pieces are one performance is stated beside the kind: a part may be cut from the very recording
that holds it, or be another performance of the same work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from embedder.core.arrays import FloatArray
from embedder.core.text import percent, tempo_change

from .align import (
    MIN_CHANCE,
    PieceAlignment,
    align_pieces,
    share_covered,
    surprise_bits,
)
from .block_matching import (
    BlockMatches,
    IndexedPiece,
    SharedLandmarks,
    estimate_transposition,
    find_shared_landmarks,
    match_blocks,
)
from .landmarks import NoteSequence, interval_variety
from .linear_alignment import trimmed_line_fit
from .time_map import PitchIndex, running_median

__all__ = [
    "KINDS",
    "Arrangement",
    "Evidence",
    "Kind",
    "Link",
    "Relation",
    "Span",
    "arrangement_of",
    "classify_pair",
    "identical_evidence",
    "identical_offset_s",
    "in_arrangements",
    "transposition_of",
]

# -- thresholds of "the same music" -------------------------------------------------------------------
# Each was set on performances of ASAP, MAESTRO and POP909 and on the tunes of Nottingham, and is checked by
# tests/bench/identity.py.

# Before notes are looked at:
_MIN_BLOCKS_COVERED = 0.3  # of the shorter piece's notes: below, little is left for an alignment
_MIN_BLOCK_LANDMARKS = 0.08  # of its landmarks: players of one work keep 0.4, takes of a song 0.12

# To be the same music at all. Notes matched beyond chance, as a share of those that could be: players of one
# work reach 0.5 and more, other music 0.2, folk tunes of one family 0.45.
_MIN_BEYOND_CHANCE = 0.35
_EXTRA_FOR_FEW_BITS = 30.0  # divided by the bits: where evidence is little, more notes must match
_EXTRA_FOR_UNSTEADINESS = 0.25  # times the unsteadiness: so must they where the tempo jumps about
_MIN_BITS = 60.0  # counted by onset groups, since notes of a chord come together
_MAX_UNSTEADINESS = 0.5  # octaves; players shape time, but not at random
_TEMPO_STEP_S = 2.0  # over which a tempo is measured
_MIN_VARIETY = 5  # different steps of a part within a longer piece: scales have up to 3 and are in much music

# Which kind it is:
_WHOLE = 0.8  # covered: the piece is all there; players leave out repeats and introductions
_NEARLY_WHOLE = 0.97  # covered of both: neither holds more than the other
_SAME_NOTES = 0.99  # of the notes of either: a container may lose a note in a hundred to its resolution
_SAME_TIMES_S = 0.004  # two ticks of a coarse container
_SAME_TIMING_S = (
    0.016  # median residual of copies quantised to 1/8 s: 0.013; of strict Bach by two players: 0.019
)
_RESIDUAL_NOTES = 31  # running median of so many notes: jitter and quantisation average out in it
_MIN_NOTES_TO_FIT = 8  # of a passage, for its timing to count
_COPIED = 0.85  # matched within the passages: what a copy lost, the shorter one lost
_MIN_COPY_S = 8.0  # within less, anybody keeps a constant tempo


class Relation(StrEnum):
    """Whether one of two pieces can be spared."""

    DUPLICATES = "duplicates"
    RELATIVES = "relatives"


class Kind(StrEnum):
    BYTES = "bytes"
    NOTES = "notes"
    EDITED = "edited"
    WORK = "work"
    CONTAINS = "contains"

    @property
    def label(self) -> str:
        """What two pieces of this kind are to each other."""
        return _LABELS[self]

    @property
    def relation(self) -> Relation:
        relatives = self in (Kind.WORK, Kind.CONTAINS)
        return Relation.RELATIVES if relatives else Relation.DUPLICATES

    @property
    def rank(self) -> int:
        """0 for the strictest."""
        return KINDS.index(self)


KINDS = tuple(Kind)  # strictest first
_LABELS = {
    Kind.BYTES: "the same bytes",
    Kind.NOTES: "the same notes",
    Kind.EDITED: "the same performance, edited",
    Kind.WORK: "another performance or arrangement of the same work",
    Kind.CONTAINS: "a whole and a part of it",
}


@dataclass(frozen=True)
class Span:
    """A passage that two pieces share, in seconds of each."""

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float


@dataclass(frozen=True)
class Evidence:
    """What a classification rests on.

    Attributes
    ----------
    covered, other_covered : share of each piece that the shared passages cover, 0..1
    matched, other_matched : share of the notes of each that have a counterpart
    transposition : by how many semitones the first sounds higher than the other
    tempo_ratio : tempo of the first over that of the other
    straight_s : median residual of the notes from constant relative tempo; None if too few match to tell
    chance : share of notes that match where the pieces are shifted against each other
    surprise_bits : how unlikely so many matches are by chance, -log2
    passages : where they match
    """

    covered: float
    other_covered: float
    matched: float
    other_matched: float
    transposition: int
    tempo_ratio: float
    straight_s: float | None
    chance: float
    surprise_bits: float
    passages: tuple[Span, ...]

    @property
    def same_timing(self) -> bool:
        """Whether the relative tempo is constant, as it is between copies of one performance."""
        return self.straight_s is not None and self.straight_s <= _SAME_TIMING_S

    @property
    def is_copy(self) -> bool:
        """Whether the passages are one performance: long, nearly all of their notes kept, the same timing."""
        first = min((span.start_s for span in self.passages), default=0.0)
        last = max((span.end_s for span in self.passages), default=0.0)
        kept = self.matched >= _COPIED * self.covered
        return self.same_timing and last - first >= _MIN_COPY_S and kept

    def swapped(self) -> Evidence:
        """The same, as seen from the other piece."""
        spans = (Span(s.other_start_s, s.other_end_s, s.start_s, s.end_s) for s in self.passages)
        return replace(
            self,
            covered=self.other_covered,
            other_covered=self.covered,
            matched=self.other_matched,
            other_matched=self.matched,
            transposition=-self.transposition,
            tempo_ratio=1 / self.tempo_ratio,
            passages=tuple(spans),
        )

    def to_json(self) -> dict[str, Any]:
        passages = [asdict(span) for span in self.passages]
        return asdict(self) | {"same_clock": self.same_timing, "passages": passages}

    def __str__(self) -> str:
        matched, other_matched = percent(self.matched), percent(self.other_matched)
        facts = [f"{matched} and {other_matched} of the notes match"]
        if self.transposition:
            facts.append(f"{self.transposition:+d} semitone{'' if abs(self.transposition) == 1 else 's'}")
        tempo = tempo_change(self.tempo_ratio)
        if tempo is not None:
            facts.append(tempo)
        if self.same_timing:
            facts.append("same timing")
        return ", ".join(facts)


@dataclass(frozen=True)
class Link:
    """Two pieces that hold the same music.

    Attributes
    ----------
    one, other : numbers of the pieces; of a part and a whole, `one` is the part
    kind : the strictest that fits
    contained : whether all of `one` is in `other`, which holds more
    """

    one: int
    other: int
    kind: Kind
    contained: bool
    evidence: Evidence

    @property
    def pair(self) -> tuple[int, int]:
        """Both numbers, the lower one first."""
        return min(self.one, self.other), max(self.one, self.other)

    @property
    def same_performance(self) -> bool:
        """Whether both hold one performance, and not two of the same work."""
        if self.kind is Kind.CONTAINS:
            return self.evidence.is_copy
        return self.kind is not Kind.WORK

    @property
    def label(self) -> str:
        """What the two are to each other."""
        if self.kind is not Kind.CONTAINS:
            return self.kind.label
        return f"{self.kind.label}, {_SAME if self.same_performance else _OTHER}"

    @property
    def strength(self) -> float:
        """For ordering: how much of both matches."""
        return self.evidence.matched + self.evidence.other_matched


_SAME, _OTHER = "the same performance", "another performance or arrangement"


def classify_pair(
    one_id: int, one: IndexedPiece, other_id: int, other: IndexedPiece, transposition: int | None = None
) -> Link | None:
    """Compare two pieces and tell how they are the same; None if they are not.

    The order of the two makes no difference.

    Parameters
    ----------
    transposition : semitones from `one` up to `other`; estimated if not given
    """
    if _size(one) > _size(other):
        one_id, one, other_id, other = other_id, other, one_id, one
        transposition = None if transposition is None else -transposition
    offset_s = identical_offset_s(one.sequence, other.sequence)
    if offset_s is not None and not transposition:
        onset_s = one.sequence.onset_s
        start_s, end_s = float(onset_s.min()), float(onset_s.max())
        return Link(
            one_id,
            other_id,
            Kind.NOTES,
            False,
            identical_evidence(len(one.sequence), start_s, end_s, offset_s),
        )
    if transposition is None:
        transposition = -transposition_of(one, other)
    shared = find_shared_landmarks(one, other, transposition)
    ahead = match_blocks(one, shared)
    if ahead.covered < _MIN_BLOCKS_COVERED or ahead.landmarks < _MIN_BLOCK_LANDMARKS:
        return None
    alignment = align_pieces(one, other, shared, ahead, transposition, min_matched=_MIN_BEYOND_CHANCE)
    if alignment is None:
        return None
    back = match_blocks(other, shared.swapped())
    evidence = _evidence(one, other, transposition, alignment, ahead, back)
    same_notes = transposition == 0 and _same_notes(one, other, shared)
    if not same_notes and not _is_convincing(evidence, alignment):
        return None
    contained = evidence.covered >= _WHOLE and evidence.other_covered < _NEARLY_WHOLE
    kind = _kind(evidence, same_notes)
    if kind is Kind.CONTAINS and interval_variety(one.sequence, alignment.note) < _MIN_VARIETY:
        return None
    return Link(one_id, other_id, kind, contained, evidence)


Arrangement = frozenset[str]  # names of the instruments of a piece, and "drums" if it has some


def arrangement_of(instruments: Iterable[str], drum_notes: int) -> Arrangement:
    """The arrangement of a piece that has these instruments and so many drum notes."""
    return frozenset([*instruments, "drums"] if drum_notes else instruments)


def in_arrangements(link: Link, one: Arrangement | None, other: Arrangement | None) -> Link:
    """A link of two pieces, taken as one of two arrangements if their instruments differ.

    Parameters
    ----------
    one, other : None where they are not known
    """
    if link.kind.relation is Relation.RELATIVES or one is None or other is None or one == other:
        return link
    return replace(link, kind=Kind.WORK)


def identical_offset_s(one: NoteSequence, other: NoteSequence) -> float | None:
    """By how much the notes of `other` are later, if they are those of `one` otherwise; None if not."""
    if not len(one) or len(one) != len(other) or not np.array_equal(one.pitch, other.pitch):
        return None
    apart = other.onset_s - one.onset_s
    offset_s = float(np.median(apart))
    return offset_s if np.abs(apart - offset_s).max() <= _SAME_TIMES_S else None


def identical_evidence(notes: int, start_s: float, end_s: float, offset_s: float = 0.0) -> Evidence:
    """Evidence for two pieces with identical notes, however few or repetitive they are.

    Parameters
    ----------
    start_s, end_s : first and last onset
    offset_s : by how much the other piece's notes are later
    """
    return Evidence(
        covered=1.0,
        other_covered=1.0,
        matched=1.0,
        other_matched=1.0,
        transposition=0,
        tempo_ratio=1.0,
        straight_s=0.0,
        chance=MIN_CHANCE,
        surprise_bits=surprise_bits(1.0, MIN_CHANCE, notes),
        passages=(Span(start_s, end_s, start_s + offset_s, end_s + offset_s),),
    )


def transposition_of(one: IndexedPiece, other: IndexedPiece) -> int:
    """By how many semitones `one` most likely sounds higher than `other`, where they match at all."""
    if _size(one) > _size(other):
        return estimate_transposition(other, one)
    return -estimate_transposition(one, other)


def _size(piece: IndexedPiece) -> tuple[int, int, float, int]:
    """Sorts shorter pieces first, and equally long ones always in the same order."""
    notes = piece.sequence
    return (
        len(notes),
        notes.groups,
        float(notes.onset_s.sum()),
        int((notes.pitch * np.arange(len(notes))).sum()),
    )


def _evidence(
    one: IndexedPiece,
    other: IndexedPiece,
    transposition: int,
    alignment: PieceAlignment,
    ahead: BlockMatches,
    back: BlockMatches,
) -> Evidence:
    return Evidence(
        covered=max(ahead.covered, alignment.covered),
        # Blocks see a repeat that only the other piece takes; notes see a piece too short for blocks.
        other_covered=max(back.covered, share_covered(other, alignment)),
        matched=alignment.matched,
        other_matched=len(np.unique(alignment.other_note)) / max(1, len(other.sequence)),
        transposition=-transposition,
        tempo_ratio=alignment.tempo_ratio,
        straight_s=_timing_residual_s(one, other, alignment),
        chance=alignment.chance,
        surprise_bits=surprise_bits(
            alignment.matched / alignment.covered,
            alignment.chance,
            round(alignment.covered * one.sequence.groups),
        ),
        passages=tuple(Span(p.start_s, p.end_s, p.other_start_s, p.other_end_s) for p in alignment.passages),
    )


def _is_convincing(evidence: Evidence, alignment: PieceAlignment) -> bool:
    """Whether two pieces agree in more than any two do."""
    if evidence.surprise_bits < _MIN_BITS:
        return False
    unsteadiness = _unsteadiness(alignment)
    beyond = (evidence.matched - evidence.chance) / (1 - evidence.chance)
    required = _MIN_BEYOND_CHANCE + _EXTRA_FOR_FEW_BITS / evidence.surprise_bits
    required += _EXTRA_FOR_UNSTEADINESS * unsteadiness
    return beyond >= required and unsteadiness <= _MAX_UNSTEADINESS


def _unsteadiness(alignment: PieceAlignment) -> float:
    """Median change of the relative tempo, in octaves, from one moment to the next."""
    changes: list[FloatArray] = [np.zeros(1)]
    for passage in alignment.passages:
        steps = max(1, int((passage.end_s - passage.start_s) / _TEMPO_STEP_S))
        at = np.linspace(passage.start_s, passage.end_s, steps + 1)
        to = np.interp(at, passage.knots_s, passage.other_knots_s)
        tempo = np.maximum(np.diff(to), 1e-3) / np.maximum(np.diff(at), 1e-3)
        changes.append(np.abs(np.diff(np.log2(tempo))))
    return float(np.median(np.concatenate(changes)))


def _kind(evidence: Evidence, same_notes: bool) -> Kind:
    if same_notes:
        return Kind.NOTES
    if evidence.other_covered < _WHOLE <= evidence.covered:
        return Kind.CONTAINS
    return Kind.EDITED if evidence.is_copy else Kind.WORK


def _timing_residual_s(one: IndexedPiece, other: IndexedPiece, alignment: PieceAlignment) -> float | None:
    """Median residual of the notes from a straight line for each passage (s); None if there are too few."""
    at, to = one.sequence.onset_s[alignment.note], other.sequence.onset_s[alignment.other_note]
    residuals: list[FloatArray] = []
    for passage in alignment.passages:
        inside = (at >= passage.start_s) & (at <= passage.end_s)
        inside &= (to >= passage.other_start_s) & (to <= passage.other_end_s)
        notes = np.flatnonzero(inside)
        if len(notes) >= _MIN_NOTES_TO_FIT:
            notes = notes[np.argsort(at[notes], kind="stable")]
            slope, start = trimmed_line_fit(at[notes], to[notes])
            error = to[notes] - start - slope * at[notes]
            residuals.append(np.abs(running_median(error, _RESIDUAL_NOTES)))
    return float(np.median(np.concatenate(residuals))) if residuals else None


def _same_notes(one: IndexedPiece, other: IndexedPiece, shared: SharedLandmarks) -> bool:
    """Whether nearly every note of either piece is in the other at the same distance in time."""
    if len(one.sequence) < _SAME_NOTES * len(other.sequence):
        return False
    apart = other.group_s[shared.other_group] - one.group_s[shared.group]
    bins, counts = np.unique(np.rint(apart / _SAME_TIMES_S).astype(np.int64), return_counts=True)
    near = np.abs(apart - bins[np.argmax(counts)] * _SAME_TIMES_S) <= _SAME_TIMES_S
    offset = float(np.median(apart[near]))
    for own, there, later in ((one, other, offset), (other, one, -offset)):
        sequence = own.sequence
        note, late_s = PitchIndex(there.sequence).nearest(sequence.pitch, sequence.onset_s + later)
        if ((note >= 0) & (np.abs(late_s) <= _SAME_TIMES_S)).mean() < _SAME_NOTES:
            return False
    return True
