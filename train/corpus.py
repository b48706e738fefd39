"""A prepared corpus: every note of every piece in flat memory-mapped arrays.

    CORPUS/onset.npy      uint32, steps of the Notes grid from the first note of the piece
    CORPUS/duration.npy   uint32, the same steps
    CORPUS/pitch.npy      uint8
    CORPUS/velocity.npy   uint8
    CORPUS/offsets.npy    int64 [pieces + 1], where each piece begins
    CORPUS/pieces.jsonl   one line a piece: path, set, work, split, labels
    CORPUS/counts.json    what was read, what each filter removed

Arrays are written once and only ever read afterwards.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import CorpusError
from embedder.core.files import replace_with
from embedder.notes import GRID_HZ, Notes

__all__ = ["SPLITS", "Corpus", "PieceRecord", "write_corpus", "write_records"]

SPLITS = ("train", "validation", "test")
_ARRAYS = {"onset": "<u4", "duration": "<u4", "pitch": "|u1", "velocity": "|u1"}
_DTYPES = {name: np.dtype(kind) for name, kind in {**_ARRAYS, "offsets": "<i8"}.items()}
_HEADER_BYTES = 192  # a multiple of 64, as the format wants it


@dataclass(frozen=True)
class PieceRecord:
    """What a corpus knows of a piece beside its notes.

    Attributes
    ----------
    path : where it was read
    set : name of the folder given to `prepare` that it came from
    work : number shared by all pieces of the same work
    split : one of `SPLITS`, the same for a whole work
    version : label of the work's version group, where the set names one (else empty)
    labels : further columns of the set's labels.csv
    """

    path: str
    set: str
    work: int
    split: str
    version: str = ""
    labels: dict[str, str] = field(default_factory=dict)


class Corpus:
    """Read access to a prepared corpus; `counts` says what was read and what was removed.

    Raises
    ------
    CorpusError
        If the folder is no corpus, or its files do not fit together.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            # Not np.load, which would open an archive where it finds one.
            mapped = {
                name: np.lib.format.open_memmap(self.folder / f"{name}.npy", mode="r") for name in _DTYPES
            }
            self.counts: dict[str, Any] = json.loads(
                (self.folder / "counts.json").read_text(encoding="utf-8")
            )
            with open(self.folder / "pieces.jsonl", encoding="utf-8") as lines:
                self.pieces = [PieceRecord(**json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError, EOFError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CorpusError(f"{self.folder} is not a prepared corpus: {reason}") from None
        for name, array in mapped.items():
            if array.ndim != 1 or array.dtype != _DTYPES[name]:
                raise CorpusError(
                    f"{self.folder}: {name}.npy is no row of {_DTYPES[name]}; prepare the corpus again"
                )
        self.offsets: NDArray[np.int64] = np.array(mapped.pop("offsets"))
        if not len(self.offsets) or self.offsets[0] != 0 or (np.diff(self.offsets) < 0).any():
            raise CorpusError(f"{self.folder}: offsets.npy does not rise from 0; prepare the corpus again")
        self.onset, self.duration = mapped["onset"], mapped["duration"]
        self.pitch, self.velocity = mapped["pitch"], mapped["velocity"]
        if any(len(a) != self.offsets[-1] for a in mapped.values()) or len(self.pieces) + 1 != len(
            self.offsets
        ):
            raise CorpusError(f"{self.folder}: arrays differ in length; prepare the corpus again")

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Notes in each piece, int64 [pieces]."""
        return np.diff(self.offsets)

    def indices(self, *splits: str) -> NDArray[np.int64]:
        """Numbers of the pieces of the given splits (all, if none is named)."""
        wanted = set(splits or SPLITS)
        return np.array([i for i, piece in enumerate(self.pieces) if piece.split in wanted], dtype=np.int64)

    def notes(self, index: int) -> Notes:
        """Piece number `index`, its first note at 0 s."""
        part = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return Notes(
            self.onset[part] / GRID_HZ, self.duration[part] / GRID_HZ, self.pitch[part], self.velocity[part]
        )


def write_corpus(
    folder: Path, pieces: Iterable[tuple[PieceRecord, Notes]], counts: Mapping[str, Any]
) -> Corpus:
    """Write pieces as a corpus, one at a time, so that it may be larger than memory.

    Arrays are written beside their places and moved there whole; `pieces.jsonl` goes last, so that a folder
    is a corpus only when it is complete, and a run that reads an older corpus in the same place goes on.

    Raises
    ------
    CorpusError
        If there is no piece.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records: list[PieceRecord] = []
    sizes = [0]
    columns = {name: open(folder / f"{name}.npy.part", "wb") for name in _ARRAYS}  # noqa: SIM115
    try:
        for name, file in columns.items():
            file.write(_header(name, 0))
        for record, notes in pieces:
            records.append(record)
            sizes.append(len(notes))
            steps = {"onset": notes.onset - notes.start_s, "duration": notes.duration}
            whole = {name: np.rint(seconds * GRID_HZ) for name, seconds in steps.items()}
            whole |= {"pitch": notes.pitch, "velocity": notes.velocity}
            for name, file in columns.items():
                file.write(whole[name].astype(_ARRAYS[name]).tobytes())
        if not records:
            raise CorpusError("no piece is left for the corpus; loosen the filters or name other folders")
        for name, file in columns.items():
            file.seek(0)
            file.write(_header(name, sum(sizes)))
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in columns.values():
            file.close()
    (folder / "pieces.jsonl").unlink(missing_ok=True)
    for name in columns:
        (folder / f"{name}.npy.part").replace(folder / f"{name}.npy")
    replace_with(folder / "offsets.npy", lambda path: np.save(path, np.cumsum(sizes, dtype=np.int64)))
    counted = json.dumps(counts, indent=1) + "\n"
    replace_with(folder / "counts.json", lambda path: path.write_text(counted, encoding="utf-8"))
    replace_with(folder / "pieces.jsonl", lambda path: write_records(path, records))
    return Corpus(folder)


def write_records(path: Path, records: Iterable[PieceRecord]) -> None:
    with open(path, "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(record), ensure_ascii=True) + "\n" for record in records)


def _header(name: str, count: int) -> bytes:
    """Head of a .npy file of `count` numbers, as long for every count, so that it can be written last."""
    head = io.BytesIO()
    description = {"descr": _ARRAYS[name], "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(head, description)
    text = head.getvalue().rstrip(b" \n").ljust(_HEADER_BYTES - 1) + b"\n"
    return text[:8] + (len(text) - 10).to_bytes(2, "little") + text[10:]
