"""Which voice each note belongs to: what the model is told of a note's surroundings, and its head.

The transformer reads tokens; `surroundings` adds what takes it long to find out by itself: how a note lies
among those that sound with it and near it. None of these numbers changes with the key, few with the tempo.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .notes import Notes
from .transformer import NoteReader

__all__ = ["EVEN", "SURROUNDINGS", "VELOCITY_COLUMNS", "VOICES", "NoteHead", "surroundings"]

VOICES = ("melody", "bridge", "piano")
NEAR = 16  # notes before and after that count as surroundings
TOGETHER_S = 0.04  # onsets at most so far apart count as one
FAR = 3.0  # octaves, where there is no note to measure a distance to
LEAP = 7  # semitones; a line seldom moves farther at once
BLOCK = 16_384  # notes whose surroundings are held at once

EXACT_S = 0.0015  # times closer than this were set by a machine to be equal

# Numbers a note, the last five of which come from velocities.
SURROUNDINGS = 38
VELOCITY_COLUMNS = slice(SURROUNDINGS - 5, SURROUNDINGS)
EVEN = (0.0, 0.0, 1.0, 0.0, 0.0)  # what those five are where all velocities are equal


def surroundings(notes: Notes) -> NDArray[np.float32]:
    """Numbers about each note's place among its neighbours, float32 [n, SURROUNDINGS], about -3..3."""
    count = len(notes)
    if not count:
        return np.empty((0, SURROUNDINGS), dtype=np.float32)
    blocks = [
        _surroundings(notes, np.arange(first, min(first + BLOCK, count))) for first in range(0, count, BLOCK)
    ]
    numbers = np.concatenate(blocks)
    numbers[:, 0] = np.searchsorted(np.sort(notes.pitch), notes.pitch) / count
    numbers[:, 1] = np.arange(count) / count
    return numbers


def _surroundings(notes: Notes, of: NDArray[np.int64]) -> NDArray[np.float32]:
    shifts = np.concatenate([np.arange(-NEAR, 0), np.arange(1, NEAR + 1)])
    at = of[:, None] + shifts
    near = (at >= 0) & (at < len(notes))
    at = np.clip(at, 0, len(notes) - 1)
    octaves = (notes.pitch[at] - notes.pitch[of, None]) / 12.0
    later = notes.onset[at] - notes.onset[of, None]
    sounding = near & (later <= TOGETHER_S) & (notes.end[at] - notes.onset[of, None] > TOGETHER_S)
    together = near & (np.abs(later) <= TOGETHER_S)
    length = np.log2(np.maximum(notes.duration, 0.01))
    numbers = [np.zeros((len(of), 2))]  # of the whole piece, filled in by the caller
    for which in (sounding, together):
        above, below = which & (octaves > 0), which & (octaves < 0)
        numbers += [
            np.stack(
                [
                    above.sum(1) / 4,
                    below.sum(1) / 4,
                    np.where(above, octaves, FAR).min(1),
                    np.where(below, -octaves, FAR).min(1),
                    np.where(above, octaves, 0).max(1),
                    np.where(below, -octaves, 0).max(1),
                ],
                axis=1,
            )
        ]
    numbers.append(_mean(near, octaves))
    numbers.append(_mean(near, np.abs(octaves)))
    numbers.append(_mean(near, octaves > 0))
    numbers.append(_mean(near, length[at] - length[of, None]))
    numbers.append(_line(notes, of, at, near, octaves, later))
    numbers.append(_repeats(near, octaves, later))
    exact = near & (np.abs(later) < EXACT_S)
    equal = near & (np.abs(notes.duration[at] - notes.duration[of, None]) < EXACT_S)
    ends = near & (np.abs(notes.end[at] - notes.end[of, None]) < EXACT_S)
    numbers += [_count(which) for which in (exact, equal & ~exact, ends & exact, ends & ~exact)]
    apart = np.where(near & ~exact, np.abs(later), 1.0).min(1, keepdims=True)
    numbers.append(_log(apart))
    louder = notes.velocity[at].astype(np.float64) - notes.velocity[of, None]
    numbers += [_mean(near, louder / 16), _mean(near, louder > 0), _mean(near, louder == 0)]
    # What was played by one hand at one moment tends to be equally loud.
    numbers += [_mean(together, louder / 16), _mean(together, louder > 0)]
    return np.concatenate(numbers, axis=1).astype(np.float32)


def _line(
    notes: Notes,
    of: NDArray[np.int64],
    at: NDArray[np.int64],
    near: NDArray[np.bool_],
    octaves: NDArray[np.float64],
    later: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How a note stands in its own line [n, 5]: a singer's notes end where the next begins."""
    close = near & (np.abs(octaves) * 12 <= LEAP)
    after, before = close & (later > TOGETHER_S), close & (later < -TOGETHER_S)
    rest = np.abs(notes.onset[at] - notes.end[of, None])
    length = notes.duration[of, None]
    held = np.where(after, np.minimum(rest / length, FAR), FAR).min(1, keepdims=True)
    any_rest = np.where(near & (later > TOGETHER_S), rest, 9.0).min(1, keepdims=True)
    to_next = np.where(after, later, 9.0).min(1, keepdims=True)
    from_last = np.where(before, -later, 9.0).min(1, keepdims=True)
    return np.concatenate(
        [
            held,
            _log(np.minimum(rest.min(1, keepdims=True), 9.0)),
            _log(any_rest),
            np.clip(np.log2(length / to_next), -3, 3),
            np.clip(np.log2(length / from_last), -3, 3),
        ],
        axis=1,
    )


def _repeats(
    near: NDArray[np.bool_], octaves: NDArray[np.float64], later: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How often a pitch, its octaves and its neighbours come again nearby [n, 5]: chords repeat."""
    other = near & (np.abs(later) > TOGETHER_S)
    return np.concatenate(
        [
            _count(other & (octaves == 0)),
            _count(other & (octaves == 1)),
            _count(other & (octaves == -1)),
            _count(other & (np.abs(octaves) <= 0.25)),
            _mean(other, np.abs(octaves) > 1),
        ],
        axis=1,
    )


def _count(which: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = which.sum(1, keepdims=True) / 4
    return counts


def _log(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds on a scale where 1 ms is -1.5 and 1 s is 0."""
    logarithm: NDArray[np.float64] = np.log10(np.maximum(seconds, 1e-4)) / 2
    return logarithm


def _mean(which: NDArray[np.bool_], values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Mean over each row's chosen values [n, 1]; 0 where none is chosen."""
    mean: NDArray[np.float64] = np.where(which, values, 0).sum(1, keepdims=True) / np.maximum(
        which.sum(1, keepdims=True), 1
    )
    return mean


class NoteHead(nn.Module):
    """What stands around a transformer that names a class for every note.

    Parameters
    ----------
    width : of the transformer
    classes : to tell apart
    told : further numbers that stand beside the `SURROUNDINGS` of a note
    """

    def __init__(self, width: int, classes: int, told: int = 0) -> None:
        super().__init__()
        self.surroundings = nn.Linear(SURROUNDINGS + told, width)
        self.mask = nn.Parameter(torch.zeros(width))
        self.out = nn.Linear(width, classes)

    def forward(
        self,
        reader: NoteReader,
        tokens: Tensor,
        numbers: Tensor,
        lengths: Tensor,
        hidden: Tensor | None = None,
    ) -> Tensor:
        """Logits [b, n, classes] of token rows [b, n, 4] and what is told of each note beside them.

        `numbers` [b, n, SURROUNDINGS + told] are its `surroundings` and whatever else is told.

        Notes under `hidden` [b, n] are replaced by the mask, which training does to some of them.
        """
        x = reader.embed(tokens) + self.surroundings(numbers)
        if hidden is not None:
            x = torch.where(hidden[..., None], self.mask.to(x.dtype), x)
        logits: Tensor = self.out(reader.read(x, lengths=lengths))
        return logits
