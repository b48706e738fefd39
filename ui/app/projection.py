"""A place for every piece on a map of two dimensions, that stays where it is while the library grows.

Some pieces are landmarks. Their places are found once, by t-SNE (L. van der Maaten and G. Hinton,
"Visualizing data using t-SNE", Journal of Machine Learning Research 9, 2008), and kept beside the library.
Every other piece, and each that is added later, is placed among the landmarks that sound most like it, and
moves no other.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAP_FILE", "MapBase", "written_whole"]

MAP_FILE = "map.npz"
_LANDMARKS = 1500
_FEWEST_FOR_TSNE = 40
_AXES = 64  # on which pieces are compared with landmarks
_NEAR = 6  # landmarks that decide a place
_SHARPNESS = 60.0  # how much more a landmark counts that is nearer by cosine
_SCATTER = 0.004  # of the map's width: so that copies do not hide each other
_ROWS = 4096  # pieces placed at a time: a few tens of megabytes

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class MapBase:
    """What a map rests on.

    Attributes
    ----------
    encoder : whose vectors they are
    pieces : how many the library held when the map was drawn
    vectors : float32 [m, dim], unit rows, of the landmarks
    places : float32 [m, 2], in 0.05..0.95
    """

    encoder: str
    pieces: int
    vectors: FloatArray
    places: FloatArray

    @classmethod
    def drawn(cls, encoder: str, vectors: FloatArray) -> Self:
        """Draw a map of vectors, float32 [n, dim], n at least 1. The same vectors give the same map."""
        rng = np.random.default_rng(0)
        picked = np.sort(rng.permutation(len(vectors))[:_LANDMARKS])
        chosen = _unit(vectors[picked])
        return cls(encoder, len(vectors), chosen, _in_frame(_spread_out(chosen)))

    @property
    def name(self) -> str:
        """What tells this map from others."""
        return hashlib.sha256(self.places.tobytes()).hexdigest()[:16]

    def place(
        self, numbers: IntArray, vectors: FloatArray, told: Callable[[int], None] = lambda done: None
    ) -> FloatArray:
        """Places float32 [n, 2] in 0..1 for pieces and their vectors, float32 [n, dim].

        Parameters
        ----------
        told : how many have their place
        """
        places = np.empty((len(vectors), 2), np.float32)
        near = min(_NEAR, len(self.vectors))
        # Landmarks on the axes along which they lie: nearly the same cosines with a tenth of the work.
        _, _, axes = np.linalg.svd(self.vectors, full_matrices=False)
        turned = axes[:_AXES].T
        landmarks = np.dot(self.vectors, turned).T
        for first in range(0, len(vectors), _ROWS):
            alike = np.dot(np.dot(_unit(vectors[first : first + _ROWS]), turned), landmarks)
            best = np.argpartition(-alike, near - 1, axis=1)[:, :near]
            cosine = np.take_along_axis(alike, best, axis=1)
            weight = np.exp(_SHARPNESS * (cosine - cosine.max(axis=1, keepdims=True)))
            weight /= weight.sum(axis=1, keepdims=True)
            places[first : first + _ROWS] = np.einsum("nk,nkd->nd", weight, self.places[best])
            told(min(first + _ROWS, len(vectors)))
        return np.clip(places + _SCATTER * _direction(numbers), 0.0, 1.0)

    def save(self, folder: Path) -> None:
        """Keep it beside the library: whole or not at all."""
        with written_whole(folder / MAP_FILE) as file:
            np.savez(
                file,
                encoder=np.array(self.encoder),
                pieces=np.array(self.pieces),
                vectors=self.vectors.astype(np.float16),
                places=self.places,
            )

    @classmethod
    def load(cls, folder: Path, encoder: str) -> Self | None:
        """The map that is kept for this encoder; None if there is none that can be used."""
        try:
            with open(folder / MAP_FILE, "rb") as file, np.load(file, allow_pickle=False) as kept:
                base = cls(
                    str(kept["encoder"]),
                    int(kept["pieces"]),
                    _unit(kept["vectors"].astype(np.float32)),
                    kept["places"].astype(np.float32),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        whole = len(base.vectors) > 0 and base.places.shape == (len(base.vectors), 2)
        return base if whole and base.encoder == encoder and bool(np.isfinite(base.places).all()) else None


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, that takes the place of `path` when all is written, and leaves nothing if not."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _unit(vectors: FloatArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-9)).astype(np.float32)


def _spread_out(vectors: FloatArray) -> FloatArray:
    """Landmarks in the plane: t-SNE, or for a handful the two directions in which they differ most."""
    if len(vectors) < _FEWEST_FOR_TSNE:
        centred = vectors - vectors.mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        flat = np.dot(centred, directions[:2].T)
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))).astype(np.float32)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, len(vectors) / 6)
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=0, max_iter=600)
    return tsne.fit_transform(vectors).astype(np.float32)


def _in_frame(places: FloatArray) -> FloatArray:
    low, high = places.min(axis=0), places.max(axis=0)
    return (0.05 + 0.9 * (places - low) / np.maximum(high - low, 1e-9)).astype(np.float32)


def _direction(numbers: IntArray) -> FloatArray:
    """A small step for each piece, always the same for the same number."""
    turn = (numbers * 2654435761 % 2**32) / 2**32 * 2 * np.pi
    far = np.sqrt((numbers * 40503 % 2**16) / 2**16)
    return np.stack([far * np.cos(turn), far * np.sin(turn)], axis=1).astype(np.float32)
