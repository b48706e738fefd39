"""`Notes`: a piece of music as parallel arrays and a table of its parts, the value that flows everywhere.

Times are kept on a grid of 20 microseconds (`GRID_HZ` steps a second). That is far below what can be
heard, and it makes three things exact: equality, the hash, and the round trip through a MIDI file.

    Notes(onset, duration, pitch, velocity, part=None, parts=(PIANO,), *, tempo, meters, pedal)
        without parts: one piano; `part` [n] numbers the entries of `parts`, a tuple of `Part`
    notes.onset, .duration, .end, .pitch, .velocity, .part      read-only arrays [n]
    notes.parts, .tempo, .meters, .pedal    tuple[Part, ...], TempoMap, tuple[Meter, ...], Pedal
    notes.is_drum, .instrument              bool [n]; int16 [n], the program, and 128 more for drums
    notes.pitched(), .pitched_or_all(), .drums(), .of_part(i)  selections
    notes.part_sizes(), .has_drums          int64 [parts]; bool
    notes.joined(other)                     both, parts that are equal become one
    notes.doublings(), .collapsed()         parts that double others; the notes without them
    notes.start_s, .end_s, .duration_s      the last is end_s - start_s everywhere
    notes.digest(), ==                      the notes and their instruments, not names, channels, tempo, pedal

Every function that takes `Notes` says which it uses: pitched notes for what concerns pitch, all for the rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .notation import PIANO, Meter, Part, Pedal, TempoMap

__all__ = ["GRID_HZ", "MAX_PARTS", "PIANO", "Meter", "Notes", "Part", "Pedal", "TempoMap"]

GRID_HZ = 50_000
MAX_TIME_S = 1e9  # beyond this, float64 seconds no longer resolve the grid
MAX_PARTS = 1 << 16  # numbers of `part`

IntArray = NDArray[np.int64]
_ARRAYS = ("onset", "duration", "pitch", "velocity", "part")


@dataclass(frozen=True, slots=True, eq=False)
class Notes:
    """Notes of a piece, sorted by onset, then pitch, duration, velocity, instrument and part; immutable.

    Two are equal if they hold the same notes at the same times with the same instruments. Names and channels
    of parts, tempo, meters and pedal are not compared.

    Attributes
    ----------
    onset : float64 [n], seconds from the start of the file, on the grid
    duration : float64 [n], seconds, at least one grid step
    pitch : int16 [n], MIDI key number 0..127; of a drum note, the drum
    velocity : int16 [n], 1..127
    part : uint16 [n], index in `parts`
    parts : not all of them need have notes
    tempo : empty where no tempo is stated
    meters : time signatures by time
    pedal : empty where it is folded into the durations, or there is none

    Raises
    ------
    ValueError
        If the arrays differ in length, hold values that are not finite, or leave their ranges.
    """

    onset: NDArray[np.float64]
    duration: NDArray[np.float64]
    pitch: NDArray[np.int16]
    velocity: NDArray[np.int16]
    part: NDArray[np.uint16]
    parts: tuple[Part, ...]
    tempo: TempoMap
    meters: tuple[Meter, ...]
    pedal: Pedal

    def __init__(
        self,
        onset: ArrayLike,
        duration: ArrayLike,
        pitch: ArrayLike,
        velocity: ArrayLike,
        part: ArrayLike | None = None,
        parts: tuple[Part, ...] = (PIANO,),
        *,
        tempo: TempoMap | None = None,
        meters: tuple[Meter, ...] = (),
        pedal: Pedal | None = None,
    ) -> None:
        start = np.asarray(onset, dtype=np.float64).reshape(-1)
        length = np.asarray(duration, dtype=np.float64).reshape(-1)
        key = np.asarray(pitch).reshape(-1)
        force = np.asarray(velocity).reshape(-1)
        number = np.zeros(len(start), np.uint16) if part is None else np.asarray(part).reshape(-1)
        if not len(start) == len(length) == len(key) == len(force) == len(number):
            raise ValueError("onset, duration, pitch, velocity and part differ in length")
        if len(start):
            # Put as "not within", these comparisons also refuse NaN and infinities.
            if not (start.min() >= -MAX_TIME_S and start.max() <= MAX_TIME_S):
                raise ValueError("onsets must be finite seconds")
            if not (length.min() >= 0 and length.max() <= MAX_TIME_S):
                raise ValueError("durations must be finite seconds, zero or more")
            if not (key.min() >= 0 and key.max() <= 127 and _whole(key)):
                raise ValueError("pitch must be whole numbers in 0..127")
            if not (force.min() >= 1 and force.max() <= 127 and _whole(force)):
                raise ValueError("velocity must be whole numbers in 1..127")
            if not (number.min() >= 0 and number.max() < len(parts) and _whole(number)):
                raise ValueError("part must be whole numbers that index parts")
        if len(parts) > MAX_PARTS:
            raise ValueError(f"there may be {MAX_PARTS:,} parts at most")
        begin = np.rint(start * GRID_HZ).astype(np.int64)
        steps = np.rint((start + length) * GRID_HZ).astype(np.int64) - begin
        self._fill(begin, steps, key, force, number, tuple(parts), tempo, tuple(meters), pedal)

    @classmethod
    def from_steps(
        cls,
        onset: IntArray,
        duration: IntArray,
        pitch: NDArray[Any],
        velocity: NDArray[Any],
        part: NDArray[Any],
        parts: tuple[Part, ...],
        *,
        tempo: TempoMap | None = None,
        meters: tuple[Meter, ...] = (),
        pedal: Pedal | None = None,
    ) -> Self:
        """Notes of times in steps of the grid, int64 [n]; values are not checked."""
        notes = object.__new__(cls)
        notes._fill(onset, duration, pitch, velocity, part, parts, tempo, meters, pedal)
        return notes

    def _fill(
        self,
        begin: IntArray,
        steps: IntArray,
        pitch: NDArray[Any],
        velocity: NDArray[Any],
        part: NDArray[Any],
        parts: tuple[Part, ...],
        tempo: TempoMap | None,
        meters: tuple[Meter, ...],
        pedal: Pedal | None,
    ) -> None:
        steps = np.maximum(steps, 1)
        instruments = _instruments(parts)
        order = _order(begin, steps, pitch, velocity, part, instruments)
        columns = [begin / GRID_HZ, steps / GRID_HZ, pitch, velocity, part]
        if order is not None:
            columns = [column.take(order) for column in columns]
        dtypes = (np.float64, np.float64, np.int16, np.int16, np.uint16)
        for name, column, dtype in zip(_ARRAYS, columns, dtypes, strict=True):
            column = column.astype(dtype, copy=order is None)
            column.setflags(write=False)
            object.__setattr__(self, name, column)
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "tempo", tempo if tempo is not None else TempoMap())
        object.__setattr__(self, "meters", meters)
        object.__setattr__(self, "pedal", pedal if pedal is not None else Pedal())

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling (between processes) and copying would forget that the arrays are read-only.
        arrays = tuple(getattr(self, name) for name in _ARRAYS)
        return _restored, (*arrays, self.parts, self.tempo, self.meters, self.pedal)

    @classmethod
    def empty(cls) -> Self:
        return cls([], [], [], [])

    def __len__(self) -> int:
        return len(self.onset)

    def __repr__(self) -> str:
        parts = f", {len(self.parts)} parts" if len(self.parts) > 1 else ""
        return f"Notes({len(self)} notes, {self.start_s:.2f} to {self.end_s:.2f} s{parts})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Notes):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("onset", "duration", "pitch", "velocity", "instrument")
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

    @property
    def duration_s(self) -> float:
        """From the first onset to the end of the note that sounds last."""
        return self.end_s - self.start_s

    @property
    def instrument(self) -> NDArray[np.int16]:
        """int16 [n], General MIDI program of each note's part, and 128 more for drums."""
        return _instruments(self.parts)[self.part]

    @property
    def is_drum(self) -> NDArray[np.bool_]:
        """bool [n], which notes are strokes of drums."""
        return self.instrument >= 128

    @property
    def has_drums(self) -> bool:
        return any(part.drums for part in self.parts) and bool(self.is_drum.any())

    def part_sizes(self) -> IntArray:
        """int64 [parts], number of notes of each part."""
        return np.bincount(self.part, minlength=len(self.parts)).astype(np.int64)

    def digest(self, *, instruments: bool = True) -> str:
        """Canonical hash of the notes (32 hexadecimal digits), counted from the first onset.

        Two files with the same notes at the same distances have the same digest, whatever their
        container, division, track order, tempo map or leading silence. With `instruments`, program and drums
        of each note count too, and piano alone hashes as notes without instruments.
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
        played = self.instrument
        if instruments and played.any():
            digest.update(played.astype("<i2").tobytes())
        return digest.hexdigest()

    # -- selections -----------------------------------------------------------------------------

    def select(self, which: NDArray[Any] | slice) -> Notes:
        """Notes under a boolean mask, an index array or a slice; the table of parts stays as it is."""
        return self._with(**{name: getattr(self, name)[which] for name in _ARRAYS})

    def pitched(self) -> Notes:
        """The notes that are no drums."""
        return self.select(~self.is_drum) if any(part.drums for part in self.parts) else self

    def pitched_or_all(self) -> Notes:
        """The notes that are no drums; of a piece that has only drums, those."""
        pitched = self.pitched()
        return pitched if len(pitched) else self

    def drums(self) -> Notes:
        """The notes that are drums."""
        return self.select(self.is_drum)

    def of_part(self, number: int) -> Notes:
        """Notes of one part."""
        return self.select(self.part == number)

    def doublings(self) -> tuple[tuple[int, int], ...]:
        """Pairs (kept, doubled) of parts that hold exactly the same notes; drums double drums only."""
        first: dict[tuple[bool, bytes], int] = {}
        pairs: list[tuple[int, int]] = []
        if len(self.parts) < 2:
            return ()
        for number in np.unique(self.part).tolist():
            notes = self.of_part(number)
            content = b"".join(getattr(notes, name).tobytes() for name in _ARRAYS[:4])
            kept = first.setdefault((self.parts[number].drums, content), number)
            if kept != number:
                pairs.append((kept, number))
        return tuple(pairs)

    def collapsed(self) -> Notes:
        """Without the parts that double others, as notes are counted and matched."""
        doubled = [number for _, number in self.doublings()]
        return self.select(~np.isin(self.part, doubled)) if doubled else self

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

    def joined(self, other: Notes) -> Notes:
        """These notes and others, at their own times; equal parts of the two become one.

        Tempo, meters and pedal are those of this piece.
        """
        parts = list(dict.fromkeys((*self.parts, *other.parts)))
        number = {part: i for i, part in enumerate(parts)}
        columns = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS[:4]}
        own, others = (np.array([number[part] for part in some.parts], np.int64) for some in (self, other))
        part = np.concatenate([own[self.part], others[other.part]])
        return self._with(**columns, part=part, parts=tuple(parts))

    # -- transforms -----------------------------------------------------------------------------

    def _with(self, **changed: Any) -> Notes:
        """The same parts, tempo, meters and pedal with other arrays, or other ones of those."""
        values = {name: getattr(self, name) for name in (*_ARRAYS, "parts", "tempo", "meters", "pedal")}
        return Notes(**(values | changed))

    def shift(self, seconds: float) -> Notes:
        """Everything later by `seconds`, rounded to the grid so that distances stay."""
        seconds = round(seconds * GRID_HZ) / GRID_HZ
        return self._with(
            onset=self.onset + seconds,
            tempo=self.tempo.shift(seconds),
            meters=tuple(Meter(m.second + seconds, m.numerator, m.denominator) for m in self.meters),
            pedal=self.pedal.shift(seconds),
        )

    def from_zero(self) -> Notes:
        """The first note at 0 s."""
        return self.shift(-self.start_s)

    def transpose(self, semitones: int) -> Notes:
        """Pitched notes higher by `semitones`; those that leave the keyboard of 0..127 are dropped."""
        if semitones % 1:
            raise ValueError("notes are transposed by whole semitones")
        semitones = max(-128, min(128, int(semitones)))  # further away, nothing more changes
        pitch = np.where(self.is_drum, self.pitch, self.pitch + semitones)
        stays = (pitch >= 0) & (pitch <= 127)
        return self._with(pitch=pitch) if stays.all() else self.select(stays)._with(pitch=pitch[stays])

    def stretch(self, factor: float) -> Notes:
        """All times multiplied by `factor` (> 0): 2 is half the speed."""
        if not factor > 0:
            raise ValueError("the stretch factor must be positive")
        return self._with(
            onset=self.onset * factor,
            duration=self.duration * factor,
            tempo=self.tempo.stretch(factor),
            meters=tuple(Meter(m.second * factor, m.numerator, m.denominator) for m in self.meters),
            pedal=self.pedal.stretch(factor),
        )

    def jitter(self, sd_s: float, rng: np.random.Generator) -> Notes:
        """Each onset moved by normal noise of `sd_s` seconds; lengths stay."""
        return self._with(onset=self.onset + rng.normal(0.0, sd_s, len(self)))

    def quantise(self, step_s: float) -> Notes:
        """Onsets and ends moved to the nearest multiple of `step_s`; no note shorter than a step."""
        if not step_s > 0:
            raise ValueError("the step must be positive")
        onset = np.rint(self.onset / step_s) * step_s
        end = np.maximum(np.rint(self.end / step_s) * step_s, onset + step_s)
        return self._with(onset=onset, duration=end - onset)

    def with_velocity(self, velocity: int | NDArray[Any]) -> Notes:
        """The same notes at one velocity, or at one each ([n])."""
        return self._with(velocity=np.broadcast_to(velocity, self.pitch.shape))

    def with_parts(self, parts: tuple[Part, ...]) -> Notes:
        """The same notes with another table of as many parts."""
        return self._with(parts=parts)

    def as_piano(self) -> Notes:
        """The pitched notes as one piano part, without pedal."""
        notes = self.pitched()
        return Notes(
            notes.onset, notes.duration, notes.pitch, notes.velocity, tempo=self.tempo, meters=self.meters
        )


def _whole(numbers: NDArray[Any]) -> bool:
    return numbers.dtype.kind in "iub" or bool((numbers == np.rint(numbers)).all())


def _instruments(parts: tuple[Part, ...]) -> NDArray[np.int16]:
    return np.array([part.instrument for part in parts], dtype=np.int16)


def _order(
    begin: IntArray,
    steps: IntArray,
    pitch: NDArray[Any],
    velocity: NDArray[Any],
    part: NDArray[Any],
    instruments: NDArray[np.int16],
) -> IntArray | None:
    """The order of notes; None where they are in order already."""
    key = begin * 128 + pitch.astype(np.int64)
    if (key[1:] > key[:-1]).all():
        return None
    order = np.argsort(key)
    key = key[order]
    if (key[1:] > key[:-1]).all():
        return order
    part = part.astype(np.int64)
    instrument = instruments[part]
    return np.lexsort((part, instrument, velocity, steps, pitch, begin))


def _restored(*values: Any) -> Notes:
    """Notes of arrays that are sorted and on the grid already."""
    notes = object.__new__(Notes)
    for name, value in zip((*_ARRAYS, "parts", "tempo", "meters", "pedal"), values, strict=True):
        if name in _ARRAYS:
            value.setflags(write=False)
        object.__setattr__(notes, name, value)
    return notes
