"""Writing notes as a MIDI file, so that reading it back gives the same notes exactly.

One tick of the file is one step of the grid of `Notes`: 25,000 ticks a beat at the 120 beats a minute that
hold where a file states no tempo. None is stated, because notes have times and no beats: a tempo would be
read back as if it were the music's.

Notes of one key that overlap go to different channels, and to further tracks when the channels are used up,
because within a channel a note-off could not say which of them it ends.
"""

from __future__ import annotations

import errno
import heapq
import io
import os
import secrets
from collections import defaultdict
from contextlib import suppress
from typing import Any

import numpy as np

from ..notes import GRID_HZ, Notes
from .reading import Limits

__all__ = ["TICKS_PER_BEAT", "write_midi"]

TICKS_PER_BEAT = GRID_HZ // 2
CHANNELS = [*range(9), *range(10, 16)]  # without that of the drums
LONGEST_GAP = 2**28 - 1  # ticks that fit between two messages


def write_midi(notes: Notes, path: str | os.PathLike[str] | None = None, *, program: int = 0) -> bytes:
    """Write notes as a MIDI file of Type 1.

    Parameters
    ----------
    path : where to write it as well, all or nothing; None for nowhere
    program : General MIDI program (0..127) of all notes

    Returns
    -------
    The bytes of the file; `read_midi` of them gives notes equal to `notes`.

    Raises
    ------
    ValueError
        If a note begins before 0 s, the program is out of range, or `read_midi` would refuse the file:
        more notes, seconds, tracks (of notes of one key that overlap) or bytes than `Limits` allow.
    OSError
        If the path cannot be written.
    """
    if not 0 <= program <= 127:
        raise ValueError("a General MIDI program lies in 0..127")
    if len(notes) and notes.start_s < 0:
        raise ValueError("a MIDI file cannot hold notes before 0 s: shift them first")
    limits = Limits()
    _check_most(len(notes), limits.notes, "notes")
    _check_most(notes.end_s, limits.duration_s, "seconds")
    data = _bytes_of(notes, program, limits.tracks)
    _check_most(len(data), limits.size_bytes, "bytes")
    if path is not None:
        _write_whole(os.fsdecode(path), data)
    return data


def _check_most(number: float, most: float, unit: str) -> None:
    if number > most:
        raise ValueError(f"would not be read back: {number:,.0f} {unit}, more than the limit of {most:,.0f}")


def _bytes_of(notes: Notes, program: int, most_tracks: int) -> bytes:
    import mido

    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    start = np.rint(notes.onset * GRID_HZ).astype(np.int64)
    end = np.rint(notes.end * GRID_HZ).astype(np.int64)
    voices = _voices(start.tolist(), end.tolist(), notes.pitch.tolist())
    tracks = int(voices.max(initial=0)) // len(CHANNELS) + 1
    _check_most(tracks, most_tracks, "tracks of notes that overlap")
    for number in range(tracks):
        of_track = np.flatnonzero(voices // len(CHANNELS) == number)
        channel = np.array(CHANNELS)[voices[of_track] % len(CHANNELS)]
        of_notes = (start[of_track], end[of_track], notes.pitch[of_track], notes.velocity[of_track], channel)
        midi.tracks.append(_track(*of_notes, program))
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def _voices(start: list[int], end: list[int], pitch: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Smallest number for each note [n] such that notes of one key and number do not overlap."""
    busy: dict[int, list[tuple[int, int]]] = defaultdict(list)  # ends and numbers in use, by key
    free: dict[int, list[int]] = defaultdict(list)
    voices = np.zeros(len(start), dtype=np.int64)
    for i, key in enumerate(pitch):
        in_use, unused = busy[key], free[key]
        while in_use and in_use[0][0] <= start[i]:
            heapq.heappush(unused, heapq.heappop(in_use)[1])
        voices[i] = heapq.heappop(unused) if unused else len(in_use)
        heapq.heappush(in_use, (end[i], int(voices[i])))
    return voices


def _track(start: Any, end: Any, pitch: Any, velocity: Any, channel: Any, program: int) -> Any:
    """A mido track; at one tick, notes end before others begin."""
    import mido

    count = len(start)
    tick = np.concatenate([end, start])
    begins = np.repeat([False, True], count)
    order = np.lexsort((begins, tick))
    track = mido.MidiTrack()
    for used in np.unique(channel).tolist():
        track.append(mido.Message("program_change", program=program, channel=used))
    now = 0
    for i in order.tolist():
        gap = int(tick[i]) - now
        while gap > LONGEST_GAP:  # an empty text carries the time along
            track.append(mido.MetaMessage("text", text="", time=LONGEST_GAP))
            gap -= LONGEST_GAP
        now = int(tick[i])
        note = i % count
        kind, force = ("note_on", velocity[note]) if begins[i] else ("note_off", 0)
        track.append(
            mido.Message(
                kind, note=int(pitch[note]), velocity=int(force), channel=int(channel[note]), time=gap
            )
        )
    return track


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
