"""The whole library at a glance, for the map: names and descriptors as columns, read once for each commit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from index import Piece

from . import state
from .components import map_points
from .escaping import shortened
from .map_colors import Colouring
from .map_positions import Places, place_all
from .projection import MapBase

__all__ = ["Outline", "draw_anew", "outline"]

LONGEST_NAME = 70
MOST_AT_ONCE = 5_000  # new pieces that a visitor waits for; of more the places are made in the background


@dataclass(frozen=True)
class Outline:
    """The pieces of a library in order of their numbers.

    Attributes
    ----------
    root : the folder that all files share
    points : places and names, as the map in the browser takes them; names are titles and paths from the root
    drawn_for : how many pieces the library held when the map was drawn
    colourings : those that were asked for
    """

    pieces: list[Piece]
    numbers: NDArray[np.int64]
    root: str
    points: dict[str, Any]
    drawn_for: int
    colourings: dict[str, Colouring] = field(default_factory=dict)

    def place_of(self, number: int) -> int | None:
        """Where in the columns a piece stands."""
        place = int(np.searchsorted(self.numbers, number))
        return place if place < len(self.numbers) and self.numbers[place] == number else None


def outline() -> Outline | None:
    """The library as it is now; None while the places of very many pieces are made in the background."""
    library = state.library()
    info = library.info()
    job = state.jobs().last("map")
    if job is not None and job.running:
        return None
    drawn = job.number if job else 0
    failed = job is not None and job.state != "done"
    if info.pieces > MOST_AT_ONCE and not (failed or info.read_only):
        placed = _placed(str(library.folder), info.encoder or "", info.commit, drawn)
        if info.pieces > MOST_AT_ONCE + placed:
            state.jobs().start("map")
            return None
    return _outline(str(library.folder), info.commit, drawn)


def draw_anew() -> None:
    """Draw the map again, for the library as it is now."""
    with state.said_plainly():
        state.jobs().start("map", anew=True)


@st.cache_resource(max_entries=2, show_spinner=False)
def _placed(folder: str, encoder: str, commit: int, drawn: int) -> int:
    """How many pieces have a place that is kept."""
    base = MapBase.load(Path(folder), encoder)
    return 0 if base is None else len(Places.load(Path(folder), base).numbers)


@st.cache_resource(max_entries=2, show_spinner="Reading the library …")
def _outline(folder: str, commit: int, drawn: int) -> Outline:
    """The outline at a commit, after the map was drawn so many times."""
    library = state.library()
    placed = place_all(library, lambda phase, done, total: None)
    pieces = [piece for piece in library.pieces(limit=10**9) if piece.id <= placed.last]
    numbers = np.array([piece.id for piece in pieces], dtype=np.int64)
    folders = {os.path.dirname(piece.display) for piece in pieces}
    root = os.path.commonpath(folders) if folders and all(map(os.path.isabs, folders)) else ""
    short = shortened((piece.display for piece in pieces), root, LONGEST_NAME)
    names = [f"{p.title[:50]} — {name}" if p.title else name for p, name in zip(pieces, short, strict=True)]
    points = map_points(placed.of(numbers), numbers, names)
    return Outline(pieces, numbers, root, points, placed.drawn_for)
