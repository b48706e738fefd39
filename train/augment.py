"""Slices of pieces and their random alterations, many rows at a time.

The chain follows CLMR (arXiv 2103.09410): a fixed order of alterations, each applied to a row with its own
probability. All of them are done at once on padded arrays [rows, notes]; a dropped or absent note has an
infinite onset and sorts to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import CorpusError
from embedder.notes import GRID_HZ
from embedder.tokens import tokens_of

from .corpus import Corpus
from .recipe import check_settings, declared

__all__ = ["Chain", "Rows", "alter", "cut", "to_batch"]

FloatArray = NDArray[np.float64]

MOST_FACTOR = 100
MOST_SHIFT_S = 60


@dataclass(frozen=True)
class Chain:
    """Probability of each alteration, and how far it goes.

    Attributes
    ----------
    crop, crop_least : probability that only a run of the notes is kept; share of them at least
    transpose, transpose_most : probability; semitones up or down at most
    tempo, tempo_most : probability; factor 1/x..x
    jitter, jitter_most_s : probability; standard deviation in seconds at most
    duration, duration_most : probability; factor 1/x..x on the lengths of all notes of a row
    velocity, velocity_most : probability; shift up or down at most
    flat : probability that all velocities become one
    dropout, dropout_most : probability; share of notes lost at most
    doubling : probability that some notes are doubled an octave away
    hand : probability that the notes above or below a split are dropped
    quantise, quantise_most_s : probability; step in seconds at most
    """

    crop: float = 0.0
    crop_least: float = 0.4
    transpose: float = 0.8
    transpose_most: int = 6
    tempo: float = 0.8
    tempo_most: float = 1.4
    jitter: float = 0.3
    jitter_most_s: float = 0.04
    duration: float = 0.3
    duration_most: float = 2.0
    velocity: float = 0.5
    velocity_most: int = 20
    flat: float = 0.2
    dropout: float = 0.3
    dropout_most: float = 0.3
    doubling: float = 0.1
    hand: float = 0.1
    quantise: float = 0.2
    quantise_most_s: float = 0.2

    def __post_init__(self) -> None:
        check_settings("augmentation", declared(Chain), asdict(self))
        for f in fields(self):
            value = getattr(self, f.name)
            if "_most" not in f.name and not 0 <= value <= 1:
                raise CorpusError(f"augmentation {f.name} is a probability, not {value!r}")
        for name in ("tempo_most", "duration_most"):
            if not 1 <= getattr(self, name) <= MOST_FACTOR:
                raise CorpusError(f"augmentation {name} is a factor of 1 to {MOST_FACTOR}")
        if max(self.transpose_most, self.velocity_most) > 127 or self.dropout_most > 1:
            raise CorpusError("augmentation transpose_most and velocity_most end at 127, dropout_most at 1")
        if max(self.jitter_most_s, self.quantise_most_s) > MOST_SHIFT_S:
            raise CorpusError(f"augmentation jitter_most_s and quantise_most_s end at {MOST_SHIFT_S} seconds")

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Chain:
        try:
            return cls(**settings)
        except TypeError as error:
            raise CorpusError(f"augmentation settings do not fit: {error}") from None


@dataclass
class Rows:
    """Slices as padded arrays [rows, notes]; an infinite onset marks an absent note."""

    onset: FloatArray
    duration: FloatArray
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        lengths: NDArray[np.int64] = np.isfinite(self.onset).sum(1)
        return lengths

    def sorted(self, most: int | None = None) -> Rows:
        """Each row by onset then pitch, absent notes last, at most `most` notes."""
        order = np.lexsort((self.pitch, self.onset), axis=1)[:, :most]
        return Rows(
            np.take_along_axis(self.onset, order, axis=1),
            np.take_along_axis(self.duration, order, axis=1),
            np.take_along_axis(self.pitch, order, axis=1),
            np.take_along_axis(self.velocity, order, axis=1),
        )


def cut(corpus: Corpus, ranges: Sequence[tuple[int, int]], width: int) -> Rows:
    """Rows of corpus notes first..last (numbers in the flat arrays), padded to `width`, from 0 s."""
    shape = (len(ranges), width)
    rows = Rows(
        np.full(shape, np.inf),
        np.zeros(shape),
        np.zeros(shape, dtype=np.int64),
        np.ones(shape, dtype=np.int64),
    )
    for row, (first, last) in enumerate(ranges):
        count = min(last - first, width)
        part = slice(first, first + count)
        onset = corpus.onset[part].astype(np.float64)
        rows.onset[row, :count] = (onset - onset[0]) / GRID_HZ
        rows.duration[row, :count] = corpus.duration[part] / GRID_HZ
        rows.pitch[row, :count] = corpus.pitch[part]
        rows.velocity[row, :count] = corpus.velocity[part]
    return rows


def to_batch(rows: Rows) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Token rows uint8 [rows, notes, 4] (zeros where absent) and lengths int64 [rows]."""
    lengths = rows.lengths
    absent = ~np.isfinite(rows.onset)
    last = np.where(absent, 0.0, rows.onset).max(1, keepdims=True)
    tokens = tokens_of(np.where(absent, last, rows.onset), rows.duration, rows.pitch, rows.velocity)
    tokens[absent] = 0
    return tokens, lengths


def alter(rows: Rows, chain: Chain, rng: np.random.Generator, most: int) -> Rows:
    """Rows after the chain, sorted, each of at most `most` notes; no row is emptied."""
    if chain.crop:
        _crop(rows, chain, rng)
    rows = _doubling(rows, chain, rng)
    _drop_hand(rows, chain, rng)
    _dropout(rows, chain, rng)
    _times(rows, chain, rng)
    _velocities(rows, chain, rng)
    _transpose(rows, chain, rng)
    rows = rows.sorted(most)
    rows.onset -= rows.onset[:, :1]
    return rows


def _chosen(probability: float, rows: Rows, rng: np.random.Generator) -> NDArray[np.bool_]:
    return rng.random((len(rows.onset), 1)) < probability


def _crop(rows: Rows, chain: Chain, rng: np.random.Generator) -> None:
    count = rows.lengths[:, None]
    share = np.where(_chosen(chain.crop, rows, rng), rng.uniform(chain.crop_least, 1, count.shape), 1.0)
    kept = np.ceil(share * count).astype(np.int64)
    first = rng.integers(0, count - kept + 1)
    place = np.arange(rows.onset.shape[1])
    _remove(rows, (place < first) | (place >= first + kept))


def _doubling(rows: Rows, chain: Chain, rng: np.random.Generator) -> Rows:
    chosen = _chosen(chain.doubling, rows, rng)
    if not chosen.any():
        return rows
    octave = np.where(rng.random((len(rows.onset), 1)) < 0.5, -12, 12)
    doubled = chosen & (rng.random(rows.onset.shape) < rng.uniform(0.2, 1.0, octave.shape))
    doubled &= (rows.pitch + octave >= 21) & (rows.pitch + octave <= 108)
    return Rows(
        np.concatenate([rows.onset, np.where(doubled, rows.onset, np.inf)], axis=1),
        np.tile(rows.duration, 2),
        np.concatenate([rows.pitch, np.where(doubled, rows.pitch + octave, 0)], axis=1),
        np.tile(rows.velocity, 2),
    )


def _remove(rows: Rows, gone: NDArray[np.bool_], keep_at_least: int = 8) -> None:
    enough = (np.isfinite(rows.onset) & ~gone).sum(1, keepdims=True) >= keep_at_least
    rows.onset[gone & enough] = np.inf


def _drop_hand(rows: Rows, chain: Chain, rng: np.random.Generator) -> None:
    chosen = _chosen(chain.hand, rows, rng)
    split = rng.integers(55, 68, (len(rows.onset), 1))
    upper = rng.random((len(rows.onset), 1)) < 0.5
    _remove(rows, chosen & np.where(upper, rows.pitch >= split, rows.pitch < split), keep_at_least=24)


def _dropout(rows: Rows, chain: Chain, rng: np.random.Generator) -> None:
    share = rng.uniform(0, chain.dropout_most, (len(rows.onset), 1)) * _chosen(chain.dropout, rows, rng)
    _remove(rows, rng.random(rows.onset.shape) < share)


def _times(rows: Rows, chain: Chain, rng: np.random.Generator) -> None:
    one = (len(rows.onset), 1)
    most = np.log(chain.tempo_most)
    factor = np.where(_chosen(chain.tempo, rows, rng), np.exp(rng.uniform(-most, most, one)), 1.0)
    rows.onset *= factor
    rows.duration *= factor
    sd = np.where(_chosen(chain.jitter, rows, rng), rng.uniform(0, chain.jitter_most_s, one), 0.0)
    rows.onset += rng.normal(0, 1, rows.onset.shape) * sd
    step = np.where(
        _chosen(chain.quantise, rows, rng), rng.uniform(0.03, max(chain.quantise_most_s, 0.03), one), 1e-5
    )
    present = np.isfinite(rows.onset)
    rows.onset = np.where(present, np.rint(np.where(present, rows.onset, 0) / step) * step, np.inf)
    most = np.log(chain.duration_most)
    rows.duration *= np.where(_chosen(chain.duration, rows, rng), np.exp(rng.uniform(-most, most, one)), 1.0)


def _velocities(rows: Rows, chain: Chain, rng: np.random.Generator) -> None:
    one = (len(rows.onset), 1)
    shift = rng.integers(-chain.velocity_most, chain.velocity_most + 1, one)
    rows.velocity += np.where(_chosen(chain.velocity, rows, rng), shift, 0)
    flat = np.broadcast_to(rng.integers(40, 100, one), rows.velocity.shape)
    rows.velocity = np.clip(np.where(_chosen(chain.flat, rows, rng), flat, rows.velocity), 1, 127)


def _transpose(rows: Rows, chain: Chain, rng: np.random.Generator) -> None:
    shift = rng.integers(-chain.transpose_most, chain.transpose_most + 1, (len(rows.onset), 1))
    moved = rows.pitch + np.where(_chosen(chain.transpose, rows, rng), shift, 0)
    # A note pushed off the keyboard comes back an octave nearer.
    rows.pitch = np.where(moved < 0, moved + 12, np.where(moved > 127, moved - 12, moved))
