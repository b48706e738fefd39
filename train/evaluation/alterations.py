"""The ten ways in which a query is altered before its original is looked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embedder.notes import Notes

__all__ = ["ALTERATIONS", "Alteration", "excerpt"]

Alteration = Callable[[Notes, np.random.Generator], Notes]
_FEWEST = 20  # notes of an excerpt


def excerpt(notes: Notes, rng: np.random.Generator, seconds: float = 30.0) -> Notes:
    """A random span of a piece with at least some notes in it; the whole piece if it is no longer."""
    latest = notes.end_s - seconds
    if latest <= notes.start_s:
        return notes
    for _ in range(50):
        start = rng.uniform(notes.start_s, latest)
        part = notes.slice_time(start, start + seconds)
        if len(part) >= min(_FEWEST, len(notes)):
            return part
    return notes


ALTERATIONS: dict[str, Alteration] = {
    "transposed +1": lambda notes, rng: notes.transpose(1),
    "transposed +5": lambda notes, rng: notes.transpose(5),
    "transposed -6": lambda notes, rng: notes.transpose(-6),
    "tempo x 0.8": lambda notes, rng: notes.stretch(1 / 0.8),
    "tempo x 1.25": lambda notes, rng: notes.stretch(1 / 1.25),
    "30 ms jitter": lambda notes, rng: notes.jitter(0.03, rng),
    "flat velocity": lambda notes, rng: notes.with_velocity(64),
    "20 % dropped": lambda notes, rng: notes.drop(0.2, rng),
    "30 s excerpt": excerpt,
    "quantised": lambda notes, rng: notes.quantise(0.125),
}
