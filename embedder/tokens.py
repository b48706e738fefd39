"""A note as four small integers, one position a note: the front door of the shipped encoder.

    gap        time since the onset of the note before, logarithmic, 12 steps an octave from 10 ms
    pitch      MIDI key number
    duration   length of the note on the same scale
    velocity   in steps of 4

A gap below 7 ms is bin 0 (a chord); the last gap bin, `END`, stands for the end of the piece and is only
ever predicted. Logarithmic times make a change of tempo a shift of bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .notes import Notes

__all__ = ["ATTRIBUTES", "END", "from_tokens", "seconds_of", "to_tokens", "tokens_of"]

# Attribute and size of its vocabulary, in the order in which a note is predicted.
ATTRIBUTES: dict[str, int] = {"gap": 128, "pitch": 128, "duration": 128, "velocity": 32}
END = ATTRIBUTES["gap"] - 1

SHORTEST_S = 0.010
STEPS_PER_OCTAVE = 12
LAST_STEP = END - 1  # the longest time that either scale can say: about 14 s


def _step(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    steps = 1 + np.rint(np.log2(np.maximum(seconds, 1e-6) / SHORTEST_S) * STEPS_PER_OCTAVE)
    clipped: NDArray[np.int64] = np.clip(steps, 0, LAST_STEP).astype(np.int64)
    return clipped


def seconds_of(step: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds that steps of gap or duration stand for, at the bins' centres; any shape."""
    seconds = SHORTEST_S * 2.0 ** ((step - 1) / STEPS_PER_OCTAVE)
    return np.where(step <= 0, 0.0, seconds)


def tokens_of(
    onset: ArrayLike, duration: ArrayLike, pitch: ArrayLike, velocity: ArrayLike
) -> NDArray[np.uint8]:
    """Token rows of notes along the last axis; the first note of each row has gap 0.

    Parameters
    ----------
    onset, duration : seconds [..., n]; pitch : 0..127 [..., n]; velocity : 1..127 [..., n]

    Returns
    -------
    uint8 [..., n, 4], columns as in `ATTRIBUTES`
    """
    time = np.asarray(onset, dtype=np.float64)
    gap = np.zeros_like(time)
    gap[..., 1:] = np.diff(time, axis=-1)
    columns = (
        np.where(gap < SHORTEST_S * 0.7, 0, np.maximum(_step(gap), 1)),
        np.asarray(pitch),
        np.maximum(_step(np.asarray(duration, dtype=np.float64)), 1),
        np.asarray(velocity) // 4,
    )
    return np.stack([c.astype(np.uint8) for c in columns], axis=-1)


def to_tokens(notes: Notes) -> NDArray[np.uint8]:
    """Token rows of pitched notes, uint8 [n, 4]."""
    return tokens_of(notes.from_zero().onset, notes.duration, notes.pitch, notes.velocity)


def from_tokens(tokens: NDArray[np.integer], start_s: float = 0.0, *, follow: bool = False) -> Notes:
    """Notes that token rows [n, 4] stand for, times and velocities at the bins' centres.

    The first begins at `start_s`; or, if they `follow` a note that began then, after its own gap.

    Raises
    ------
    ValueError
        If a row holds `END` or a value outside its vocabulary.
    """
    rows = np.asarray(tokens, dtype=np.int64).reshape(-1, len(ATTRIBUTES))
    limits = np.array([END, *list(ATTRIBUTES.values())[1:]])
    if rows.size and (rows.min() < 0 or np.any(rows >= limits)):
        raise ValueError("tokens outside their vocabularies")
    gap = seconds_of(rows[:, 0])
    if not follow:
        gap[:1] = 0.0
    velocity = np.clip(rows[:, 3] * 4 + 2, 1, 127)
    return Notes(start_s + np.cumsum(gap), seconds_of(np.maximum(rows[:, 2], 1)), rows[:, 1], velocity)
