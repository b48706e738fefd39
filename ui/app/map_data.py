"""The whole library for the map: positions, names and colours as columns, read once for each commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from embedder.core.arrays import FloatRows, unit_rows
from embedder.core.progress import no_progress
from index import Library

from . import state
from .catalog import Catalog, catalog
from .components import map_points
from .escaping import shortened
from .map_colors import Colouring
from .projection import MapBase, Positions, position_all

__all__ = ["MapView", "cluster_labels", "map_view", "path_between", "redraw"]

MAX_NAME = 70
MAX_AT_ONCE = 5_000  # new pieces that a visitor waits for; more are placed in the background
_CELLS = 7  # along each side, in which clusters are looked for
_MAX_PATH = 9


@dataclass(frozen=True)
class MapView:
    """The pieces of a library on its map.

    Attributes
    ----------
    names : the catalog, whose rows are the rows of everything here
    rows : the rows of the catalog that have a position
    positions : float32 [n, 2] in 0..1
    points : positions and labels as the browser takes them
    drawn_for : how many pieces the library held when the map was computed
    colourings : those that were asked for
    """

    names: Catalog
    rows: NDArray[np.int64]
    positions: FloatRows
    points: dict[str, Any]
    drawn_for: int
    colourings: dict[str, Colouring] = field(default_factory=dict)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers of the pieces."""
        return self.names.numbers[self.rows]

    def __contains__(self, number: int) -> bool:
        row = self.names.row_of(number)
        return row is not None and row < len(self.rows)


def map_view() -> MapView | None:
    """The map of the library as it is now; None while many pieces are being placed in the background."""
    library = state.library()
    info = library.info()
    job = state.jobs().last("map")
    if job is not None and job.running:
        return None
    drawn = job.number if job else 0
    failed = job is not None and job.state != "done"
    if info.pieces > MAX_AT_ONCE and not (failed or info.read_only):
        placed = _placed(str(library.folder), info.encoder or "", info.commit, drawn)
        if info.pieces > MAX_AT_ONCE + placed:
            state.jobs().start("map")
            return None
    return _map_view(str(library.folder), info.commit, drawn)


def redraw() -> None:
    """Compute the map again, for the library as it is now."""
    with state.errors_shown():
        state.jobs().start("map", redraw=True)


@st.cache_resource(max_entries=2, show_spinner=False)
def _placed(folder: str, encoder: str, commit: int, drawn: int) -> int:
    """How many pieces have a stored position."""
    base = MapBase.load(Path(folder), encoder)
    return 0 if base is None else len(Positions.load(Path(folder), base).numbers)


@st.cache_resource(max_entries=2, show_spinner="Reading the library …")
def _map_view(folder: str, commit: int, drawn: int) -> MapView:
    """The map at a commit, after it was computed so many times."""
    placed = position_all(state.library(), no_progress)
    names = catalog()
    rows = np.flatnonzero(names.numbers <= placed.last)
    positions = placed.of(names.numbers[rows])
    paths = shortened((names.pieces[row].display for row in rows), names.root, MAX_NAME)
    labels = [f"{names.titles[row][:60]} — {path}" for row, path in zip(rows, paths, strict=True)]
    points = map_points(positions, names.numbers[rows], labels)
    return MapView(names, rows, positions, points, placed.drawn_for)


def cluster_labels(view: MapView, words: Sequence[str | None]) -> list[tuple[float, float, str]]:
    """Names of dense regions: the word that most pieces of a region share, the largest region first.

    Parameters
    ----------
    words : one of each piece, such as its folder
    """
    cell = np.minimum((view.positions * _CELLS).astype(int), _CELLS - 1)
    regions: dict[tuple[int, int], list[int]] = {}
    for i, (x, y) in enumerate(cell.tolist()):
        regions.setdefault((x, y), []).append(i)
    named: dict[str, tuple[int, float, float]] = {}
    for members in regions.values():
        (word, count), *_ = Counter(words[i] for i in members).most_common(1)
        if not word or count < 0.5 * len(members) or count < 4:
            continue
        x, y = np.median(view.positions[[i for i in members if words[i] == word]], axis=0).tolist()
        if count > named.get(word, (0,))[0]:
            named[word] = (count, x, y)
    ranked = sorted(named.items(), key=lambda item: -item[1][0])
    return [(x, y, word[:32]) for word, (_, x, y) in ranked]


def path_between(library: Library, first: int, last: int) -> list[int]:
    """Pieces from one to another, each similar to the one before: nearest to points on the arc between them.

    The arc is the great circle between the two vectors; no piece is met twice.
    """
    numbers, vectors = library.vectors()
    rows = {int(number): row for row, number in enumerate(numbers)}
    if first not in rows or last not in rows or first == last:
        return [number for number in dict.fromkeys((first, last)) if number in rows]
    unit = unit_rows(vectors)
    a, b = unit[rows[first]], unit[rows[last]]
    steps = min(_MAX_PATH, max(3, len(numbers) // 4)) - 2
    path, used = [first], {rows[first], rows[last]}
    for step in range(1, steps + 1):
        share = step / (steps + 1)
        similarity = unit @ ((1 - share) * a + share * b)
        similarity[list(used)] = -np.inf
        best = int(similarity.argmax())
        if not np.isfinite(similarity[best]):
            break
        used.add(best)
        path.append(int(numbers[best]))
    return [*path, last]
