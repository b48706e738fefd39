"""Notes of many pieces laid side by side, their windows, and their chords: what histograms are counted from.

All notes of all pieces of a batch are one set of arrays, so that counting needs no loop over pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..notes import GRID_HZ, Notes

__all__ = ["Chords", "FloatArray", "IntArray", "Layout", "apart", "contour", "log_bin"]

CHORD_GAP_S = 0.035  # onsets closer than this to the one before sound as one chord

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Which window each note of a batch of pieces belongs to.

    Attributes
    ----------
    notes : onset (from the first of the piece), duration, pitch and velocity of all pieces, joined
    piece_of_note : int64 [n]
    window_of_note : int64 [n], numbered through the whole batch
    piece_of_window : int64 [w]; every piece has at least one window
    """

    notes: tuple[NDArray[np.float64], NDArray[np.float64], IntArray, IntArray]
    piece_of_note: IntArray
    window_of_note: IntArray
    piece_of_window: IntArray

    @classmethod
    def of(cls, pieces: Sequence[Notes], windows: Sequence[Sequence[tuple[int, int]]]) -> Layout:
        """Lay out pieces whose windows are ranges (first, last) that together cover each note once."""
        sizes = np.array([len(p) for p in pieces], dtype=np.int64)
        lengths = np.array([last - first for ranges in windows for first, last in ranges], dtype=np.int64)
        return cls(
            notes=(
                np.concatenate([p.from_zero().onset for p in pieces]),
                np.concatenate([p.duration for p in pieces]),
                np.concatenate([p.pitch for p in pieces]).astype(np.int64),
                np.concatenate([p.velocity for p in pieces]).astype(np.int64),
            ),
            piece_of_note=np.repeat(np.arange(len(pieces)), sizes),
            window_of_note=np.repeat(np.arange(len(lengths)), lengths),
            piece_of_window=np.repeat(np.arange(len(pieces)), [len(r) for r in windows]),
        )

    def per_piece(self, counts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sums of the rows of each piece's windows, [pieces, b]; windows of a piece are consecutive."""
        first = np.flatnonzero(np.diff(self.piece_of_window, prepend=-1))
        return np.add.reduceat(counts, first, axis=0)


@dataclass(frozen=True)
class Chords:
    """Notes grouped by onset: arrays over chords."""

    of_note: IntArray
    onset: FloatArray
    top: IntArray
    bottom: IntArray
    size: IntArray
    velocity: FloatArray
    piece: IntArray
    window: IntArray

    @classmethod
    def of(cls, layout: Layout) -> Chords:
        onset, _, pitch, velocity = layout.notes
        starts = np.ones(len(onset), dtype=bool)
        starts[1:] = (np.diff(onset) > CHORD_GAP_S) | (np.diff(layout.piece_of_note) > 0)
        first = np.flatnonzero(starts)
        return cls(
            of_note=np.cumsum(starts) - 1,
            onset=onset[first],
            top=np.maximum.reduceat(pitch, first),
            bottom=np.minimum.reduceat(pitch, first),
            size=np.diff(np.append(first, len(onset))),
            velocity=np.maximum.reduceat(velocity, first).astype(np.float64),
            piece=layout.piece_of_note[first],
            window=layout.window_of_note[first],
        )

    def runs(self, length: int) -> IntArray:
        """Index of each chord that begins a run of `length` chords of one piece."""
        count = len(self.piece) - length + 1
        if count <= 0:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.piece[:count] == self.piece[length - 1 : length - 1 + count])


def log_bin(value: FloatArray, lowest: float, per_octave: float, bins: int) -> IntArray:
    step = np.log2(np.maximum(value, 1e-4) / lowest) * per_octave
    return np.clip(np.rint(step), 0, bins - 1).astype(np.int64)


def apart(layout: Layout, *times: FloatArray, room_s: float = 0.0) -> list[IntArray]:
    """Times (s) of the notes in whole grid steps, pieces moved so far apart that one sort serves all.

    Parameters
    ----------
    times : [n] each, a number for every note
    room_s : left free after every piece
    """
    steps = [np.rint(time * GRID_HZ).astype(np.int64) for time in times]
    stride = max(int(step.max()) for step in steps) + round(room_s * GRID_HZ) + 1
    return [step + layout.piece_of_note * stride for step in steps]


def contour(interval: IntArray) -> IntArray:
    """Seven classes: leap down, third or fourth down, step down, same, step up, ..."""
    return np.searchsorted([-5, -2, 0, 1, 3, 6], interval, "right")
