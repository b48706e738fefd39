"""Reading files for a corpus with parts: notes, drums included, each with its program and its part.

Files are read in processes of low priority, a shard of some hundred files at a time; every shard is a file of
its own, so that an interrupted reading goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import MidiError
from embedder.midi.reading import Limits, read_midi
from embedder.notes import GRID_HZ

from ..prepare import Source

__all__ = ["DRUMS", "PartedNotes", "read_shards"]

DRUMS = 128  # instrument of drum notes; other instruments are General MIDI programs
FILES_A_SHARD = 256
LIMITS = Limits(notes=300_000, duration_s=7200.0)
NICE = 19
COLUMNS: dict[str, np.dtype[np.unsignedinteger[Any]]] = {
    "onset": np.dtype("<u4"),
    "duration": np.dtype("<u4"),
    "pitch": np.dtype("u1"),
    "velocity": np.dtype("u1"),
    "instrument": np.dtype("u1"),
    "part": np.dtype("u1"),
}


@dataclass(frozen=True)
class PartedNotes:
    """Notes of a piece in columns, by onset, drums last in a chord, then by pitch.

    Attributes
    ----------
    onset, duration : uint32 [n], steps of the grid of `Notes` from the first note
    pitch, velocity : uint8 [n]; the pitch of a drum is its key
    instrument : uint8 [n], General MIDI program, or `DRUMS`
    part : uint8 [n], number of the part (a channel of a track with one program), at most 255
    """

    onset: NDArray[np.uint32]
    duration: NDArray[np.uint32]
    pitch: NDArray[np.uint8]
    velocity: NDArray[np.uint8]
    instrument: NDArray[np.uint8]
    part: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.onset)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> PartedNotes:
        """Notes under a mask, an index array or a slice."""
        times = self.onset[which], self.duration[which]
        whole = (self.pitch, self.velocity, self.instrument, self.part)
        return PartedNotes(*times, *(column[which] for column in whole))

    def sorted(self) -> PartedNotes:
        """Notes in order."""
        order = np.lexsort((self.part, self.pitch, self.instrument == DRUMS, self.onset))
        return self.select(order)

    def digest(self) -> str:
        """Hash of the sounding notes, whatever their parts are called."""
        digest = hashlib.blake2b(digest_size=16)
        # A hundredth of a second and not the grid: conversions of one sequence differ in rounding.
        for column in (self.onset // (GRID_HZ // 100), self.pitch, self.instrument == DRUMS):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def read_parts(path: str) -> PartedNotes:
    """All notes of a file.

    Raises
    ------
    MidiError
        If it cannot be read, or is larger than `LIMITS`.
    """
    try:
        notes = read_midi(path, limits=LIMITS)
    except MidiError as error:
        raise MidiError(error.reason, path) from None
    onset, duration = (np.rint(times * GRID_HZ) for times in (notes.onset - notes.start_s, notes.duration))
    return PartedNotes(
        onset.astype(np.uint32),
        duration.astype(np.uint32),
        notes.pitch.astype(np.uint8),
        notes.velocity.astype(np.uint8),
        np.minimum(notes.instrument, DRUMS).astype(np.uint8),
        np.minimum(notes.part, 255).astype(np.uint8),
    ).sorted()


def read_shards(
    sources: Sequence[Source], folder: Path, workers: int
) -> Iterator[tuple[Sequence[Source], list[tuple[int, PartedNotes]]]]:
    """Sources in shards, each with (number in the shard, notes) of those that could be read."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = [sources[at : at + FILES_A_SHARD] for at in range(0, len(sources), FILES_A_SHARD)]
    named = [(folder / f"{_name(group)}.npz", [s.found.path for s in group]) for group in groups]
    absent = [job for job in named if not job[0].exists()]
    with multiprocessing.get_context("spawn").Pool(workers, _yield_way) as pool:
        done = pool.imap(_read_shard, absent)
        waiting = {path for path, _ in absent}
        for (path, _), group in zip(named, groups, strict=True):
            while path in waiting:
                waiting.discard(next(done))
            yield group, _load(path)


def _yield_way() -> None:
    os.nice(max(0, NICE - os.nice(0)))


def _name(group: Sequence[Source]) -> str:
    files = repr([(s.found.path, s.found.size_bytes, s.found.mtime_ns) for s in group])
    return hashlib.sha256(files.encode()).hexdigest()[:24]


def _read_shard(job: tuple[Path, list[str]]) -> Path:
    path, files = job
    rows: list[tuple[int, PartedNotes]] = []
    for at, file in enumerate(files):
        try:
            rows.append((at, read_parts(file)))
        except (MidiError, OSError):
            continue
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate([np.empty(0, kind), *(getattr(notes, name) for _, notes in rows)])
        for name, kind in COLUMNS.items()
    }
    packed = io.BytesIO()
    offsets = np.cumsum([0, *(len(notes) for _, notes in rows)], dtype=np.int64)
    np.savez(packed, allow_pickle=False, source=np.array([at for at, _ in rows]), offsets=offsets, **columns)
    beside = path.with_suffix(".part")
    with open(beside, "wb") as out:
        out.write(packed.getbuffer())
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
    return path


def _load(path: Path) -> list[tuple[int, PartedNotes]]:
    with np.load(path, allow_pickle=False) as table:
        columns = [table[name] for name in COLUMNS]
        source, offsets = table["source"].tolist(), table["offsets"].tolist()
    return [
        (at, PartedNotes(*(column[offsets[row] : offsets[row + 1]] for column in columns)))
        for row, at in enumerate(source)
    ]
