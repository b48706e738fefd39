"""What the channels play: program, bank and drums at the time of every note, and so its part.

Drums are channel 10, and any channel that is made a rhythm part: by an exclusive message of Roland's GS ("use
for rhythm part") or Yamaha's XG ("part mode"), by bank 127 (or 126, effects) of XG or bank 120 of General
MIDI 2. The same messages, and bank 121 of General MIDI 2, make channel 10 melodic.

Programs act on a channel whatever their track, from their time on; of changes at one time that of the note's
own track counts, because scores are written with all their tracks on one channel.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..notes import MAX_PARTS, Part
from .events import EXCLUSIVE, Events
from .general_midi import DRUM_CHANNEL
from .own_meta import OwnPart

__all__ = ["PATTERN", "channels_of", "parts_of_notes"]

IntArray = NDArray[np.int64]

PORT = 0x21
PATTERN = 16 * 128
BANK_MSB, BANK_LSB = 0, 32
XG_DRUM_BANK, XG_EFFECTS_BANK, GM2_DRUM_BANK, GM2_MELODIC_BANK = 127, 126, 120, 121


def channels_of(events: Events, message: IntArray) -> IntArray:
    """Channel 0..15 of messages [n], 16 higher for each further port that their track names.

    Those of different tracks of a file of Type 2 differ by multiples of `PATTERN`. In a file that midikin
    wrote, they are those of the parts.
    """
    channel = (events.status[message] & 0x0F).astype(np.int64)
    if events.header.type == 2:  # every track is a piece of its own
        channel += events.track[message] * PATTERN
    ports = _ports(events)
    if any(ports.values()):
        of_track = np.zeros(len(events.end_tick), np.int64)
        for track, port in ports.items():
            of_track[track] = port
        channel += of_track[events.track[message]] * 16
    for track, own in events.own.items():
        if own.part.channel is not None:
            channel[events.track[message] == track] = own.part.port * 16 + own.part.channel
    return channel


def _ports(events: Events) -> dict[int, int]:
    """Port of each track that names one."""
    return {event.track: event.data[0] & 0x7F for event in events.meta(PORT) if event.data}


@dataclass
class _Programs:
    """Changes of program on one channel, in time: where each stands and what it sets."""

    tick: list[int] = field(default_factory=list)
    track: list[int] = field(default_factory=list)
    message: list[int] = field(default_factory=list)
    sound: list[tuple[int, int | None]] = field(default_factory=list)  # program and bank

    def at(self, track: int, message: IntArray, tick: IntArray) -> IntArray:
        """Number of the change that holds at each message of a track; -1 before the first."""
        if not self.tick:
            return np.full(len(message), -1)
        ticks, tracks = np.array(self.tick), np.array(self.track)
        if (
            len(ticks) == 1
            and ticks[0] <= tick.min()
            and (tracks[0] != track or self.message[0] < message.min())
        ):
            return np.zeros(len(message), np.int64)
        own, others = np.flatnonzero(tracks == track), np.flatnonzero(tracks != track)
        last_own = np.append(-1, own)[np.searchsorted(np.array(self.message)[own], message)]
        if not len(others):
            return last_own
        last_other = np.append(-1, others)[np.searchsorted(ticks[others], tick, "right")]
        when = np.append(ticks, -1)  # number -1 finds the last
        return np.where(when[last_own] >= when[last_other], last_own, last_other)


@dataclass
class _Modes:
    """Changes of one channel between melody and drums, in time."""

    tick: list[int] = field(default_factory=list)
    drums: list[bool] = field(default_factory=list)

    def at(self, tick: IntArray, default: bool) -> NDArray[np.bool_]:
        if not self.tick:
            return np.full(len(tick), default)
        states = np.array([default, *self.drums])
        return states[np.searchsorted(np.array(self.tick, np.int64), tick, "right")]


def parts_of_notes(
    events: Events, begin: IntArray, names: dict[int, str]
) -> tuple[IntArray, tuple[Part, ...], IntArray]:
    """Part of each note.

    A part is what one track plays on one channel with one program and bank. Parts stand in the order of
    tracks, then channels, then their first notes.

    Parameters
    ----------
    begin : int64 [k], messages that begin the notes
    names : of tracks

    Returns
    -------
    part : int64 [k], number of each note's part
    parts : the parts
    channel_of_part : int64 [p]

    Raises
    ------
    MidiError
        If there are more parts than `Notes` can number.
    """
    programs, modes = _programs(events), _modes(events)
    is_xg_bank = _knows_xg_banks(events)
    part = np.zeros(len(begin), np.int64)
    parts: list[Part] = []
    channel_of_part: list[int] = []
    own_numbers: dict[int, int] = {}
    line = events.track[begin] << 32 | channels_of(events, begin)
    tick = events.tick[begin]
    numbers = np.unique(line).tolist() if len(line) and line.min() < line.max() else line[:1].tolist()
    for number in numbers:
        here = np.flatnonzero(line == number) if len(numbers) > 1 else slice(None)
        track, on_channel = number >> 32, number & 0xFFFFFFFF
        own = events.own.get(track)
        if own is not None and _is_unedited(events, track, own):
            part[here] = own_numbers.setdefault(own.number, len(parts))
            if own_numbers[own.number] == len(parts):
                parts.append(own.part)
                channel_of_part.append(on_channel)
            continue
        of_channel = programs.get(on_channel, _Programs())
        change = of_channel.at(track, begin[here], tick[here])
        mode = modes[on_channel].at(tick[here], on_channel % 16 == DRUM_CHANNEL)
        used, inverse = _in_order_of_time(change * 2 + mode, begin[here])
        number_of = np.zeros(len(used), np.int64)
        known: dict[Part, int] = {}
        for i, state in enumerate(used):
            at, drums = state >> 1, bool(state & 1)
            program, bank = of_channel.sound[at] if at >= 0 else (0, None)
            drums = _is_drums(bank, drums, is_xg_bank)
            port = on_channel % PATTERN // 16
            played = Part(names.get(track, ""), on_channel % 16, program, bank, drums, port)
            if played not in known:
                known[played] = len(parts)
                parts.append(played)
                channel_of_part.append(on_channel)
            number_of[i] = known[played]
        if len(parts) > MAX_PARTS:
            raise MidiError(f"has more than {MAX_PARTS:,} parts")
        part[here] = number_of[inverse]
    return part, tuple(parts), np.array(channel_of_part, np.int64)


def _is_unedited(events: Events, track: int, own: OwnPart) -> bool:
    """Whether a track that midikin wrote still has the program that it was written with, and no other."""
    of_track = slice(*np.searchsorted(events.track, [track, track + 1]).tolist())
    is_program = events.status[of_track] & 0xF0 == 0xC0
    return set(events.data1[of_track][is_program].tolist()) == {own.part.program}


def _in_order_of_time(state: IntArray, message: IntArray) -> tuple[list[int], IntArray]:
    """The different states of notes by their first message, and the number of each note's [n]."""
    if state.min() == state.max():
        return state[:1].tolist(), np.zeros(len(state), np.int64)
    used, inverse = np.unique(state, return_inverse=True)
    first = np.full(len(used), np.iinfo(np.int64).max)
    np.minimum.at(first, inverse, message)
    order = np.argsort(first)
    place = np.empty(len(used), np.int64)
    place[order] = np.arange(len(used))
    return used[order].tolist(), place[inverse]


def _is_drums(bank: int | None, mode: bool, is_xg_bank: tuple[bool, bool]) -> bool:
    msb = -1 if bank is None else bank >> 7
    of_xg = (msb == XG_DRUM_BANK and is_xg_bank[0]) or (msb == XG_EFFECTS_BANK and is_xg_bank[1])
    if msb == GM2_DRUM_BANK or of_xg:
        return True
    return mode and msb != GM2_MELODIC_BANK


def _programs(events: Events) -> dict[int, _Programs]:
    """Changes of program by channel; a bank holds from the program change behind it."""
    kind = events.status & 0xF0
    is_bank = (kind == 0xB0) & ((events.data1 == BANK_MSB) | (events.data1 == BANK_LSB))
    which = np.flatnonzero((kind == 0xC0) | is_bank)
    which = which[np.argsort(events.tick[which], kind="stable")]
    columns = (events.tick, events.track, kind, events.data1, events.data2)
    changes: dict[int, _Programs] = defaultdict(_Programs)
    bank: dict[int, list[int | None]] = defaultdict(lambda: [None, None])
    rows = [column[which].tolist() for column in columns]
    numbers = channels_of(events, which).tolist()
    for message, number, tick, track, sort, data1, data2 in zip(which.tolist(), numbers, *rows, strict=True):
        if sort == 0xB0:
            bank[number][data1 == BANK_LSB] = data2
            continue
        msb, lsb = bank[number]
        of_channel = changes[number]
        of_channel.tick.append(tick)
        of_channel.track.append(track)
        of_channel.message.append(message)
        stated = msb is not None or lsb is not None
        of_channel.sound.append((data1, (msb or 0) << 7 | (lsb or 0) if stated else None))
    return changes


def _modes(events: Events) -> dict[int, _Modes]:
    """Exclusive messages that make a channel a rhythm part or a melodic one, and resets."""
    modes: dict[int, _Modes] = defaultdict(_Modes)
    exclusive = [event for event in events.others if event.kind == EXCLUSIVE]
    if not exclusive:
        return modes
    ports = _ports(events)
    for event in sorted(exclusive, key=lambda event: event.tick):
        first = ports.get(event.track, 0) * 16
        if events.header.type == 2:
            first += event.track * PATTERN
        if _is_reset(event.data):
            for number, mode in modes.items():
                if number // 16 * 16 == first:
                    mode.tick.append(event.tick)
                    mode.drums.append(number % 16 == DRUM_CHANNEL)
            continue
        change = _gs_mode(event.data) or _xg_mode(event.data)
        if change is not None:
            mode = modes[first + change[0]]
            mode.tick.append(event.tick)
            mode.drums.append(change[1])
    return modes


def _is_gs(data: bytes) -> bool:
    """Whether this is a data set message of Roland's GS."""
    return len(data) >= 8 and data[0] == 0x41 and data[2:4] == b"\x42\x12"


def _is_reset(data: bytes) -> bool:
    general_midi = len(data) >= 4 and data[0] == 0x7E and data[2] == 0x09 and data[3] in (1, 3)
    gs = _is_gs(data) and data[4:7] == b"\x40\x00\x7f"
    return general_midi or gs or _is_xg_on(data)


def _is_xg_on(data: bytes) -> bool:
    return len(data) >= 7 and data[0] == 0x43 and data[2:6] == b"\x4c\x00\x00\x7e"


def _gs_mode(data: bytes) -> tuple[int, bool] | None:
    """Channel and whether it plays drums, of "use for rhythm part" (address 40 1x 15)."""
    if not (_is_gs(data) and data[4] == 0x40 and data[5] >> 4 == 1 and data[6] == 0x15):
        return None
    block = data[5] & 0x0F  # block 0 is channel 10, those up to it are one behind
    return DRUM_CHANNEL if block == 0 else block - 1 if block <= DRUM_CHANNEL else block, data[7] > 0


def _xg_mode(data: bytes) -> tuple[int, bool] | None:
    """Channel and whether it plays drums, of "part mode" (address 08 pp 07)."""
    if not (len(data) >= 7 and data[0] == 0x43 and data[1] >> 4 == 1 and data[2:4] == b"\x4c\x08"):
        return None
    return (data[4] & 0x0F, data[6] > 0) if data[5] == 0x07 and data[4] < 16 else None


def _knows_xg_banks(events: Events) -> tuple[bool, bool]:
    """Whether bank 127 means drums (it means tones of the MT-32 in GS), and bank 126 effects."""
    data = [event.data for event in events.others if event.kind == EXCLUSIVE]
    xg = any(map(_is_xg_on, data))
    return xg or not any(map(_is_gs, data)), xg
