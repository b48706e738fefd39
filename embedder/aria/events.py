"""The channel messages and tempos of a MIDI file as arrays, with nothing tidied up.

Aria's tokens depend on the order of messages at one tick, which the readers of `Notes` do not keep. So
this one reads the bytes themselves: a regular expression cuts a track into messages, numpy decodes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..midi.container import parse_header, unwrap

__all__ = ["Events", "read_events"]

IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]

MOST_EVENTS = 8_000_000
MOST_AT_ONCE = 200_000  # messages cut in one go, which bounds the memory of the cutting

_GAP = rb"[\x80-\xff]{0,3}[\x00-\x7f]"
_MESSAGE = (
    _GAP + rb"(?:[\x80-\xef](?:(?<=[\xc0-\xdf])[\x00-\x7f]|(?<![\xc0-\xdf])[\x00-\x7f]{2})|[\x00-\x7f]{2})"
)
# A stretch of messages of which those without a status byte have two bytes of data: behind a message of one
# byte (programs, pressure) a status must follow, or the stretch ends before it.
_STRETCH = re.compile(
    rb"(?:" + _GAP + rb"(?:[\x80-\xef](?:(?<=[\xc0-\xdf])[\x00-\x7f](?=" + _GAP + rb"[\x80-\xff]|\Z)"
    rb"|(?<![\xc0-\xdf])[\x00-\x7f]{2})|[\x00-\x7f]{2})){0,%d}+" % MOST_AT_ONCE
)
_MESSAGES = re.compile(_MESSAGE)

_HIGH = bytes(range(0x80, 0x100))
META, TEMPO = 0xFF, 0x51
# Kinds of meta events that mido knows. It forgets the time before any other, so the reference does too.
_TIMED_META = frozenset([*range(0x08), 0x09, 0x20, 0x21, 0x2F, 0x51, 0x54, 0x58, 0x59, 0x7F])
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}


@dataclass(frozen=True)
class Events:
    """Channel messages of all tracks in file order, and the tempos.

    Attributes
    ----------
    tick : int64 [n], ticks from the start
    status : uint8 [n], kind and channel, 0x80..0xEF
    data1, data2 : uint8 [n]; `data2` says nothing where the kind has one byte of data
    track : int64 [n]
    tempo_tick, tempo_us : int64 [k], in order of tracks, microseconds a beat
    ticks_per_beat : ticks a second where `is_smpte`
    """

    tick: IntArray
    status: ByteArray
    data1: ByteArray
    data2: ByteArray
    track: IntArray
    tempo_tick: IntArray
    tempo_us: IntArray
    ticks_per_beat: float
    is_smpte: bool


def read_events(data: bytes) -> Events:
    """Read the bytes of a MIDI file.

    Raises
    ------
    MidiError
        If they are no sound MIDI file, or hold more than `MOST_EVENTS` messages.
    """
    data = unwrap(data)
    header = parse_header(data)
    raw = np.frombuffer(data, np.uint8)
    at = 8 + int.from_bytes(data[4:8], "big")
    tracks: list[_Track] = []
    count = 0
    for _ in range(header.tracks):
        if data[at : at + 4] != b"MTrk":
            raise MidiError("damaged MIDI: fewer tracks than the header states, or something between them")
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        begin, at = at + 8, at + 8 + size
        if at > len(data):
            raise MidiError("ends in the middle: the file is cut short or states wrong lengths")
        tracks.append(_Track(data, begin, at).decoded(raw))
        count += len(tracks[-1].tick)
        if count > MOST_EVENTS:
            raise MidiError(f"has more messages than the limit of {MOST_EVENTS:,}")
    ticks_per_beat = _division(data)
    tempo_tick = np.concatenate([track.tempo_tick for track in tracks])
    tempo_us = np.concatenate([track.tempo_us for track in tracks])
    return Events(
        tick=np.concatenate([track.tick for track in tracks]),
        status=np.concatenate([track.status for track in tracks]),
        data1=np.concatenate([track.data1 for track in tracks]),
        data2=np.concatenate([track.data2 for track in tracks]),
        track=np.repeat(np.arange(len(tracks)), [len(track.tick) for track in tracks]),
        tempo_tick=tempo_tick,
        tempo_us=tempo_us,
        ticks_per_beat=ticks_per_beat,
        is_smpte=header.is_smpte,
    )


def _division(data: bytes) -> float:
    division = int.from_bytes(data[12:14], "big", signed=True)
    if division > 0:
        return float(division)
    frames, ticks_per_frame = -(division >> 8), division & 0xFF
    if not ticks_per_frame:
        raise MidiError("damaged MIDI: no ticks in a frame")
    return (30_000 / 1001 if frames == 29 else frames) * ticks_per_frame


@dataclass
class _Track:
    """One track: first where its messages begin, then what they say."""

    data: bytes
    begin: int
    end: int
    starts: list[IntArray] = field(default_factory=list)
    count: int = 0
    # Ticks before messages that are not kept: (kept messages before it, all such ticks up to here).
    waits: list[tuple[int, int]] = field(default_factory=list)
    waited: int = 0
    tempos: list[tuple[int, int, int]] = field(default_factory=list)

    tick: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    status: ByteArray = field(default_factory=lambda: np.empty(0, np.uint8))
    data1: ByteArray = field(default_factory=lambda: np.empty(0, np.uint8))
    data2: ByteArray = field(default_factory=lambda: np.empty(0, np.uint8))
    tempo_tick: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    tempo_us: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def decoded(self, raw: ByteArray) -> _Track:
        self._cut()
        at = np.concatenate([np.empty(0, np.int64), *self.starts])
        gap = np.zeros(len(at), np.int64)
        more = np.ones(len(at), np.bool_)
        for _ in range(4):
            if not more.any():
                break
            byte = raw[at]
            gap = np.where(more, gap << 7 | (byte & np.int64(0x7F)), gap)
            at = at + more
            more &= byte > 0x7F
        first = raw[at]
        stated = first > 0x7F
        held = np.maximum.accumulate(np.where(stated, np.arange(len(at)), -1))
        self.status = first[held]
        at = at + stated
        self.data1 = raw[at]
        self.data2 = raw[np.minimum(at + 1, len(raw) - 1)]  # the last message may have one byte of data
        passed = np.cumsum(gap)
        extra = np.zeros(len(gap) + 1, np.int64)
        for before, total in self.waits:
            extra[before] = total
        self.tick = passed + np.maximum.accumulate(extra)[: len(gap)]
        passed = np.append(0, passed)
        self.tempo_tick = np.array([passed[n] + waited for n, waited, _ in self.tempos], np.int64)
        self.tempo_us = np.array([tempo for _, _, tempo in self.tempos], np.int64)
        return self

    def _cut(self) -> None:
        """Find where messages begin."""
        at, running = self.begin, 0
        while at < self.end:
            if running and not 0xC0 <= running < 0xE0:
                stretch = _STRETCH.match(self.data, at, self.end)
                if stretch is not None and stretch.end() > at:
                    at, running = self._keep_stretch(at, stretch.end(), running)
                    continue
            at, running = self._step(at, running)

    def _keep_stretch(self, at: int, end: int, running: int) -> tuple[int, int]:
        """Keep messages that were matched; the place behind them, and the status that then holds."""
        messages = _MESSAGES.findall(self.data, at, end)
        lengths = np.fromiter(map(len, messages), np.int64)
        self.starts.append(at + np.cumsum(lengths) - lengths)
        self.count += len(messages)
        for message in reversed(messages):
            status = message.lstrip(_HIGH)[1:2]  # behind the last byte of the gap
            if status > b"\x7f":
                return end, status[0]
        return end, running

    def _step(self, at: int, running: int) -> tuple[int, int]:
        """Take the one message at a place; the place behind it, and the status that then holds."""
        data, begin = self.data, at
        gap, at = self._number(at)
        status = self._byte(at)
        if status < 0x80:
            if not 0x80 <= running < 0xF0:
                raise MidiError("damaged MIDI: a message without a status")
            status = running
        else:
            at += 1
        if status < 0xF0:
            self.starts.append(np.array([begin]))
            self.count += 1
            at += 1 if 0xC0 <= status < 0xE0 else 2
            if at > self.end or max(data[at - 1], self._byte(at - 1)) > 0x7F:
                raise MidiError("damaged MIDI: data of more than seven bits")
            return at, status
        kind = self._byte(at) if status == META else 0
        if status in (META, 0xF0, 0xF7):
            size, at = self._number(at + (status == META))
        elif status in _SYSTEM_DATA:
            size = _SYSTEM_DATA[status]
        else:
            raise MidiError(f"damaged MIDI: no message has the status {status:#x}")
        if status != META or kind in _TIMED_META:
            self.waited += gap
            self.waits.append((self.count, self.waited))
        if status == META and kind == TEMPO:
            if size < 3:
                raise MidiError("damaged MIDI: a tempo that is cut short")
            self.tempos.append((self.count, self.waited, int.from_bytes(data[at : at + 3], "big")))
        if at + size > self.end:
            raise MidiError("damaged MIDI: a message runs over the end of its track")
        return at + size, running if status == META else status

    def _byte(self, at: int) -> int:
        if at >= self.end:
            raise MidiError("damaged MIDI: a message runs over the end of its track")
        return self.data[at]

    def _number(self, at: int) -> tuple[int, int]:
        """A number in groups of seven bits, at most four, and the place behind it."""
        value = 0
        for _ in range(4):
            byte = self._byte(at)
            value, at = value << 7 | byte & 0x7F, at + 1
            if byte < 0x80:
                return value, at
        raise MidiError("damaged MIDI: a number of more than four bytes")
