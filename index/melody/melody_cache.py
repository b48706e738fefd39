"""Melodies of a library's pieces on disk: extracted once, a cache beside the database.

    LIBRARY/melodies.npz      numbers of the pieces, and onsets and pitches of their melodies

Where it is missing, damaged, of another library or made with another model, melodies are extracted again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.core.files import atomic_file
from embedder.core.progress import OnProgress
from embedder.notes import Notes

from ..storage import disk_errors

__all__ = ["FILE", "MelodyCache", "PieceMelody"]

FILE = "melodies.npz"
SAVE_INTERVAL = 200  # pieces, so that a long extraction that is interrupted continues where it was


@dataclass(frozen=True)
class PieceMelody:
    """A piece's melody: onset float32 [n] in seconds of the file, pitch uint8 [n]."""

    onset_s: NDArray[np.float32]
    pitch: NDArray[np.uint8]


class MelodyCache:
    """Melodies by the number of their piece.

    Parameters
    ----------
    folder : of the library
    made_by : identifies the library and the model; melodies made by anything else are not used
    """

    def __init__(self, folder: Path, made_by: str, *, read_only: bool) -> None:
        self._path, self._made_by, self._read_only = folder / FILE, made_by, read_only
        self._melodies = self._load()

    def melodies(
        self, pieces: Sequence[int], extract: Callable[[int], Notes], on_progress: OnProgress
    ) -> list[PieceMelody]:
        """Melodies of pieces; those that are missing are extracted and stored.

        Parameters
        ----------
        extract : extracts that of a piece
        on_progress : gets how many of the missing melodies are done
        """
        missing = [number for number in pieces if number not in self._melodies]
        removed = set(self._melodies) - set(pieces)
        for number in removed:
            del self._melodies[number]
        for done, number in enumerate(missing, 1):
            notes = extract(number)
            self._melodies[number] = PieceMelody(notes.onset.astype(np.float32), notes.pitch.astype(np.uint8))
            on_progress("melodies", done, len(missing))
            if done % SAVE_INTERVAL == 0 and done < len(missing):
                self._save()
        if missing or removed:
            self._save()
        return [self._melodies[number] for number in pieces]

    def _load(self) -> dict[int, PieceMelody]:
        try:
            with open(self._path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["made_by"]) != self._made_by:
                    return {}
                edges = np.concatenate([[0], np.cumsum(stored["sizes"])])
                onset_s, pitch = stored["onset_s"], stored["pitch"]
                if not edges[-1] == len(onset_s) == len(pitch) or len(stored["numbers"]) != len(edges) - 1:
                    return {}
                return {
                    int(number): PieceMelody(onset_s[begin:end], pitch[begin:end])
                    for number, begin, end in zip(stored["numbers"], edges[:-1], edges[1:], strict=True)
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}  # a cache: what cannot be read is extracted again

    def _save(self) -> None:
        """Replace the file; a read-only library stores nothing."""
        if self._read_only:
            return
        numbers = sorted(self._melodies)
        melodies = [self._melodies[number] for number in numbers]
        with disk_errors(self._path.parent), atomic_file(self._path) as file:
            np.savez(
                file,
                made_by=np.array(self._made_by),
                numbers=np.array(numbers, dtype=np.int64),
                sizes=np.array([len(melody.pitch) for melody in melodies], dtype=np.int64),
                onset_s=_concatenate((melody.onset_s for melody in melodies), np.float32),
                pitch=_concatenate((melody.pitch for melody in melodies), np.uint8),
            )


def _concatenate(arrays: Iterable[NDArray[np.generic]], dtype: type) -> NDArray[np.generic]:
    return np.concatenate([np.empty(0, dtype), *arrays])
