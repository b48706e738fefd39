"""Linking: all pairs of a library that hold the same music, found and judged by several processes.

The work is two passes over the pieces: each names its candidates, then each pair is judged once. Both are cut
into portions that worker processes take; they read the segments in place, so memory is shared and little
travels between them.
"""

from __future__ import annotations

import signal
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from heapq import heappop, heappush
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..matching.block_matching import Sketch
from ..matching.candidates import find_candidates
from ..matching.classify import judge
from ..matching.fingerprints import Snapshot
from ..matching.postings import Segment, open_segment
from ..matching.relations import Link

__all__ = ["Pair", "Progress", "find_links"]

_PORTION = 50  # pieces a worker takes at a time
_PORTION_PAIRS = 1_000  # at most: pairs of one neighbourhood should meet in one worker
_PORTIONS = 32  # at least, where there are pairs for them
_HELD_NOTES = 2_000_000  # of sketches that a worker keeps, about 90 bytes a note

Pair = tuple[int, int]  # the lower number first
T = TypeVar("T")
Progress = Callable[[str, int, int], None]


class _Worker:
    """What one process needs to name candidates and judge pairs."""

    def __init__(self, segments: Sequence[Segment], alive: Sequence[NDArray[np.bool_]]) -> None:
        self.segments = segments
        self.alive = alive
        self.place = {
            int(piece_id): (number, row)
            for number, (segment, mask) in enumerate(zip(segments, alive, strict=True))
            for row, piece_id in enumerate(segment.ids)
            if mask[row]
        }
        self._sketches: OrderedDict[int, Sketch] = OrderedDict()
        self._held = 0

    def sketch(self, piece_id: int) -> Sketch:
        if piece_id in self._sketches:
            self._sketches.move_to_end(piece_id)
            return self._sketches[piece_id]
        number, row = self.place[piece_id]
        sketch = Sketch(self.segments[number].line(row))
        self._sketches[piece_id] = sketch
        self._held += len(sketch.line)
        while self._held > _HELD_NOTES and len(self._sketches) > 2:
            _, dropped = self._sketches.popitem(last=False)
            self._held -= len(dropped.line)
        return sketch

    def candidates(self, pieces: Sequence[int]) -> list[Pair]:
        """Pairs that the given pieces propose, the lower number first."""
        pairs: set[Pair] = set()
        for piece_id in pieces:
            sketch = self.sketch(piece_id)
            for transposed in (False, True):
                found = find_candidates(self.segments, self.alive, piece_id, sketch, transposed=transposed)
                pairs |= {(min(piece_id, c.piece_id), max(piece_id, c.piece_id)) for c in found}
        return sorted(pairs)

    def links(self, pairs: Sequence[Pair]) -> list[Link]:
        """Links of those pairs that hold the same music."""
        judged = (judge(one, self.sketch(one), other, self.sketch(other)) for one, other in pairs)
        return [link for link in judged if link is not None]


def find_links(
    snapshot: Snapshot, pieces: Sequence[int], *, workers: int, progress: Progress
) -> tuple[list[Link], set[Pair]]:
    """All links among some pieces of a library.

    Parameters
    ----------
    pieces : their numbers
    workers : processes; 1 works in this one
    progress : told the phase ("candidates", "pairs"), how many are done, and of how many

    Returns
    -------
    links : one for each pair that holds the same music
    judged : all pairs that were compared, the lower number first
    """
    mask = [
        alive & np.isin(segment.ids, pieces)
        for segment, alive in zip(snapshot.segments, snapshot.alive, strict=True)
    ]
    files = [file for file in snapshot.files if file is not None]
    if workers > 1 and len(files) == len(snapshot.segments) and len(pieces) > _PORTION:
        with ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(files, mask)
        ) as pool:
            return _link(pieces, progress, _Spread(pool))
    return _link(pieces, progress, _Here(_Worker(snapshot.segments, mask)))


def _link(pieces: Sequence[int], progress: Progress, work: _Here | _Spread) -> tuple[list[Link], set[Pair]]:
    proposed: set[Pair] = set()
    done = 0
    for count, some in work.candidates(_portions(pieces, _PORTION)):
        proposed.update(some)
        done += count
        progress("candidates", done, len(pieces))
    pairs = _by_neighbourhood(proposed)
    links: list[Link] = []
    done = 0
    for count, found in work.links(_portions(pairs, max(1, min(_PORTION_PAIRS, len(pairs) // _PORTIONS)))):
        links += found
        done += count
        progress("pairs", done, len(pairs))
    return links, proposed


def _by_neighbourhood(pairs: Collection[Pair]) -> list[Pair]:
    """Pairs in an order in which a worker needs few pieces at a time.

    Pieces are taken one after the other, next always the one with most neighbours among those taken before;
    each pair comes as soon as both its pieces are there.
    """
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for one, other in pairs:
        neighbours[one].append(other)
        neighbours[other].append(one)
    place: dict[int, int] = {}
    known = dict.fromkeys(neighbours, 0)  # neighbours taken before
    for start in sorted(neighbours, key=lambda piece: (len(neighbours[piece]), piece)):
        heap = [(0, start)]
        while heap:
            piece = heappop(heap)[1]
            if piece in place:
                continue
            place[piece] = len(place)
            for near in neighbours[piece]:
                if near not in place:
                    known[near] += 1
                    heappush(heap, (-known[near], near))

    def when(pair: Pair) -> tuple[int, ...]:
        return tuple(sorted((place[pair[0]], place[pair[1]]), reverse=True))

    return sorted(pairs, key=when)


def _portions(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


# -- where the work is done --------------------------------------------------------------------------


class _Here:
    """Work done in this process, one portion after the other."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker

    def candidates(self, portions: Iterable[Sequence[int]]) -> Iterator[tuple[int, list[Pair]]]:
        return ((len(portion), self._worker.candidates(portion)) for portion in portions)

    def links(self, portions: Iterable[Sequence[Pair]]) -> Iterator[tuple[int, list[Link]]]:
        return ((len(portion), self._worker.links(portion)) for portion in portions)


class _Spread:
    """Work spread over processes; answers come in order."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def candidates(self, portions: Iterable[Sequence[int]]) -> Iterator[tuple[int, list[Pair]]]:
        return self._pool.map(_candidates, portions)

    def links(self, portions: Iterable[Sequence[Pair]]) -> Iterator[tuple[int, list[Link]]]:
        return self._pool.map(_links, portions)


_worker: _Worker | None = None  # of a worker process


def _begin(files: Sequence[Path], alive: Sequence[NDArray[np.bool_]]) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _worker = _Worker([open_segment(file) for file in files], alive)


def _candidates(portion: Sequence[int]) -> tuple[int, list[Pair]]:
    assert _worker is not None
    return len(portion), _worker.candidates(portion)


def _links(portion: Sequence[Pair]) -> tuple[int, list[Link]]:
    assert _worker is not None
    return len(portion), _worker.links(portion)
