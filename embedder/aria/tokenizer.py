"""Aria's tokenizer ("abs"): scores and notes to ids, ids to notes and MIDI.

A note is (instrument, pitch, velocity), onset, duration; a drum is (drum), onset. Time runs in segments of
5 s with a <T> at each boundary crossed. The composer, form and genre prefixes and <D> are never written, as
for embedding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import MidiError
from ..midi.reading import Limits, load, printable
from ..notes import GRID_HZ, Notes
from . import vocabulary as v
from .score import CHANNELS, DRUM_CHANNEL, AriaScore, read_score

__all__ = ["Played", "file_ids", "ids_to_notes", "notes_ids", "played", "run_ids", "score_ids"]

NOTES_PER_RUN = 300
LONGEST_RUN = 2_048  # tokens that Aria embeds at once
DRUM_S, DRUM_VELOCITY = 0.010, 60  # of drums, whose tokens do not say

Ids = NDArray[np.int32]
IntArray = NDArray[np.int64]


def file_ids(source: str | os.PathLike[str] | bytes) -> Ids:
    """Ids of a whole MIDI file.

    Raises
    ------
    MidiError
        If it cannot be read, or holds no note of an instrument that Aria knows.
    """
    if isinstance(source, bytes):
        return score_ids(read_score(source))
    data, _ = load(source, Limits())
    try:
        return score_ids(read_score(data))
    except MidiError as error:
        raise MidiError(error.reason, printable(source)) from None


def score_ids(score: AriaScore, first: int = 0, last: int | None = None) -> Ids:
    """Ids of notes first..last of a score, their time from the first of them; errors as `file_ids`."""
    which = np.arange(first, len(score) if last is None else last)
    which = which[score.kept[which]]
    if not len(which):
        raise MidiError("has no notes of the instruments that Aria knows")
    start, channel = score.start[which], score.channel[which]
    drum = channel == DRUM_CHANNEL
    onset_ms = score.onset_ms(start)
    duration_ms = score.duration_ms(start, score.held_ends(which))
    family = np.where(score.stated, np.maximum(score.family, 0), 0)
    return _assembled(
        _prefixes(score, channel, family),
        onset_ms,
        duration_ms,
        family[channel],
        score.pitch[which],
        score.velocity[which],
        drum,
    )


def run_ids(score: AriaScore) -> list[tuple[int, int, Ids]]:
    """Runs of 300 notes of a score as Aria embeds them: first and last note (excluded), and ids.

    Each run is tokenized alone and cut to 2,048 ids of which the last is <E>; a run of dropped
    instruments alone is left out.
    """
    runs = []
    for first in range(0, len(score), NOTES_PER_RUN):
        last = min(first + NOTES_PER_RUN, len(score))
        if score.kept[first:last].any():
            runs.append((first, last, cut_run(score_ids(score, first, last))))
    return runs


def cut_run(ids: Ids) -> Ids:
    """At most 2,048 ids, the last of them <E>."""
    if len(ids) > LONGEST_RUN:
        ids = ids[:LONGEST_RUN].copy()
        ids[-1] = v.END
    return ids


def notes_ids(notes: Notes) -> Ids:
    """Ids of notes as one piano, their time from the first of them.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not len(notes):
        raise ValueError("a piece without notes has no tokens")
    # On the grid of Notes a half millisecond is exact, so it rounds to even as Python's round does.
    steps_per_ms = GRID_HZ // 1000
    onset = np.rint((notes.onset - notes.onset[0]) * GRID_HZ) / steps_per_ms
    duration = np.rint(notes.duration * GRID_HZ) / steps_per_ms
    none = np.zeros(len(notes), np.int64)
    return _assembled(
        np.array([v.instrument_prefix(0)]),
        np.rint(onset).astype(np.int64),
        np.rint(duration).astype(np.int64),
        none,
        notes.pitch.astype(np.int64),
        notes.velocity.astype(np.int64),
        none > 0,
    )


def _prefixes(score: AriaScore, channel: IntArray, family: IntArray) -> IntArray:
    """Ids of the instruments' prefixes, in the order of the vocabulary (the reference shuffles them)."""
    used = np.zeros(CHANNELS, np.bool_)
    used[channel] = True
    named = used | score.stated
    named[DRUM_CHANNEL] = False
    ids = [v.instrument_prefix(one) for one in np.unique(family[named]).tolist()]
    if used[DRUM_CHANNEL]:
        ids.append(v.instrument_prefix(v.DRUM_PREFIX))
    return np.array(ids)


def _assembled(
    prefixes: IntArray,
    onset_ms: IntArray,
    duration_ms: IntArray,
    instrument: IntArray,
    pitch: IntArray,
    velocity: IntArray,
    drum: NDArray[np.bool_],
) -> Ids:
    """Ids of notes [n] in order, between prefixes and <E>."""
    segment = onset_ms // v.SEGMENT_MS
    crossed = np.maximum(np.diff(segment, prepend=0), 0)
    place = len(prefixes) + 1 + np.cumsum(crossed + np.where(drum, 2, 3)) - np.where(drum, 2, 3)
    size = int(place[-1]) + (2 if drum[-1] else 3) + 1
    ids = np.full(size, v.TIME, np.int32)
    ids[: len(prefixes)] = prefixes
    ids[len(prefixes)] = v.START
    ids[-1] = v.END
    note = v.NOTES + (instrument * 128 + pitch) * v.VELOCITIES + v.VELOCITY_STEP[velocity]
    known = (pitch >= v.FIRST_DRUM) & (pitch <= v.LAST_DRUM)
    beat = np.where(known, v.DRUMS + pitch - v.FIRST_DRUM, v.UNKNOWN)
    ids[place] = np.where(drum, beat, note)
    ids[place + 1] = v.ONSETS + v.ONSET_STEP[onset_ms - segment * v.SEGMENT_MS]
    duration = v.DURATIONS + v.DURATION_STEP[np.clip(duration_ms, 0, v.LONGEST_MS)]
    ids[place[~drum] + 2] = duration[~drum]
    return ids


@dataclass(frozen=True)
class Played:
    """Notes that ids stand for, with their instruments; all arrays [n].

    Attributes
    ----------
    onset, duration : float64, seconds; drums last 10 ms
    pitch, velocity : int64; drums have velocity 60
    instrument : int64, number in `vocabulary.INSTRUMENTS`, `vocabulary.DRUM_PREFIX` for drums
    """

    onset: NDArray[np.float64]
    duration: NDArray[np.float64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    instrument: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.onset)


def played(ids: ArrayLike) -> Played:
    """What ids sound like. Up to <E>; ids that do not form a note where they stand are passed over.

    Raises
    ------
    ValueError
        If an id is outside the vocabulary.
    """
    seq = np.asarray(ids, np.int64).reshape(-1)
    if seq.size and not (seq.min() >= 0 and seq.max() < v.SIZE):
        raise ValueError("ids outside Aria's vocabulary")
    ends = np.flatnonzero(seq == v.END)
    seq = seq[: ends[0]] if len(ends) else seq
    padded = np.append(seq, [v.PAD, v.PAD])
    second, third = padded[1:-1], padded[2:]
    has_onset = second >= v.ONSETS
    is_note = (seq >= v.NOTES) & (seq < v.DRUMS) & has_onset & (third >= v.DURATIONS) & (third < v.ONSETS)
    is_drum = (seq >= v.DRUMS) & (seq < v.DURATIONS) & has_onset
    here = np.flatnonzero(is_note | is_drum)
    drum = is_drum[here]
    begun_s = np.cumsum(seq == v.TIME)[here] * (v.SEGMENT_MS / 1000)
    number = seq[here] - v.NOTES
    pitch = number // v.VELOCITIES % 128
    step = np.maximum(number % v.VELOCITIES, 1)  # a note without velocity would be none
    duration = np.maximum(third[here] - v.DURATIONS, 1) * v.STEP_MS / 1000
    return Played(
        onset=begun_s + (second[here] - v.ONSETS) * v.STEP_MS / 1000,
        duration=np.where(drum, DRUM_S, duration),
        pitch=np.where(drum, seq[here] - v.DRUMS + v.FIRST_DRUM, pitch),
        velocity=np.where(drum, DRUM_VELOCITY, step * 10),
        instrument=np.where(drum, v.DRUM_PREFIX, number // (128 * v.VELOCITIES)),
    )


def ids_to_notes(ids: ArrayLike) -> Notes:
    """Notes that ids stand for, whatever instrument plays them, without drums; errors as `played`."""
    sound = played(ids)
    pitched = sound.instrument != v.DRUM_PREFIX
    return Notes(sound.onset[pitched], sound.duration[pitched], sound.pitch[pitched], sound.velocity[pitched])
