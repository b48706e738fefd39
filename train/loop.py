"""The training loop, once for every objective.

A run is a folder:

    RUN/recipe.toml            what was asked for
    RUN/checkpoint/            the last weights.safetensors, optimiser.safetensors and progress.json
    RUN/log.csv                a line every few steps
    RUN/encoder/               weights and configuration at the end of the run

Every batch is drawn from a generator seeded by (seed, step, process), so a run that was killed continues
from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from embedder.errors import CorpusError
from embedder.model import NoteTransformer

from .corpus import Corpus
from .objectives import Batch, Objective, make_objective
from .recipe import Recipe, RunSettings

__all__ = ["Progress", "run"]


@dataclass(frozen=True)
class Progress:
    """What a progress line shows after a step."""

    step: int
    steps: int
    numbers: dict[str, float]
    notes_per_s: float
    remaining_s: float


def run(
    recipe: Recipe,
    corpus: Corpus,
    folder: str | Path,
    *,
    start_from: str | Path | None = None,
    device: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train as a recipe says, continuing from the run's last checkpoint if there is one.

    Parameters
    ----------
    recipe : what to do
    corpus : its `train` split is learned from, its `validation` split measured
    folder : the run's folder, made if absent
    start_from : a folder with `model.safetensors`, whose weights a new run begins with; of a deeper
        model, the first blocks
    device : a torch device; a GPU is used if there is one
    on_progress : called after every step

    Returns
    -------
    Folder of the finished weights (`model.safetensors`, `model.json`).

    Raises
    ------
    CorpusError
        If the run was begun with another recipe, or a checkpoint cannot be read.
    """
    folder = Path(folder)
    _claim(folder, recipe)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.manual_seed(recipe.run.seed)
    model = NoteTransformer(recipe.model).to(chosen)
    if start_from is not None:
        load_weights(model, Path(start_from) / "model.safetensors", to_finetune=True)
    optimiser = _optimiser(model, recipe.run)
    step = _restore(folder, model, optimiser)
    objective = make_objective(recipe.objective, corpus, "train", recipe.objective_settings)
    try:
        held_out: Objective | None = make_objective(
            recipe.objective, corpus, "validation", recipe.objective_settings
        )
    except CorpusError:
        held_out = None  # a small corpus may have no validation works
    trainer = _Trainer(model, optimiser, objective, held_out, recipe.run, folder, chosen)
    trainer.train(step, on_progress)
    return export(model, folder / "encoder")


def export(model: NoteTransformer, folder: Path) -> Path:
    """Write weights and model settings beside each other; complete or not at all."""
    from dataclasses import asdict

    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().float().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    _replace(folder / "model.json", lambda path: path.write_text(json.dumps(asdict(model.config), indent=1)))
    _replace(folder / "model.safetensors", lambda path: save_file(weights, path))
    return folder


def load_weights(model: NoteTransformer, path: Path, *, to_finetune: bool = False) -> None:
    """Load a safetensors file.

    `to_finetune` leaves the contrastive projection as it is, which pretraining does not touch, and takes
    only the first blocks of a deeper model.

    Raises
    ------
    CorpusError
        If the file cannot be read or a tensor does not fit.
    """
    try:
        weights = load_file(path)
        if to_finetune:
            own = model.state_dict()
            weights = {n: w for n, w in weights.items() if n in own or not n.startswith("blocks.")}
            weights |= {name: own[name] for name in own if name.startswith("project.")}
        model.load_state_dict(weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path} does not hold weights of this model: {reason}") from None


def learning_rate(step: int, settings: RunSettings) -> float:
    """Linear warm-up, a plateau, then a linear decay to `floor` over the last `decay` share of the run."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    begin = settings.steps * (1 - settings.decay)
    if step < begin:
        return settings.learning_rate
    left = (settings.steps - step) / max(settings.steps - begin, 1)
    return settings.learning_rate * (settings.floor + (1 - settings.floor) * left)


def _claim(folder: Path, recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "recipe.toml"
    if kept.exists() and kept.read_text(encoding="utf-8") != recipe.text:
        raise CorpusError(f"{folder} was begun with another recipe; name a new folder for this one")
    kept.write_text(recipe.text, encoding="utf-8")


def _optimiser(model: NoteTransformer, settings: RunSettings) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    beside = path.with_name(path.name + ".part")
    write(beside)
    with open(beside, "rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def _save(folder: Path, model: NoteTransformer, optimiser: torch.optim.AdamW, step: int) -> None:
    """A checkpoint is a folder that is moved into place whole, the one before kept until then."""
    fresh, kept, old = (folder / name for name in ("checkpoint.part", "checkpoint", "checkpoint.old"))
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir()
    _replace(fresh / "weights.safetensors", lambda path: save_file(model.state_dict(), path))
    state = optimiser.state_dict()["state"]
    moments = {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}
    _replace(fresh / "optimiser.safetensors", lambda path: save_file(moments, path))
    _replace(fresh / "progress.json", lambda path: path.write_text(json.dumps({"step": step})))
    if kept.exists():
        kept.replace(old)
    fresh.replace(kept)
    shutil.rmtree(old, ignore_errors=True)


def _restore(folder: Path, model: NoteTransformer, optimiser: torch.optim.AdamW) -> int:
    """Load the last checkpoint, if there is one; the step to go on with."""
    for name in ("checkpoint", "checkpoint.old"):
        kept = folder / name
        if (kept / "progress.json").exists():
            break
    else:
        return 0
    load_weights(model, kept / "weights.safetensors")
    try:
        moments = load_file(kept / "optimiser.safetensors")
        step = int(json.loads((kept / "progress.json").read_text())["step"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CorpusError(f"checkpoint {kept} cannot be read: {error}") from None
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, moment = key.split(".", 1)
        state.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return step


class _Trainer:
    """The state of a run between steps."""

    def __init__(
        self,
        model: NoteTransformer,
        optimiser: torch.optim.AdamW,
        objective: Objective,
        held_out: Objective | None,
        settings: RunSettings,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.model, self.optimiser, self.objective, self.held_out = model, optimiser, objective, held_out
        self.settings, self.folder, self.device = settings, folder, device
        self.log = folder / "log.csv"

    def train(self, step: int, on_progress: Callable[[Progress], None] | None) -> None:
        settings, begun, first = self.settings, time.monotonic(), step
        saved, notes = time.monotonic(), 0
        while step < settings.steps:
            numbers, seen = self._step(step)
            notes += seen
            step += 1
            if step % settings.validate_every == 0 or step == settings.steps:
                numbers |= self._validate()
            elapsed = time.monotonic() - begun
            remaining = elapsed / (step - first) * (settings.steps - step)
            if step % settings.log_every == 0 or step == settings.steps:
                self._write_log(step, numbers, notes / elapsed)
            if on_progress is not None:
                on_progress(Progress(step, settings.steps, numbers, notes / elapsed, remaining))
            if time.monotonic() - saved > settings.checkpoint_minutes * 60 or step == settings.steps:
                _save(self.folder, self.model, self.optimiser, step)
                saved = time.monotonic()

    def _step(self, step: int) -> tuple[dict[str, float], int]:
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, settings)
        self.optimiser.zero_grad(set_to_none=True)
        notes = 0
        sums: dict[str, float] = {}
        for part in range(settings.accumulate):
            batch = self._to_device(self.objective.batch(np.random.default_rng([settings.seed, step, part])))
            with self._precision():
                loss, numbers = self.objective.loss(self.model, batch)
            if not math.isfinite(loss.item()):
                raise CorpusError(f"the loss is {loss.item()} at step {step}; lower the learning rate")
            (loss / settings.accumulate).backward()  # type: ignore[no-untyped-call]
            notes += int(batch["lengths"].sum())
            sums = {
                name: sums.get(name, 0.0) + value / settings.accumulate for name, value in numbers.items()
            }
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimiser.step()
        return {"loss": loss.item(), **sums}, notes

    def _validate(self) -> dict[str, float]:
        if self.held_out is None:
            return {}
        sums: dict[str, float] = {}
        with torch.no_grad(), self._precision():
            for part in range(self.settings.validation_batches):
                batch = self._to_device(self.held_out.batch(np.random.default_rng([0, part])))
                _, numbers = self.held_out.loss(self.model, batch)
                for name, value in numbers.items():
                    sums[f"held_out_{name}"] = sums.get(f"held_out_{name}", 0.0) + value
        return {name: value / self.settings.validation_batches for name, value in sums.items()}

    def _precision(self) -> Any:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _to_device(self, batch: Batch) -> Batch:
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def _write_log(self, step: int, numbers: dict[str, float], rate: float) -> None:
        with open(self.log, "a", newline="", encoding="utf-8") as file:
            for name, value in {**numbers, "notes_per_s": rate}.items():
                csv.writer(file).writerow([step, name, f"{value:.6g}"])
