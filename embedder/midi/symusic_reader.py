"""The fast reader: symusic, which is strict about damage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from .ticks import NoteTicks, PedalTicks, TempoMap, TickScore

__all__ = ["Refused", "read_with_symusic"]

SUSTAIN = 64  # number of the controller
LONGEST_TICK = 2**31 - 1  # symusic counts ticks in 32 bits and wraps around
MOST_EXCLUSIVE = 1_000_000  # messages, so that telling them from escapes takes little memory


class Refused(Exception):
    """symusic does not read these bytes, or not reliably."""


def read_with_symusic(data: bytes, *, sustain: bool, most_notes: int) -> TickScore:
    """Ticks of a file of Type 0 or 1 whose division is ticks a beat.

    Raises
    ------
    MidiError
        If there are more than `most_notes` notes.
    Refused
        Where symusic raises, wraps around in time, yields values out of range, loses the order of
        events that contradict each other at one tick, or (asked for the pedal) leaves open which track
        and channel a pedal belongs to.
    """
    from symusic import Score

    if _may_wrap(data):
        raise Refused("its times do not fit into 31 bits")
    if _may_escape(data):
        raise Refused("escaped or continued exclusive messages")
    try:
        score: Any = Score.from_midi(data)  # its attributes are not in its type hints
        tracks = list(score.tracks)
        count = sum(track.note_num() for track in tracks)
        if count > most_notes:  # before arrays of all of them take hundreds of megabytes
            raise MidiError(f"has {count:,} notes, more than the limit of {most_notes:,}")
        notes = _notes(tracks)
        pedals = _pedals(tracks) if sustain else _NO_PEDALS
        tempos = score.tempos.numpy()
    except (RuntimeError, ValueError, UnicodeError, IndexError, OverflowError, MemoryError) as error:
        raise Refused(str(error)) from None
    _check(notes)
    # symusic splits a channel where its program changes and forgets the channel: with one program, each of
    # its tracks is one (track, channel), which is what a pedal acts on; with several, that is unknown.
    if pedals.down.any() and len(np.unique(notes.program)) > 1:
        raise Refused("pedals of several programs")
    tick, tempo_us = tempos["time"].astype(np.int64), tempos["mspq"].astype(np.int64)
    # symusic sorts by tick alone, and not stably: of two tempos at one tick, the last is not known.
    if _contradict(tick, tempo_us) or _contradict(pedals.tick, pedals.down, pedals.line):
        raise Refused("the order of events at one tick is lost")
    tempo = TempoMap.of_tempos(tick, tempo_us, score.tpq)
    return TickScore(notes, pedals, tempo, int(notes.end.max()) if len(notes) else 0)


_NO_PEDALS = PedalTicks(np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.int64))


def _notes(tracks: list[Any]) -> NoteTicks:
    soa = [track.notes.numpy() for track in tracks]
    sizes = [len(notes["time"]) for notes in soa]

    def joined(name: str) -> NDArray[np.int64]:
        return np.concatenate([np.empty(0, np.int64), *(notes[name] for notes in soa)])

    start = joined("time")
    return NoteTicks(
        start=start,
        end=start + joined("duration"),
        pitch=joined("pitch"),
        velocity=joined("velocity"),
        program=np.repeat(np.array([track.program for track in tracks], np.int64), sizes),
        drum=np.repeat(np.array([track.is_drum for track in tracks], np.bool_), sizes),
        line=np.repeat(np.arange(len(tracks)), sizes),
    )


def _pedals(tracks: list[Any]) -> PedalTicks:
    tick, down, line = [_NO_PEDALS.tick], [_NO_PEDALS.down], [_NO_PEDALS.line]
    for number, track in enumerate(tracks):
        controls = track.controls.numpy()
        is_pedal = controls["number"] == SUSTAIN
        tick.append(controls["time"][is_pedal].astype(np.int64))
        down.append(controls["value"][is_pedal] >= 64)
        line.append(np.full(int(is_pedal.sum()), number, np.int64))
    return PedalTicks(np.concatenate(tick), np.concatenate(down), np.concatenate(line))


def _check(notes: NoteTicks) -> None:
    if not len(notes):
        return
    if notes.start.min() < 0 or (notes.end < notes.start).any():
        raise Refused("its times do not fit into 31 bits")
    if notes.pitch.min() < 0 or notes.pitch.max() > 127:
        raise Refused("pitches out of range")
    if notes.velocity.min() < 1 or notes.velocity.max() > 127:
        raise Refused("velocities out of range")


def _contradict(
    tick: NDArray[np.int64], value: NDArray[np.generic], line: NDArray[np.int64] | None = None
) -> bool:
    """Whether events at one tick (of one line) differ in value; events of a line stand together, in time."""
    together = np.diff(tick) == 0
    if line is not None:
        together &= np.diff(line) == 0
    # Any two that differ are parted by neighbours that differ.
    return bool((together & (value[1:] != value[:-1])).any())


def _may_wrap(data: bytes) -> bool:
    """Whether long gaps could add up to more ticks than symusic can count.

    Only gaps of four bytes matter. Elsewhere in a sound file three bytes in a row have the high bit only
    in tempos, which are skipped, and in text and exclusive messages, where a false alarm costs only speed.
    """
    raw = np.frombuffer(data, np.uint8)
    high = raw > 127
    four = _starts_of_four(high)
    if len(four) * 2**28 <= LONGEST_TICK - 2**30:
        return False
    tempo = np.flatnonzero((raw[:-5] == 0xFF) & (raw[1:-4] == 0x51) & (raw[2:-3] == 3))
    for i in (3, 4, 5):
        high[tempo + i] = False
    four = _starts_of_four(high)
    gaps = sum(int((raw[four + i] & np.int64(127)).sum()) << (21 - 7 * i) for i in range(4))
    return gaps > LONGEST_TICK - 2**30


def _may_escape(data: bytes) -> bool:
    """Whether F7 may stand as the status of an event, behind which symusic loses its place.

    An F7 is harmless where it ends an F0 message of the stated length, and in a tempo or a track's length.
    A false alarm (a gap of 15,232 ticks, a division sign in a text) costs only speed.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = (raw[1:] == 0xF7) & (raw[:-1] < 0x80)  # what stands before an event lacks the high bit
    if not ends.any():
        return False
    starts = (raw[1:-5] == 0xF0) & (raw[:-6] < 0x80)
    if max(np.count_nonzero(ends), np.count_nonzero(starts)) > MOST_EXCLUSIVE:
        return True
    found, begins = np.flatnonzero(ends) + 1, np.flatnonzero(starts) + 1
    size, width = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.int64)
    goes_on = np.ones(len(begins), np.bool_)
    for i in range(1, 5):
        byte = raw[begins + i]
        size = np.where(goes_on, size << 7 | (byte & np.int64(127)), size)
        width += goes_on
        goes_on &= byte > 127
    found = found[~np.isin(found, begins + width + size)]
    return any(b"\xff\x51\x03" not in data[at - 5 : at] and b"MTrk" not in data[at - 7 : at] for at in found)


def _starts_of_four(high: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where exactly the last of four bytes lacks the high bit, as in a number of four bytes."""
    return np.flatnonzero(high[:-3] & high[1:-2] & high[2:-1] & ~high[3:])
