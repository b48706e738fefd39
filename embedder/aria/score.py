"""Notes of a MIDI file as Aria sees them: in ticks, with the channel, in the order of its rules.

What differs from `Notes`: a note-off ends every open note of its key that began earlier, notes that begin
together stand in the order in which they end in the file, and the pedal acts on a channel of all tracks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..midi.container import Header
from ..midi.events import Events, read_events
from .vocabulary import FAMILY_OF_PROGRAM

__all__ = ["AriaScore", "read_score"]

IntArray = NDArray[np.int64]

SUSTAIN = 64  # number of the controller
DRUM_CHANNEL = 9  # counted from 0
DEFAULT_TEMPO_US = 500_000
MOST_TEMPO_STEPS = 50_000_000  # changes of tempo within notes, counted note by note
LONGEST_S = 24 * 3600.0
SATURATED_S = 6.0  # any longer duration is the same token
CHANNELS = 16
TEMPO = 0x51
# Kinds of meta events that mido knows. It forgets the time before any other, so the reference does too.
_TIMED_META = frozenset([*range(0x08), 0x09, 0x20, 0x21, 0x2F, 0x51, 0x54, 0x58, 0x59, 0x7F])


@dataclass(frozen=True)
class AriaScore:
    """A file, read for Aria.

    Attributes
    ----------
    start, end : int64 [n] ticks, the pedal not folded in; by start, then in file order
    pitch, velocity, channel : int64 [n]
    family : int64 [16], instrument of each channel, -1 where no program was stated; drums aside
    stated : bool [16], channels whose program the file states, those without notes among them
    dropped : bool [16], channels whose notes are left out
    pedal_tick, pedal_down, pedal_channel : [p], by tick
    tempo_tick, tempo_us : int64 [k], by tick, at least one
    header : of the file
    """

    start: IntArray
    end: IntArray
    pitch: IntArray
    velocity: IntArray
    channel: IntArray
    family: IntArray
    stated: NDArray[np.bool_]
    dropped: NDArray[np.bool_]
    pedal_tick: IntArray
    pedal_down: NDArray[np.bool_]
    pedal_channel: IntArray
    tempo_tick: IntArray
    tempo_us: IntArray
    header: Header

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which notes [n] belong to instruments that Aria knows."""
        return ~self.dropped[self.channel]

    @cached_property
    def pedals(self) -> dict[int, tuple[IntArray, IntArray, int | None]]:
        """By channel: where each pedal interval begins and ends, and where one that never lifts begins."""
        intervals: dict[int, tuple[IntArray, IntArray, int | None]] = {}
        for channel in np.unique(self.pedal_channel[self.pedal_down]).tolist():
            here = self.pedal_channel == channel
            tick, down = self.pedal_tick[here], self.pedal_down[here]
            turns = np.append(down[:1], down[1:] != down[:-1])  # the first only if it is a press
            tick = tick[turns]
            pressed, lifted = tick[::2], tick[1::2]
            open_since = int(pressed[-1]) if len(pressed) > len(lifted) else None
            intervals[channel] = (pressed[: len(lifted)], lifted, open_since)
        return intervals

    def held_ends(self, which: IntArray) -> IntArray:
        """Ends in ticks of the chosen notes, those in a pedal interval held until it lifts.

        A pedal that never lifts lifts at the end of the last of the chosen notes.
        """
        end = self.end[which].copy()
        final = int(end[-1])
        channel = self.channel[which]
        for number, (pressed, lifted, open_since) in self.pedals.items():
            here = channel == number
            own = end[here]
            if len(pressed):
                at = np.searchsorted(pressed, own, "left") - 1
                inside = (at >= 0) & (own < lifted[at])
                held = np.where(inside, lifted[at], own)
            else:
                held = own
            if open_since is not None:
                held = np.where((held == own) & (open_since < own) & (own < final), final, held)
            end[here] = held
        return end

    def onset_ms(self, start: IntArray) -> IntArray:
        """Whole milliseconds from the first to each of the given ticks, which rise."""
        tick, per_tick = self.tempo_tick, self._second_per_tick
        first = int(start[0])
        at = self._segment(start[:1])[0]
        begin = np.append(first, tick[at + 1 :])
        # The sum runs from left to right as the reference's does: a half millisecond may round either way.
        passed = np.append(0.0, np.cumsum(np.diff(begin) * per_tick[at:-1]))
        segment = np.searchsorted(tick[at + 1 :], start, "right")
        seconds = passed[segment] + (start - begin[segment]) * per_tick[at:][segment]
        if len(tick) == 1:
            seconds = np.where(start > tick[0], seconds, 0.0)  # as in duration_ms
        if seconds.max() > LONGEST_S:
            raise MidiError(f"lasts more than {LONGEST_S / 3600:g} h")
        return _milliseconds(seconds)

    def duration_ms(self, start: IntArray, end: IntArray) -> IntArray:
        """Whole milliseconds [n] between ticks [n] (any number above 5 s where it is more than that).

        Two habits of the reference are kept. A note that begins after the last change of tempo is timed
        from that change at the new tempo, less what lies before it at the one before. And where there is
        one tempo, all that ends at or before its tick takes no time.
        """
        tick, per_tick = self.tempo_tick, self._second_per_tick
        last = len(tick) - 1
        if last == 0:
            return _milliseconds(np.where(end > tick[0], (end - start) * per_tick[0], 0.0))
        segment = self._segment(start)
        until = np.searchsorted(tick, end, "right") - 1
        if int(np.maximum(until - segment, 0).sum()) > MOST_TEMPO_STEPS:
            raise MidiError("has too many changes of tempo within its notes")
        seconds = np.zeros(len(start))
        now = start.copy()
        going = np.arange(len(start))
        while len(going):
            here = segment[going]
            inside = (here == last) | (end[going] < tick[np.minimum(here + 1, last)])
            to = np.where(inside, end[going], tick[np.minimum(here + 1, last)])
            seconds[going] += (to - now[going]) * per_tick[here]
            now[going] = to
            segment[going] += 1
            going = going[~inside & (seconds[going] < SATURATED_S)]
        return _milliseconds(seconds)

    @cached_property
    def _second_per_tick(self) -> NDArray[np.float64]:
        per_tick: NDArray[np.float64] = self.tempo_us.astype(np.float64) * 1e-6 / _ticks_per_beat(self.header)
        return per_tick

    def _segment(self, start: IntArray) -> IntArray:
        """Number of the tempo [n] that the time from each tick is first counted with."""
        found = np.searchsorted(self.tempo_tick, start, "left")
        segment: IntArray = np.maximum(np.minimum(found, len(self.tempo_tick) - 1) - 1, 0)
        return segment


def _milliseconds(seconds: NDArray[np.float64]) -> IntArray:
    whole: IntArray = np.rint(seconds * 1e3).astype(np.int64)
    return whole


def read_score(data: bytes) -> AriaScore:
    """Read the bytes of a MIDI file.

    Raises
    ------
    MidiError
        If they are no sound MIDI file.
    """
    events = read_events(data)
    ticks, tempo_tick, tempo_us = _reference_ticks(events)
    events = replace(events, tick=ticks)
    kind = (events.status & 0xF0).astype(np.int64)
    channel = (events.status & 0x0F).astype(np.int64)
    start, end, on = _closed(events, kind, channel)
    family, stated, dropped = _instruments(events, kind, channel)
    pedal = np.flatnonzero((kind == 0xB0) & (events.data1 == SUSTAIN))
    pedal = pedal[np.argsort(events.tick[pedal], kind="stable")]
    tempo_tick, tempo_us = _tempos(events.header, tempo_tick, tempo_us)
    return AriaScore(
        start=start,
        end=end,
        pitch=events.data1[on].astype(np.int64),
        velocity=events.data2[on].astype(np.int64),
        channel=channel[on],
        family=family,
        stated=stated,
        dropped=dropped,
        pedal_tick=events.tick[pedal],
        pedal_down=events.data2[pedal] >= 64,
        pedal_channel=channel[pedal],
        tempo_tick=tempo_tick,
        tempo_us=tempo_us,
        header=events.header,
    )


def _ticks_per_beat(header: Header) -> float:
    """Ticks a second where there are no beats."""
    if header.division is not None:
        return float(header.division)
    frames, ticks_per_frame = header.frames
    return (30_000 / 1001 if frames == 29 else frames) * ticks_per_frame


def _reference_ticks(events: Events) -> tuple[IntArray, IntArray, IntArray]:
    """Ticks of the messages and of the tempos, less the time that the reference forgets; and the tempos."""
    tick = events.tick.copy()
    tempos: list[tuple[int, int]] = []
    first = np.searchsorted(events.track, np.arange(len(events.end_tick) + 1))
    track, lost = -1, 0
    for event in events.others:
        if event.track != track:
            track, lost = event.track, 0
        if event.kind < 0x80 and event.kind not in _TIMED_META and event.gap:
            lost += event.gap
            tick[first[track] + event.before : first[track + 1]] -= event.gap
        if event.kind == TEMPO and len(event.data) >= 3:
            tempos.append((event.tick - lost, int.from_bytes(event.data[:3], "big")))
    tempo_tick, tempo_us = np.array(tempos, np.int64).reshape(-1, 2).T
    return tick, tempo_tick, tempo_us


def _tempos(header: Header, tick: IntArray, us: IntArray) -> tuple[IntArray, IntArray]:
    if header.is_smpte:  # ticks are fractions of a second, whatever tempos are stated
        return np.zeros(1, np.int64), np.array([1_000_000])
    if not len(tick):
        return np.zeros(1, np.int64), np.array([DEFAULT_TEMPO_US])
    order = np.argsort(tick, kind="stable")
    return tick[order], us[order]


def _instruments(
    events: Events, kind: IntArray, channel: IntArray
) -> tuple[IntArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Family of each channel, which channels state one, and which are dropped."""
    family = np.full(CHANNELS, -1, np.int64)
    stated = np.zeros(CHANNELS, np.bool_)
    dropped = np.zeros(CHANNELS, np.bool_)
    change = np.flatnonzero(kind == 0xC0)
    change = change[np.argsort(events.tick[change], kind="stable")]
    if not len(change):
        family[0], stated[0] = 0, True  # a file without programs is one for piano
    for at, program in zip(channel[change].tolist(), events.data1[change].tolist(), strict=True):
        family[at], stated[at] = FAMILY_OF_PROGRAM[program], True
        dropped[at] |= FAMILY_OF_PROGRAM[program] < 0
    dropped[DRUM_CHANNEL] = False
    return family, stated & ~dropped, dropped


def _closed(events: Events, kind: IntArray, channel: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Starts and ends in ticks of the notes that are closed, and the messages [n] that began them.

    A note-off closes all open notes of its key that began at an earlier tick. One that began at that very
    tick stays open if others were closed, and is dropped if none were.
    """
    message = np.flatnonzero((kind == 0x90) | (kind == 0x80))
    key = (events.track[message] * CHANNELS + channel[message]) * 128 + events.data1[message]
    message = message[np.argsort(key, kind="stable")]  # key by key, in file order
    key = np.sort(key)
    tick = events.tick[message]
    begins = (kind[message] == 0x90) & (events.data2[message] > 0)
    count = len(message)

    off = np.flatnonzero(~begins)
    # Number in `off` of the first note-off at or behind each place, of the same key or len(off).
    following = np.searchsorted(off, np.arange(count + 1), "left")
    off_key, off_tick = np.append(key[off], -1), np.append(tick[off], -1)

    on = np.flatnonzero(begins)
    closer = following[on]
    closer = np.where(off_key[closer] == key[on], closer, len(off))
    at_once = (closer < len(off)) & (tick[on] == off_tick[closer])
    if at_once.any():
        stays = _stays_open(closer, at_once, off_key, off_tick)
        later = np.minimum(closer + 1, len(off))
        usable = stays[closer] & (off_key[later] == key[on]) & (off_tick[later] > tick[on])
        closer = np.where(at_once, np.where(usable, later, len(off)), closer)
    closed = closer < len(off)
    on, closer = on[closed], closer[closed]
    start, end = tick[on], off_tick[closer]
    order = np.lexsort((message[on], message[off[closer]], start))
    return start[order], end[order], message[on][order]


def _stays_open(
    closer: IntArray, at_once: NDArray[np.bool_], off_key: IntArray, off_tick: IntArray
) -> NDArray[np.bool_]:
    """Whether each note-off (and one more) leaves open what began at its own tick."""
    count = len(off_key)
    closes = np.bincount(closer[~at_once], minlength=count) > 0
    stays = np.zeros(count, np.bool_)
    for i in np.unique(closer[at_once]).tolist():
        # What the note-off before left open began at its tick, and is closed here if that is earlier.
        before = i > 0 and stays[i - 1] and off_key[i - 1] == off_key[i] and off_tick[i - 1] < off_tick[i]
        stays[i] = closes[i] or before
    return stays
