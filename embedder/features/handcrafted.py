"""Hand-made numbers of a piece or window: histograms that need no training, and hashed note patterns.

Everything is additive: each note, chord or pattern adds a count to a bin of its window, and the numbers
of a piece come from the summed counts of its windows by the same formulas. All notes of all pieces of a
batch are counted together, without a loop over pieces.

`statistic_counts` fills named histograms (pitch classes relative to the tonic, intervals of the outer voices,
inter-onset intervals, articulation, dynamics, polyphony, and those of `texture`); `pattern_counts` counts
hashed transposition-free note patterns (interval n-grams of the outer voices, chord pairs, note triples), the
bag of words of a piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..descriptors import KEY_PROFILES
from .batch import Chords, FloatArray, IntArray, Layout, apart, contour, log_bin
from .texture import TEXTURE, texture_histograms

__all__ = [
    "PATTERN_BINS",
    "PLAIN",
    "STATISTICS",
    "Layout",
    "column_count",
    "pattern_counts",
    "statistic_counts",
    "statistics",
]

PATTERN_BINS = 8192

# Name and number of bins of the plain histograms, in the order of the columns of `statistics`.
_PLAIN: dict[str, int] = {
    "pitch_class": 12,  # weighted by duration, absolute
    "scale_degree": 24,  # the same counted from the tonic; one half for major, one for minor
    "register": 22,  # pitch in steps of 6 semitones
    "top_interval": 25,  # between successive highest notes, -12..12
    "bottom_interval": 25,
    "top_contour": 49,  # pairs of successive top intervals, each in 7 classes
    "chord_interval": 13,  # between neighbours within a chord, up to an octave
    "pair_near": 49,  # interval between notes close in time, -24..24
    "pair_far": 49,
    "inter_onset": 20,  # quarter-octave steps of time between chords
    "rhythm_ratio": 15,  # ratio of successive inter-onset intervals
    "duration": 16,
    "articulation": 12,  # duration against the time to the next chord
    "velocity": 16,
    "velocity_step": 11,  # between successive chords
    "chord_size": 8,
    "sounding": 10,  # notes sounding at an onset
}
PLAIN = tuple(_PLAIN)
STATISTICS: dict[str, int] = {**_PLAIN, **TEXTURE}
# Counted by absolute pitch class and turned to the tonic afterwards.
_TURNED = ("top_degree_step", "bottom_degree_step")


def _sounding(layout: Layout) -> IntArray:
    """How many notes sound at each onset, itself included."""
    # Whole grid steps, so that a note that ends where another begins has ended, wherever the piece lies.
    onset, end = apart(layout, layout.notes[0], layout.notes[0] + layout.notes[1])
    ended = np.searchsorted(np.sort(end), onset, "right")
    return np.arange(1, len(onset) + 1) - ended


def column_count(names: Sequence[str] = tuple(STATISTICS), *, counted: bool = False) -> int:
    """Columns of `statistics` of these histograms; `counted`, those of `statistic_counts`."""
    return sum(STATISTICS[name] for name in (_counted(names) if counted else names))


def _counted(names: Sequence[str]) -> list[str]:
    return [name for name in names if name != "scale_degree"]  # it is derived from the pitch classes


def _histograms(
    layout: Layout, chords: Chords
) -> Iterator[tuple[str, IntArray, IntArray, FloatArray | None]]:
    """(name, window, bin, weight) of every count; the tonic-relative one is derived afterwards."""
    onset, duration, pitch, velocity = layout.notes
    window = layout.window_of_note
    two, three = chords.runs(2), chords.runs(3)
    gap = chords.onset[two + 1] - chords.onset[two]
    top = np.clip(chords.top[two + 1] - chords.top[two], -12, 12)
    bottom = np.clip(chords.bottom[two + 1] - chords.bottom[two], -12, 12)

    yield "pitch_class", window, pitch % 12, np.minimum(duration, 4.0)
    yield "register", window, pitch // 6, None
    yield "top_interval", chords.window[two], top + 12, None
    yield "bottom_interval", chords.window[two], bottom + 12, None
    first = chords.top[three + 1] - chords.top[three]
    second = chords.top[three + 2] - chords.top[three + 1]
    yield "top_contour", chords.window[three], contour(first) * 7 + contour(second), None
    within = np.flatnonzero(np.diff(chords.of_note) == 0)
    by_pitch = np.lexsort((pitch, chords.of_note))
    interval = np.diff(pitch[by_pitch])[within]
    yield "chord_interval", window[within], np.minimum(interval, 12), None
    for name, low, high in (("pair_near", -1.0, 0.15), ("pair_far", 0.15, 1.0)):
        for step in (1, 2, 3, 4, 6):
            apart = onset[step:] - onset[:-step]
            same = layout.piece_of_note[step:] == layout.piece_of_note[:-step]
            at = np.flatnonzero(same & (apart >= low) & (apart < high))
            yield name, window[at], np.clip(pitch[at + step] - pitch[at], -24, 24) + 24, None
    yield "inter_onset", chords.window[two], log_bin(gap, 0.04, 3, 20), None
    run = chords.onset[three + 2] - chords.onset[three + 1]
    ratio = np.log2(np.maximum(run, 1e-3) / np.maximum(chords.onset[three + 1] - chords.onset[three], 1e-3))
    yield "rhythm_ratio", chords.window[three], np.clip(np.rint(ratio * 2), -7, 7).astype(np.int64) + 7, None
    yield "duration", window, log_bin(duration, 0.04, 2, 16), None
    follows = np.full(len(chords.onset), np.inf)
    follows[two] = gap
    has_next = np.isfinite(follows[chords.of_note])
    share = duration[has_next] / follows[chords.of_note][has_next]
    yield "articulation", window[has_next], log_bin(share, 0.125, 2, 12), None
    yield "velocity", window, velocity // 8, None
    rise = np.rint((chords.velocity[two + 1] - chords.velocity[two]) / 6)
    yield "velocity_step", chords.window[two], np.clip(rise, -5, 5).astype(np.int64) + 5, None
    yield "chord_size", chords.window, np.minimum(chords.size, 8) - 1, None
    yield "sounding", window, np.clip(_sounding(layout), 1, 10) - 1, None


def statistic_counts(layout: Layout, names: Sequence[str] = tuple(STATISTICS)) -> NDArray[np.float32]:
    """Counts in every bin of the named histograms, float32 [w, column_count(names, counted=True)].

    They add up over windows. The names keep the order of `STATISTICS` and begin with "pitch_class".
    """
    windows = len(layout.piece_of_window)
    counts = {name: np.zeros((windows, STATISTICS[name]), dtype=np.float32) for name in _counted(names)}
    chords = Chords.of(layout)
    histograms = _histograms(layout, chords)
    if any(name in TEXTURE for name in counts):
        histograms = itertools.chain(histograms, texture_histograms(layout, chords))
    for name, window, bin_, weight in histograms:
        if name in counts:
            bins = STATISTICS[name]
            flat = np.bincount(window * bins + bin_, weight, windows * bins)
            counts[name] += flat.reshape(windows, bins).astype(np.float32)
    return np.concatenate(list(counts.values()), axis=1)


def statistics(counts: NDArray[np.float32], names: Sequence[str] = tuple(STATISTICS)) -> NDArray[np.float32]:
    """Square roots of histograms that each sum to one (zeros where a histogram is empty).

    Parameters
    ----------
    counts : sums of rows of `statistic_counts` of the same names, float32 [r, ...]

    Returns
    -------
    float32 [r, column_count(names)], columns in the order of `names`
    """
    edges = np.cumsum([STATISTICS[name] for name in _counted(names)])[:-1]
    shares = {}
    for name, count in zip(_counted(names), np.split(counts, edges, axis=1), strict=True):
        shares[name] = count / np.maximum(count.sum(1, keepdims=True), 1e-9)
    key = _likeliest_key(shares["pitch_class"])
    shares["scale_degree"] = _scale_degrees(shares["pitch_class"], key)
    for name in _TURNED:
        if name in shares:
            shares[name] = _turned(shares[name], key % 12)
    roots: NDArray[np.float32] = np.sqrt(np.concatenate([shares[name] for name in names], axis=1))
    return roots


def _likeliest_key(pitch_class: NDArray[np.float32]) -> IntArray:
    """0..11 the major keys from C, 12..23 the minor ones, of each row."""
    centred = pitch_class - pitch_class.mean(1, keepdims=True)
    key: IntArray = np.argmax(centred @ KEY_PROFILES.T.astype(np.float32), axis=1)
    return key


def _scale_degrees(pitch_class: NDArray[np.float32], key: IntArray) -> NDArray[np.float32]:
    """Pitch classes counted from the likeliest tonic [r, 24]: first half major, second half minor."""
    turned = np.take_along_axis(pitch_class, (np.arange(12)[None] + (key % 12)[:, None]) % 12, axis=1)
    degrees = np.zeros((len(pitch_class), 24), dtype=np.float32)
    minor = key >= 12
    degrees[~minor, :12] = turned[~minor]
    degrees[minor, 12:] = turned[minor]
    return degrees


def _turned(steps: NDArray[np.float32], tonic: IntArray) -> NDArray[np.float32]:
    """Shares of steps between pitch classes [r, 12 * 12], both counted from the tonic."""
    order = (np.arange(12)[None] + tonic[:, None]) % 12
    square = np.take_along_axis(steps.reshape(-1, 12, 12), order[:, :, None], axis=1)
    return np.take_along_axis(square, order[:, None, :], axis=2).reshape(-1, 144)


# -- hashed patterns ---------------------------------------------------------------------------------


def _hash(kind: int, *parts: IntArray) -> IntArray:
    """Mix small integers into 0..PATTERN_BINS-1 (multiplicative hashing; stable across platforms)."""
    value = np.full(len(parts[0]), 0x9E3779B97F4A7C15 * (kind + 1) & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
    for part in parts:
        value ^= part.astype(np.uint64) + np.uint64(0x165667B19E3779F9)
        value *= np.uint64(0xD6E8FEB86659FD93)
        value ^= value >> np.uint64(32)
    return (value % np.uint64(PATTERN_BINS)).astype(np.int64)


def _patterns(layout: Layout) -> Iterator[tuple[IntArray, IntArray]]:
    """(window, bin) of every pattern."""
    _, _, pitch, _ = layout.notes
    chords = Chords.of(layout)
    for length in (4, 6):
        run = chords.runs(length)
        for kind, voice in ((0, chords.top), (1, chords.bottom)):
            steps = [np.clip(voice[run + i + 1] - voice[run + i], -13, 13) for i in range(length - 1)]
            yield chords.window[run], _hash(kind + 2 * length, *steps)
    two = chords.runs(2)
    classes = np.zeros((len(chords.onset), 12), dtype=np.int64)
    classes[chords.of_note, (pitch - chords.bottom[chords.of_note]) % 12] = 1
    content = classes @ (1 << np.arange(12))
    step = np.clip(chords.bottom[two + 1] - chords.bottom[two], -13, 13)
    yield chords.window[two], _hash(40, content[two], content[two + 1], step)
    # Triples of notes near in order: they survive jitter, because the chords do not matter.
    piece = layout.piece_of_note
    for near, far in ((1, 2), (1, 3), (2, 3), (2, 4), (3, 5)):
        if len(pitch) <= far:
            continue
        at = np.flatnonzero(piece[:-far] == piece[far:])
        ordered = np.sort(np.stack([pitch[at], pitch[at + near], pitch[at + far]]), axis=0)
        low, high = np.diff(ordered, axis=0)
        yield layout.window_of_note[at], _hash(50, np.minimum(low, 30), np.minimum(high, 30))


def pattern_counts(layout: Layout) -> NDArray[np.float32]:
    """Counts of hashed transposition-free patterns in each window, float32 [w, PATTERN_BINS]; they add up."""
    windows = len(layout.piece_of_window)
    counts = np.zeros(windows * PATTERN_BINS, dtype=np.float32)
    for window, bin_ in _patterns(layout):
        counts += np.bincount(window * PATTERN_BINS + bin_, minlength=len(counts)).astype(np.float32)
    return counts.reshape(windows, PATTERN_BINS)
