"""Landmarks: tempo-invariant fingerprints of a few neighbouring notes.

A piece is first put in one order that survives performance: onsets closer than `CHORD_GAP_S` form an *onset
group* (a chord), and the notes of a group are sorted by pitch. A landmark is a note with three of the six
that follow it. It encodes the three intervals and, between neighbours, whether they sound together or one
after the other; no durations, velocities or times. So tempo does not matter, a wrong or missing note spoils
only the landmarks it belongs to, and an ornament or doubled octave merely shifts notes by one position, which
most landmarks survive.

The highest notes of the groups form landmarks among themselves as well. So a melody alone is found in its
arrangement, where chords would push its notes out of reach of each other.

Of the twenty landmarks of each note one in four is kept, chosen by the landmark's own hash: query and indexed
piece keep the same ones, so matching needs a quarter of the disk without becoming proportionally rarer.

The key of a landmark is 25 bits of that hash above 7 bits of the pitch of its first note. The same music in
the same key has equal keys; transposed music agrees in the upper 25 bits, and the low 7 differ by the
transposition.

Tempo-invariant triples of notes are due to Arzt, Boeck and Widmer, "Fast identification of piece and score
position via symbolic fingerprinting" (ISMIR 2012), after the audio fingerprints of Wang, "An
industrial-strength audio search algorithm" (ISMIR 2003); order in place of time ratios, and selection by
hash, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import FloatArray, IntArray
from embedder.notes import Notes

__all__ = [
    "CHORD_GAP_S",
    "PITCH_BITS",
    "PITCH_MASK",
    "Landmarks",
    "NoteSequence",
    "find_landmarks",
    "find_query_landmarks",
    "interval_variety",
    "matched_notes",
    "note_sequence",
]

CHORD_GAP_S = 0.04  # players spread a chord by up to this; faster runs are rare
PITCH_BITS = 7
PITCH_MASK = (1 << PITCH_BITS) - 1
_OTHER_GAPS_S = (0.02, 0.075)
_REACH = 6  # the notes of a landmark are among the six after its first
_KEEP_ONE_IN = 4
_MAX_SPAN_S = 15.0  # from a landmark's first to last onset: music does not cohere across longer rests
_COMBINATIONS = tuple(combinations(range(1, _REACH + 1), 3))
_TOP_COMBINATIONS = tuple(combinations(range(1, 6), 3))  # a single voice has fewer notes that may intrude

_MULTIPLY = np.uint64(0x9E3779B97F4A7C15)  # odd constants of the usual 64-bit mixers
_MIX = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class NoteSequence:
    """Notes by onset group, and by pitch within a group.

    Attributes
    ----------
    onset_s : float64 [n], not quite sorted: within a group, notes are ordered by pitch
    pitch : int64 [n]
    group : int64 [n], number of the onset group, ascending from 0
    """

    onset_s: FloatArray
    pitch: IntArray
    group: IntArray

    def __len__(self) -> int:
        return len(self.pitch)

    @property
    def groups(self) -> int:
        """Number of onset groups."""
        return int(self.group[-1]) + 1 if len(self.group) else 0

    def group_onsets_s(self) -> FloatArray:
        """float64 [groups], when each group begins."""
        if not len(self.group):
            return np.empty(0)
        return np.minimum.reduceat(self.onset_s, np.searchsorted(self.group, np.arange(self.groups)))

    def slice_notes(self, first: int, last: int) -> NoteSequence:
        """Notes [first, last), with the group numbers that they have here."""
        return NoteSequence(self.onset_s[first:last], self.pitch[first:last], self.group[first:last])


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of a note sequence, in no particular order.

    Attributes
    ----------
    key : uint32 [m]
    group : int64 [m], onset group of the landmark's first note
    onset_s : float64 [m], when that group begins
    """

    key: NDArray[np.uint32]
    group: IntArray
    onset_s: FloatArray

    def __len__(self) -> int:
        return len(self.key)


def matched_notes(notes: Notes) -> Notes:
    """The notes by which two pieces are matched: pitched ones, parts that double another counted once.

    Pieces that have only drums are matched by those.
    """
    return notes.collapsed().pitched_or_all()


def note_sequence(notes: Notes, chord_gap_s: float = CHORD_GAP_S) -> NoteSequence:
    """Order notes by onset group and pitch."""
    onset = notes.onset
    group = np.zeros(len(onset), dtype=np.int64)
    np.cumsum(np.diff(onset) > chord_gap_s, out=group[1:])
    pitch = notes.pitch.astype(np.int64)
    order = np.lexsort((pitch, group))
    return NoteSequence(onset[order], pitch[order], group[order])


def interval_variety(sequence: NoteSequence, notes: IntArray) -> int:
    """Number of different steps (interval, and together or later) between successive notes of a selection."""
    positions = np.sort(notes)
    later = np.diff(sequence.group[positions]) > 0
    return len(np.unique(2 * np.diff(sequence.pitch[positions]) + later))


def find_landmarks(sequence: NoteSequence) -> Landmarks:
    """All kept landmarks of a note sequence, including those of its top voice."""
    highest = np.flatnonzero(np.diff(sequence.group, append=-1) != 0)  # the last of each group
    top = NoteSequence(sequence.onset_s[highest], sequence.pitch[highest], sequence.group[highest])
    packed = [_pack_landmarks(sequence, _COMBINATIONS), _pack_landmarks(top, _TOP_COMBINATIONS)]
    distinct = _distinct(np.concatenate(packed))  # a voice that plays alone gives the same ones twice
    group = distinct >> 32
    return Landmarks((distinct & 0xFFFFFFFF).astype(np.uint32), group, sequence.group_onsets_s()[group])


def find_query_landmarks(notes: Notes, sequence: NoteSequence) -> Landmarks:
    """Landmarks of a short query, with those it would have if its chords were played tighter or looser.

    A short query cannot spare the landmarks that it loses where a chord or a run is read differently. Groups
    are numbered as in `sequence`.
    """
    own = find_landmarks(sequence)
    starts = sequence.group_onsets_s()
    keys, groups = [own.key], [own.group]
    for gap_s in _OTHER_GAPS_S:
        other = find_landmarks(note_sequence(notes, gap_s))
        keys.append(other.key)
        groups.append(np.searchsorted(starts, other.onset_s, "right") - 1)
    distinct = _distinct((np.concatenate(groups) << 32) | np.concatenate(keys).astype(np.int64))
    group = distinct >> 32
    return Landmarks((distinct & 0xFFFFFFFF).astype(np.uint32), group, starts[group])


def _distinct(values: IntArray) -> IntArray:
    """Distinct non-negative values, ascending; a plain sort is several times as fast as np.unique."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=-1))]


def _pack_landmarks(sequence: NoteSequence, step_sets: tuple[tuple[int, ...], ...]) -> IntArray:
    """Kept landmarks, as the group of the first note above 32 bits of key."""
    packed: list[IntArray] = [np.empty(0, np.int64)]
    for steps in step_sets:
        count = len(sequence) - steps[-1]
        if count <= 0:
            continue
        slices = [slice(step, step + count) for step in (0, *steps)]
        mixed = np.zeros(count, dtype=np.uint64)
        for before, after in pairwise(slices):
            interval = sequence.pitch[after] - sequence.pitch[before] + 128
            later = sequence.group[after] > sequence.group[before]
            mixed = mixed * np.uint64(1_000_003) + (2 * interval + later).astype(np.uint64)
        mixed *= _MULTIPLY
        mixed ^= mixed >> np.uint64(29)
        kept = (mixed >> np.uint64(5)) % np.uint64(_KEEP_ONE_IN) == 0
        kept &= sequence.group[slices[-1]] > sequence.group[slices[0]]  # a single chord carries little
        kept &= sequence.onset_s[slices[-1]] - sequence.onset_s[slices[0]] < _MAX_SPAN_S
        first = np.flatnonzero(kept)
        mixed = mixed[first] * _MIX
        mixed ^= mixed >> np.uint64(32)
        upper = (mixed >> np.uint64(32 + PITCH_BITS)) << np.uint64(PITCH_BITS)
        key = (upper | sequence.pitch[first].astype(np.uint64)).astype(np.int64)
        packed.append((sequence.group[first] << 32) | (key & 0xFFFFFFFF))
    return np.concatenate(packed)
