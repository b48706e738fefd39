"""The fingerprints of a library: segments on disk, kept in step with the pieces of the database.

    LIBRARY/landmarks/NAME.seg       segments (`segment`), never changed once written
    LIBRARY/landmarks/segments.json  the names of those that count, and the id of the library

Pieces that are new go into a new segment; now and then small ones are joined. A removed piece is masked, and
a segment with mostly removed pieces is made anew. All of it is a cache: landmarks are a function of the
notes, which the database holds, and whatever is missing, damaged or cannot be written is made from them
again. Numbers of pieces are never used twice and their notes never change, so comparing numbers is enough.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from ..storage.paths import display
from .postings import Segment, build, join, open_segment, write_segment

__all__ = ["Fingerprints", "Snapshot"]

log = logging.getLogger(__name__)

SEGMENT_NOTES = 2_000_000  # a segment takes about 150 bytes a note while it is made
_SMALL_NOTES = SEGMENT_NOTES // 2
_MOST_SMALL = 4
_DEAD_SHARE = 0.5
_MANIFEST = "segments.json"
_LOCK_WAIT_S = 30.0

IntArray = NDArray[np.int64]
FetchNotes = Callable[[IntArray], Iterator[tuple[int, Notes]]]


@dataclass(frozen=True)
class Snapshot:
    """Fingerprints as they were at one moment; it stays valid whatever is written later.

    Attributes
    ----------
    segments : the segments
    alive : bool [p] for each segment, its pieces that the library still has
    files : the file of each segment, None for one that is only in memory
    """

    segments: tuple[Segment, ...]
    alive: tuple[NDArray[np.bool_], ...]
    files: tuple[Path | None, ...] = ()

    def without(self, pieces: Iterable[int]) -> tuple[NDArray[np.bool_], ...]:
        """`alive` less some pieces."""
        gone = np.fromiter(pieces, np.int64)
        return tuple(
            alive & ~np.isin(segment.ids, gone)
            for segment, alive in zip(self.segments, self.alive, strict=True)
        )

    def place(self, piece_id: int) -> tuple[Segment, int] | None:
        """The segment and row that hold a piece; None if none does."""
        for segment, alive in zip(self.segments, self.alive, strict=True):
            rows = np.flatnonzero((segment.ids == piece_id) & alive)
            if len(rows):
                return segment, int(rows[0])
        return None

    @property
    def pieces(self) -> IntArray:
        """Numbers of all pieces, rising."""
        held = [s.ids[alive] for s, alive in zip(self.segments, self.alive, strict=True)]
        return np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)


@dataclass(frozen=True)
class _Held:
    name: str | None  # of the file; None if it is only in memory
    segment: Segment

    @property
    def notes(self) -> int:
        return int(self.segment.note0[-1])


class Fingerprints:
    """The segments of one library; safe to use from several threads and processes."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._folder = folder / "landmarks"
        self._read_only = read_only
        self._library = ""
        self._held: list[_Held] | None = None
        self._lock = threading.Lock()

    def snapshot(self, wanted: IntArray, fetch: FetchNotes, library: str = "") -> Snapshot:
        """Fingerprints of exactly the wanted pieces.

        Parameters
        ----------
        wanted : int64 [n], rising; numbers of the pieces of the library
        fetch : gives the notes of pieces by number, for those that have no fingerprints yet
        library : id of the library; what belongs to another is made anew
        """
        with self._lock:
            if library != self._library:
                self._library, self._held = library, None
            held = self._read() if self._held is None else self._held
            if self._is_behind(held, wanted):
                held = self._brought_up(wanted, fetch)
            self._held = held
            segments = tuple(one.segment for one in held)
            files = tuple(self._folder / f"{one.name}.seg" if one.name else None for one in held)
        return Snapshot(segments, _first_alive(segments, wanted), files)

    def size_bytes(self) -> int:
        """Of the files on disk."""
        return sum(path.stat().st_size for path in self._folder.glob("*")) if self._folder.is_dir() else 0

    # -- keeping in step ------------------------------------------------------------------------

    def _is_behind(self, held: Sequence[_Held], wanted: IntArray) -> bool:
        have = [one.segment.ids for one in held]
        missing = np.setdiff1d(wanted, np.concatenate(have)) if have else wanted
        return len(missing) > 0 or any(_dead(one.segment, wanted) for one in held)

    def _brought_up(self, wanted: IntArray, fetch: FetchNotes) -> list[_Held]:
        from filelock import FileLock, Timeout

        if self._read_only:
            return self._complete(self._read(), wanted, fetch, save=False)
        try:
            self._folder.mkdir(exist_ok=True)  # never a library's folder that was deleted
            with FileLock(self._folder / "lock", timeout=_LOCK_WAIT_S, thread_local=False):
                # Another process may have done some of the work meanwhile.
                held = self._complete(self._read(), wanted, fetch, save=True)
                self._write_manifest(held)
                self._clean(held)
                return held
        except (Timeout, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            log.warning("%s: fingerprints are not saved (%s)", display(str(self._folder)), reason)
            return self._complete(self._read(), wanted, fetch, save=False)

    def _complete(self, held: list[_Held], wanted: IntArray, fetch: FetchNotes, *, save: bool) -> list[_Held]:
        held = [one for one in held if not _dead(one.segment, wanted)]
        have = [one.segment.ids for one in held]
        missing = np.setdiff1d(wanted, np.concatenate(have)) if have else wanted
        for some in _portions(fetch(missing)):
            held.append(self._stored(build(some), save))
        small = [one for one in held if one.notes < _SMALL_NOTES]
        if len(small) > _MOST_SMALL:
            merged: list[_Held] = []
            while small:
                group, notes = [small.pop()], 0
                while small and notes + group[-1].notes + small[-1].notes <= SEGMENT_NOTES:
                    notes += group[-1].notes
                    group.append(small.pop())
                merged.append(
                    self._stored(join(one.segment for one in group), save) if len(group) > 1 else group[0]
                )
            held = [one for one in held if one.notes >= _SMALL_NOTES] + merged
        return held

    # -- files ----------------------------------------------------------------------------------

    def _read(self) -> list[_Held]:
        """What lies on disk and can be used; the rest is said and left out."""
        try:
            manifest = json.loads((self._folder / _MANIFEST).read_text(encoding="utf-8"))
            names = manifest["segments"]
            if manifest.get("library", "") != self._library:
                raise ValueError("they belong to another library")
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            names = []
            log.warning("%s: fingerprints are made anew from the database", display(str(self._folder)))
        held = []
        for name in names:
            try:
                held.append(_Held(name, open_segment(self._folder / f"{name}.seg")))
            except (OSError, ValueError, KeyError, TypeError) as error:
                reason = " ".join(str(error).split())[:200]
                log.warning(
                    "%s: fingerprints %s are made anew from the database (%s)",
                    display(str(self._folder)),
                    name,
                    reason,
                )
        return held

    def _stored(self, segment: Segment, save: bool) -> _Held:
        """A segment written and opened in place: its memory is the operating system's to give back."""
        if not save:
            return _Held(None, segment)
        name = uuid.uuid4().hex
        path = self._folder / f"{name}.seg"
        with open(path, "xb") as file:
            write_segment(segment, file)
            file.flush()
            os.fsync(file.fileno())
        return _Held(name, open_segment(path))

    def _write_manifest(self, held: list[_Held]) -> None:
        beside = self._folder / (_MANIFEST + ".new")
        with open(beside, "w", encoding="utf-8") as file:
            json.dump({"library": self._library, "segments": [one.name for one in held]}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._folder / _MANIFEST)

    def _clean(self, held: list[_Held]) -> None:
        """Remove segments that no longer count. Whoever has one mapped keeps it until done."""
        kept = {f"{one.name}.seg" for one in held}
        for path in self._folder.glob("*.seg"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _dead(segment: Segment, wanted: IntArray) -> bool:
    """Whether most of a segment's pieces have left the library."""
    alive = np.isin(segment.ids, wanted)
    return bool(len(alive) and alive.mean() < 1 - _DEAD_SHARE)


def _first_alive(segments: Sequence[Segment], wanted: IntArray) -> tuple[NDArray[np.bool_], ...]:
    """Which rows are pieces of the library, each piece once."""
    seen = np.empty(0, np.int64)
    masks = []
    for segment in segments:
        mask = np.isin(segment.ids, wanted) & ~np.isin(segment.ids, seen)
        seen = np.concatenate([seen, segment.ids[mask]])
        masks.append(mask)
    return tuple(masks)


def _portions(pieces: Iterator[tuple[int, Notes]]) -> Iterator[list[tuple[int, Notes]]]:
    """Runs of pieces of at most SEGMENT_NOTES notes, or one long piece."""
    portion: list[tuple[int, Notes]] = []
    notes = 0
    for piece in pieces:
        if portion and notes + len(piece[1]) > SEGMENT_NOTES:
            yield portion
            portion, notes = [], 0
        portion.append(piece)
        notes += len(piece[1])
    if portion:
        yield portion
