"""Recipes of runs in stages, as TOML: [run], [model], and a list of [[stage]].

Each stage has a `name`, a budget of `notes` seen, a learning rate, and two tables: `settings`
(`train.ensemble.contrast.Settings`) and `augment` (`train.ensemble.views.Chain`). Budgets are in notes, not
in steps or hours: a recipe says the same on every machine.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from embedder.core.errors import CorpusError
from embedder.ensemble.model import EnsembleConfig

from .contrast import Settings
from .views import Chain

__all__ = ["Run", "Stage", "StagedRecipe"]

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """Settings of all stages.

    Attributes
    ----------
    precision : "bfloat16" or "float32"
    average : decay of the running average of the weights a step; the average is measured and shipped
    context : notes a window when measured
    checkpoint_minutes : by the clock, between checkpoints
    measure_notes : notes seen between measures of the validation works
    log_every : steps
    """

    seed: int = 0
    precision: str = "bfloat16"
    average: float = 0.998
    context: int = 256
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.98
    clip: float = 1.0
    checkpoint_minutes: float = 5.0
    measure_notes: float = 10e6
    log_every: int = 20


@dataclass(frozen=True)
class Stage:
    """One stage; see the module."""

    name: str
    notes: float
    learning_rate: float
    warmup: int = 100
    decay: float = 0.3
    floor: float = 0.1
    settings: Settings = field(default_factory=Settings)
    chain: Chain = field(default_factory=Chain)

    def rate(self, step: int, seen: float) -> float:
        """Learning rate after so many steps and notes of the stage: warm-up, plateau, linear decay."""
        begin = 1 - self.decay
        done = min(seen / self.notes, 1.0)
        fall = 1.0 if done <= begin else self.floor + (1 - self.floor) * (1 - done) / max(self.decay, 1e-9)
        return self.learning_rate * min(1.0, (step + 1) / max(self.warmup, 1)) * fall


@dataclass(frozen=True)
class StagedRecipe:
    """A whole recipe and the text that it was read from."""

    run: Run
    model: EnsembleConfig
    stages: tuple[Stage, ...]
    text: str

    @classmethod
    def read(cls, path: str | Path) -> StagedRecipe:
        """Read a recipe file, or a shipped recipe by its name without ending.

        Raises
        ------
        CorpusError
            If there is none or a setting does not fit.
        """
        shipped = Path(__file__).parents[1] / "recipes" / f"{path}.toml"
        try:
            text = (shipped if shipped.exists() else Path(path)).read_text(encoding="utf-8")
        except OSError as error:
            raise CorpusError(f"recipe {path} cannot be read: {error.strerror}") from None
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> StagedRecipe:
        """Read a recipe from its text; raises as `read`."""
        try:
            tables = tomllib.loads(text)
        except ValueError as error:
            raise CorpusError(f"recipe is not TOML: {error}") from None
        if unknown := set(tables) - {"run", "model", "stage"}:
            raise CorpusError(f"recipe: there are [run], [model] and [[stage]], not {sorted(unknown)}")
        stages = tables.get("stage")
        if not isinstance(stages, list) or not stages:
            raise CorpusError("recipe: at least one [[stage]] is needed")
        return cls(
            _made(Run, tables.get("run", {}), "run"),
            EnsembleConfig.from_dict(tables.get("model", {})),
            tuple(_stage(dict(stage)) for stage in stages),
            text,
        )


def _stage(table: dict[str, Any]) -> Stage:
    settings = dict(table.pop("settings", {}))
    if "shapes" in settings:
        settings["shapes"] = tuple((float(p), int(a), int(b)) for p, a, b in settings["shapes"])
    chain = Chain.from_dict(table.pop("augment", {}))
    return _made(Stage, {**table, "settings": _made(Settings, settings, "stage"), "chain": chain}, "stage")


def _made(kind: type[T], settings: dict[str, Any], what: str) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(settings) - known:
        raise CorpusError(f"recipe: {what} has no setting {', '.join(sorted(unknown))}")
    try:
        return kind(**settings)
    except TypeError as error:
        raise CorpusError(f"recipe: {what}: {error}") from None
