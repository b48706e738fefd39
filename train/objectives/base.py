"""The interface of an objective, and the table that recipes name them by."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from torch import Tensor

from embedder.errors import CorpusError
from embedder.model import NoteTransformer

from ..corpus import Corpus

__all__ = ["Batch", "Objective", "make_objective"]

Batch = dict[str, Tensor]


class Objective(Protocol):
    """Builds batches from a corpus (on the CPU, from a generator of its own) and scores them."""

    def batch(self, rng: np.random.Generator) -> Batch: ...

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Scalar loss and the numbers worth logging."""
        ...


def make_objective(name: str, corpus: Corpus, split: str, settings: dict[str, Any]) -> Objective:
    """The objective called `name` in a recipe, on one split of a corpus.

    Raises
    ------
    CorpusError
        If there is no such objective, its settings do not fit, or the split holds nothing to learn from.
    """
    from .contrastive import Contrastive
    from .next_note import NextNote

    kinds: dict[str, Any] = {"next-note": NextNote, "contrastive": Contrastive}
    if name not in kinds:
        raise CorpusError(f"no objective is called {name!r}; there are {', '.join(sorted(kinds))}")
    try:
        objective: Objective = kinds[name](corpus, split, **settings)
    except TypeError as error:
        raise CorpusError(f"settings of objective {name}: {error}") from None
    return objective
