"""The training loops: `run` for every objective of a transformer, `fit` for fits that end in minutes.

A run is a folder:

    RUN/recipe.toml            what was asked for
    RUN/checkpoint/            the last weights.safetensors, optimiser.safetensors and progress.json, and
                               objective.safetensors if the objective has weights of its own
    RUN/log.csv                a line every few steps
    RUN/events/                the same for TensorBoard, where it is installed
    RUN/encoder/               weights and configuration at the end of the run, and again the objective's

Every batch is drawn from a generator seeded by (seed, step, number of the batch), so a run that was killed
continues from its last checkpoint as if nothing had happened, and several processes (torchrun) do what
one would do.

`fit` takes optimiser steps in memory: of the hand-crafted head, the label projection and finetuned
classifiers. They do not go through `run`, which trains a `NoteTransformer` on token rows of a `Corpus`: their
models and rows are others, finetuning counts epochs and stops early, and checkpoints would save little. On
one core the projection takes 30 s, the head half a second a step or 8 minutes in all, a finetuning minutes
(`train/RESULTS.md`); a run of `midikin-small` took 110 minutes and writes a checkpoint every three.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embedder.core.errors import CorpusError
from embedder.core.files import replace_with
from embedder.transformer import NoteTransformer

from .checkpoints import export, load_weights, restore, save
from .corpus import Corpus
from .dist import Processes, processes
from .monitor import Logs
from .objectives import Batch, Equipped, Objective, Step, equip, make_objective
from .recipe import Recipe, RunSettings

__all__ = ["Progress", "export", "fit", "learning_rate", "load_weights", "run"]


@dataclass(frozen=True)
class Progress:
    """What a progress line shows after a step; rates count the work of all processes.

    Attributes
    ----------
    numbers : of the step: the loss, what the objective adds, and now and then held_out_... of the
        validation split
    flops_per_s : operations a second that the model itself needs (`train.monitor`)
    """

    step: int
    steps: int
    numbers: dict[str, float]
    notes_per_s: float
    flops_per_s: float
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

    Under torchrun the processes share the work, and the first of them writes and reports.

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
        If the run was begun with another recipe, a checkpoint cannot be read, or the recipe's batches
        cannot be shared out to so many processes.
    """
    folder = Path(folder)
    with processes() as among:
        _check_own(folder, recipe)
        chosen = among.device(device)
        torch.manual_seed(recipe.run.seed)
        model = NoteTransformer(recipe.model).to(chosen)
        if start_from is not None:
            load_weights(model, Path(start_from) / "model.safetensors", to_finetune=True)
        objective = make_objective(recipe.objective, corpus, "train", recipe.objective_settings)
        _check_shares(objective, recipe.run, among)
        if objective.longest > recipe.model.positions:
            raise CorpusError(
                f"recipe: rows of {objective.longest:,} notes do not fit in [model] positions ="
                f" {recipe.model.positions:,}"
            )
        held_out = _held_out(recipe, corpus)
        own = equip(model, objective, held_out).to(chosen)
        optimiser = _optimiser((model, own), recipe.run)
        if among.first:
            _claim(folder, recipe)
        among.wait()
        step = restore(folder, model, own, optimiser)
        _Trainer(model, own, optimiser, objective, held_out, recipe.run, folder, chosen, among).train(
            step, on_progress
        )
        if among.first:
            export(model, folder / "encoder", own)
        among.wait()
    return folder / "encoder"


def fit(
    optimiser: torch.optim.Optimizer,
    steps: int,
    loss: Callable[[int], Tensor],
    *,
    schedule: Callable[[int], float] = lambda step: 1.0,
    clip: Iterable[nn.Parameter] = (),
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Take optimiser steps in memory, without checkpoints, logs or validation.

    Parameters
    ----------
    loss : the loss of a step, counted from 0
    schedule : factor of the optimiser's learning rates at a step
    clip : parameters whose gradients are clipped to a norm of 1 together
    on_step : called after each step with its number, counted from 1, and its loss

    Raises
    ------
    CorpusError
        If a loss is not finite.
    """
    clipped = list(clip)
    rates = [group["lr"] for group in optimiser.param_groups]
    for step in range(steps):
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(step)
        value = loss(step)
        if not torch.isfinite(value):
            raise CorpusError(f"the loss is {value.item()} at step {step}; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if clipped:
            nn.utils.clip_grad_norm_(clipped, 1.0)
        optimiser.step()
        on_step(step + 1, value.item())
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def learning_rate(step: int, settings: RunSettings) -> float:
    """Linear warm-up, a plateau, then a linear decay to `floor` over the last `decay` share of the run."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    begin = settings.steps * (1 - settings.decay)
    if step < begin:
        return settings.learning_rate
    left = (settings.steps - step) / max(settings.steps - begin, 1)
    return settings.learning_rate * (settings.floor + (1 - settings.floor) * left)


def _check_own(folder: Path, recipe: Recipe) -> None:
    """Refuse a folder that holds something of a run by another recipe; one that came to nothing is free."""
    kept = folder / "recipe.toml"
    begun = any((folder / name).exists() for name in ("checkpoint", "checkpoint.old", "encoder"))
    if begun and kept.exists() and kept.read_text(encoding="utf-8") != recipe.text:
        raise CorpusError(f"{folder} was begun with another recipe; name a new folder for this one")


def _claim(folder: Path, recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "recipe.toml"
    if not kept.exists() or kept.read_text(encoding="utf-8") != recipe.text:
        replace_with(kept, lambda path: path.write_text(recipe.text, encoding="utf-8"))


def _held_out(recipe: Recipe, corpus: Corpus) -> Objective | None:
    try:
        return make_objective(recipe.objective, corpus, "validation", recipe.objective_settings)
    except CorpusError:
        return None  # a small corpus may have no validation works


def _check_shares(objective: Objective, settings: RunSettings, among: Processes) -> None:
    if not objective.coupled and settings.accumulate % among.count:
        raise CorpusError(
            f"recipe: accumulate = {settings.accumulate} batches cannot be shared by {among.count} processes;"
            f" make it a multiple of {among.count}"
        )


def _trained(*modules: nn.Module) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def _optimiser(modules: tuple[nn.Module, ...], settings: RunSettings) -> torch.optim.AdamW:
    decayed = [p for p in _trained(*modules) if p.ndim >= 2]
    plain = [p for p in _trained(*modules) if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


class _Trainer:
    """The state of a run between steps."""

    def __init__(
        self,
        model: NoteTransformer,
        own: nn.Module,
        optimiser: torch.optim.AdamW,
        objective: Objective,
        held_out: Objective | None,
        settings: RunSettings,
        folder: Path,
        device: torch.device,
        among: Processes,
    ) -> None:
        self.model, self.own, self.trained = model, own, _trained(model, own)
        self.optimiser, self.objective, self.held_out = optimiser, objective, held_out
        self.settings, self.folder, self.device, self.among = settings, folder, device, among
        self.parts = range(settings.accumulate)
        if not objective.coupled:
            self.parts = range(among.rank, settings.accumulate, among.count)

    def train(self, step: int, on_progress: Callable[[Progress], None] | None) -> None:
        settings, begun, first = self.settings, time.monotonic(), step
        saved, notes, flops = time.monotonic(), 0.0, 0.0
        logs = Logs(self.folder, step) if self.among.first else None
        for batches in self._batches(step):
            numbers = self._step(step, batches)
            notes += numbers.pop("notes")
            flops += numbers.pop("flops")
            step += 1
            elapsed = time.monotonic() - begun
            progress = Progress(
                step,
                settings.steps,
                numbers,
                notes / elapsed,
                flops / elapsed,
                elapsed / (step - first) * (settings.steps - step),
            )
            last = step == settings.steps
            if self.among.first:
                if step % settings.validate_every == 0 or last:
                    numbers |= self._validate()
                if logs is not None and (step % settings.log_every == 0 or last):
                    logs.write(step, {**numbers, "notes_per_s": progress.notes_per_s})
                if on_progress is not None:
                    on_progress(progress)
                if time.monotonic() - saved > settings.checkpoint_minutes * 60 or last:
                    save(self.folder, self.model, self.own, self.optimiser, step)
                    saved = time.monotonic()
        if logs is not None:
            logs.close()

    def _batches(self, step: int) -> Iterator[list[Batch]]:
        """This process's batches of each step that is left; those of the next are made during this one."""

        def make(step: int) -> list[Batch]:
            seed = self.settings.seed
            return [self.objective.batch(np.random.default_rng([seed, step, part])) for part in self.parts]

        steps = range(step, self.settings.steps)
        with ThreadPoolExecutor(1, thread_name_prefix="midikin-batches") as maker:
            coming: Future[list[Batch]] | None = maker.submit(make, step) if steps else None
            for now in steps:
                assert coming is not None
                batches = coming.result()
                coming = maker.submit(make, now + 1) if now + 1 < self.settings.steps else None
                yield batches

    def _step(self, step: int, batches: list[Batch]) -> dict[str, float]:
        """One step of the optimiser; means of the batches' numbers, and the notes and operations of all."""
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, settings)
        self.optimiser.zero_grad(set_to_none=True)
        how = Step(self._precision, 1 / settings.accumulate, self.among)
        sums: dict[str, float] = {}
        for made in batches:
            batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in made.items()}
            numbers = self.objective.backward(self.model, batch, how)
            numbers = {name: value / settings.accumulate for name, value in numbers.items()}
            numbers["notes"] = float(made["lengths"].sum())
            numbers["flops"] = self.objective.flops(self.model.config, made)
            sums = {name: sums.get(name, 0.0) + value for name, value in numbers.items()}
        if not self.objective.coupled:
            sums = self.among.add_numbers(sums, self.device)
        if not math.isfinite(sums["loss"]):
            raise CorpusError(f"the loss is {sums['loss']} at step {step}; lower the learning rate")
        self.among.add_gradients(self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, settings.clip)
        self.optimiser.step()
        if isinstance(self.objective, Equipped):
            self.objective.after_step(self.model, (step + 1) / settings.steps)
        return sums

    def _validate(self) -> dict[str, float]:
        if self.held_out is None:
            return {}
        sums: dict[str, float] = {}
        with torch.no_grad(), self._precision():
            for part in range(self.settings.validation_batches):
                made = self.held_out.batch(np.random.default_rng([0, part]))
                batch = {name: tensor.to(self.device) for name, tensor in made.items()}
                _, numbers = self.held_out.loss(self.model, batch)
                for name, value in numbers.items():
                    sums[f"held_out_{name}"] = sums.get(f"held_out_{name}", 0.0) + value
        return {name: value / self.settings.validation_batches for name, value in sums.items()}

    def _precision(self) -> AbstractContextManager[Any]:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
