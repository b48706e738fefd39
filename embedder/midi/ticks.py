"""From ticks to seconds: what both readers hand over, and the one way it becomes `Notes`.

A reader only collects arrays of ticks (`TickScore`). Tempo map, pedal and selection of instruments are
applied here, so that two readers that agree on the ticks agree on every note.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..notes import Notes

__all__ = ["NoteTicks", "PedalTicks", "Selection", "TempoMap", "TickScore", "Timed", "assemble"]

DEFAULT_TEMPO_US = 500_000  # microseconds a beat where a file has no tempo event, as the standard says

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class NoteTicks:
    """Notes as they stand in a file, one entry a note in every array; times in ticks.

    `line` numbers the pairs (track, channel), the unit that a pedal acts on.
    """

    start: IntArray
    end: IntArray
    pitch: IntArray
    velocity: IntArray
    program: IntArray
    drum: NDArray[np.bool_]
    line: IntArray

    def __len__(self) -> int:
        return len(self.start)

    def select(self, which: NDArray[np.bool_]) -> NoteTicks:
        return NoteTicks(
            self.start[which],
            self.end[which],
            self.pitch[which],
            self.velocity[which],
            self.program[which],
            self.drum[which],
            self.line[which],
        )


@dataclass(frozen=True)
class PedalTicks:
    """Sustain pedal events in file order within each line."""

    tick: IntArray
    down: NDArray[np.bool_]
    line: IntArray


@dataclass(frozen=True)
class TempoMap:
    """Piecewise linear map from ticks to seconds.

    Attributes
    ----------
    tick : int64 [k], where each tempo begins; the first is 0
    second : float64 [k], the same in seconds
    second_per_tick : float64 [k]
    given : whether the file states a tempo itself
    ticks_per_beat : None where ticks are fractions of a second (SMPTE)
    """

    tick: IntArray
    second: NDArray[np.float64]
    second_per_tick: NDArray[np.float64]
    given: bool
    ticks_per_beat: int | None

    @classmethod
    def of_tempos(cls, tick: IntArray, tempo_us: IntArray, ticks_per_beat: int) -> TempoMap:
        """From tempo events in file order: the last at a tick holds, a tempo of 0 says nothing."""
        stated = tempo_us > 0
        tick, tempo_us = tick[stated], tempo_us[stated]
        given = len(tick) > 0
        order = np.argsort(tick, kind="stable")
        tick, tempo_us = tick[order], tempo_us[order]
        last = np.append(np.diff(tick) > 0, True)[: len(tick)]
        tick, tempo_us = tick[last], tempo_us[last]
        if not given or tick[0] > 0:
            tick = np.insert(tick, 0, 0)
            tempo_us = np.insert(tempo_us, 0, DEFAULT_TEMPO_US)
        per_tick = tempo_us / (ticks_per_beat * 1e6)
        second = np.concatenate([[0.0], np.cumsum(np.diff(tick) * per_tick[:-1])])
        return cls(tick, second, per_tick, given, ticks_per_beat)

    @classmethod
    def of_rate(cls, ticks_per_second: float) -> TempoMap:
        """For SMPTE division, where tempo events have no meaning."""
        zero = np.zeros(1, dtype=np.int64)
        return cls(zero, np.zeros(1), np.array([1 / ticks_per_second]), False, None)

    def seconds(self, tick: IntArray) -> NDArray[np.float64]:
        """Seconds [n] of ticks [n], n being any shape."""
        if len(self.tick) == 1:
            k = np.zeros(1, dtype=np.int64)  # the usual case, and half the work
        else:
            k = np.searchsorted(self.tick, tick, "right") - 1
        seconds: NDArray[np.float64] = self.second[k] + (tick - self.tick[k]) * self.second_per_tick[k]
        return seconds


@dataclass(frozen=True)
class TickScore:
    """Everything a reader takes from a file, or from one pattern of a file of Type 2."""

    notes: NoteTicks
    pedals: PedalTicks
    tempo: TempoMap
    end_tick: int  # of the last event, where it matters: the length of a pattern


@dataclass(frozen=True)
class Selection:
    """Which notes are wanted; see `read_piece`."""

    sustain: bool = False
    drums: bool = False
    programs: Collection[int] | None = None

    def __call__(self, notes: NoteTicks) -> NDArray[np.bool_]:
        wanted = np.ones(len(notes), dtype=bool)
        if self.programs is not None:
            wanted = np.isin(notes.program, np.fromiter(self.programs, dtype=np.int64))
        if not notes.drum.any():
            return wanted
        return np.where(notes.drum, self.drums, wanted)


@dataclass(frozen=True)
class Timed:
    """Notes in seconds with the time and the number of beats that they span."""

    notes: Notes
    beats: float
    beats_span_s: float


def assemble(score: TickScore, selection: Selection, longest_s: float, offset_s: float = 0.0) -> Timed:
    """Notes of one score, later by `offset_s`; `beats` is 0 where the file states no tempo.

    Raises
    ------
    MidiError
        If a note ends after `longest_s`.
    """
    notes = score.notes
    end = held_ends(notes, score.pedals) if selection.sustain else notes.end
    wanted = selection(notes)
    if not wanted.all():
        notes, end = notes.select(wanted), end[wanted]
    if not len(notes):
        return Timed(Notes.empty(), 0.0, 0.0)
    start_s = score.tempo.seconds(notes.start)
    end_s = score.tempo.seconds(end)
    last_s = float(end_s.max()) + offset_s
    if last_s > longest_s:
        raise MidiError(f"lasts {last_s / 3600:,.1f} h, more than the limit of {longest_s / 3600:g} h")
    beats, span_s = _span(score.tempo, int(notes.start.min()), int(end.max()))
    timed = Notes(start_s + offset_s, end_s - start_s, notes.pitch, notes.velocity)
    return Timed(timed, beats, span_s)


def _span(tempo: TempoMap, first: int, last: int) -> tuple[float, float]:
    """Beats and seconds from one tick to another; a single instant counts as one tick long."""
    if not tempo.given or tempo.ticks_per_beat is None:
        return 0.0, 0.0
    ticks = np.array([first, max(last, first + 1)], dtype=np.int64)
    first_s, last_s = tempo.seconds(ticks)
    return int(ticks[1] - ticks[0]) / tempo.ticks_per_beat, float(last_s - first_s)


def held_ends(notes: NoteTicks, pedals: PedalTicks) -> IntArray:
    """Ends of notes [n] in ticks with the sustain pedal folded in.

    A note that ends while the pedal of its line is down lasts until the pedal lifts or its key is struck
    again, whichever comes first; a pedal pressed at the very tick of the end comes too late. A pedal that
    never lifts does so when the last note of its line ends.
    """
    end = notes.end.copy()
    for line in np.unique(pedals.line[pedals.down]):
        here = np.flatnonzero(notes.line == line)
        if not len(here):
            continue
        of_line = pedals.line == line
        lift = _lifts(end[here], pedals.tick[of_line], pedals.down[of_line])
        struck = _struck_again(notes.start[here], notes.end[here], notes.pitch[here])
        end[here] = np.maximum(end[here], np.minimum(lift, struck))
    return end


def _lifts(end: IntArray, tick: IntArray, down: NDArray[np.bool_]) -> IntArray:
    """When the pedal that is down just before each end lifts [n]; the end itself where it is up."""
    order = np.argsort(tick, kind="stable")
    tick, down = tick[order], down[order]
    turns = np.append(True, down[1:] != down[:-1])
    tick, down = tick[turns], down[turns]
    after = np.append(tick[1:], end.max())
    state = np.searchsorted(tick, end, "left") - 1
    pressed = (state >= 0) & down[state]
    return np.where(pressed, after[state], end)


def _struck_again(start: IntArray, end: IntArray, pitch: IntArray) -> IntArray:
    """Tick of the first later note of the same key that begins at or after each note's end [n]."""
    far = int(max(end.max(), start.max())) + 1
    order = np.lexsort((start, pitch))
    key = pitch * (far + 1) + start
    ordered = key[order]
    at = np.searchsorted(ordered, pitch * (far + 1) + end, "left")
    # A note without length would find itself: look behind it.
    at = np.where(end == start, np.searchsorted(ordered, key, "right"), at)
    found = np.minimum(at, len(ordered) - 1)
    same = (at < len(ordered)) & (pitch[order][found] == pitch)
    return np.where(same, start[order][found], np.iinfo(np.int64).max)
