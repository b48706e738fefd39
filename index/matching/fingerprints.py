"""The fingerprints of a library: segments on disk, kept in step with the pieces of the database.

    LIBRARY/landmarks/NAME.seg       segments (`postings`), never changed once written
    LIBRARY/landmarks/segments.json  the names of those in use, and the id of the library

New pieces go into a new segment; now and then small ones are merged. A removed piece is masked, and a segment
of mostly removed pieces is rebuilt. All of it is a cache: landmarks are a function of the notes, which the
database holds, and whatever is missing, damaged or cannot be written is computed from them again. Piece
numbers are never reused, and the notes of a piece do not change while the library has one id, so comparing
both is enough.
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

from embedder.core.arrays import BoolArray, IntArray
from embedder.core.files import atomic_write
from embedder.notes import Notes

from ..storage import display
from .postings import Segment, build_segment, merge_segments, open_segment, write_segment

__all__ = ["Fingerprints", "Snapshot"]

log = logging.getLogger(__name__)

SEGMENT_NOTES = 2_000_000  # a segment takes about 150 bytes a note while it is built
_SMALL_NOTES = SEGMENT_NOTES // 2
_MAX_SMALL = 4
_REMOVED_SHARE = 0.5
_MANIFEST = "segments.json"
_LOCK_TIMEOUT_S = 30.0

FetchNotes = Callable[[IntArray], Iterator[tuple[int, Notes]]]


@dataclass(frozen=True)
class Snapshot:
    """Fingerprints at one moment; it stays valid whatever is written later.

    Attributes
    ----------
    segments : the segments
    alive : bool [p] for each segment, its pieces that are in the library
    files : the file of each segment, None for one that is only in memory
    """

    segments: tuple[Segment, ...]
    alive: tuple[BoolArray, ...]
    files: tuple[Path | None, ...] = ()

    def without(self, pieces: Iterable[int]) -> tuple[BoolArray, ...]:
        """`alive` less some pieces."""
        excluded = np.fromiter(pieces, np.int64)
        return tuple(
            alive & ~np.isin(segment.ids, excluded)
            for segment, alive in zip(self.segments, self.alive, strict=True)
        )

    def locate(self, piece_id: int) -> tuple[Segment, int] | None:
        """The segment and row of a piece; None if it has none."""
        for segment, alive in zip(self.segments, self.alive, strict=True):
            rows = np.flatnonzero((segment.ids == piece_id) & alive)
            if len(rows):
                return segment, int(rows[0])
        return None

    @property
    def pieces(self) -> IntArray:
        """Numbers of all pieces, ascending."""
        ids = [s.ids[alive] for s, alive in zip(self.segments, self.alive, strict=True)]
        return np.sort(np.concatenate(ids)) if ids else np.empty(0, np.int64)


@dataclass(frozen=True)
class _StoredSegment:
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
        self._stored: list[_StoredSegment] | None = None
        self._lock = threading.Lock()

    def snapshot(self, pieces: IntArray, fetch: FetchNotes, library: str = "") -> Snapshot:
        """Fingerprints of exactly the given pieces.

        Parameters
        ----------
        pieces : int64 [n], ascending; numbers of the pieces of the library
        fetch : gives the notes of pieces by number, for those that have no fingerprints yet
        library : id of the library; fingerprints of another are rebuilt
        """
        with self._lock:
            if library != self._library:
                self._library, self._stored = library, None
            stored = self._read() if self._stored is None else self._stored
            if _is_behind(stored, pieces):
                stored = self._update(pieces, fetch)
            self._stored = stored
            segments = tuple(item.segment for item in stored)
            files = tuple(self._folder / f"{item.name}.seg" if item.name else None for item in stored)
        return Snapshot(segments, _first_alive(segments, pieces), files)

    def size_bytes(self) -> int:
        """Of the files on disk."""
        return sum(path.stat().st_size for path in self._folder.glob("*")) if self._folder.is_dir() else 0

    # -- keeping in step ------------------------------------------------------------------------

    def _update(self, pieces: IntArray, fetch: FetchNotes) -> list[_StoredSegment]:
        from filelock import FileLock, Timeout

        if self._read_only:
            return self._complete(self._read(), pieces, fetch, save=False)
        try:
            self._folder.mkdir(exist_ok=True)  # never a library's folder that was deleted
            with FileLock(self._folder / "lock", timeout=_LOCK_TIMEOUT_S, thread_local=False):
                # Another process may have done some of the work meanwhile.
                stored = self._complete(self._read(), pieces, fetch, save=True)
                self._write_manifest(stored)
                self._remove_unused(stored)
                return stored
        except (Timeout, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            log.warning("%s: fingerprints are not saved (%s)", display(str(self._folder)), reason)
            return self._complete(self._read(), pieces, fetch, save=False)

    def _complete(
        self, stored: list[_StoredSegment], pieces: IntArray, fetch: FetchNotes, *, save: bool
    ) -> list[_StoredSegment]:
        stored = [item for item in stored if not _mostly_removed(item.segment, pieces)]
        for batch in _batches(fetch(_missing(stored, pieces))):
            stored.append(self._store(build_segment(batch), save))
        small = [item for item in stored if item.notes < _SMALL_NOTES]
        if len(small) > _MAX_SMALL:
            merged: list[_StoredSegment] = []
            while small:
                items, notes = [small.pop()], 0
                while small and notes + items[-1].notes + small[-1].notes <= SEGMENT_NOTES:
                    notes += items[-1].notes
                    items.append(small.pop())
                if len(items) > 1:
                    merged.append(self._store(merge_segments(item.segment for item in items), save))
                else:
                    merged.append(items[0])
            stored = [item for item in stored if item.notes >= _SMALL_NOTES] + merged
        return stored

    # -- files ----------------------------------------------------------------------------------

    def _read(self) -> list[_StoredSegment]:
        """The segments on disk that can be used; others are reported and left out."""
        try:
            manifest = json.loads((self._folder / _MANIFEST).read_text(encoding="utf-8"))
            names = manifest["segments"]
            library = str(manifest.get("library", ""))
            if library != self._library:
                if library.partition("-")[0] == self._library.partition("-")[0]:
                    return []  # of before files were read again: nothing is wrong with them
                raise ValueError("they belong to another library")
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            names = []
            log.warning("%s: fingerprints are rebuilt from the database", display(str(self._folder)))
        stored = []
        for name in names:
            try:
                stored.append(_StoredSegment(name, open_segment(self._folder / f"{name}.seg")))
            except (OSError, ValueError, KeyError, TypeError) as error:
                reason = " ".join(str(error).split())[:200]
                log.warning(
                    "%s: fingerprints %s are rebuilt from the database (%s)",
                    display(str(self._folder)),
                    name,
                    reason,
                )
        return stored

    def _store(self, segment: Segment, save: bool) -> _StoredSegment:
        """A segment written and mapped: the operating system can then reclaim its memory."""
        if not save:
            return _StoredSegment(None, segment)
        name = uuid.uuid4().hex
        path = self._folder / f"{name}.seg"
        with open(path, "xb") as file:
            write_segment(segment, file)
            file.flush()
            os.fsync(file.fileno())
        return _StoredSegment(name, open_segment(path))

    def _write_manifest(self, stored: list[_StoredSegment]) -> None:
        manifest = {"library": self._library, "segments": [item.name for item in stored]}
        atomic_write(self._folder / _MANIFEST, json.dumps(manifest), name=_MANIFEST + ".new")

    def _remove_unused(self, stored: list[_StoredSegment]) -> None:
        """Remove segments that are not in use. A process that has one mapped keeps it until done."""
        used = {f"{item.name}.seg" for item in stored}
        for path in self._folder.glob("*.seg"):
            if path.name not in used:
                path.unlink(missing_ok=True)


def _missing(stored: Sequence[_StoredSegment], pieces: IntArray) -> IntArray:
    """Pieces that no segment holds."""
    ids = [item.segment.ids for item in stored]
    return np.setdiff1d(pieces, np.concatenate(ids)) if ids else pieces


def _is_behind(stored: Sequence[_StoredSegment], pieces: IntArray) -> bool:
    removed = any(_mostly_removed(item.segment, pieces) for item in stored)
    return removed or len(_missing(stored, pieces)) > 0


def _mostly_removed(segment: Segment, pieces: IntArray) -> bool:
    """Whether most of a segment's pieces have left the library."""
    alive = np.isin(segment.ids, pieces)
    return bool(len(alive) and alive.mean() < 1 - _REMOVED_SHARE)


def _first_alive(segments: Sequence[Segment], pieces: IntArray) -> tuple[BoolArray, ...]:
    """Which rows are pieces of the library, each piece once."""
    seen = np.empty(0, np.int64)
    masks = []
    for segment in segments:
        mask = np.isin(segment.ids, pieces) & ~np.isin(segment.ids, seen)
        seen = np.concatenate([seen, segment.ids[mask]])
        masks.append(mask)
    return tuple(masks)


def _batches(pieces: Iterator[tuple[int, Notes]]) -> Iterator[list[tuple[int, Notes]]]:
    """Successive pieces of at most SEGMENT_NOTES notes, or one long piece."""
    batch: list[tuple[int, Notes]] = []
    notes = 0
    for piece in pieces:
        if batch and notes + len(piece[1]) > SEGMENT_NOTES:
            yield batch
            batch, notes = [], 0
        batch.append(piece)
        notes += len(piece[1])
    if batch:
        yield batch
