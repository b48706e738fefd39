"""Aria's ids as a MIDI file: one channel an instrument, on a grid where a tick is a millisecond."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import vocabulary as v
from .score import DRUM_CHANNEL
from .tokenizer import played

__all__ = ["ids_to_midi"]

TICKS_PER_BEAT = 500  # at the 500,000 microseconds a beat that hold where none are stated


def ids_to_midi(ids: ArrayLike) -> bytes:
    """The bytes of a MIDI file with the notes of ids, instruments and drums on channels of their own.

    Notes of one instrument and key that overlap end where the next begins.

    Raises
    ------
    ValueError
        If an id is outside the vocabulary.
    """
    import mido

    sound = played(ids)
    start = np.rint(sound.onset * 1000).astype(np.int64)
    end = start + np.rint(sound.duration * 1000).astype(np.int64)
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    for number, instrument in enumerate(np.unique(sound.instrument).tolist()):
        drum = instrument == v.DRUM_PREFIX
        channel = DRUM_CHANNEL if drum else number + (number >= DRUM_CHANNEL)
        line = midi.add_track()
        program = 0 if drum else list(v.INSTRUMENTS.values())[instrument]
        line.append(mido.Message("program_change", program=program, channel=channel))
        here = np.flatnonzero(sound.instrument == instrument)
        ends = _without_overlaps(start[here], end[here], sound.pitch[here])
        messages = [
            *((tick, 0, key, 0) for tick, key in zip(ends.tolist(), sound.pitch[here].tolist(), strict=True)),
            *zip(
                start[here].tolist(),
                [1] * len(here),
                sound.pitch[here].tolist(),
                sound.velocity[here].tolist(),
                strict=True,
            ),
        ]
        now = 0
        for tick, _, key, velocity in sorted(messages):
            line.append(
                mido.Message("note_on", note=key, velocity=velocity, channel=channel, time=tick - now)
            )
            now = tick
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def _without_overlaps(
    start: NDArray[np.int64], end: NDArray[np.int64], pitch: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Ends [n] of notes that stop where the next of their key begins at a later tick."""
    order = np.lexsort((start, pitch))
    following = np.full(len(start), np.iinfo(np.int64).max)
    key, begin = pitch[order], start[order]
    # Behind equal starts of a key stands the first later one.
    code = key * (int(start.max(initial=0)) + 2) + begin
    later = np.searchsorted(code, code, "right")
    found = later < len(order)
    same = np.zeros(len(order), np.bool_)
    same[found] = key[later[found]] == key[found]
    following[order[same]] = begin[later[same]]
    shortened: NDArray[np.int64] = np.minimum(end, following)
    return shortened
