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

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.errors import CorpusError
from embedder.notes import GRID_HZ, Notes

__all__ = ["SPLITS", "Corpus", "PieceRecord", "write_corpus"]

SPLITS = ("train", "validation", "test")
_ARRAYS = {"onset": "<u4", "duration": "<u4", "pitch": "u1", "velocity": "u1"}


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
    """Read access to a prepared corpus.

    Raises
    ------
    CorpusError
        If the folder is no corpus, or its files do not fit together.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.offsets: NDArray[np.int64] = np.load(self.folder / "offsets.npy", allow_pickle=False)
            arrays = {
                name: np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in _ARRAYS
            }
            with open(self.folder / "pieces.jsonl", encoding="utf-8") as lines:
                self.pieces = [PieceRecord(**json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            raise CorpusError(f"{self.folder} is not a prepared corpus: {error}") from None
        self.onset, self.duration = arrays["onset"], arrays["duration"]
        self.pitch, self.velocity = arrays["pitch"], arrays["velocity"]
        if any(len(a) != self.offsets[-1] for a in arrays.values()) or len(self.pieces) + 1 != len(
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


def write_corpus(folder: Path, pieces: Iterable[tuple[PieceRecord, Notes]], counts: dict[str, int]) -> Corpus:
    """Write pieces as a corpus; `pieces.jsonl` last, so that a folder is a corpus only when complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pieces.jsonl").unlink(missing_ok=True)
    records: list[PieceRecord] = []
    columns: dict[str, list[NDArray[np.generic]]] = {name: [] for name in _ARRAYS}
    for record, notes in pieces:
        records.append(record)
        steps = {"onset": notes.onset - notes.start_s, "duration": notes.duration}
        for name, seconds in steps.items():
            columns[name].append(np.rint(seconds * GRID_HZ).astype(_ARRAYS[name]))
        columns["pitch"].append(notes.pitch.astype("u1"))
        columns["velocity"].append(notes.velocity.astype("u1"))
    if not records:
        raise CorpusError("no piece is left for the corpus; loosen the filters or name other folders")
    np.save(folder / "offsets.npy", np.cumsum([0, *(len(c) for c in columns["pitch"])], dtype=np.int64))
    for name, parts in columns.items():
        np.save(folder / f"{name}.npy", np.concatenate(parts))
    (folder / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    unfinished = folder / "pieces.jsonl.part"
    with open(unfinished, "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(record), ensure_ascii=True) + "\n" for record in records)
    unfinished.replace(folder / "pieces.jsonl")
    return Corpus(folder)
