"""Landmarks: small constellations of near notes that sound alike at any tempo.

A piece is first put in one order that survives performance: onsets closer than `CHORD_GAP_S` form an *event*,
and the notes of an event stand by pitch. A landmark is a note with three of the six that follow it. It
remembers the three intervals and, between neighbours, whether they sound together or one after the other; no
durations, velocities or times. So tempo does not matter, a wrong or missing note spoils only the landmarks it
belongs to, and an ornament or doubled octave merely pushes notes one place further, which most landmarks
survive.

The highest notes of the events have landmarks among themselves as well. So a melody alone is found in its
arrangement, where chords would push its notes out of reach of each other.

Of the twenty landmarks of each note one in four is kept, chosen by the landmark's own hash: query and gallery
keep the same ones, so a match costs a quarter of the disk without getting rarer in proportion.

The key of a landmark is 25 bits of that hash above 7 bits of its lowest-standing note's pitch. The same music
in the same key has equal keys; in another key the upper 25 bits agree, and the low 7 differ by the
transposition.

The idea of tempo-free triples of notes is from Arzt, Boeck and Widmer, "Fast identification of piece and
score position via symbolic fingerprinting" (ISMIR 2012); order in place of time ratios, and selection by
hash, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

__all__ = [
    "CHORD_GAP_S",
    "PITCH_BITS",
    "Landmarks",
    "Line",
    "find_landmarks",
    "find_more_landmarks",
    "line_of",
    "variety",
]

CHORD_GAP_S = 0.04  # players spread a chord by up to this; faster runs are rare
PITCH_BITS = 7
_OTHER_GAPS_S = (0.02, 0.075)
_REACH = 6  # a landmark's notes lie among the six after its first
_KEEP_ONE_IN = 4
_LONGEST_S = 15.0  # from a landmark's first to last onset: music does not hang together over longer rests
_COMBINATIONS = tuple(combinations(range(1, _REACH + 1), 3))
_TOP_COMBINATIONS = tuple(combinations(range(1, 6), 3))  # nearer: a voice has fewer notes that may intrude

_MULTIPLY = np.uint64(0x9E3779B97F4A7C15)  # odd constants of the usual 64-bit mixers
_MIX = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class Line:
    """Notes in the order in which landmarks see them.

    Attributes
    ----------
    onset_s : float64 [n], not quite sorted: within an event, notes stand by pitch
    pitch : int64 [n]
    event : int64 [n], number of the event, rising from 0
    """

    onset_s: NDArray[np.float64]
    pitch: NDArray[np.int64]
    event: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pitch)

    @property
    def events(self) -> int:
        return int(self.event[-1]) + 1 if len(self.event) else 0

    def event_onsets_s(self) -> NDArray[np.float64]:
        """float64 [events], when each event begins."""
        if not len(self.event):
            return np.empty(0)
        return np.minimum.reduceat(self.onset_s, np.searchsorted(self.event, np.arange(self.events)))

    def cut(self, first_event: int, last_event: int) -> Line:
        """Notes whose event lies in [first_event, last_event), events counted anew from 0."""
        low, high = np.searchsorted(self.event, [first_event, last_event])
        return Line(self.onset_s[low:high], self.pitch[low:high], self.event[low:high] - first_event)


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of a line, in no particular order.

    Attributes
    ----------
    key : uint32 [m]
    event : int64 [m], event of the landmark's first note
    onset_s : float64 [m], when that event begins
    """

    key: NDArray[np.uint32]
    event: NDArray[np.int64]
    onset_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.key)


def line_of(notes: Notes, chord_gap_s: float = CHORD_GAP_S) -> Line:
    """Put notes in the order that landmarks see."""
    onset = notes.onset
    event = np.zeros(len(onset), dtype=np.int64)
    np.cumsum(np.diff(onset) > chord_gap_s, out=event[1:])
    pitch = notes.pitch.astype(np.int64)
    order = np.lexsort((pitch, event))
    return Line(onset[order], pitch[order], event[order])


def variety(line: Line, notes: NDArray[np.int64]) -> int:
    """How many different steps (interval, and together or later) follow each other among some notes."""
    places = np.sort(notes)
    later = np.diff(line.event[places]) > 0
    return len(np.unique(2 * np.diff(line.pitch[places]) + later))


def find_landmarks(line: Line) -> Landmarks:
    """All kept landmarks of a line, those of its top voice among them."""
    found = [_landmarks(line, _COMBINATIONS)]
    highest = np.flatnonzero(np.diff(line.event, append=-1) != 0)  # the last of each event
    top = Line(line.onset_s[highest], line.pitch[highest], line.event[highest])
    found.append(_landmarks(top, _TOP_COMBINATIONS))
    both = _distinct(np.concatenate(found))  # where one voice plays alone, both find the same
    event = both >> 32
    return Landmarks((both & 0xFFFFFFFF).astype(np.uint32), event, line.event_onsets_s()[event])


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Different values, none negative, rising: a plain sort is several times as fast as numpy's hashing."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=-1))]


def _landmarks(line: Line, combinations_: tuple[tuple[int, ...], ...]) -> NDArray[np.int64]:
    """Kept landmarks as event of the first note above 32 bits of key."""
    packed: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for steps in combinations_:
        count = len(line) - steps[-1]
        if count <= 0:
            continue
        places = [slice(step, step + count) for step in (0, *steps)]
        mixed = np.zeros(count, dtype=np.uint64)
        for before, after in pairwise(places):
            interval = line.pitch[after] - line.pitch[before] + 128
            later = line.event[after] > line.event[before]
            mixed = mixed * np.uint64(1_000_003) + (2 * interval + later).astype(np.uint64)
        mixed *= _MULTIPLY
        mixed ^= mixed >> np.uint64(29)
        kept = (mixed >> np.uint64(5)) % np.uint64(_KEEP_ONE_IN) == 0
        kept &= line.event[places[-1]] > line.event[places[0]]  # one chord alone says little
        kept &= line.onset_s[places[-1]] - line.onset_s[places[0]] < _LONGEST_S
        first = np.flatnonzero(kept)
        mixed = mixed[first] * _MIX
        mixed ^= mixed >> np.uint64(32)
        upper = (mixed >> np.uint64(32 + PITCH_BITS)) << np.uint64(PITCH_BITS)
        key = (upper | line.pitch[first].astype(np.uint64)).astype(np.int64)
        packed.append((line.event[first] << 32) | (key & 0xFFFFFFFF))
    return np.concatenate(packed)


def find_more_landmarks(notes: Notes, line: Line) -> Landmarks:
    """Landmarks of a short query as it is and as it would be if its chords were played more and less
    together.

    A short query cannot spare the landmarks that it loses where a chord or a run is read differently. Events
    are counted as in `line`.
    """
    found = find_landmarks(line)
    starts = line.event_onsets_s()
    keys, events = [found.key], [found.event]
    for gap_s in _OTHER_GAPS_S:
        other = find_landmarks(line_of(notes, gap_s))
        keys.append(other.key)
        events.append(np.searchsorted(starts, other.onset_s, "right") - 1)
    both = _distinct((np.concatenate(events) << 32) | np.concatenate(keys).astype(np.int64))
    event = both >> 32
    return Landmarks((both & 0xFFFFFFFF).astype(np.uint32), event, starts[event])
