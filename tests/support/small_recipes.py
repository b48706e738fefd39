"""Recipes of a few steps of a tiny model, and the check that a killed run ends as an undisturbed one does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from train.corpus import Corpus
from train.loop import Progress, run
from train.recipe import Recipe

RUN = {
    "steps": 3,
    "precision": "float32",
    "warmup": 2,
    "log_every": 1,
    "validation_batches": 1,
    "checkpoint_minutes": 0.0,
}
MODEL = {"width": 32, "layers": 1, "heads": 2, "hidden": 64, "positions": 128, "projection": 16}


class Killed(Exception):
    pass


def recipe_text(
    objective: str,
    *,
    run: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    **settings: object,
) -> str:
    """The text of a recipe; what is given stands in place of `RUN`, of `MODEL` and of the objective's own."""
    tables = {
        "run": RUN | dict(run or {}),
        "model": MODEL | dict(model or {}),
        "objective": {"name": objective, **settings},
    }
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def check_killed_run(
    recipe: Recipe, corpus: Corpus, folder: Path, *, at: int, weights: tuple[str, ...]
) -> None:
    """Run a recipe whole, and again killed after step `at` and continued: the weights are the same bits."""
    torch.set_num_threads(1)
    whole = run(recipe, corpus, folder / "whole", device="cpu")

    def kill(progress: Progress) -> None:
        if progress.step == at:
            raise Killed

    with pytest.raises(Killed):
        run(recipe, corpus, folder / "killed", device="cpu", on_progress=kill)
    steps: list[int] = []
    resumed = run(
        recipe, corpus, folder / "killed", device="cpu", on_progress=lambda now: steps.append(now.step)
    )
    assert steps[0] == at  # a step is reported before its checkpoint is written
    for name in weights:
        expected, found = (load_file(made / name) for made in (whole, resumed))
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)
