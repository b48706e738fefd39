"""A prepared corpus with parts: that of `train.corpus`, and beside it the instrument and part of every note.

CORPUS/instrument.npy  uint8, General MIDI program, 128 for drums
CORPUS/part.npy        uint8, number of the part within the piece
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embedder.core.errors import CorpusError
from embedder.core.files import replace_with

from ..corpus import Corpus, PieceRecord, write_records
from .reading import COLUMNS, PartedNotes

__all__ = ["EnsembleCorpus", "write_ensemble_corpus"]


class EnsembleCorpus(Corpus):
    """Read access to a corpus with parts.

    Raises
    ------
    CorpusError
        If the folder is no such corpus, or its files do not fit together.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        try:
            self.instrument, self.part = (
                np.lib.format.open_memmap(self.folder / f"{name}.npy", mode="r")
                for name in ("instrument", "part")
            )
        except (OSError, ValueError) as error:
            raise CorpusError(f"{self.folder} is not a corpus with parts: {error}") from None
        if any(a.shape != self.pitch.shape or a.dtype != np.uint8 for a in (self.instrument, self.part)):
            raise CorpusError(f"{self.folder}: arrays differ in length; prepare the corpus again")

    def parted(self, index: int) -> PartedNotes:
        """Piece number `index` in columns."""
        at = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return PartedNotes(*(np.asarray(getattr(self, name)[at]) for name in COLUMNS))


def write_ensemble_corpus(
    folder: Path, pieces: Iterable[tuple[PieceRecord, PartedNotes]], counts: Mapping[str, Any]
) -> EnsembleCorpus:
    """Write pieces as a corpus with parts; `pieces.jsonl` goes last, so that a corpus is complete or none."""
    folder.mkdir(parents=True, exist_ok=True)
    records: list[PieceRecord] = []
    columns: list[PartedNotes] = []
    for record, notes in pieces:
        records.append(record)
        columns.append(notes)
    if not records:
        raise CorpusError("no piece is left for the corpus; name other folders")
    (folder / "pieces.jsonl").unlink(missing_ok=True)
    for name, kind in COLUMNS.items():
        whole = np.concatenate([getattr(notes, name) for notes in columns]).astype(kind)
        replace_with(folder / f"{name}.npy", _saver(whole))
    sizes = np.cumsum([0, *map(len, columns)], dtype="<i8")
    replace_with(folder / "offsets.npy", _saver(sizes))
    counted = json.dumps(counts, indent=1) + "\n"
    replace_with(folder / "counts.json", lambda path: path.write_text(counted, encoding="utf-8"))
    replace_with(folder / "pieces.jsonl", lambda path: write_records(path, records))
    return EnsembleCorpus(folder)


def _saver(array: np.ndarray[Any, Any]) -> Callable[[Path], None]:
    return lambda path: np.save(path, array)
