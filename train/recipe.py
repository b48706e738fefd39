"""Recipes: what a training run does, as a TOML file of four tables.

[run]        steps, learning rate, precision, ...      (`RunSettings`)
[model]      size of the transformer                   (`embedder.transformer.ModelConfig`)
[objective]  name, and the objective's own settings    (`train.objectives`)
[objective.augment]  the chain of alterations          (`train.augment.Chain`)
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedder.core.errors import CorpusError
from embedder.transformer import ModelConfig

from .settings import check_settings, declared

__all__ = ["Recipe", "RunSettings"]


@dataclass(frozen=True)
class RunSettings:
    """Settings of the loop.

    Attributes
    ----------
    steps : optimiser steps
    seed : of weights and batches
    precision : "bfloat16" or "float32"
    accumulate : batches summed for one step
    learning_rate, warmup, decay, floor : peak; steps of linear warm-up; share of the run with linear
        decay; where it ends, as a share of the peak
    weight_decay, beta1, beta2 : of AdamW; norms and biases are not decayed
    clip : largest gradient norm
    checkpoint_minutes : time between checkpoints
    log_every, validate_every : steps between lines of the log; between looks at the validation split
    validation_batches : batches a look
    """

    steps: int = 1000
    seed: int = 0
    precision: str = "bfloat16"
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    floor: float = 0.05
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    checkpoint_minutes: float = 3.0
    log_every: int = 10
    validate_every: int = 100
    validation_batches: int = 4

    def __post_init__(self) -> None:
        check_settings("run", declared(RunSettings), asdict(self))
        if self.precision not in ("bfloat16", "float32"):
            raise CorpusError(f"recipe: precision is bfloat16 or float32, not {self.precision!r}")
        positive = ("log_every", "validate_every", "clip", "steps", "accumulate", "learning_rate")
        for name in positive:
            if not getattr(self, name) > 0:
                raise CorpusError(f"recipe: run {name} must be positive")
        if max(self.decay, self.floor) > 1 or max(self.betas) >= 1:
            raise CorpusError("recipe: run decay and floor lie in 0..1, beta1 and beta2 below 1")

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2


@dataclass(frozen=True)
class Recipe:
    """A whole recipe and the text that it was read from."""

    run: RunSettings
    model: ModelConfig
    objective: str
    objective_settings: dict[str, Any]
    text: str

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe file, or one of the shipped recipes by its name without ending.

        Raises
        ------
        CorpusError
            If there is no such recipe or a setting does not fit, naming it.
        """
        shipped = Path(__file__).parent / "recipes" / f"{path}.toml"
        try:
            return cls.parse((shipped if shipped.exists() else Path(path)).read_text(encoding="utf-8"))
        except FileNotFoundError:
            names = ", ".join(sorted(file.stem for file in shipped.parent.glob("*.toml")))
            raise CorpusError(f"recipe {path} cannot be read: no such file; shipped are {names}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"recipe {path} cannot be read: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read a recipe from its text; raises as `read`."""
        try:
            tables = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # TOMLDecodeError is one; a number may be too long
            raise CorpusError(f"recipe is not TOML: {' '.join(str(error).split())[:200]}") from None
        unknown = sorted(set(tables) - {"run", "model", "objective"})
        if unknown or not all(isinstance(table, dict) for table in tables.values()):
            raise CorpusError(
                f"recipe: there are tables [run], [model] and [objective], not {unknown or 'values'}"
            )
        settings = dict(tables.get("objective", {}))
        if not isinstance(settings.get("name"), str):
            raise CorpusError("recipe: [objective] needs a name")
        try:
            return cls(
                run=RunSettings(**tables.get("run", {})),
                model=ModelConfig.from_dict(tables.get("model", {})),
                objective=settings.pop("name"),
                objective_settings=settings,
                text=text,
            )
        except TypeError as error:
            raise CorpusError(f"recipe: {error}") from None
