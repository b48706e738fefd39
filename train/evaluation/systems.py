"""What makes vectors: an encoder, its learned part alone, and the hand-made baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.encoder import Encoder
from embedder.notes import Notes

from ..baselines import BASELINES, Handmade

__all__ = ["Made", "Maker", "baseline_maker", "encoder_maker"]

FloatRows = NDArray[np.float32]
_GROUP = 128  # pieces a call, so that baselines need little memory


@dataclass(frozen=True)
class Made:
    """Vectors of some pieces, unit rows; of encoders also of windows, with the row of each window's piece."""

    pieces: FloatRows
    windows: FloatRows | None = None
    piece_of_window: NDArray[np.int64] | None = None


class Maker:
    """Makes the vectors of one or several systems in one pass, and keeps the time that it took."""

    def __init__(self, names: Sequence[str], make: Callable[[Sequence[Notes]], dict[str, Made]]) -> None:
        self.names, self._make = list(names), make
        self.notes, self.vectors, self.seconds = 0, 0, 0.0

    def __call__(
        self, pieces: Sequence[Notes], on_group: Callable[[int], None] = lambda count: None
    ) -> dict[str, Made]:
        begun = time.process_time()
        groups = []
        for at in range(0, len(pieces), _GROUP):
            groups.append(self._make(pieces[at : at + _GROUP]))
            on_group(len(pieces[at : at + _GROUP]))
        self.seconds += time.process_time() - begun
        self.notes += sum(map(len, pieces))
        self.vectors += len(pieces)
        return {name: _joined([group[name] for group in groups]) for name in self.names}


def _joined(parts: Sequence[Made]) -> Made:
    pieces = np.concatenate([part.pieces for part in parts])
    windows = [part.windows for part in parts if part.windows is not None]
    if len(windows) < len(parts):
        return Made(pieces)
    first = np.cumsum([0, *(len(part.pieces) for part in parts[:-1])])
    of = [p.piece_of_window + at for p, at in zip(parts, first, strict=True) if p.piece_of_window is not None]
    return Made(pieces, np.concatenate(windows), np.concatenate(of))


def encoder_maker(label: str, encoder: Encoder | Any, heard: Mapping[str, Any] | None = None) -> Maker:
    """The encoder's vectors, and those of its learned part where it has other parts beside it.

    Parameters
    ----------
    heard : what the front of the encoder made of whole files, by the digest of their notes; an encoder
        without a front has no use for it
    """
    parts = getattr(encoder, "parts", {})
    learned = parts.get("learned") if len(parts) > 1 else None
    alone = f"{label}, learned part"
    files = heard if heard and getattr(encoder, "front", None) is not None else {}

    def make(pieces: Sequence[Notes]) -> dict[str, Made]:
        embedded = encoder.embed([files.get(one.digest(), one) for one in pieces] if files else pieces)
        made = {label: Made(embedded.pieces, embedded.windows, embedded.piece_of_window)}
        if learned is not None:
            made[alone] = Made(
                _unit(embedded.pieces[:, learned]),
                _unit(embedded.windows[:, learned]),
                embedded.piece_of_window,
            )
        return made

    return Maker([label] if learned is None else [label, alone], make)


def baseline_maker(reference: Sequence[Notes]) -> Maker:
    """Hand-made features, n-grams and both; scales come from the gallery."""
    handmade = Handmade(reference)
    return Maker(
        BASELINES,
        lambda pieces: {name: Made(rows) for name, rows in handmade.vectors(pieces).items()},
    )


def _unit(rows: FloatRows) -> FloatRows:
    unit: FloatRows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit
