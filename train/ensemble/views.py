"""Slices of pieces with parts and their random alterations, many rows at a time.

Transposition and tempo need no alteration: the front leaves them alone (`embedder.ensemble.front`) but for
its coarse columns, which are moved or left out here. What is left to learn is what versions of music really
differ in: instruments, parts that are missing, drums, timing, lengths, loudness, lost notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import CorpusError
from embedder.ensemble.front import DRUMS, Rows, blank, front
from embedder.notes import GRID_HZ

from .corpus import EnsembleCorpus

__all__ = ["Chain", "alter", "cut"]

FEWEST = 12  # notes that an alteration of parts leaves at least
SPAN = 6  # a slice of an ensemble is taken from so many times its notes, since parts may be left out
MARGIN = 1.5  # the same for notes that are lost one by one

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """Probability of each alteration, and how far it goes (as in `train.views.Chain`).

    Attributes
    ----------
    one_part, drums_alone, no_drums, fewer_parts : probabilities of what remains of the parts
    instruments : probability that every part gets another program
    piano : probability that all pitched parts become one piano part
    hide : probability that the front's coarse columns are left out
    """

    one_part: float = 0.08
    drums_alone: float = 0.03
    no_drums: float = 0.2
    fewer_parts: float = 0.2
    instruments: float = 0.35
    piano: float = 0.2
    tempo: float = 0.8
    tempo_most: float = 1.4
    jitter: float = 0.35
    jitter_most_s: float = 0.04
    duration: float = 0.4
    duration_most: float = 2.0
    flat: float = 0.25
    dropout: float = 0.35
    dropout_most: float = 0.3
    octaves: float = 0.1
    hand: float = 0.1
    quantise: float = 0.2
    quantise_most_s: float = 0.2
    hide: float = 0.4

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Chain:
        known = {f.name for f in fields(cls)}
        if unknown := set(settings) - known:
            raise CorpusError(f"augmentation settings do not fit: {', '.join(sorted(unknown))}")
        return cls(**settings)


def cut(
    corpus: EnsembleCorpus,
    starts: Sequence[tuple[int, int]],
    length: int,
    chain: Chain | None,
    rng: np.random.Generator,
) -> Rows:
    """Rows of notes from (first note, end of the piece) on: `MARGIN` times `length` notes of the parts that
    stay.

    Parameters
    ----------
    chain : whether parts are left out; None leaves all
    """
    width = int(length * MARGIN) if chain else length
    shape = (len(starts), width)
    rows = blank(*shape)
    for row, (first, end) in enumerate(starts):
        last = min(first + (SPAN * width if chain else width), end)
        instrument, part = corpus.instrument[first:last], corpus.part[first:last]
        keep = None if chain is None else _parts(instrument, part, chain, rng)
        at = np.arange(first, min(first + width, last)) if keep is None else first + keep[:width]
        count = len(at)
        onset = corpus.onset[at].astype(np.float64)
        rows.onset[row, :count] = (onset - onset[0]) / GRID_HZ
        rows.duration[row, :count] = corpus.duration[at] / GRID_HZ
        rows.pitch[row, :count] = corpus.pitch[at]
        rows.velocity[row, :count] = corpus.velocity[at]
        rows.instrument[row, :count] = corpus.instrument[at]
        rows.part[row, :count] = corpus.part[at]
    return rows


def _parts(
    instrument: NDArray[np.uint8], part: NDArray[np.uint8], chain: Chain, rng: np.random.Generator
) -> NDArray[np.int64] | None:
    """Places of the notes whose parts stay; None if all do."""
    drum = instrument == DRUMS
    draw = rng.random(4)
    parts = np.unique(part[~drum])
    stays = np.ones(len(part), dtype=bool)
    if draw[0] < chain.drums_alone and drum.any():
        stays = drum
    elif draw[0] < chain.drums_alone + chain.one_part and len(parts) > 1:
        stays = (part == rng.choice(parts)) & ~drum
    else:
        if draw[1] < chain.no_drums:
            stays &= ~drum
        if draw[2] < chain.fewer_parts and len(parts) > 2:
            lost = parts[rng.random(len(parts)) < rng.uniform(0.1, 0.6)]
            stays &= drum | ~np.isin(part, lost)
    if stays.all() or stays.sum() < FEWEST:
        return None
    return np.flatnonzero(stays)


def alter(
    rows: Rows, chain: Chain, rng: np.random.Generator, length: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Alter rows in place and make them token rows of at most `length` notes, with their lengths."""
    one = (len(rows.onset), 1)

    def chosen(probability: float) -> NDArray[np.bool_]:
        return rng.random(one) < probability

    drum = rows.instrument == DRUMS
    _instruments(rows, chain, rng, drum)
    split, upper = rng.integers(55, 68, one), rng.random(one) < 0.5
    lost = chosen(chain.hand) & ~drum & np.where(upper, rows.pitch >= split, rows.pitch < split)
    _remove(rows, lost, 24)
    share = rng.uniform(0, chain.dropout_most, one) * chosen(chain.dropout)
    _remove(rows, rng.random(rows.onset.shape) < share, FEWEST)
    octave = (rng.random(rows.onset.shape) < 0.3) & chosen(chain.octaves) & ~drum
    rows.pitch = np.clip(rows.pitch + np.where(octave, rng.choice([-12, 12], one), 0), 0, 127)
    most = np.log(chain.tempo_most)
    factor = np.where(chosen(chain.tempo), np.exp(rng.uniform(-most, most, one)), 1.0)
    rows.onset *= factor
    rows.duration *= factor
    sd = np.where(chosen(chain.jitter), rng.uniform(0, chain.jitter_most_s, one), 0.0)
    rows.onset += rng.normal(0, 1, rows.onset.shape) * sd
    step = np.where(chosen(chain.quantise), rng.uniform(0.03, chain.quantise_most_s, one), 1e-5)
    present = np.isfinite(rows.onset)
    rows.onset = np.where(present, np.rint(np.where(present, rows.onset, 0) / step) * step, np.inf)
    most = np.log(chain.duration_most)
    rows.duration *= np.where(chosen(chain.duration), np.exp(rng.uniform(-most, most, one)), 1.0)
    rows.velocity = np.where(chosen(chain.flat), 64, rows.velocity)
    return front(rows, length, shift=rng.integers(-6, 7, len(rows.onset)), hide=chosen(chain.hide)[:, 0])


def _instruments(rows: Rows, chain: Chain, rng: np.random.Generator, drum: NDArray[np.bool_]) -> None:
    count = len(rows.onset)
    others = rng.integers(0, 120, (count, 256))
    other = np.take_along_axis(others, rows.part, axis=1)
    several = ((rows.instrument != rows.instrument[:, :1]) & np.isfinite(rows.onset)).any(1, keepdims=True)
    renamed = (rng.random((count, 1)) < np.where(several, chain.instruments, chain.instruments / 3)) & ~drum
    rows.instrument = np.where(renamed, other, rows.instrument)
    piano = (rng.random((count, 1)) < chain.piano) & ~drum
    rows.instrument = np.where(piano, 0, rows.instrument)
    rows.part = np.where(piano, 0, rows.part)


def _remove(rows: Rows, lost: NDArray[np.bool_], keep_at_least: int) -> None:
    left = (np.isfinite(rows.onset) & ~lost).sum(1, keepdims=True)
    rows.onset[lost & (left >= keep_at_least)] = np.inf
