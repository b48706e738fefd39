"""The whole library at a glance, for the map: names and descriptors as columns, read once for each commit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from index import Piece

from . import shared
from .mapping import MapBase
from .plainly import shortened

__all__ = ["Outline", "draw_anew", "outline"]

LONGEST_NAME = 70


@dataclass(frozen=True)
class Outline:
    """The pieces of a library in order of their numbers.

    Attributes
    ----------
    root : the folder that all files share
    names : paths as seen from there, the titles in front
    places : float32 [n, 2], on the map
    drawn_for : how many pieces the library held when the map was drawn
    """

    pieces: list[Piece]
    numbers: NDArray[np.int64]
    root: str
    names: list[str]
    places: NDArray[np.float32]
    drawn_for: int

    def place_of(self, number: int) -> int | None:
        """Where in the columns a piece stands."""
        place = int(np.searchsorted(self.numbers, number))
        return place if place < len(self.numbers) and self.numbers[place] == number else None


def outline() -> Outline:
    """The library as it is now."""
    library = shared.library()
    return _outline(str(library.folder), library.info().commit)


def draw_anew() -> None:
    """Draw the map again, for the library as it is now."""
    _base.clear()
    _outline.clear()
    library = shared.library()
    numbers, vectors = library.vectors()
    if len(numbers):
        _kept(MapBase.drawn(library.info().encoder or "", vectors))


@st.cache_resource(max_entries=2, show_spinner="Reading the library …")
def _outline(folder: str, commit: int) -> Outline:
    library = shared.library()
    numbers, vectors = library.vectors()
    pieces = [piece for piece in library.pieces(limit=len(numbers) + 1) if piece.id <= numbers[-1]]
    known = {piece.id for piece in pieces}
    there = np.array([number in known for number in numbers.tolist()], bool)
    numbers, vectors = numbers[there], vectors[there]
    base = _base(folder, library.info().encoder or "")
    folders = {str(Path(piece.display).parent) for piece in pieces}
    root = os.path.commonpath(folders) if folders and all(map(os.path.isabs, folders)) else ""
    short = shortened((piece.display for piece in pieces), root, LONGEST_NAME)
    names = [f"{p.title[:50]} — {name}" if p.title else name for p, name in zip(pieces, short, strict=True)]
    return Outline(pieces, numbers, root, names, base.place(numbers, vectors), base.pieces)


@st.cache_resource(max_entries=2, show_spinner="Drawing the map, once for this library …")
def _base(folder: str, encoder: str) -> MapBase:
    kept = MapBase.load(Path(folder), encoder)
    if kept is not None:
        return kept
    _, vectors = shared.library().vectors()
    return _kept(MapBase.drawn(encoder, vectors))


def _kept(base: MapBase) -> MapBase:
    library = shared.library()
    if not library.read_only:
        base.save(library.folder)
    return base
