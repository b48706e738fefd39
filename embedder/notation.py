"""What a file states beside its notes: parts, tempo, time signatures and pedal. All of it is immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PIANO", "Meter", "Part", "Pedal", "TempoMap"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """What one track plays on one channel with one program.

    Attributes
    ----------
    name : of the track, empty if it has none
    channel : 0..15; None for notes that do not come from a file
    program : General MIDI program 0..127; of drums, the kit
    bank : bank select, MSB * 128 + LSB; None if none was sent
    drums : whether its notes are strokes of drums and not pitches
    port : MIDI port of its track, 0 in nearly every file
    """

    name: str = ""
    channel: int | None = None
    program: int = 0
    bank: int | None = None
    drums: bool = False
    port: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.program <= 127:
            raise ValueError("a General MIDI program lies in 0..127")
        if self.channel is not None and not 0 <= self.channel <= 15:
            raise ValueError("a channel lies in 0..15")
        if self.bank is not None and not 0 <= self.bank < 1 << 14:
            raise ValueError("a bank lies in 0..16383")
        if not 0 <= self.port <= 127:
            raise ValueError("a port lies in 0..127")

    @property
    def instrument(self) -> int:
        """Program, and 128 more for drums."""
        return self.program + 128 * self.drums


PIANO = Part()


@dataclass(frozen=True, slots=True)
class Meter:
    """A time signature and when it begins, in seconds."""

    second: float
    numerator: int
    denominator: int


def _frozen(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    array = np.array(values, dtype=dtype).reshape(-1)  # always a copy: nobody else may write to it
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False, slots=True)
class TempoMap:
    """Tempos and when each begins; empty where none is stated.

    Before the first, its tempo holds.

    Attributes
    ----------
    second : float64 [k], rising
    us_per_quarter : float64 [k], microseconds a quarter note
    quarter : float64 [k], position in quarter notes from the start of the file
    division : ticks a quarter note of the file; None if there is none
    """

    second: FloatArray = field(default_factory=lambda: np.empty(0))
    us_per_quarter: FloatArray = field(default_factory=lambda: np.empty(0))
    quarter: FloatArray = field(default_factory=lambda: np.empty(0))
    division: int | None = None

    def __post_init__(self) -> None:
        for name in ("second", "us_per_quarter", "quarter"):
            object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))
        if not len(self.second) == len(self.us_per_quarter) == len(self.quarter):
            raise ValueError("second, us_per_quarter and quarter differ in length")
        if (self.us_per_quarter <= 0).any() or (np.diff(self.second) < 0).any():
            raise ValueError("tempos are positive and rise in time")

    def __reduce__(self) -> tuple[Any, ...]:
        return TempoMap, (self.second, self.us_per_quarter, self.quarter, self.division)

    def __len__(self) -> int:
        return len(self.second)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TempoMap):
            return NotImplemented
        return self.division == other.division and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("second", "us_per_quarter", "quarter")
        )

    def __hash__(self) -> int:
        return hash((self.second.tobytes(), self.us_per_quarter.tobytes(), self.division))

    @property
    def bpm(self) -> FloatArray:
        """Quarter notes a minute, float64 [k]."""
        bpm: FloatArray = 60e6 / self.us_per_quarter
        return bpm

    def quarters(self, second: ArrayLike) -> FloatArray:
        """Positions in quarter notes of times in seconds, any shape.

        Raises
        ------
        ValueError
            If no tempo is known.
        """
        if not len(self):
            raise ValueError("no tempo is known")
        times = np.asarray(second, np.float64)
        k = np.maximum(np.searchsorted(self.second, times, "right") - 1, 0)
        quarters: FloatArray = self.quarter[k] + (times - self.second[k]) * 1e6 / self.us_per_quarter[k]
        return quarters

    def shift(self, seconds: float) -> Self:
        """Every tempo later by `seconds`."""
        return type(self)(self.second + seconds, self.us_per_quarter, self.quarter, self.division)

    def stretch(self, factor: float) -> Self:
        """Times multiplied by `factor`, tempos divided by it."""
        return type(self)(self.second * factor, self.us_per_quarter * factor, self.quarter, self.division)


@dataclass(frozen=True, eq=False, slots=True)
class Pedal:
    """Events of the sustain pedal (controller 64) and the sostenuto pedal (66), in time.

    Attributes
    ----------
    second : float64 [p]
    controller : uint8 [p], 64 or 66
    value : uint8 [p], 0..127; from 64 on the pedal is down
    channel : int16 [p], 0..15, 16 higher for each further port
    """

    second: FloatArray = field(default_factory=lambda: np.empty(0))
    controller: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    value: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    channel: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))

    def __post_init__(self) -> None:
        for name, dtype in _PEDAL_COLUMNS.items():
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype))
        if len({len(getattr(self, name)) for name in _PEDAL_COLUMNS}) > 1:
            raise ValueError("the columns of a pedal differ in length")

    def __reduce__(self) -> tuple[Any, ...]:
        return Pedal, tuple(getattr(self, name) for name in _PEDAL_COLUMNS)

    def __len__(self) -> int:
        return len(self.second)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pedal):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _PEDAL_COLUMNS)

    def __hash__(self) -> int:
        return hash((self.second.tobytes(), self.value.tobytes()))

    def shift(self, seconds: float) -> Self:
        """Every event later by `seconds`."""
        return type(self)(self.second + seconds, self.controller, self.value, self.channel)

    def stretch(self, factor: float) -> Self:
        """All times multiplied by `factor`."""
        return type(self)(self.second * factor, self.controller, self.value, self.channel)


_PEDAL_COLUMNS = {"second": np.float64, "controller": np.uint8, "value": np.uint8, "channel": np.int16}
