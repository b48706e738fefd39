"""The places of all pieces on the map, kept beside the library: only what is new is placed.

Places are a cache: when the file is missing, damaged or of another map, every piece is placed again.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from .projection import MapBase, written_whole

if TYPE_CHECKING:
    from index import Library

__all__ = ["PLACES_FILE", "Places", "place_all"]

PLACES_FILE = "map-places.npz"

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Places:
    """Where pieces stand on a map.

    Attributes
    ----------
    drawn_for : how many pieces the library held when the map was drawn
    numbers : int64 [n], rising; some may have been removed from the library since
    places : float32 [n, 2], in 0..1
    """

    drawn_for: int
    numbers: NDArray[np.int64]
    places: NDArray[np.float32]

    @property
    def last(self) -> int:
        """The highest number that has a place."""
        return int(self.numbers[-1]) if len(self.numbers) else 0

    def of(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Places of pieces that have one, float32 [n, 2]."""
        found: NDArray[np.float32] = self.places[np.searchsorted(self.numbers, numbers)]
        return found

    def save(self, folder: Path, base: MapBase) -> None:
        """Keep them beside the library: whole or not at all."""
        with written_whole(folder / PLACES_FILE) as file:
            np.savez(file, base=base.name, numbers=self.numbers, places=self.places)

    @classmethod
    def load(cls, folder: Path, base: MapBase) -> Self:
        """Those that are kept for this map; none if there are none that can be used."""
        try:
            with open(folder / PLACES_FILE, "rb") as file, np.load(file, allow_pickle=False) as kept:
                name, numbers = str(kept["base"]), kept["numbers"].astype(np.int64)
                places = kept["places"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            name, numbers, places = "", np.empty(0, np.int64), np.empty((0, 2), np.float32)
        whole = places.shape == (len(numbers), 2) and bool(np.isfinite(places).all())
        if name != base.name or not whole or bool((np.diff(numbers) <= 0).any()):
            return cls(base.pieces, np.empty(0, np.int64), np.empty((0, 2), np.float32))
        return cls(base.pieces, numbers, places)


def place_all(library: Library, told: Told, *, anew: bool = False) -> Places:
    """A place for every piece, drawn or read; what is new is kept, where the library can be written.

    Parameters
    ----------
    told : what is being done, how much of it is done, and of how much
    anew : draw the map again, for the library as it is now
    """
    folder, encoder = library.folder, library.info().encoder or ""
    base = None if anew else MapBase.load(folder, encoder)
    fresh = base is None
    if base is None:
        told("reading vectors", 0, 1)
        numbers, vectors = library.vectors()
        told("drawing the map", 0, 1)
        base = MapBase.drawn(encoder, vectors)
        known = Places(base.pieces, numbers[:0], np.empty((0, 2), np.float32))
    else:
        known = Places.load(folder, base)
        numbers, vectors = library.vectors(after=known.last)
    if len(numbers):
        places = base.place(numbers, vectors, lambda done: told("placing pieces", done, len(numbers)))
        known = Places(
            known.drawn_for, np.concatenate([known.numbers, numbers]), np.concatenate([known.places, places])
        )
        if not library.read_only and os.access(folder, os.W_OK):
            if fresh:
                base.save(folder)
            known.save(folder, base)
    return known
