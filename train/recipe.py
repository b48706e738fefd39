"""Recipes: what a training run does, as a TOML file of four tables.

[run]        steps, learning rate, precision, ...      (`RunSettings`)
[model]      size of the transformer                   (`embedder.transformer.ModelConfig`)
[objective]  name, and the objective's own settings    (`train.objectives`)
[objective.augment]  the chain of augmentations          (`train.augment.Chain`)

Every setting is checked against the type that it is declared with before anything uses it.
"""

from __future__ import annotations

import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from embedder.core.errors import CorpusError
from embedder.transformer import ModelConfig

__all__ = ["Recipe", "RunSettings", "check_settings", "declared"]

MAX_INT = 2**31 - 1  # of a whole number; a seed, a count or a size beyond is a mistake
_SHOWN = 60


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
        """Read a recipe file, or one of the shipped recipes by its name without the suffix.

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


def declared(kind: type) -> dict[str, Any]:
    """Types of the parameters that a class takes by name, its base classes' too."""
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            taken = signature(vars(base)["__init__"]).parameters.values()
            known = get_type_hints(vars(base)["__init__"])
            named = (p.name for p in taken if p.kind is not p.VAR_KEYWORD)
            hints |= {name: known[name] for name in named if name in known}
    return hints


def check_settings(what: str, types: Mapping[str, Any], given: Mapping[str, object]) -> None:
    """Refuse settings of another type than declared, and numbers that are negative or not finite.

    Parameters
    ----------
    what : whose settings, for the message
    types : declared types by name; settings that it lacks are left to whoever takes them

    Raises
    ------
    CorpusError
        Naming the first setting that does not fit.
    """
    for name, value in given.items():
        if name in types and not _fits(value, types[name]):
            shown = repr(value)
            shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
            raise CorpusError(f"recipe: {what} {name} must be {_described(types[name])}, not {shown}")


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if hint is int:
        return not isinstance(value, bool) and isinstance(value, int) and 0 <= value <= MAX_INT
    if hint is float:
        return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < math.inf
    if get_origin(hint) is tuple:
        hints = get_args(hint)
        return (
            isinstance(value, list | tuple)
            and len(value) == len(hints)
            and all(_fits(item, item_hint) for item, item_hint in zip(value, hints, strict=True))
        )
    if get_origin(hint) is dict:
        item_hint = get_args(hint)[1]
        return isinstance(value, dict) and (
            item_hint is Any or all(_fits(item, item_hint) for item in value.values())
        )
    return hint is Any or type(value) is hint


def _described(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_described(option) for option in get_args(hint) if option is not types.NoneType)
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} numbers"
    if get_origin(hint) is dict:
        return "a table"
    names = {int: "a whole number, 0 or more", float: "a number, 0 or more", bool: "true or false"}
    return names.get(hint, "text")
