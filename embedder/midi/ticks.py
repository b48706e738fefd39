"""From ticks to the time grid of `Notes`, in whole numbers and so without rounding on the way.

The time of a tick is a sum of ticks times microseconds, divided by the division. Kept as that sum, it does
not depend on how a tempo map is written down, and of two files with the same music at the same times, each
note falls on the same step of the grid. Times are rounded as distances from the first onset, so that neither
does the silence before it matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..notes import GRID_HZ
from .container import Header
from .events import Events

__all__ = ["TEMPO", "TickClock"]

IntArray = NDArray[np.int64]

TEMPO = 0x51  # type of meta event
DEFAULT_TEMPO_US = 500_000  # microseconds a quarter note where a file states none, as the standard says
EXACT = 2.0**61  # sums beyond this are left to floating point
MAX_TICK = 2**53


@dataclass(frozen=True)
class TickClock:
    """Piecewise linear map from ticks to time.

    Attributes
    ----------
    tick : int64 [k], where each tempo begins; the first is 0
    us : int64 [k], microseconds a quarter note
    total : int64 [k], sum of ticks times `us` up to each
    second : float64 [k]
    divisor : `total` over this is microseconds
    given : whether the file states a tempo
    division : ticks a quarter note; None where ticks are fractions of a second (SMPTE)
    """

    tick: IntArray
    us: IntArray
    total: IntArray
    second: NDArray[np.float64]
    divisor: int
    given: bool
    division: int | None

    @classmethod
    def of_tempos(cls, tick: IntArray, us: IntArray, division: int) -> TickClock:
        """From tempo events in file order: of several at a tick the last holds, a tempo of 0 says nothing."""
        stated = us > 0
        tick, us = tick[stated], us[stated]
        given = len(tick) > 0
        order = np.argsort(tick, kind="stable")
        tick, us = tick[order], us[order]
        last = np.append(np.diff(tick) > 0, True)[: len(tick)]
        tick, us = tick[last], us[last]
        if not given or tick[0] > 0:
            tick = np.insert(tick, 0, 0)
            us = np.insert(us, 0, DEFAULT_TEMPO_US)
        changes = np.append(True, us[1:] != us[:-1])
        return cls._of(tick[changes], us[changes], division, given, division)

    @classmethod
    def of_header(cls, header: Header, tick: IntArray, us: IntArray) -> TickClock:
        """Of a file with these tempo events, which have no meaning where ticks divide seconds."""
        if header.division is not None:
            return cls.of_tempos(tick, us, header.division)
        frames, ticks_per_frame = header.frames
        zero = np.zeros(1, np.int64)
        if frames == 29:  # drop-frame time code counts 30,000 frames in 1,001 seconds
            return cls._of(zero, np.array([1_001_000_000]), 30_000 * ticks_per_frame, False, None)
        return cls._of(zero, np.array([1_000_000]), frames * ticks_per_frame, False, None)

    @classmethod
    def of_events(cls, events: Events) -> TickClock:
        """Of all tempo events of a file; those of a wrong length are left out."""
        tempos = [event for event in events.meta(TEMPO) if len(event.data) == 3]
        tick = np.array([event.tick for event in tempos], np.int64)
        us = np.array([int.from_bytes(event.data, "big") for event in tempos], np.int64)
        return cls.of_header(events.header, tick, us)

    @classmethod
    def _of(cls, tick: IntArray, us: IntArray, divisor: int, given: bool, division: int | None) -> TickClock:
        steps = np.diff(tick) * us[:-1]
        total = np.append(0, np.cumsum(steps))
        floats = np.append(0.0, np.cumsum(np.diff(tick).astype(np.float64) * us[:-1]))
        if floats[-1] >= EXACT:
            total = np.where(floats < EXACT, total, np.int64(EXACT))
        return cls(tick, us, total, floats / divisor / 1e6, divisor, given, division)

    def seconds(self, tick: IntArray) -> NDArray[np.float64]:
        """Seconds [n] of ticks [n], any shape."""
        k = self._segment(tick)
        seconds: NDArray[np.float64] = self.second[k] + (tick - self.tick[k]) * (
            self.us[k] / (self.divisor * 1e6)
        )
        return seconds

    def totals(self, tick: IntArray, longest_s: float) -> IntArray:
        """Times [n] as whole numbers of `divisor`-ths of a microsecond.

        Raises
        ------
        MidiError
            If one is later than `longest_s`.
        """
        if len(tick):
            last = int(tick.max())
            last_s = float(self.seconds(np.array([last]))[0])
            if last_s > longest_s:
                raise MidiError(
                    f"lasts {last_s / 3600:,.1f} h, more than the limit of {longest_s / 3600:g} h"
                )
            if last_s * 1e6 * self.divisor >= EXACT:
                raise MidiError("damaged MIDI: its times are absurd")
        k = self._segment(tick)
        totals: IntArray = self.total[k] + (tick - self.tick[k]) * self.us[k]
        return totals

    def steps(self, totals: IntArray) -> IntArray:
        """Nearest steps of the grid of `Notes`, halves upwards."""
        unit = self.divisor * (1_000_000 // GRID_HZ)
        return (2 * totals + unit) // (2 * unit)

    def _segment(self, tick: IntArray) -> IntArray:
        if len(self.tick) == 1:
            return np.zeros(1, dtype=np.int64)  # the usual case, and half the work
        return np.searchsorted(self.tick, tick, "right") - 1
