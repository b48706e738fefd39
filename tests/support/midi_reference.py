"""A second reading of MIDI files, by mido and plain loops, to hold the reader of midikin against.

It knows programs, banks, ports and the controllers that end notes, and no exclusive messages. Slow, and
strict where mido is.
"""

from __future__ import annotations

import io
from collections import defaultdict, deque
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

import mido

__all__ = ["ReferenceNote", "reference_notes"]

GRID_HZ = 50_000


@dataclass(frozen=True, order=True)
class ReferenceNote:
    """A note in steps of the grid, with what plays it."""

    onset: int
    duration: int
    pitch: int
    velocity: int
    track: int
    channel: int
    program: int
    bank: int | None


@cache
def _know_all_meta_events() -> None:
    """Tell mido of every meta event: it loses the time before one of a type that it does not know."""
    from mido.midifiles import meta

    for number in range(256):
        if number not in meta._META_SPECS:
            meta.add_meta_spec(type(f"MetaSpec_meta_{number}", (_OtherMeta,), {"type_byte": number}))


class _OtherMeta:
    attributes: ClassVar = ["data"]
    defaults: ClassVar = [()]

    def decode(self, message: Any, data: Any) -> None:
        message.data = tuple(data)

    def encode(self, message: Any) -> list[int]:
        return list(message.data)

    def check(self, name: str, value: Any) -> None:
        """Anything goes."""


def reference_notes(data: bytes) -> list[ReferenceNote]:
    """Notes of a file of Type 0 or 1 whose ticks divide a beat, sorted."""
    _know_all_meta_events()
    midi = mido.MidiFile(file=io.BytesIO(data), clip=True)
    assert midi.type < 2
    assert midi.ticks_per_beat > 0
    messages = []  # in the order in which they act: by time, then by track
    for number, track in enumerate(midi.tracks):
        tick = 0
        for message in track:
            tick += message.time
            messages.append((tick, number, message))
            if message.type == "end_of_track":
                break
    closings = _closings(messages)
    seconds = _Clock(
        [(tick, m.tempo) for tick, _, m in messages if m.type == "set_tempo"], midi.ticks_per_beat
    )
    rows = []
    for number in range(len(midi.tracks)):
        own = [(tick, message) for tick, track, message in messages if track == number]
        rows += _notes_of_track(number, own, closings)
    if not rows:
        return []
    programs = _Programs(messages)
    first = min(seconds(start) for start, *_ in rows)
    notes = []
    for start, end, pitch, velocity, track, channel, index in rows:
        onset = seconds.step(first) + seconds.step(seconds(start) - first)
        stop = seconds.step(first) + seconds.step(seconds(end) - first)
        program, bank = programs(start, track, channel, index)
        notes.append(
            ReferenceNote(onset, max(stop - onset, 1), pitch, velocity, track, channel, program, bank)
        )
    return sorted(notes, key=lambda note: (note.onset, note.pitch, note.duration, note.velocity))


class _Clock:
    def __init__(self, tempos: list[tuple[int, int]], division: int) -> None:
        self._tempos = sorted(((t, us) for t, us in tempos if us > 0), key=lambda pair: pair[0])
        self._division = division
        self._known: dict[int, Fraction] = {}

    def __call__(self, tick: int) -> Fraction:
        """Exact seconds."""
        if tick not in self._known:
            now, tempo, total = 0, 500_000, 0
            for at, us in self._tempos:
                if at > tick:
                    break
                total += (at - now) * tempo
                now, tempo = at, us
            total += (tick - now) * tempo
            self._known[tick] = Fraction(total, self._division * 1_000_000)
        return self._known[tick]

    @staticmethod
    def step(seconds: Fraction) -> int:
        return int((2 * seconds * GRID_HZ + 1) // 2)


def _ports(messages: list[tuple[int, int, Any]]) -> dict[int, int]:
    return {track: message.port & 0x7F for _, track, message in messages if message.type == "midi_port"}


def _closings(messages: list[tuple[int, int, Any]]) -> dict[tuple[int, int], list[tuple[int, int, Any]]]:
    """Events that end all notes, by port and channel."""
    ports = _ports(messages)
    closings = defaultdict(list)
    for tick, track, message in messages:
        if message.type == "control_change" and (message.control == 120 or message.control >= 123):
            closings[ports.get(track, 0), message.channel].append((tick, track, message))
    return closings


def _notes_of_track(
    number: int,
    own: list[tuple[int, Any]],
    closings: dict[tuple[int, int], list[tuple[int, int, Any]]],
) -> list[tuple[int, int, int, int, int, int, int]]:
    port = next((m.port & 0x7F for _, m in reversed(own) if m.type == "midi_port"), 0)
    rows = []
    open_notes: dict[tuple[int, int], deque[tuple[int, int, int]]] = defaultdict(deque)
    waiting = {
        channel: deque(
            sorted((tick for tick, track, _ in closings.get((port, channel), []) if track != number))
        )
        for channel in range(16)
    }

    def close(channel: int, tick: int) -> None:
        for (of_channel, key), notes in open_notes.items():
            while of_channel == channel and notes:
                start, velocity, index = notes.popleft()
                rows.append((start, tick, key, velocity, number, channel, index))

    for index, (tick, message) in enumerate(own):
        channel = getattr(message, "channel", None)
        if channel is None:
            continue
        while waiting[channel] and waiting[channel][0] <= tick:
            close(channel, waiting[channel].popleft())
        if message.type == "note_on" and message.velocity > 0:
            open_notes[channel, message.note].append((tick, message.velocity, index))
        elif message.type in ("note_on", "note_off"):
            notes = open_notes[channel, message.note]
            if notes:
                start, velocity, begun = notes.popleft()
                rows.append((start, tick, message.note, velocity, number, channel, begun))
        elif message.type == "control_change" and (message.control == 120 or message.control >= 123):
            close(channel, tick)
    for channel, ticks in waiting.items():
        while ticks:
            close(channel, ticks.popleft())
    return rows


class _Programs:
    def __init__(self, messages: list[tuple[int, int, Any]]) -> None:
        ports = _ports(messages)
        index: dict[int, int] = defaultdict(int)
        events = []
        for tick, track, message in messages:
            if message.type == "program_change" or (
                message.type == "control_change" and message.control in (0, 32)
            ):
                events.append((tick, track, index[track], message))
            index[track] += 1
        events.sort(key=lambda event: event[0])
        bank: dict[tuple[int, int], list[int | None]] = defaultdict(lambda: [None, None])
        self._ports = ports
        self._changes: dict[tuple[int, int], list[tuple[int, int, int, int, int | None]]] = defaultdict(list)
        for tick, track, at, message in events:
            key = ports.get(track, 0), message.channel
            if message.type == "control_change":
                bank[key][message.control == 32] = message.value
                continue
            msb, lsb = bank[key]
            number = None if msb is None and lsb is None else (msb or 0) * 128 + (lsb or 0)
            self._changes[key].append((tick, track, at, message.program, number))

    def __call__(self, tick: int, track: int, channel: int, index: int) -> tuple[int, int | None]:
        best = None
        for change in self._changes[self._ports.get(track, 0), channel]:
            own = change[1] == track
            if (change[2] < index) if own else (change[0] <= tick):
                rank = (change[0], own)
                if best is None or rank >= best[0]:
                    best = rank, change
        return (0, None) if best is None else (best[1][3], best[1][4])
