"""Writing notes as a MIDI file, so that reading it back gives the same notes and parts exactly.

The ticks of the file are those of the file that the notes come from, where they fall on them, or else so
short that every step of the grid of `Notes` has its own. Tempos and time signatures are written as such.
Where a tempo is too slow for ticks that short, ticks are steps of the grid at the 120 beats a minute that
hold where none is stated, and the tempo map is written for midikin alone.

Each part has a track of its own, drums on channel 10. Notes of one key that overlap go to further tracks,
because within a track a note-off could not say which of them it ends.
"""

from __future__ import annotations

import errno
import heapq
import os
import secrets
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..notation import Part, Pedal
from ..notes import GRID_HZ, Notes
from .channel_state import BANK_LSB, BANK_MSB, PORT
from .events import META
from .general_midi import DRUM_CHANNEL
from .own_meta import SEQUENCER_SPECIFIC, OwnPart, part_meta, tempo_meta
from .reading import METER, Limits
from .ticks import TEMPO, TickClock

__all__ = ["TICKS_PER_BEAT", "write_midi"]

IntArray = NDArray[np.int64]

TICKS_PER_BEAT = GRID_HZ // 2  # at 120 beats a minute, a tick is a step of the grid
MOST_TICKS = 2**15 - 1  # a beat
TEXT, TRACK_NAME, END_OF_TRACK = 0x01, 0x03, 0x2F
LONGEST_GAP = 2**28 - 1  # ticks that fit between two messages
SLOWEST_TEMPO = (1 << 24) - 1  # microseconds a quarter note that fit in an event
CHANNELS = [*range(9), *range(10, 16)]  # without that of the drums


def write_midi(
    notes: Notes, path: str | os.PathLike[str] | None = None, *, program: int | None = None
) -> bytes:
    """Write notes as a MIDI file of Type 1, with their parts, tempo map, time signatures and pedal.

    Parameters
    ----------
    path : where to write it as well, all or nothing; None for nowhere
    program : General MIDI program (0..127) of all pitched parts; None for their own

    Returns
    -------
    The bytes of the file; `read_midi` of them gives notes equal to `notes`, in the same parts.

    Raises
    ------
    ValueError
        If a note begins before 0 s, the program is out of range, or `read_midi` would refuse the file:
        more notes, seconds, tracks (of notes of one key that overlap) or bytes than `Limits` allow.
    OSError
        If the path cannot be written.
    """
    if program is not None:
        if not 0 <= program <= 127:
            raise ValueError("a General MIDI program lies in 0..127")
        parts = tuple(part if part.drums else replace(part, program=program) for part in notes.parts)
        notes = notes.with_parts(parts)
    if len(notes) and notes.start_s < 0:
        raise ValueError("a MIDI file cannot hold notes before 0 s: shift them first")
    limits = Limits()
    _check_most(len(notes), limits.notes, "notes")
    _check_most(notes.end_s, limits.duration_s, "seconds")
    data = _bytes_of(notes, limits.tracks)
    _check_most(len(data), limits.size_bytes, "bytes")
    if path is not None:
        _write_whole(os.fsdecode(path), data)
    return data


def _check_most(number: float, most: float, unit: str) -> None:
    if number > most:
        raise ValueError(f"would not be read back: {number:,.0f} {unit}, more than the limit of {most:,.0f}")


# -- from seconds to ticks ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Timing:
    """Ticks of the notes [n], and the clock that gives their times back.

    `stated` where the tempos of the clock are those of the music.
    """

    clock: TickClock
    start: IntArray
    end: IntArray
    stated: bool

    def tick(self, second: float) -> int:
        """The tick nearest to a time, 0 for times before 0 s."""
        total = np.array([round(max(second, 0.0) * 1e6 * self.clock.divisor)])
        return int(_ticks_of(self.clock, total)[0])


def _timing(notes: Notes) -> _Timing:
    begin = np.rint(notes.onset * GRID_HZ).astype(np.int64)
    end = begin + np.rint(notes.duration * GRID_HZ).astype(np.int64)
    own = notes.tempo.division
    finer = [] if own is None else [own, own * (MOST_TICKS // own)]  # on which the tempos fall, too
    for division in [*finer, TICKS_PER_BEAT, MOST_TICKS]:
        clock = _clock(notes, division)
        ticks = None if clock is None else _exact_ticks(clock, begin, end)
        if clock is not None and ticks is not None:
            return _Timing(clock, *ticks, stated=True)
    none = np.empty(0, np.int64)
    return _Timing(TickClock.of_tempos(none, none, TICKS_PER_BEAT), begin, end, stated=not len(notes.tempo))


def _clock(notes: Notes, division: int) -> TickClock | None:
    """The tempo map of notes in ticks; None where it does not fit in a file."""
    tempo = notes.tempo
    if not len(tempo):
        return TickClock.of_tempos(np.empty(0, np.int64), np.empty(0, np.int64), division)
    us = np.rint(tempo.us_per_quarter)
    if us.min() < 1 or us.max() > SLOWEST_TEMPO:
        return None
    quarter = tempo.quarter - tempo.quarters(0.0)
    ticks = np.rint(quarter * division)
    if ticks.max() > 2**53:
        return None
    first = max(int(np.searchsorted(tempo.second, 0.0, "right")) - 1, 0)  # the tempo that holds at the start
    tick = np.maximum(ticks[first:], 0).astype(np.int64)
    tick[0] = 0
    return TickClock.of_tempos(tick, us[first:].astype(np.int64), division)


def _exact_ticks(clock: TickClock, begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray] | None:
    """Ticks at which notes begin and end, if reading these gives their steps of the grid back."""
    if not len(begin):
        return begin, end
    unit = clock.divisor * (1_000_000 // GRID_HZ)
    if int(end.max()) * unit * 4 >= 2**62:
        return None
    first = _ticks_of(clock, begin[:1] * unit)
    base = clock.totals(first, np.inf)
    start_tick = _ticks_of(clock, base + (begin - begin[0]) * unit)
    end_tick = _ticks_of(clock, base + (end - begin[0]) * unit)
    start_again = clock.steps(clock.totals(start_tick, np.inf) - base)
    end_again = clock.steps(clock.totals(end_tick, np.inf) - base)
    exact = (
        np.array_equal(clock.steps(base), begin[:1])
        and np.array_equal(start_again, begin - begin[0])
        and np.array_equal(np.maximum(end_again - start_again, 1), end - begin)
    )
    return (start_tick, end_tick) if exact else None


def _ticks_of(clock: TickClock, total: IntArray) -> IntArray:
    """Ticks nearest to times that are sums of ticks times microseconds."""
    k = np.maximum(np.searchsorted(clock.total, total, "right") - 1, 0)
    us = clock.us[k]
    ticks: IntArray = clock.tick[k] + (2 * (total - clock.total[k]) + us) // (2 * us)
    return ticks


# -- from parts to channels -----------------------------------------------------------------------------


def _channels(parts: tuple[Part, ...], used: list[int]) -> dict[int, int]:
    """Channel 0..15 in the file of each part that has notes: its own if it is free, drums on channel 10."""
    channels: dict[int, int] = {}
    taken: dict[tuple[int, int], tuple[int, int | None]] = {}
    late: list[int] = []
    for number in used:
        part = parts[number]
        if part.drums:
            channels[number] = DRUM_CHANNEL
            continue
        own = part.channel
        if own is None or own == DRUM_CHANNEL:
            late.append(number)
        elif taken.setdefault((part.port, own), (part.program, part.bank)) == (part.program, part.bank):
            channels[number] = own
        else:
            late.append(number)
    for number in late:
        part = parts[number]
        sound = (part.program, part.bank)
        free = [c for c in CHANNELS if taken.get((part.port, c), sound) == sound]
        fallback = part.channel if part.channel not in (None, DRUM_CHANNEL) else 0
        channel = free[0] if free else int(fallback or 0)
        taken.setdefault((part.port, channel), sound)
        channels[number] = channel
    return channels


# -- from events to bytes -------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([META, kind]) + _varint(len(data)) + data


@dataclass
class _Track:
    """Events of a track as (tick, rank at that tick, number, bytes)."""

    events: list[tuple[int, int, int, bytes]] = field(default_factory=list)

    def add(self, tick: int, rank: int, data: bytes) -> None:
        self.events.append((tick, rank, len(self.events), data))

    def chunk(self) -> bytes:
        now = 0
        body: list[bytes] = []
        for tick, _, _, data in sorted(self.events):
            gap = tick - now
            while gap > LONGEST_GAP:  # an empty text carries the time along
                body += [_varint(LONGEST_GAP), _meta(TEXT, b"")]
                gap -= LONGEST_GAP
            body += [_varint(gap), data]
            now = tick
        body += [b"\0", _meta(END_OF_TRACK, b"")]
        events = b"".join(body)
        return b"MTrk" + struct.pack(">I", len(events)) + events


# At one tick: what describes the track, pedals, ends of notes, changes of sound, notes without length, notes.
DESCRIPTION, PEDAL, OFF, SOUND, INSTANT, ON = range(6)


def _bytes_of(notes: Notes, most_tracks: int) -> bytes:
    timing = _timing(notes)
    used = np.unique(notes.part).tolist()
    channels = _channels(notes.parts, used)
    tracks = [_conductor(notes, timing)]
    pedals = _pedals_by_channel(notes.pedal)
    for number in used:
        here = np.flatnonzero(notes.part == number)
        layer = _layers(timing.start[here], timing.end[here], notes.pitch[here].tolist())
        layers = int(layer.max(initial=0)) + 1
        _check_most(len(tracks) + layers, most_tracks, "tracks of notes that overlap")
        part = notes.parts[number]
        own = OwnPart(number, part, channels[number])
        channel_of_pedal = None if part.channel is None else part.port * 16 + part.channel
        for i in range(layers):
            track = _described(own)
            if i == 0 and channel_of_pedal is not None:
                _add_pedal(track, notes.pedal, pedals.get(channel_of_pedal), timing, channels[number])
            _add_notes(track, notes, here[layer == i], timing, channels[number])
            if own in _sharing(notes.parts, channels):
                _add_changes(track, notes, number, timing, channels)
            tracks.append(track)
    played = {
        part.port * 16 + part.channel for part in (notes.parts[i] for i in used) if part.channel is not None
    }
    for channel, which in pedals.items():
        if channel not in played:
            track = _Track()
            if channel >= 16:
                track.add(0, DESCRIPTION, _meta(PORT, bytes([channel // 16])))
            _add_pedal(track, notes.pedal, which, timing, channel % 16)
            tracks.append(track)
    division = timing.clock.divisor
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), division)
    return header + b"".join(track.chunk() for track in tracks)


def _conductor(notes: Notes, timing: _Timing) -> _Track:
    track = _Track()
    clock = timing.clock
    if clock.given:
        for tick, us in zip(clock.tick.tolist(), clock.us.tolist(), strict=True):
            track.add(tick, DESCRIPTION, _meta(TEMPO, us.to_bytes(3, "big")))
    elif not timing.stated:
        track.add(0, DESCRIPTION, _meta(SEQUENCER_SPECIFIC, tempo_meta(notes.tempo)))
    for meter in notes.meters:
        if not (0 < meter.numerator < 256 and meter.denominator.bit_count() == 1):
            continue
        power = meter.denominator.bit_length() - 1
        data = bytes([meter.numerator, power, 24, 8])
        track.add(timing.tick(meter.second), DESCRIPTION, _meta(METER, data))
    return track


def _described(own: OwnPart) -> _Track:
    """A track with the name, port, bank and program of its part."""
    track = _Track()
    part = own.part
    if part.port:
        track.add(0, DESCRIPTION, _meta(PORT, bytes([part.port])))
    if part.name:
        track.add(0, DESCRIPTION, _meta(TRACK_NAME, part.name.encode("utf-8", "replace")))
    track.add(0, DESCRIPTION, _meta(SEQUENCER_SPECIFIC, part_meta(own)))
    for message in _sound(part, own.channel):
        track.add(0, DESCRIPTION, message)
    return track


def _sound(part: Part, channel: int) -> Iterator[bytes]:
    if part.bank is not None:
        yield bytes([0xB0 | channel, BANK_MSB, part.bank >> 7])
        yield bytes([0xB0 | channel, BANK_LSB, part.bank & 0x7F])
    yield bytes([0xC0 | channel, part.program])


def _sharing(parts: tuple[Part, ...], channels: dict[int, int]) -> set[OwnPart]:
    """Parts that share their channel in the file with a part of another sound."""
    sounds: dict[tuple[int, int], set[tuple[int, int | None]]] = defaultdict(set)
    for number, channel in channels.items():
        part = parts[number]
        sounds[part.port, channel].add((part.program, part.bank))
    return {
        OwnPart(number, parts[number], channel)
        for number, channel in channels.items()
        if len(sounds[parts[number].port, channel]) > 1
    }


def _add_changes(track: _Track, notes: Notes, number: int, timing: _Timing, channels: dict[int, int]) -> None:
    """Changes of program before the notes of a part, wherever another part may have set its own."""
    part = notes.parts[number]
    beside = [
        i
        for i, channel in channels.items()
        if channel == channels[number] and notes.parts[i].port == part.port
    ]
    others = np.unique(timing.start[np.isin(notes.part, [i for i in beside if i != number])])
    own = np.unique(timing.start[notes.part == number])
    passed = np.searchsorted(others, own, "right")  # changes by others up to each own tick
    changed = np.append(True, passed[1:] > passed[:-1])
    at_once = np.isin(own, others)
    for tick in own[changed | at_once].tolist():
        for message in _sound(part, channels[number]):
            track.add(tick, SOUND, message)


def _add_notes(track: _Track, notes: Notes, which: IntArray, timing: _Timing, channel: int) -> None:
    columns = (timing.start[which], timing.end[which], notes.pitch[which], notes.velocity[which])
    for start, end, key, force in zip(*(column.tolist() for column in columns), strict=True):
        on, off = bytes([0x90 | channel, key, force]), bytes([0x80 | channel, key, 0])
        if start == end:
            track.add(start, INSTANT, on)
            track.add(start, INSTANT, off)
        else:
            track.add(start, ON, on)
            track.add(end, OFF, off)


def _pedals_by_channel(pedal: Pedal) -> dict[int, IntArray]:
    return {number: np.flatnonzero(pedal.channel == number) for number in np.unique(pedal.channel).tolist()}


def _add_pedal(track: _Track, pedal: Pedal, which: IntArray | None, timing: _Timing, channel: int) -> None:
    if which is None:
        return
    columns = (pedal.second[which], pedal.controller[which], pedal.value[which])
    for second, controller, value in zip(*(column.tolist() for column in columns), strict=True):
        track.add(timing.tick(second), PEDAL, bytes([0xB0 | channel, controller, value]))


def _layers(start: IntArray, end: IntArray, pitch: list[int]) -> IntArray:
    """Smallest number for each note [n] such that notes of one key and number do not overlap."""
    busy: dict[int, list[tuple[int, int]]] = defaultdict(list)  # ends and numbers in use, by key
    free: dict[int, list[int]] = defaultdict(list)
    layers = np.zeros(len(pitch), dtype=np.int64)
    starts, ends = start.tolist(), end.tolist()
    for i, key in enumerate(pitch):
        in_use, unused = busy[key], free[key]
        while in_use and in_use[0][0] <= starts[i]:
            heapq.heappush(unused, heapq.heappop(in_use)[1])
        layers[i] = heapq.heappop(unused) if unused else len(in_use)
        heapq.heappush(in_use, (ends[i], int(layers[i])))
    return layers


def _write_whole(path: str, data: bytes) -> None:
    """Write beside the target and rename, so that nobody ever sees half a file."""
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", folder)
    beside = f"{path}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
