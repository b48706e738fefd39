"""An encoder for tests: pitch classes and registers counted, no weights, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

WINDOW = 64


@dataclass(frozen=True)
class FakeEmbedded:
    """The fields of embedder.Embedded."""

    pieces: NDArray[np.float32]
    windows: NDArray[np.float32]
    piece_of_window: NDArray[np.int64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    first_note: NDArray[np.int64]
    last_note: NDArray[np.int64]


@dataclass
class FakeEncoder:
    """Histograms of pitch in 32 bins; a piece is the sum of its windows. `calls` counts pieces a call."""

    id: str = "fake@0123456789ab"
    dim: int = 32
    calls: list[int] = field(default_factory=list)
    front: ClassVar[str | None] = None

    def embed(self, pieces: Sequence[Notes]) -> FakeEmbedded:
        self.calls.append(len(pieces))
        vectors, rows = [], []
        for number, notes in enumerate(pieces):
            if not len(notes):
                raise ValueError("a piece without notes")
            ends = notes.end  # made anew at each asking
            for first in range(0, len(notes), WINDOW):
                last = min(first + WINDOW, len(notes))
                counts = np.bincount((notes.pitch[first:last] * 7) % self.dim, minlength=self.dim)
                vectors.append(_unit(counts))
                rows.append((number, notes.onset[first], ends[first:last].max(), first, last))
        windows = np.array(vectors, dtype=np.float32)
        number, start_s, end_s, first_note, last_note = (
            np.array(column) for column in zip(*rows, strict=True)
        )
        whole = np.array([_unit(windows[number == i].sum(0)) for i in range(len(pieces))], dtype=np.float32)
        return FakeEmbedded(whole, windows, number, start_s, end_s, first_note, last_note)


def _unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    return vector / np.linalg.norm(vector)


def tune(seed: int, notes: int = 150) -> Notes:
    """A random walk over the keyboard, the same for the same seed."""
    rng = np.random.default_rng(seed)
    pitch = np.clip(60 + np.cumsum(rng.integers(-4, 5, notes)), 21, 108)
    onset = np.cumsum(rng.uniform(0.05, 0.4, notes))
    return Notes(onset, rng.uniform(0.1, 0.5, notes), pitch, rng.integers(30, 100, notes))


def write_tunes(folder: Path, count: int, *, first_seed: int = 0, notes: int = 150) -> list[Path]:
    """Files of different tunes, spread over subfolders."""
    from embedder.midi.writing import write_midi

    paths = []
    for i in range(count):
        path = folder / f"part{i % 3}" / f"tune{first_seed + i:03d}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_midi(tune(first_seed + i, notes), path)
        paths.append(path)
    return paths
