"""Reading a MIDI file: bytes or a path in, notes out, and one exception for whatever is wrong.

What is kept
------------
All notes that end, drums among them, each in its part; the tempo map, time signatures and pedals. A note-off
ends the earliest open note of its key, channel and track; a note never ended is dropped. Tempos of all tracks
count for all tracks. The patterns of a file of Type 2 follow one another. The pedal is folded into the
durations only if asked for, so that a score and a performance of it stay comparable.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..notes import GRID_HZ, Meter, Notes, Pedal, TempoMap
from .channel_state import PATTERN, parts_of_notes
from .events import Events, read_events
from .files import load_bytes, printable
from .own_meta import own_tempo
from .pairing import pair_notes
from .pedals import PedalTicks, pedalled_ends, read_pedals
from .ticks import TEMPO, TickClock
from .titles import composer_of, title_of, track_names

__all__ = ["Limits", "MidiFile", "load", "parts_of", "printable", "read_midi", "read_piece"]

IntArray = NDArray[np.int64]

METER = 0x58
MAX_DENOMINATOR = 7  # as a power of two


@dataclass(frozen=True)
class MidiFile:
    """What a file says.

    Attributes
    ----------
    notes : at least one
    tempo_bpm : beats a minute, the mean over the span of the notes; None if the file states no tempo
    title : name of the piece, None if the file does not say
    composer : None if the file does not plainly say
    partly_read : what of the file could not be read; None if all of it was
    """

    notes: Notes
    tempo_bpm: float | None
    title: str | None
    composer: str | None = None
    partly_read: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a file may hold at most; more is refused with a `MidiError`."""

    size_bytes: int = 64 * 2**20
    tracks: int = 1_024
    notes: int = 2_000_000
    duration_s: float = 24 * 3600.0
    tempos: int = 1_000_000
    patient_s: float | None = None  # no longer used: nothing is measured by the clock
    events: int = 8_000_000


@dataclass(frozen=True)
class _Selection:
    """Which notes are kept; see `read_piece`."""

    sustain: bool = False
    drums: bool = True
    programs: Collection[int] | None = None

    def __call__(self, notes: Notes) -> Notes:
        if self.drums and self.programs is None:
            return notes
        programs = range(128) if self.programs is None else self.programs
        kept = [self.drums if part.drums else part.program in programs for part in notes.parts]
        return notes if all(kept) else notes.select(np.array(kept, np.bool_)[notes.part])


def read_midi(
    source: str | os.PathLike[str] | bytes,
    *,
    sustain: bool = False,
    drums: bool = True,
    programs: Collection[int] | None = None,
    limits: Limits | None = None,
) -> Notes:
    """Notes of a MIDI file; parameters and errors as for `read_piece`."""
    return read_piece(source, sustain=sustain, drums=drums, programs=programs, limits=limits).notes


def read_piece(
    source: str | os.PathLike[str] | bytes,
    *,
    sustain: bool = False,
    drums: bool = True,
    programs: Collection[int] | None = None,
    limits: Limits | None = None,
) -> MidiFile:
    """Read a MIDI file.

    Parameters
    ----------
    source : path of a file, or the bytes of one
    sustain : fold the pedals in: notes last until the pedal lifts or their key is struck again
    drums : keep the drum notes (whatever `programs` says)
    programs : General MIDI programs (0..127) to keep; None keeps all
    limits : what to refuse; None for the defaults

    Raises
    ------
    MidiError
        With the reason, whatever is wrong with the file, its contents or its path.
    """
    limits = limits or Limits()
    selection = _Selection(sustain, drums, None if programs is None else frozenset(programs))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _parse(bytes(source), selection, limits)
    data, _ = load(source, limits)
    try:
        return _parse(data, selection, limits)
    except MidiError as error:
        raise MidiError(error.reason, printable(source)) from None


def load(path: str | os.PathLike[str], limits: Limits) -> tuple[bytes, os.stat_result]:
    """Bytes of a regular file, and its status when it was opened; raises MidiError as `load_bytes`."""
    return load_bytes(path, limits.size_bytes)


def parts_of(notes: Notes, path: str | os.PathLike[str]) -> NDArray[np.int64] | None:
    """The part of each of these notes in a file, int64 [n], for notes that were stored without parts.

    `notes` are of this file, all or some of them. None where it cannot be read or lacks one of them, as when
    it was changed or moved since.
    """
    try:
        whole = read_midi(path)
    except MidiError:
        return None
    keys, own = _key(whole), _key(notes)
    at = np.searchsorted(keys, own) + np.arange(len(own)) - np.searchsorted(own, own)
    at = np.minimum(at, len(keys) - 1)
    if not np.array_equal(keys[at], own):
        return None
    parts: NDArray[np.int64] = whole.part[at].astype(np.int64)
    return parts


def _key(notes: Notes) -> IntArray:
    """Onset and pitch as one number, in the order of the notes."""
    return np.rint(notes.onset * GRID_HZ).astype(np.int64) * 128 + notes.pitch


def _parse(data: bytes, selection: _Selection, limits: Limits) -> MidiFile:
    if len(data) > limits.size_bytes:
        raise MidiError(f"is larger than the limit of {limits.size_bytes:,} bytes")
    if len(data) > 4 * limits.tempos:  # counted without parsing, which would take long
        _check_tempos(data.count(b"\xff\x51\x03"), limits)
    events = read_events(data, max_tracks=limits.tracks, max_events=limits.events)
    notes, clocks = _notes(events, selection, limits)
    kept = selection(notes)
    if not len(kept):
        if events.damage and not len(notes):
            raise MidiError(f"damaged MIDI: {events.damage}")
        raise MidiError(_why_empty(notes, selection))
    return MidiFile(
        notes=kept,
        tempo_bpm=_mean_bpm(clocks, kept),
        title=title_of(events),
        composer=composer_of(events),
        partly_read=events.damage,
    )


def _check_tempos(count: int, limits: Limits) -> None:
    if count > limits.tempos:
        raise MidiError(f"has {count:,} changes of tempo, more than the limit of {limits.tempos:,}")


@dataclass(frozen=True)
class _Pattern:
    """Tracks that play together: all of a file, or each of Type 2 in its turn.

    Attributes
    ----------
    clock : of its tempos
    offset : when it begins, in the totals of the clock
    offset_s : the same in seconds
    offset_quarter : its beginning in quarter notes
    """

    clock: TickClock
    offset: int = 0
    offset_s: float = 0.0
    offset_quarter: float = 0.0


def _patterns(events: Events, limits: Limits) -> list[_Pattern]:
    tempos = [event for event in events.meta(TEMPO) if len(event.data) == 3]
    _check_tempos(len(tempos), limits)
    if events.header.type != 2:
        return [_Pattern(TickClock.of_events(events))]
    tick = np.array([event.tick for event in tempos], np.int64)
    us = np.array([int.from_bytes(event.data, "big") for event in tempos], np.int64)
    track = np.array([event.track for event in tempos], np.int64)
    patterns: list[_Pattern] = []
    offset, offset_s, quarter = 0, 0.0, 0.0
    for number, end_tick in enumerate(events.end_tick):
        clock = TickClock.of_header(events.header, tick[track == number], us[track == number])
        patterns.append(_Pattern(clock, offset, offset_s, quarter))
        end = np.array([end_tick])
        offset += int(clock.totals(end, limits.duration_s)[0])
        offset_s += float(clock.seconds(end)[0])
        quarter += end_tick / (clock.division or 1)
    return patterns


def _notes(events: Events, selection: _Selection, limits: Limits) -> tuple[Notes, list[_Pattern]]:
    """All notes of a file, and its patterns."""
    begin, end = pair_notes(events)
    if len(begin) > limits.notes:
        raise MidiError(f"has {len(begin):,} notes, more than the limit of {limits.notes:,}")
    patterns = _patterns(events, limits)
    part, parts, channel_of_part = parts_of_notes(events, begin, track_names(events))
    pitch, start = events.data1[begin], events.tick[begin]
    pedals = read_pedals(events)
    if selection.sustain and len(begin):
        end = pedalled_ends(start, end, pitch, channel_of_part[part], pedals)
    if len(patterns) == 1:
        clock = patterns[0].clock
        onset, ends = clock.totals(start, limits.duration_s), clock.totals(end, limits.duration_s)
    else:
        onset, ends = np.zeros(len(begin), np.int64), np.zeros(len(begin), np.int64)
        for number in np.unique(events.track[begin]).tolist():
            here = events.track[begin] == number
            pattern = patterns[number]
            longest_s = limits.duration_s - pattern.offset_s
            onset[here] = pattern.clock.totals(start[here], longest_s) + pattern.offset
            ends[here] = pattern.clock.totals(end[here], longest_s) + pattern.offset
    clock = patterns[0].clock
    first = onset.min(initial=np.iinfo(np.int64).max) if len(onset) else 0
    steps = clock.steps(onset - first)
    duration = clock.steps(ends - first) - steps
    notes = Notes.from_steps(
        steps + clock.steps(np.array([first])),
        duration,
        pitch,
        events.data2[begin],
        part,
        parts,
        tempo=own_tempo(events.others) or _tempo_map(patterns),
        meters=_meters(events, patterns),
        pedal=Pedal() if selection.sustain else _pedal(pedals, patterns),
    )
    return notes, patterns


def _tempo_map(patterns: list[_Pattern]) -> TempoMap:
    if not any(pattern.clock.given for pattern in patterns):
        return TempoMap(division=patterns[0].clock.division)
    quarters = [p.clock.tick / (p.clock.division or 1) + p.offset_quarter for p in patterns]
    return TempoMap(
        np.concatenate([p.clock.second + p.offset_s for p in patterns]),
        np.concatenate([p.clock.us for p in patterns]),
        np.concatenate(quarters),
        patterns[0].clock.division,
    )


def _meters(events: Events, patterns: list[_Pattern]) -> tuple[Meter, ...]:
    """Time signatures by time, without those that repeat the one before."""
    meters: list[Meter] = []
    for event in events.meta(METER):
        if len(event.data) < 2 or not event.data[0] or event.data[1] > MAX_DENOMINATOR:
            continue
        pattern = patterns[event.track if len(patterns) > 1 else 0]
        second = float(pattern.clock.seconds(np.array([event.tick]))[0]) + pattern.offset_s
        meters.append(Meter(second, event.data[0], 1 << event.data[1]))
    meters.sort(key=lambda meter: meter.second)
    changes: list[Meter] = []
    for meter in meters:
        if changes and changes[-1].second == meter.second:
            changes.pop()  # of several at one time, the last holds
        before = changes[-1] if changes else None
        if before is None or (before.numerator, before.denominator) != (meter.numerator, meter.denominator):
            changes.append(meter)
    return tuple(changes)


def _pedal(pedals: PedalTicks, patterns: list[_Pattern]) -> Pedal:
    if not len(pedals.tick):
        return Pedal()
    if len(patterns) == 1:
        second = patterns[0].clock.seconds(pedals.tick)
    else:
        second = np.zeros(len(pedals.tick))
        track = pedals.channel // PATTERN
        for number in np.unique(track).tolist():
            here = track == number
            second[here] = patterns[number].clock.seconds(pedals.tick[here]) + patterns[number].offset_s
    order = np.argsort(second, kind="stable")
    return Pedal(
        second[order],
        pedals.controller[order].astype(np.uint8),
        pedals.value[order].astype(np.uint8),
        (pedals.channel[order] % PATTERN).astype(np.int16),
    )


def _mean_bpm(patterns: list[_Pattern], notes: Notes) -> float | None:
    """Mean tempo over the span of the notes of each pattern; an instant counts as a step of the grid."""
    beats = span_s = 0.0
    for number, pattern in enumerate(patterns):
        clock = pattern.clock
        if not clock.given or clock.division is None:
            continue
        last_s = patterns[number + 1].offset_s if number + 1 < len(patterns) else np.inf
        here = notes.slice_time(pattern.offset_s, last_s) if len(patterns) > 1 else notes
        if not len(here):
            continue
        tempo = notes.tempo if len(patterns) == 1 else _tempo_map([pattern])
        first, last = here.start_s, max(here.end_s, here.start_s + 1 / GRID_HZ)
        quarters = tempo.quarters([first, last])
        beats += float(quarters[1] - quarters[0])
        span_s += last - first
    return round(60 * beats / span_s, 3) if beats else None


def _why_empty(notes: Notes, selection: _Selection) -> str:
    if not len(notes):
        return "has no notes"
    if notes.is_drum.all() and not selection.drums:
        return "has no notes besides drums"
    return "has no notes of the instruments asked for"
