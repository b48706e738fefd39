"""`Notes`: a piece of music as four parallel arrays, the one value that flows through midikin.

Times are kept on a grid of 20 microseconds (`GRID_HZ` steps a second). That is far below what can be
heard, and it makes three things exact: equality, the hash, and the round trip through a MIDI file
(120 beats a minute at 25,000 ticks a beat is the same grid).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GRID_HZ", "Notes"]

GRID_HZ = 50_000
MAX_TIME_S = 1e9  # beyond this, float64 seconds no longer resolve the grid


@dataclass(frozen=True, slots=True, eq=False)
class Notes:
    """Notes of a piece, sorted by onset, then pitch, duration and velocity; immutable.

    Attributes
    ----------
    onset : float64 [n], seconds from the start of the file, on the grid
    duration : float64 [n], seconds, at least one grid step
    pitch : int16 [n], MIDI key number 0..127
    velocity : int16 [n], 1..127

    Raises
    ------
    ValueError
        If the arrays differ in length, hold values that are not finite, or leave their ranges.
    """

    onset: NDArray[np.float64]
    duration: NDArray[np.float64]
    pitch: NDArray[np.int16]
    velocity: NDArray[np.int16]

    def __init__(self, onset: ArrayLike, duration: ArrayLike, pitch: ArrayLike, velocity: ArrayLike) -> None:
        start = np.asarray(onset, dtype=np.float64).reshape(-1)
        length = np.asarray(duration, dtype=np.float64).reshape(-1)
        key = np.asarray(pitch).reshape(-1)
        force = np.asarray(velocity).reshape(-1)
        if not len(start) == len(length) == len(key) == len(force):
            raise ValueError("onset, duration, pitch and velocity differ in length")
        if len(start):
            # Said as "not within", these comparisons also refuse NaN and infinities.
            if not (start.min() >= -MAX_TIME_S and start.max() <= MAX_TIME_S):
                raise ValueError("onsets must be finite seconds")
            if not (length.min() >= 0 and length.max() <= MAX_TIME_S):
                raise ValueError("durations must be finite seconds, zero or more")
            if not (key.min() >= 0 and key.max() <= 127 and _whole(key)):
                raise ValueError("pitch must be whole numbers in 0..127")
            if not (force.min() >= 1 and force.max() <= 127 and _whole(force)):
                raise ValueError("velocity must be whole numbers in 1..127")
        begin_step = np.rint(start * GRID_HZ).astype(np.int64)
        length_step = np.maximum(np.rint((start + length) * GRID_HZ).astype(np.int64) - begin_step, 1)
        key = key.astype(np.int16)
        force = force.astype(np.int16)
        order = np.lexsort((force, length_step, key, begin_step))
        self._set("onset", begin_step[order] / GRID_HZ)
        self._set("duration", length_step[order] / GRID_HZ)
        self._set("pitch", key[order])
        self._set("velocity", force[order])

    def _set(self, name: str, array: NDArray[Any]) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling (between processes) and copying would forget that the arrays are read-only.
        return _restored, (self.onset, self.duration, self.pitch, self.velocity)

    @classmethod
    def empty(cls) -> Self:
        return cls([], [], [], [])

    def __len__(self) -> int:
        return len(self.onset)

    def __repr__(self) -> str:
        return f"Notes({len(self)} notes, {self.start_s:.2f} to {self.end_s:.2f} s)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Notes):
            return NotImplemented
        return (
            np.array_equal(self.onset, other.onset)
            and np.array_equal(self.duration, other.duration)
            and np.array_equal(self.pitch, other.pitch)
            and np.array_equal(self.velocity, other.velocity)
        )

    def __hash__(self) -> int:
        return hash(self.digest())

    @property
    def end(self) -> NDArray[np.float64]:
        """float64 [n], seconds at which each note ends."""
        return self.onset + self.duration

    @property
    def start_s(self) -> float:
        """Onset of the first note; 0 if there is none."""
        return float(self.onset[0]) if len(self) else 0.0

    @property
    def end_s(self) -> float:
        """End of the note that sounds last; 0 if there is none."""
        return float(self.end.max()) if len(self) else 0.0

    def digest(self) -> str:
        """Canonical hash of the notes (32 hexadecimal digits), counted from the first onset.

        Two files with the same notes at the same distances have the same digest, whatever their
        container, track order, tempo map or leading silence.
        """
        onset = np.rint(self.onset * GRID_HZ).astype("<i8")
        onset -= onset[0] if len(onset) else 0
        digest = hashlib.blake2b(digest_size=16)
        for array in (
            onset,
            np.rint(self.duration * GRID_HZ).astype("<i8"),
            self.pitch.astype("<i2"),
            self.velocity.astype("<i2"),
        ):
            digest.update(array.tobytes())
        return digest.hexdigest()

    # -- selections -----------------------------------------------------------------------------

    def select(self, which: NDArray[Any] | slice) -> Notes:
        """Notes under a boolean mask, an index array or a slice."""
        return Notes(self.onset[which], self.duration[which], self.pitch[which], self.velocity[which])

    def slice_time(self, start_s: float | None = None, end_s: float | None = None) -> Notes:
        """Notes whose onset lies in [start_s, end_s), at their own times and lengths."""
        first = 0 if start_s is None else int(np.searchsorted(self.onset, start_s, "left"))
        last = len(self) if end_s is None else int(np.searchsorted(self.onset, end_s, "left"))
        return self.select(slice(first, last))

    def slice_notes(self, first: int, last: int) -> Notes:
        """Notes number `first` up to, not including, `last`."""
        return self.select(slice(first, last))

    def drop(self, share: float, rng: np.random.Generator) -> Notes:
        """Without a random share (0..1) of the notes."""
        return self.select(rng.random(len(self)) >= share)

    # -- transforms -----------------------------------------------------------------------------

    def shift(self, seconds: float) -> Notes:
        """Every note later by `seconds`."""
        return Notes(self.onset + seconds, self.duration, self.pitch, self.velocity)

    def from_zero(self) -> Notes:
        """The first note at 0 s."""
        return self.shift(-self.start_s)

    def transpose(self, semitones: int) -> Notes:
        """Higher by `semitones`; notes that leave the keyboard of 0..127 are dropped."""
        if semitones % 1:
            raise ValueError("notes are transposed by whole semitones")
        semitones = max(-128, min(128, int(semitones)))  # further away, nothing more changes
        pitch = self.pitch + semitones
        stays = (pitch >= 0) & (pitch <= 127)
        return Notes(self.onset[stays], self.duration[stays], pitch[stays], self.velocity[stays])

    def stretch(self, factor: float) -> Notes:
        """All times multiplied by `factor` (> 0): 2 is half the speed."""
        if not factor > 0:
            raise ValueError("the stretch factor must be positive")
        return Notes(self.onset * factor, self.duration * factor, self.pitch, self.velocity)

    def jitter(self, sd_s: float, rng: np.random.Generator) -> Notes:
        """Each onset moved by normal noise of `sd_s` seconds; lengths stay."""
        onset = self.onset + rng.normal(0.0, sd_s, len(self))
        return Notes(onset, self.duration, self.pitch, self.velocity)

    def quantise(self, step_s: float) -> Notes:
        """Onsets and ends moved to the nearest multiple of `step_s`; no note shorter than a step."""
        if not step_s > 0:
            raise ValueError("the step must be positive")
        onset = np.rint(self.onset / step_s) * step_s
        end = np.maximum(np.rint(self.end / step_s) * step_s, onset + step_s)
        return Notes(onset, end - onset, self.pitch, self.velocity)

    def with_velocity(self, velocity: int | NDArray[Any]) -> Notes:
        """The same notes at one velocity, or at one each ([n])."""
        return Notes(self.onset, self.duration, self.pitch, np.broadcast_to(velocity, self.pitch.shape))


def _whole(numbers: NDArray[Any]) -> bool:
    return numbers.dtype.kind in "iub" or bool((numbers == np.rint(numbers)).all())


def _restored(*arrays: NDArray[Any]) -> Notes:
    """Notes of arrays that are sorted and on the grid already."""
    notes = object.__new__(Notes)
    for name, array in zip(("onset", "duration", "pitch", "velocity"), arrays, strict=True):
        notes._set(name, array)
    return notes
