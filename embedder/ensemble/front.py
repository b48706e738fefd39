"""Notes as rows of small integers that transposition and tempo leave alone: front of the ensemble encoder.

Notes whose onsets follow each other within `CHORD_S` are a chord; within it drums come last and pitches rise,
so that a score and a performance of it, whose chords are spread, give one order. Every number of a note is
known once the notes before it are (a row's pulse excepted), so that the same input serves to predict what
comes next.

    interval    to the pitched note before, -36..36 semitones
    in_part     to the note before of the same part
    above_low   distance to the lowest of the last `NEAR` pitched notes
    below_high  distance to the highest of them
    gap         time from the chord before against the row's pulse, 8 steps an octave; 0 within a chord
    duration    the note's length on the same scale
    velocity    against the mean of the last notes, in steps of 6
    chord       how many notes of the chord came before
    voice       instrument family (0..15 by General MIDI), 16 for drums
    drum        key of a drum, 1..128; 0 for pitched notes
    register    half octave, moved by a random constant of the row in training
    pulse       the row's pulse, the mean time between its chords, in third octaves

0 stands for "none" in every column but `chord` and `voice`, which count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COARSE", "COLUMNS", "DRUMS", "Rows", "blank", "front"]

DRUMS = 128
CHORD_S = 0.03
NEAR = 8
LOUDNESS = 24  # notes of the running mean of velocities
FARTHEST = 36
STEPS_PER_OCTAVE = 8
OCTAVES = 5  # of times against the pulse, up and down

_TIME = 2 * OCTAVES * STEPS_PER_OCTAVE + 2
COLUMNS: dict[str, int] = {
    "interval": 2 * FARTHEST + 2,
    "in_part": 2 * FARTHEST + 2,
    "above_low": 2 * FARTHEST + 2,
    "below_high": 2 * FARTHEST + 2,
    "gap": _TIME + 1,
    "duration": _TIME + 1,
    "velocity": 18,
    "chord": 8,
    "voice": 17,
    "drum": 129,
    "register": 24,
    "pulse": 26,
}
COARSE = ("register", "pulse")  # what transposing and tempo change; left out at random in training

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass
class Rows:
    """Slices as padded arrays [rows, notes]; an infinite onset marks an absent note.

    Attributes
    ----------
    onset, duration : seconds
    pitch, velocity : MIDI numbers
    instrument : General MIDI program, `DRUMS` for drums
    part : number of the part
    """

    onset: FloatArray
    duration: FloatArray
    pitch: IntArray
    velocity: IntArray
    instrument: IntArray
    part: IntArray

    @property
    def lengths(self) -> IntArray:
        lengths: IntArray = np.isfinite(self.onset).sum(1)
        return lengths

    def ordered(self, order: IntArray) -> Rows:
        """Each row's notes in another order [rows, n]."""
        onset, duration = (np.take_along_axis(each, order, axis=1) for each in (self.onset, self.duration))
        whole = (self.pitch, self.velocity, self.instrument, self.part)
        return Rows(onset, duration, *(np.take_along_axis(each, order, axis=1) for each in whole))


def blank(count: int, width: int) -> Rows:
    """Rows without notes."""
    shape = (count, width)
    whole = (np.full(shape, value, dtype=np.int64) for value in (0, 1, 0, 0))
    return Rows(np.full(shape, np.inf), np.zeros(shape), *whole)


def in_chords(rows: Rows, most: int | None = None) -> tuple[Rows, NDArray[np.bool_], FloatArray]:
    """Rows in the order of chords, at most `most` notes; whether a note begins a chord; onsets of chords."""
    order = np.argsort(rows.onset, axis=1, kind="stable")[:, :most]
    rows = rows.ordered(order)
    with np.errstate(invalid="ignore"):
        step = np.diff(rows.onset, axis=1, prepend=-1.0)
    begins = ~(step <= CHORD_S)  # absent notes are chords of their own
    begins[:, :1] = True
    chord = begins.cumsum(1)
    key = (chord * 2 + (rows.instrument == DRUMS)) * 128 + rows.pitch
    order = np.argsort(key, axis=1, kind="stable")
    rows = rows.ordered(order)
    at = np.where(begins, np.arange(begins.shape[1])[None], 0)
    first = np.maximum.accumulate(at, axis=1)
    onset = np.minimum.accumulate(rows.onset[:, ::-1], axis=1)[:, ::-1]  # of the earliest from here on
    return rows, begins, np.take_along_axis(onset, first, axis=1)


def front(
    rows: Rows,
    most: int | None = None,
    *,
    shift: IntArray | None = None,
    hide: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.uint8], IntArray]:
    """Token rows uint8 [rows, notes, len(COLUMNS)] (zeros where absent) and lengths int64 [rows].

    Parameters
    ----------
    most : notes a row at most; later ones are cut off
    shift : semitones [rows] by which the register alone is moved
    hide : [rows], whether `COARSE` is left out
    """
    rows, begins, chord_onset = in_chords(rows, most)
    count, width = rows.onset.shape
    present = np.isfinite(rows.onset)
    drum = (rows.instrument == DRUMS) & present
    pitched = present & ~drum
    place = np.broadcast_to(np.arange(width), (count, width))
    out = np.zeros((count, width, len(COLUMNS)), dtype=np.uint8)
    column = {name: out[..., i] for i, name in enumerate(COLUMNS)}

    previous = _before(np.where(pitched, place, -1))
    known = pitched & (previous >= 0)
    before = np.take_along_axis(rows.pitch, np.maximum(previous, 0), axis=1)
    column["interval"][:] = _interval(rows.pitch - before, known)
    column["in_part"][:] = _in_part(rows, pitched)
    low, high = _outer(rows.pitch, pitched)
    column["above_low"][:] = _interval(rows.pitch - low, known)
    column["below_high"][:] = _interval(rows.pitch - high, known)

    gap = np.zeros_like(rows.onset)
    with np.errstate(invalid="ignore"):
        gap[:, 1:] = np.where(begins[:, 1:] & present[:, 1:], np.diff(chord_onset, axis=1), 0.0)
    timed = begins & present & (place > 0)
    clipped = np.clip(gap, CHORD_S, 4.0)
    pulse = (clipped * timed).sum(1) / np.maximum(timed.sum(1), 1)
    pulse = np.where(pulse > 0, pulse, 0.25)[:, None]
    column["gap"][:] = np.where(timed, _relative(clipped, pulse), 0)
    column["duration"][:] = np.where(present, _relative(np.maximum(rows.duration, 0.005), pulse), 0)

    loud = rows.velocity - _running_mean(rows.velocity, present)
    column["velocity"][:] = np.where(present, np.clip(np.rint(loud / 6), -8, 8).astype(np.int64) + 9, 0)
    inside = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    column["chord"][:] = np.minimum(inside, 7) * present
    column["voice"][:] = np.where(drum, 16, rows.instrument // 8 % 16) * present
    column["drum"][:] = np.where(drum, rows.pitch + 1, 0)
    moved = rows.pitch + (0 if shift is None else shift[:, None])
    seen = np.ones((count, 1), dtype=bool) if hide is None else ~hide[:, None]
    column["register"][:] = np.where(pitched & seen, np.clip(moved // 6, 0, 22) + 1, 0)
    level = np.clip(np.rint(np.log2(pulse / 0.02) * 3), 0, 24).astype(np.int64) + 1
    column["pulse"][:] = np.where(present & seen, level, 0)
    return out, rows.lengths


def _before(index: IntArray) -> IntArray:
    """The last entry >= 0 before each place of a row, -1 if there is none."""
    last = np.maximum.accumulate(index, axis=1)
    return np.concatenate([np.full((len(index), 1), -1), last[:, :-1]], axis=1)


def _interval(step: IntArray, known: NDArray[np.bool_]) -> IntArray:
    return np.where(known, np.clip(step, -FARTHEST, FARTHEST) + FARTHEST + 1, 0)


def _in_part(rows: Rows, pitched: NDArray[np.bool_]) -> IntArray:
    """Interval to the note before of the same part."""
    order = np.argsort(np.where(pitched, rows.part, 256), axis=1, kind="stable")
    part = np.take_along_axis(np.where(pitched, rows.part, 256), order, axis=1)
    pitch = np.take_along_axis(rows.pitch, order, axis=1)
    known = np.zeros_like(pitched)
    known[:, 1:] = (np.diff(part, axis=1) == 0) & (part[:, 1:] < 256)
    step = np.zeros_like(pitch)
    step[:, 1:] = np.diff(pitch, axis=1)
    found = np.zeros_like(pitch)
    np.put_along_axis(found, order, _interval(step, known), axis=1)
    return found


def _outer(pitch: IntArray, pitched: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Lowest and highest of the `NEAR` places before each that hold pitched notes; else the pitch itself."""
    low = np.where(pitched, pitch, 999)
    high = np.where(pitched, pitch, -999)
    lowest, highest = np.full_like(low, 999), np.full_like(high, -999)
    for back in range(1, min(NEAR, pitch.shape[1] - 1) + 1):
        np.minimum(lowest[:, back:], low[:, :-back], out=lowest[:, back:])
        np.maximum(highest[:, back:], high[:, :-back], out=highest[:, back:])
    return np.where(lowest < 999, lowest, pitch), np.where(highest > -999, highest, pitch)


def _relative(seconds: FloatArray, pulse: FloatArray) -> IntArray:
    """Steps of time against the pulse, 1.._TIME - 1."""
    steps = np.rint(np.log2(seconds / pulse) * STEPS_PER_OCTAVE)
    limit = OCTAVES * STEPS_PER_OCTAVE
    relative: IntArray = np.clip(steps, -limit, limit).astype(np.int64) + limit + 1
    return relative


def _running_mean(velocity: IntArray, present: NDArray[np.bool_]) -> FloatArray:
    """Mean velocity of up to `LOUDNESS` notes before each and itself."""
    total = np.cumsum(velocity * present, axis=1).astype(np.float64)
    number = np.cumsum(present, axis=1).astype(np.float64)
    total[:, LOUDNESS:] -= total[:, :-LOUDNESS].copy()
    number[:, LOUDNESS:] -= number[:, :-LOUDNESS].copy()
    mean: FloatArray = total / np.maximum(number, 1)
    return mean
