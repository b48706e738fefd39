"""What a model is trained to do: each objective builds a batch from a corpus and gives a loss.

An objective is a class in a file of its own, which imports `base` and nothing else of this package but what
objectives share (`masking`, `cached`, `next_note`); `OBJECTIVES` names them for recipes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from embedder.core.errors import CorpusError

from ..corpus import Corpus
from ..recipe import check_settings, declared
from .base import Batch, Equipped, Objective, Step, equip

__all__ = ["OBJECTIVES", "Batch", "Equipped", "Objective", "Step", "equip", "make_objective"]

# Module and class by the name in recipes; imported when a recipe asks for one.
OBJECTIVES = {
    "contrastive": "contrastive:Contrastive",
    "data2vec": "data2vec:Data2Vec",
    "hubert": "hubert:Hubert",
    "masked": "masked:Masked",
    "next-note": "next_note:NextNote",
    "voices": "voices:Voices",
}


def make_objective(name: str, corpus: Corpus, split: str, settings: dict[str, Any]) -> Objective:
    """The objective called `name` in a recipe, on one split of a corpus.

    Raises
    ------
    CorpusError
        If there is no such objective, its settings do not fit, or the split holds nothing to learn from.
    """
    if name not in OBJECTIVES:
        raise CorpusError(f"no objective is called {name!r}; there are {', '.join(sorted(OBJECTIVES))}")
    module, class_name = OBJECTIVES[name].split(":")
    objective_class = getattr(import_module(f".{module}", __name__), class_name)
    check_settings(f"objective {name}", declared(objective_class), settings)
    try:
        objective: Objective = objective_class(corpus, split, **settings)
    except TypeError as error:
        raise CorpusError(f"settings of objective {name}: {error}") from None
    return objective
