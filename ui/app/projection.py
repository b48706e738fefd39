"""Positions of all pieces on a two-dimensional map; they stay where they are while the library grows.

The positions of a sample of pieces, the anchors, are computed once by t-SNE (L. van der Maaten and G. Hinton,
"Visualizing data using t-SNE", Journal of Machine Learning Research 9, 2008) and kept beside the library.
Every other piece, and each that is added later, takes the weighted mean of the positions of its nearest
anchors and moves no other piece. Positions are a cache: when a file is missing, damaged or belongs to another
map, they are computed again.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import FloatRows, IntArray, unit_rows
from embedder.core.files import atomic_file
from embedder.core.progress import OnProgress

if TYPE_CHECKING:
    from index import Library

__all__ = ["MAP_FILE", "POSITIONS_FILE", "MapBase", "Positions", "position_all"]

MAP_FILE = "map.npz"
POSITIONS_FILE = "map-places.npz"
_ANCHORS = 1500
_MIN_FOR_TSNE = 40
_AXES = 64  # principal axes on which pieces are compared with anchors
_NEAR = 6  # nearest anchors that a position is the mean of
_SHARPNESS = 60.0  # weight = exp(sharpness x cosine)
_SCATTER = 0.004  # of the map's width: jitter, so that copies do not hide each other
_ROWS = 4096  # pieces placed at a time, a few tens of megabytes


@dataclass(frozen=True)
class MapBase:
    """The anchors that a map is built from.

    Attributes
    ----------
    encoder : whose vectors they are
    pieces : how many the library held when the map was drawn
    vectors : float32 [m, dim], unit rows, of the anchors
    positions : float32 [m, 2], in 0.05..0.95
    """

    encoder: str
    pieces: int
    vectors: FloatRows
    positions: FloatRows

    @classmethod
    def drawn(cls, encoder: str, vectors: FloatRows) -> Self:
        """Draw a map of vectors, float32 [n, dim], n at least 1. The same vectors give the same map."""
        rng = np.random.default_rng(0)
        picked = np.sort(rng.permutation(len(vectors))[:_ANCHORS])
        chosen = unit_rows(vectors[picked])
        return cls(encoder, len(vectors), chosen, _in_frame(_spread_out(chosen)))

    @property
    def name(self) -> str:
        """Identifies this map: a hash of its anchors' positions."""
        return hashlib.sha256(self.positions.tobytes()).hexdigest()[:16]

    def place(
        self, numbers: IntArray, vectors: FloatRows, on_progress: Callable[[int], None] = lambda done: None
    ) -> FloatRows:
        """Places float32 [n, 2] in 0..1 for pieces and their vectors, float32 [n, dim].

        Parameters
        ----------
        on_progress : called with the number of pieces that have been placed
        """
        positions = np.empty((len(vectors), 2), np.float32)
        near = min(_NEAR, len(self.vectors))
        # On the principal axes of the anchors the cosines are nearly the same at a tenth of the work.
        _, _, axes = np.linalg.svd(self.vectors, full_matrices=False)
        projection = axes[:_AXES].T
        anchors = np.dot(self.vectors, projection).T
        for first in range(0, len(vectors), _ROWS):
            similarity = np.dot(np.dot(unit_rows(vectors[first : first + _ROWS]), projection), anchors)
            best = np.argpartition(-similarity, near - 1, axis=1)[:, :near]
            cosine = np.take_along_axis(similarity, best, axis=1)
            weight = np.exp(_SHARPNESS * (cosine - cosine.max(axis=1, keepdims=True)))
            weight /= weight.sum(axis=1, keepdims=True)
            positions[first : first + _ROWS] = np.einsum("nk,nkd->nd", weight, self.positions[best])
            on_progress(min(first + _ROWS, len(vectors)))
        return np.clip(positions + _SCATTER * _direction(numbers), 0.0, 1.0)

    def save(self, folder: Path) -> None:
        """Write the map beside the library."""
        with atomic_file(folder / MAP_FILE) as file:
            np.savez(
                file,
                encoder=np.array(self.encoder),
                pieces=np.array(self.pieces),
                vectors=self.vectors.astype(np.float16),
                places=self.positions,
            )

    @classmethod
    def load(cls, folder: Path, encoder: str) -> Self | None:
        """The stored map of this encoder; None if there is no usable one."""
        try:
            with open(folder / MAP_FILE, "rb") as file, np.load(file, allow_pickle=False) as kept:
                base = cls(
                    str(kept["encoder"]),
                    int(kept["pieces"]),
                    unit_rows(kept["vectors"].astype(np.float32)),
                    kept["places"].astype(np.float32),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        whole = len(base.vectors) > 0 and base.positions.shape == (len(base.vectors), 2)
        return base if whole and base.encoder == encoder and bool(np.isfinite(base.positions).all()) else None


def _spread_out(vectors: FloatRows) -> FloatRows:
    """Anchors in the plane by t-SNE; a handful by their first two principal components."""
    if len(vectors) < _MIN_FOR_TSNE:
        centred = vectors - vectors.mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        flat = np.dot(centred, directions[:2].T)
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))).astype(np.float32)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, len(vectors) / 6)
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=0, max_iter=600)
    plane: FloatRows = tsne.fit_transform(vectors).astype(np.float32)
    return plane


def _in_frame(positions: FloatRows) -> FloatRows:
    low, high = positions.min(axis=0), positions.max(axis=0)
    framed: FloatRows = (0.05 + 0.9 * (positions - low) / np.maximum(high - low, 1e-9)).astype(np.float32)
    return framed


def _direction(numbers: IntArray) -> FloatRows:
    """A deterministic jitter for each piece."""
    angle = (numbers * 2654435761 % 2**32) / 2**32 * 2 * np.pi
    radius = np.sqrt((numbers * 40503 % 2**16) / 2**16)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Positions:
    """Positions of pieces on a map.

    Attributes
    ----------
    drawn_for : how many pieces the library held when the map was drawn
    numbers : int64 [n], rising; some may have been removed from the library since
    positions : float32 [n, 2], in 0..1
    """

    drawn_for: int
    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]

    @property
    def last(self) -> int:
        """The highest piece number that has a position."""
        return int(self.numbers[-1]) if len(self.numbers) else 0

    def of(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Positions of pieces that have one, float32 [n, 2]."""
        selected: FloatRows = self.positions[np.searchsorted(self.numbers, numbers)]
        return selected

    def save(self, folder: Path, base: MapBase) -> None:
        """Write the positions beside the library."""
        with atomic_file(folder / POSITIONS_FILE) as file:
            np.savez(file, base=base.name, numbers=self.numbers, places=self.positions)

    @classmethod
    def load(cls, folder: Path, base: MapBase) -> Self:
        """The stored positions of this map; empty if there are no usable ones."""
        try:
            with open(folder / POSITIONS_FILE, "rb") as file, np.load(file, allow_pickle=False) as kept:
                name, numbers = str(kept["base"]), kept["numbers"].astype(np.int64)
                positions = kept["places"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            name, numbers, positions = "", np.empty(0, np.int64), np.empty((0, 2), np.float32)
        whole = positions.shape == (len(numbers), 2) and bool(np.isfinite(positions).all())
        if name != base.name or not whole or bool((np.diff(numbers) <= 0).any()):
            return cls(base.pieces, np.empty(0, np.int64), np.empty((0, 2), np.float32))
        return cls(base.pieces, numbers, positions)


def position_all(library: Library, on_progress: OnProgress, *, redraw: bool = False) -> Positions:
    """Positions of all pieces, read or computed; new ones are stored if the library can be written.

    Parameters
    ----------
    redraw : compute the map anew, for the library as it is now
    """
    folder, encoder = library.folder, library.info().encoder or ""
    base = None if redraw else MapBase.load(folder, encoder)
    fresh = base is None
    if base is None:
        on_progress("reading vectors", 0, 1)
        numbers, vectors = library.vectors()
        on_progress("drawing the map", 0, 1)
        base = MapBase.drawn(encoder, vectors)
        known = Positions(base.pieces, numbers[:0], np.empty((0, 2), np.float32))
    else:
        known = Positions.load(folder, base)
        numbers, vectors = library.vectors(after=known.last)
    if len(numbers):
        positions = base.place(
            numbers, vectors, lambda done: on_progress("placing pieces", done, len(numbers))
        )
        known = Positions(
            known.drawn_for,
            np.concatenate([known.numbers, numbers]),
            np.concatenate([known.positions, positions]),
        )
        if not library.read_only and os.access(folder, os.W_OK):
            if fresh:
                base.save(folder)
            known.save(folder, base)
    return known
