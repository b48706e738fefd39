"""Tempo: as a file notates it, or estimated from the onsets where it does not or the notation means nothing.

Recorders write a tempo that nobody played to, mostly 120 BPM. A notated tempo is believed if the onsets lie
on its grid of beats; what is measured is the mean resultant length of their phases (Mardia & Jupp,
Directional Statistics, 2000). The estimate is the lag at which the onsets correlate best with themselves,
weighed towards usual tempi (after Parncutt 1994 and Ellis, Beat Tracking by Dynamic Programming, 2007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .notes import Notes

__all__ = ["Tempo", "is_on_grid", "tempo_of"]

FloatArray = NDArray[np.float64]

_SUBDIVISIONS = (1, 2, 3, 4, 6, 8, 12)  # of a quarter note
_ON_GRID = 0.35  # mean resultant length; of n random phases it is about 1 / sqrt(n)
_MIN_ONSETS = 12
_MAX_ONSETS = 4000

_RATE_HZ = 100
_WINDOW_S, _HOP_S = 12.0, 6.0
_MAX_WINDOWS = 60
_SMOOTHING_S = 0.02
_LAGS_S = (0.25, 1.5)  # 240 to 40 BPM
_USUAL_S, _SPREAD_OCTAVES = 0.5, 0.9
_MIN_STRENGTH = 0.3  # of the correlation at the lag, 1 for a strict pulse


@dataclass(frozen=True)
class Tempo:
    """Quarter notes a minute, None if unknown, and whether that is an estimate."""

    bpm: float | None
    estimated: bool = False


def tempo_of(notes: Notes, notated_bpm: float | None) -> Tempo:
    """The tempo of a piece.

    Parameters
    ----------
    notated_bpm : mean over the piece of what the file states, None if it states nothing
    """
    if notated_bpm is not None and (not len(notes.tempo) or is_on_grid(notes)):
        return Tempo(notated_bpm)
    bpm = _estimate_bpm(notes)
    return Tempo(None if bpm is None else round(bpm, 1), estimated=bpm is not None)


def is_on_grid(notes: Notes) -> bool:
    """Whether the onsets lie on subdivisions of the notated beats; False where no tempo is notated."""
    if not len(notes.tempo):
        return False
    onset = np.unique(notes.onset)
    if len(onset) < _MIN_ONSETS:
        return True  # too few to doubt what is written
    if len(onset) > _MAX_ONSETS:
        onset = onset[:: math.ceil(len(onset) / _MAX_ONSETS)]
    quarters = notes.tempo.quarters(onset)
    phases = 2 * np.pi * np.multiply.outer(np.array(_SUBDIVISIONS), quarters)
    lengths = np.abs(np.exp(1j * phases).mean(axis=1))
    return bool(lengths.max() > max(_ON_GRID, 3 / math.sqrt(len(onset))))


def _estimate_bpm(notes: Notes) -> float | None:
    """The most salient pulse of the onsets, or None if there is no clear one."""
    if len(notes) < 2 * _MIN_ONSETS:
        return None
    correlation = _autocorrelation(notes)
    if correlation is None:
        return None
    first, last = (round(lag_s * _RATE_HZ) for lag_s in _LAGS_S)
    lag = np.arange(first, last + 1)
    # A pulse also correlates at its multiples.
    combed = correlation[lag] + 0.5 * correlation[2 * lag] + 0.25 * correlation[3 * lag]
    weight = np.exp(-0.5 * (np.log2(lag / _RATE_HZ / _USUAL_S) / _SPREAD_OCTAVES) ** 2)
    best = int(lag[np.argmax(combed * weight)])
    if correlation[best - 1 : best + 2].max() < _MIN_STRENGTH:
        return None
    return 60 * _RATE_HZ / _refined(correlation, best)


def _autocorrelation(notes: Notes) -> FloatArray | None:
    """Mean autocorrelation of the onsets in windows, 1 at lag 0 and about 0 for random onsets."""
    size, hop = round(_WINDOW_S * _RATE_HZ), round(_HOP_S * _RATE_HZ)
    at = np.rint((notes.onset - notes.start_s) * _RATE_HZ).astype(np.int64)
    if at[-1] < 3 * _LAGS_S[0] * _RATE_HZ:
        return None
    strength = np.minimum(np.bincount(at), 4).astype(np.float64)
    strength = np.pad(strength, (0, max(0, size - len(strength))))
    half = round(3 * _SMOOTHING_S * _RATE_HZ)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / (_SMOOTHING_S * _RATE_HZ)) ** 2)
    strength = np.convolve(strength, kernel / kernel.sum(), "same")
    starts = np.arange(0, len(strength) - size + 1, hop)
    if len(starts) > _MAX_WINDOWS:
        starts = starts[:: math.ceil(len(starts) / _MAX_WINDOWS)]
    windows = strength[starts[:, None] + np.arange(size)]
    windows = windows - windows.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(windows, 2 * size, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :size]
    correlation *= size / np.arange(size, 0, -1)  # each lag by the number of its products
    power = correlation[:, :1]
    if not (power > 0).any():
        return None
    mean: FloatArray = correlation[power[:, 0] > 0].sum(axis=0) / power.sum()
    return mean


def _refined(correlation: FloatArray, lag: int) -> float:
    """The lag between samples, by a parabola through three; from the fourth multiple, which is finer."""
    for multiple in (4, 2, 1):
        around = multiple * lag
        near = np.arange(around - multiple, around + multiple + 1)
        if near[-1] + 1 >= len(correlation):
            continue
        peak = int(near[np.argmax(correlation[near])])
        left, top, right = correlation[peak - 1 : peak + 2]
        curve = left - 2 * top + right
        shift = 0.5 * (left - right) / curve if curve < 0 else 0.0
        return (peak + float(np.clip(shift, -0.5, 0.5))) / multiple
    return float(lag)
