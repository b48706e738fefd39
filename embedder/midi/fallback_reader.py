"""The patient reader: mido, for what symusic refuses (SMPTE division, Type 2, odd or damaged files)."""

from __future__ import annotations

import io
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np

from ..core.errors import MidiError
from .ticks import NoteTicks, PedalTicks, TempoMap, TickScore

__all__ = ["CHANNELS", "read_with_mido"]

SUSTAIN = 64  # number of the controller
DRUM_CHANNEL = 9  # counted from 0
CHANNELS = 16  # lines a track: the line of a note is its track's number times this, and its channel


def read_with_mido(data: bytes, *, most_notes: int, deadline_s: float) -> list[TickScore]:
    """Ticks of a file of any type and division: one score, or one a pattern for Type 2.

    Raises
    ------
    MidiError
        Where mido raises, or has not finished after `deadline_s` seconds.
    """
    import mido

    _know_all_meta_events()
    source = _Source(data, time.monotonic() + deadline_s)
    try:
        midi = mido.MidiFile(file=source, clip=True)
    except _TooSlow:
        raise MidiError(f"damaged or odd, and not read within {deadline_s:g} s") from None
    except EOFError:
        raise MidiError("ends in the middle: the file is cut short or states wrong lengths") from None
    except Exception as error:  # mido's own checks end in many kinds of errors, from KeyError to struct.error
        raise MidiError(f"damaged MIDI: {str(error)[:200] or type(error).__name__}") from None
    groups = [[track] for track in midi.tracks] if midi.type == 2 else [midi.tracks]
    scores: list[TickScore] = []
    before = 0
    for group in groups:
        collected = _Collector()
        for number, track in enumerate(group):
            collected.take(number, track)
            if before + len(collected.notes) > most_notes:
                raise MidiError(f"has more notes than the limit of {most_notes:,}")
        before += len(collected.notes)
        scores.append(collected.score(midi.ticks_per_beat))
    return scores


@cache
def _know_all_meta_events() -> None:
    """Tell mido of every meta event: it loses the time before one of a type that it does not know."""
    from mido.midifiles import meta

    for number in range(256):
        if number not in meta._META_SPECS:
            meta.add_meta_spec(type(f"MetaSpec_meta_{number}", (_OtherMeta,), {"type_byte": number}))


class _OtherMeta:
    """What mido wants to know of a meta event: its bytes are kept as they are."""

    attributes: ClassVar = ["data"]
    defaults: ClassVar = [()]

    def decode(self, message: Any, data: Any) -> None:
        message.data = tuple(data)

    def encode(self, message: Any) -> list[int]:
        return list(message.data)

    def check(self, name: str, value: Any) -> None:
        """Anything goes."""


class _TooSlow(Exception):
    pass


class _Source(io.BytesIO):
    """Bytes that stop being readable at a deadline: mido reads them one by one, for minutes if need be."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads % 1024 == 0 and time.monotonic() > self._deadline:
            raise _TooSlow
        return super().read(size)


@dataclass
class _Collector:
    """Notes, pedals and tempos of the tracks of one score."""

    notes: list[tuple[int, int, int, int, int, bool, int]] = field(default_factory=list)
    pedals: list[tuple[int, bool, int]] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    end_tick: int = 0

    def take(self, number: int, track: Any) -> None:
        """Add one track; a note-off ends the earliest open note of its key and channel."""
        tick = 0
        program: dict[int, int] = defaultdict(int)
        sounding: dict[tuple[int, int], deque[tuple[int, int, int]]] = defaultdict(deque)
        for message in track:
            tick += message.time
            kind = message.type
            if kind == "note_on" and message.velocity > 0:
                channel = message.channel
                sounding[channel, message.note].append((tick, message.velocity, program[channel]))
            elif kind in ("note_on", "note_off"):
                channel = message.channel
                opened = sounding[channel, message.note]
                if opened:
                    start, velocity, of_program = opened.popleft()
                    drum = channel == DRUM_CHANNEL
                    line = number * CHANNELS + channel
                    self.notes.append((start, tick, message.note, velocity, of_program, drum, line))
            elif kind == "control_change" and message.control == SUSTAIN:
                self.pedals.append((tick, message.value >= 64, number * CHANNELS + message.channel))
            elif kind == "program_change":
                program[message.channel] = message.program
            elif kind == "set_tempo":
                self.tempos.append((tick, message.tempo))
        self.end_tick = max(self.end_tick, tick)

    def score(self, division: int) -> TickScore:
        """The arrays; `division` as in the header, negative for SMPTE."""
        if self.end_tick > 2**53:
            raise MidiError("damaged MIDI: its times are absurd")
        columns = np.array(self.notes, dtype=np.int64).reshape(-1, 7).T
        start, end, pitch, velocity, program, drum, line = columns
        tick, down, pedal_line = np.array(self.pedals, dtype=np.int64).reshape(-1, 3).T
        return TickScore(
            NoteTicks(start, end, pitch, velocity, program, drum > 0, line),
            PedalTicks(tick, down > 0, pedal_line),
            self._tempo(division),
            self.end_tick,
        )

    def _tempo(self, division: int) -> TempoMap:
        if division < 0:
            frames, ticks_per_frame = -(division >> 8), division & 0xFF
            if not ticks_per_frame:
                raise MidiError("damaged MIDI: no ticks in a frame")
            # 29 stands for the 29.97 frames a second of drop-frame time code
            return TempoMap.of_rate((30_000 / 1001 if frames == 29 else frames) * ticks_per_frame)
        tick, tempo_us = np.array(self.tempos, dtype=np.int64).reshape(-1, 2).T
        return TempoMap.of_tempos(tick, tempo_us, division)
