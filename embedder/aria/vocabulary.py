"""Aria's vocabulary as arithmetic: where each kind of token begins, and what numbers are rounded to.

0..5          <S> <E> <P> <U> <D> <T>
PREFIXES      one each for instruments, composers, forms, genres
NOTES         instrument slowest, then pitch, velocity fastest
DRUMS         drums 35..81
DURATIONS     0, 10, .. 5000 ms
ONSETS        0, 10, .. 4990 ms
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DRUMS",
    "DRUM_PREFIX",
    "DURATIONS",
    "DURATION_STEP",
    "END",
    "FAMILY_OF_PROGRAM",
    "FIRST_DRUM",
    "INSTRUMENTS",
    "LAST_DRUM",
    "LONGEST_MS",
    "NOTES",
    "ONSETS",
    "ONSET_STEP",
    "PAD",
    "PREFIXES",
    "SEGMENT_MS",
    "SIZE",
    "START",
    "STEP_MS",
    "TIME",
    "UNKNOWN",
    "VELOCITIES",
    "VELOCITY_STEP",
    "instrument_prefix",
]

START, END, PAD, UNKNOWN, DIMINISH, TIME = range(6)

# The instruments that have notes of their own, in the order of the vocabulary, and a program to play each.
INSTRUMENTS: dict[str, int] = {
    "piano": 0,
    "organ": 16,
    "guitar": 24,
    "bass": 32,
    "strings": 40,
    "ensemble": 48,
    "brass": 56,
    "reed": 64,
    "pipe": 73,
    "synth_lead": 80,
}
DRUM_PREFIX = len(INSTRUMENTS)
OTHER_PREFIXES = 12 + 8 + 2  # composers, forms and genres, which midikin never writes

STEP_MS = 10
SEGMENT_MS = 5_000  # a <T> at each multiple; onsets count from the last one
LONGEST_MS = 5_000
LOUDEST = 120
VELOCITIES = LOUDEST // 10 + 1
FIRST_DRUM, LAST_DRUM = 35, 81

PREFIXES = 6
NOTES = PREFIXES + len(INSTRUMENTS) + 1 + OTHER_PREFIXES
DRUMS = NOTES + len(INSTRUMENTS) * 128 * VELOCITIES
DURATIONS = DRUMS + LAST_DRUM - FIRST_DRUM + 1
ONSETS = DURATIONS + LONGEST_MS // STEP_MS + 1
SIZE = ONSETS + SEGMENT_MS // STEP_MS

# General MIDI's families of eight programs; -1 for those that are dropped.
_FAMILIES = [
    "piano",
    "chromatic",
    "organ",
    "guitar",
    "bass",
    "strings",
    "ensemble",
    "brass",
    "reed",
    "pipe",
    "synth_lead",
    "synth_pad",
    "synth_effect",
    "ethnic",
    "percussive",
    "sfx",
]
FAMILY_OF_PROGRAM = np.repeat(
    [list(INSTRUMENTS).index(name) if name in INSTRUMENTS else -1 for name in _FAMILIES], 8
)


def instrument_prefix(instrument: int) -> int:
    """Id of the prefix of an instrument, `DRUM_PREFIX` for drums."""
    return PREFIXES + instrument


def _nearest_step(value: int, last: int) -> int:
    """Number of the multiple of 10 in 0..10 * last that is nearest to `value`.

    Of two that are equally near, the one that a binary search looks at first: so the reference rounds, and
    it is neither up nor down nor to even.
    """
    left, right, best = 0, last, 0
    nearest: int | None = None
    while left <= right:
        middle = (left + right) // 2
        distance = abs(middle * 10 - value)
        if nearest is None or distance < nearest:
            nearest, best = distance, middle
        if middle * 10 < value:
            left = middle + 1
        else:
            right = middle - 1
    return best


def _steps(values: int, last: int, least: int = 0) -> NDArray[np.int64]:
    return np.array([max(_nearest_step(value, last), least if value else 0) for value in range(values)])


# Steps of 10 by whole milliseconds, or by velocity. What is not nothing keeps at least one step of
# velocity; every duration keeps one.
ONSET_STEP = _steps(SEGMENT_MS, SEGMENT_MS // STEP_MS - 1)
DURATION_STEP = np.maximum(_steps(LONGEST_MS + 1, LONGEST_MS // STEP_MS), 1)
VELOCITY_STEP = _steps(128, VELOCITIES - 1, least=1)
