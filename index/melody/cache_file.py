"""Melodies of a library's pieces on disk: extracted once, a cache beside the database.

    LIBRARY/melodies.npz      numbers of the pieces, and onsets and pitches of their melodies

Where it is missing, damaged, of another library or made with another model, melodies are extracted again.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from ..storage.database import disk_errors

__all__ = ["MelodyCache", "MelodyLine"]

FILE = "melodies.npz"
SAVED_EVERY = 200  # pieces, so that a long extraction that is stopped goes on where it was


@dataclass(frozen=True)
class MelodyLine:
    """A piece's melody: onset float32 [n] in seconds of the file, pitch uint8 [n]."""

    onset_s: NDArray[np.float32]
    pitch: NDArray[np.uint8]


class MelodyCache:
    """Melodies by the number of their piece.

    Parameters
    ----------
    folder : of the library
    made_by : names the library and the model; melodies made by something else do not count
    """

    def __init__(self, folder: Path, made_by: str, *, read_only: bool) -> None:
        self._path, self._made_by, self._read_only = folder / FILE, made_by, read_only
        self._lines = self._load()

    def lines(
        self,
        wanted: Sequence[int],
        melody: Callable[[int], Notes],
        on_progress: Callable[[int, int], None],
    ) -> list[MelodyLine]:
        """Melodies of pieces, those that are missing extracted and kept.

        Parameters
        ----------
        melody : extracts that of a piece
        on_progress : told how many of the missing melodies are done
        """
        missing = [number for number in wanted if number not in self._lines]
        gone = set(self._lines) - set(wanted)
        for number in gone:
            del self._lines[number]
        for done, number in enumerate(missing, 1):
            chosen = melody(number)
            self._lines[number] = MelodyLine(chosen.onset.astype(np.float32), chosen.pitch.astype(np.uint8))
            on_progress(done, len(missing))
            if done % SAVED_EVERY == 0 and done < len(missing):
                self._save()
        if missing or gone:
            self._save()
        return [self._lines[number] for number in wanted]

    def _load(self) -> dict[int, MelodyLine]:
        try:
            with open(self._path, "rb") as file, np.load(file, allow_pickle=False) as kept:
                if str(kept["made_by"]) != self._made_by:
                    return {}
                edges = np.concatenate([[0], np.cumsum(kept["sizes"])])
                onset_s, pitch = kept["onset_s"], kept["pitch"]
                if not edges[-1] == len(onset_s) == len(pitch) or len(kept["numbers"]) != len(edges) - 1:
                    return {}
                return {
                    int(number): MelodyLine(onset_s[begin:end], pitch[begin:end])
                    for number, begin, end in zip(kept["numbers"], edges[:-1], edges[1:], strict=True)
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}  # a cache: what cannot be read is made again

    def _save(self) -> None:
        """Replace the file, whole and on the disk; a library that is only read keeps nothing."""
        if self._read_only:
            return
        numbers = sorted(self._lines)
        beside = self._path.with_name(f"{FILE}.{os.getpid()}.part")
        with disk_errors(self._path.parent), open(beside, "wb") as file:
            np.savez(
                file,
                made_by=np.array(self._made_by),
                numbers=np.array(numbers, dtype=np.int64),
                sizes=np.array([len(self._lines[n].pitch) for n in numbers], dtype=np.int64),
                onset_s=_joined((self._lines[n].onset_s for n in numbers), np.float32),
                pitch=_joined((self._lines[n].pitch for n in numbers), np.uint8),
            )
            file.flush()
            os.fsync(file.fileno())
            beside.replace(self._path)


def _joined(parts: Iterable[NDArray[np.generic]], dtype: type) -> NDArray[np.generic]:
    return np.concatenate([np.empty(0, dtype), *parts])
