"""Descriptors that set a class apart, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from ..storage import schema
from ..storage.pieces import chunks
from .records import Trait

__all__ = ["DESCRIBED", "descriptors_of", "traits_of"]

# Descriptor, its unit in words, and what more and less of it are called.
DESCRIBED = (
    ("density", "notes a second", "denser", "sparser"),
    ("polyphony", "notes at once", "fuller", "thinner"),
    ("velocity_mean", "mean velocity", "louder", "softer"),
    ("pitch_mean", "mean pitch", "higher", "lower"),
    ("pitch_low", "lowest pitch", "not so deep", "deeper"),
    ("pitch_high", "highest pitch", "up higher", "not so high"),
    ("duration_s", "seconds", "longer", "shorter"),
)
_LEAST_EFFECT = 0.5  # standard deviations
_MOST = 3

FloatArray = NDArray[np.float64]


def descriptors_of(connection: Connection, pieces: Sequence[int]) -> dict[int, FloatArray]:
    """Values of the descriptors of DESCRIBED, by number of the piece."""
    columns = [schema.pieces.c[name] for name, *_ in DESCRIBED]
    found: dict[int, FloatArray] = {}
    for some in chunks(sorted(set(pieces))):
        query = select(schema.pieces.c.id, *columns).where(schema.pieces.c.id.in_(some))
        found.update((row[0], np.array(row[1:], dtype=np.float64)) for row in connection.execute(query))
    return found


def traits_of(values: FloatArray, label: NDArray[np.int64], classes: Sequence[str]) -> tuple[Trait, ...]:
    """The strongest traits of each class.

    Parameters
    ----------
    values : float64 [n, descriptors] in the order of DESCRIBED
    label : int64 [n]
    """
    traits = []
    for number, value in enumerate(classes):
        own, rest = values[label == number], values[label != number]
        if len(own) < 2 or len(rest) < 2:
            continue
        spread = np.sqrt((own.var(0) + rest.var(0)) / 2)
        effect = (own.mean(0) - rest.mean(0)) / np.maximum(spread, 1e-9)
        effect[spread < 1e-9] = 0.0
        for at in np.argsort(-np.abs(effect))[:_MOST]:
            if abs(effect[at]) >= _LEAST_EFFECT:
                traits.append(
                    _trait(value, int(at), own[:, at].mean(), rest[:, at].mean(), float(effect[at]))
                )
    return tuple(traits)


def _trait(value: str, at: int, mean: float, others: float, effect: float) -> Trait:
    name, unit, more, less = DESCRIBED[at]
    digits = 1 if max(abs(mean), abs(others)) < 20 else 0
    says = f"{more if effect > 0 else less}: {mean:.{digits}f} {unit} against {others:.{digits}f}"
    return Trait(value, name, float(mean), float(others), effect, says)
