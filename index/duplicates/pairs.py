"""All pairs of a library that hold the same music, found and classified by several processes.

Two passes over the pieces: each names its candidates, then each pair is classified once. Pieces whose pitches
are the same one after the other are candidates too, however few or repetitive they are. Both passes are cut
into batches that child processes take; they map the segments from their files, so memory is shared and little
is sent between them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from embedder.core.arrays import BoolArray
from embedder.core.processes import ChildProcesses
from embedder.core.progress import OnProgress

from ..matching import (
    IndexedPiece,
    Link,
    Segment,
    Snapshot,
    classify_pair,
    find_candidates,
    open_segment,
)

__all__ = ["Pair", "find_links"]

_BATCH = 50  # pieces
_MAX_BATCH_PAIRS = 1_000  # pairs of one neighbourhood should meet in one process
_MIN_BATCHES = 32  # where there are pairs for them
_SAME_LENGTH_S = 0.01  # of pieces whose pitches are the same
_CACHED_NOTES = 2_000_000  # of indexed pieces that a process keeps, about 90 bytes a note

Pair = tuple[int, int]  # the lower number first
_PitchString = tuple[
    bytes, float, int
]  # hash of the pitches in order, length in seconds, number of the piece
T = TypeVar("T")


class _PairFinder:
    """What one process needs to name candidates and classify pairs."""

    def __init__(self, segments: Sequence[Segment], alive: Sequence[BoolArray]) -> None:
        self.segments = segments
        self.alive = alive
        self.row_of = {
            int(piece_id): (number, row)
            for number, (segment, mask) in enumerate(zip(segments, alive, strict=True))
            for row, piece_id in enumerate(segment.ids)
            if mask[row]
        }
        self._pieces: OrderedDict[int, IndexedPiece] = OrderedDict()
        self._cached_notes = 0

    def piece(self, piece_id: int) -> IndexedPiece:
        if piece_id in self._pieces:
            self._pieces.move_to_end(piece_id)
            return self._pieces[piece_id]
        number, row = self.row_of[piece_id]
        piece = IndexedPiece(self.segments[number].sequence(row))
        self._pieces[piece_id] = piece
        self._cached_notes += len(piece.sequence)
        while self._cached_notes > _CACHED_NOTES and len(self._pieces) > 2:
            _, dropped = self._pieces.popitem(last=False)
            self._cached_notes -= len(dropped.sequence)
        return piece

    def candidates(self, pieces: Sequence[int]) -> tuple[list[Pair], list[_PitchString]]:
        """Pairs that the given pieces propose, and the sequences of their pitches."""
        pairs: set[Pair] = set()
        pitch_strings: list[_PitchString] = []
        for piece_id in pieces:
            piece = self.piece(piece_id)
            pitch, onset_s = piece.sequence.pitch, piece.sequence.onset_s
            digest = hashlib.blake2b(pitch.astype(np.uint8).tobytes(), digest_size=16).digest()
            pitch_strings.append((digest, float(np.ptp(onset_s)) if len(onset_s) else 0.0, piece_id))
            for transposed in (False, True):
                others = find_candidates(self.segments, self.alive, piece_id, piece, transposed=transposed)
                pairs |= {(min(piece_id, c.piece_id), max(piece_id, c.piece_id)) for c in others}
        return sorted(pairs), pitch_strings

    def links(self, pairs: Sequence[Pair]) -> list[Link]:
        """Links of those pairs that hold the same music."""
        links = (classify_pair(a, self.piece(a), b, self.piece(b)) for a, b in pairs)
        return [link for link in links if link is not None]


_Candidates = tuple[list[Pair], list[_PitchString]]
_Request = tuple[str, Sequence[int] | Sequence[Pair]]


def start_pair_finder(
    files: Sequence[Path], alive: Sequence[BoolArray]
) -> Callable[[_Request], _Candidates | list[Link]]:
    """What a child process runs: answers ("candidates", pieces) and ("links", pairs)."""
    finder = _PairFinder([open_segment(file) for file in files], alive)
    methods = {"candidates": finder.candidates, "links": finder.links}
    return lambda request: methods[request[0]](request[1])  # type: ignore[operator]


class _Local:
    """Work done in this process, one batch after the other."""

    def __init__(self, finder: _PairFinder) -> None:
        self._finder = finder

    def candidates(self, batches: Iterable[Sequence[int]]) -> Iterator[_Candidates]:
        return map(self._finder.candidates, batches)

    def links(self, batches: Iterable[Sequence[Pair]]) -> Iterator[list[Link]]:
        return map(self._finder.links, batches)


class _Distributed:
    """Work distributed to child processes; answers come in order."""

    def __init__(self, processes: ChildProcesses) -> None:
        self._processes = processes

    def candidates(self, batches: Iterable[Sequence[int]]) -> Iterator[_Candidates]:
        return self._processes.map(("candidates", batch) for batch in batches)

    def links(self, batches: Iterable[Sequence[Pair]]) -> Iterator[list[Link]]:
        return self._processes.map(("links", batch) for batch in batches)


def find_links(
    snapshot: Snapshot, pieces: Sequence[int], *, workers: int, progress: OnProgress
) -> tuple[list[Link], set[Pair]]:
    """All links among some pieces of a library.

    Parameters
    ----------
    pieces : their numbers
    workers : processes; 1 works in this one
    progress : gets the stage ("candidates", "pairs"), how many are done, and of how many

    Returns
    -------
    links : one for each pair that holds the same music
    compared : all pairs that were compared, the lower number first
    """
    mask = [
        alive & np.isin(segment.ids, pieces)
        for segment, alive in zip(snapshot.segments, snapshot.alive, strict=True)
    ]
    files = [file for file in snapshot.files if file is not None]
    if workers > 1 and len(files) == len(snapshot.segments) and len(pieces) > _BATCH:
        with ChildProcesses(workers, f"{__name__}:{start_pair_finder.__name__}", files, mask) as processes:
            return _find_links(pieces, progress, _Distributed(processes))
    return _find_links(pieces, progress, _Local(_PairFinder(snapshot.segments, mask)))


def _find_links(
    pieces: Sequence[int], progress: OnProgress, work: _Local | _Distributed
) -> tuple[list[Link], set[Pair]]:
    proposed: set[Pair] = set()
    pitch_strings: list[_PitchString] = []
    batches = _batches(pieces, _BATCH)
    done = 0
    for batch, (candidates, batch_strings) in zip(batches, work.candidates(batches), strict=True):
        proposed.update(candidates)
        pitch_strings += batch_strings
        done += len(batch)
        progress("candidates", done, len(pieces))
    proposed.update(_same_pitches(pitch_strings))
    pairs = _by_neighbourhood(proposed)
    pair_batches = _batches(pairs, max(1, min(_MAX_BATCH_PAIRS, len(pairs) // _MIN_BATCHES)))
    links: list[Link] = []
    done = 0
    for pair_batch, batch_links in zip(pair_batches, work.links(pair_batches), strict=True):
        links += batch_links
        done += len(pair_batch)
        progress("pairs", done, len(pairs))
    return links, proposed


def _same_pitches(pitch_strings: list[_PitchString]) -> Iterator[Pair]:
    """Pieces of the same pitches and nearly the same length, each with the next in order of length."""
    for (digest, length_s, a), (other_digest, other_length_s, b) in pairwise(sorted(pitch_strings)):
        if digest == other_digest and other_length_s - length_s <= _SAME_LENGTH_S:
            yield min(a, b), max(a, b)


def _by_neighbourhood(pairs: Collection[Pair]) -> list[Pair]:
    """Pairs in an order in which a process needs few pieces at a time.

    Pieces are taken one after the other, next always the one with most neighbours among those taken before;
    each pair comes as soon as both its pieces have been taken.
    """
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in pairs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    rank: dict[int, int] = {}
    taken_neighbours = dict.fromkeys(neighbours, 0)
    for start in sorted(neighbours, key=lambda piece: (len(neighbours[piece]), piece)):
        heap = [(0, start)]
        while heap:
            piece = heappop(heap)[1]
            if piece in rank:
                continue
            rank[piece] = len(rank)
            for near in neighbours[piece]:
                if near not in rank:
                    taken_neighbours[near] += 1
                    heappush(heap, (-taken_neighbours[near], near))
    return sorted(pairs, key=lambda pair: sorted((rank[pair[0]], rank[pair[1]]), reverse=True))


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
