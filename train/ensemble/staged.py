"""A training run in stages that goes on for days: every call continues it from its last checkpoint.

    RUN/recipe.toml    what was asked for
    RUN/checkpoint/    weights, their running average, the optimiser, past vectors and counters
    RUN/log.csv        step, name, value; `notes` and `core_s` are what the run has cost until then
    RUN/encoder/       averaged weights and settings, written anew at every checkpoint

A checkpoint is moved into place whole, so that a run survives being killed at any moment. Batches are drawn
from (seed, step): a continued run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embedder.ensemble.model import EnsembleTransformer
from embedder.errors import CorpusError

from ..checkpoints import export, restore, save
from ..files import replace_file
from ..logs import Logs
from .contrast import Batch, Contrast, Memory
from .corpus import EnsembleCorpus
from .embedding import piece_vectors
from .measures import Measures
from .recipe import StagedRecipe

SCALING_BATCHES = 16

__all__ = ["State", "averaged_model", "run_stages"]


class State(nn.Module):
    """What a checkpoint keeps beside weights and optimiser: averaged weights, past vectors, counters.

    Counters: stage, steps and notes within the stage, notes and core seconds of the whole run, notes at the
    last measure.
    """

    COUNTERS = ("stage", "stage_step", "stage_notes", "notes", "core_s", "measured")

    def __init__(self, model: EnsembleTransformer, memory: int) -> None:
        super().__init__()
        self.register_buffer("counters", torch.zeros(len(self.COUNTERS), dtype=torch.float64))
        self.register_buffer("vectors", torch.zeros(memory, model.config.projection))
        self.register_buffer("works", torch.full((memory,), -1))
        self.register_buffer("fused", torch.zeros(memory if model.config.fused else 0, model.config.fused))
        self.register_buffer("fused_works", torch.full((len(self.get_buffer("fused")),), -1))
        self.names = list(model.state_dict())
        for number, tensor in enumerate(model.state_dict().values()):
            self.register_buffer(f"average{number}", tensor.detach().clone())

    def get(self, name: str) -> float:
        return float(self.get_buffer("counters")[self.COUNTERS.index(name)])

    def set(self, name: str, value: float) -> None:
        self.get_buffer("counters")[self.COUNTERS.index(name)] = value

    @torch.no_grad()
    def follow(self, model: EnsembleTransformer, decay: float) -> None:
        """Move the averages towards the weights."""
        for number, tensor in enumerate(model.state_dict().values()):
            self.get_buffer(f"average{number}").lerp_(tensor, 1 - decay)

    def averages(self) -> dict[str, Tensor]:
        return {name: self.get_buffer(f"average{number}") for number, name in enumerate(self.names)}


def averaged_model(model: EnsembleTransformer, state: State) -> EnsembleTransformer:
    """A model of the averaged weights, for measuring."""
    twin = EnsembleTransformer(model.config).to(model.norm.weight.device)
    twin.load_state_dict(state.averages())
    return twin.eval()


def run_stages(
    recipe: StagedRecipe,
    corpus: EnsembleCorpus,
    folder: Path,
    *,
    device: str | None = None,
    stopped: Callable[[], bool] = lambda: False,
    polite: bool = False,
    on_line: Callable[[str], None] = print,
) -> bool:
    """Train as a recipe says, from the last checkpoint of the run's folder.

    Parameters
    ----------
    polite : choose the number of threads by the machine's load as the run goes on
    stopped : asked after every step whether to stop, with a checkpoint

    Returns
    -------
    Whether all stages are done.

    Raises
    ------
    CorpusError
        If the run was begun with other sizes of the model or a checkpoint cannot be read.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.run.seed)
    model = EnsembleTransformer(recipe.model).to(chosen)
    if not any((folder / name / "progress.json").exists() for name in ("checkpoint", "checkpoint.old")):
        _scale(model, recipe, corpus)
    state = State(model, max(stage.settings.memory for stage in recipe.stages)).to(chosen)
    optimiser = _optimiser(model, recipe)
    step = restore(folder, model, state, optimiser)
    replace_file(folder / "recipe.toml", lambda path: path.write_text(recipe.text, encoding="utf-8"))
    runner = _Runner(recipe, corpus, folder, model, state, optimiser, chosen, on_line)
    return runner.go(step, stopped, polite)


def _scale(model: EnsembleTransformer, recipe: StagedRecipe, corpus: EnsembleCorpus) -> None:
    """Standardise the statistics that the fusion reads by those of some training slices."""
    if model.fusion is None:
        return
    objective = Contrast(corpus, "train", replace(recipe.stages[0].settings, fused=1.0))
    rng = np.random.default_rng(recipe.run.seed)
    numbers = torch.cat([objective.batch(rng)["numbers"] for _ in range(SCALING_BATCHES)])
    model.fusion.get_buffer("mean").copy_(numbers.mean(0))
    model.fusion.get_buffer("deviation").copy_(numbers.std(0) + 0.02)


def _threads() -> int:
    """All cores while they are free, else one: threads that wait for each other on busy cores were ten
    times slower than one alone (measured on two cores with a load of 14)."""
    cores = os.cpu_count() or 1
    others = os.getloadavg()[0] - torch.get_num_threads()
    return cores if others < 0.5 * cores else 1


def _optimiser(model: nn.Module, recipe: StagedRecipe) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": recipe.run.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(recipe.run.beta1, recipe.run.beta2), fused=True)


class _Runner:
    def __init__(
        self,
        recipe: StagedRecipe,
        corpus: EnsembleCorpus,
        folder: Path,
        model: EnsembleTransformer,
        state: State,
        optimiser: torch.optim.AdamW,
        device: torch.device,
        on_line: Callable[[str], None],
    ) -> None:
        self.recipe, self.corpus, self.folder = recipe, corpus, folder
        self.model, self.state, self.optimiser = model, state, optimiser
        self.device, self.on_line = device, on_line
        self.measures: Measures | None = None

    def go(self, step: int, stopped: Callable[[], bool], polite: bool) -> bool:
        logs = Logs(self.folder, step)
        if polite:
            torch.set_num_threads(_threads())
        saved, cores = time.monotonic(), time.process_time()
        spent = self.state.get("core_s")
        while (at := int(self.state.get("stage"))) < len(self.recipe.stages):
            stage = self.recipe.stages[at]
            self.on_line(
                f"stage {stage.name}: {self.state.get('stage_notes'):,.0f} of {stage.notes:,.0f} notes"
            )
            objective = Contrast(self.corpus, "train", stage.settings, stage.chain)
            memories = self._memories(stage.settings.memory)
            for made in self._batches(objective, step):
                numbers = self._step(made, objective, memories, stage.rate(
                    int(self.state.get("stage_step")), self.state.get("stage_notes")))  # fmt: skip
                step += 1
                self.state.set("core_s", spent + time.process_time() - cores)
                if step % self.recipe.run.log_every == 0:
                    if polite:
                        torch.set_num_threads(_threads())
                    numbers |= {name: self.state.get(name) for name in ("stage", "notes", "core_s")}
                    logs.write(step, numbers)
                    self.on_line(" ".join(f"{k} {v:.4g}" for k, v in {"step": step, **numbers}.items()))
                ended = self.state.get("stage_notes") >= stage.notes
                stop = stopped()
                if ended:
                    self.state.set("stage", at + 1)
                    self.state.set("stage_step", 0)
                    self.state.set("stage_notes", 0)
                if (
                    ended
                    or self.state.get("notes") - self.state.get("measured") >= self.recipe.run.measure_notes
                ):
                    logs.write(step, self._measure())
                    self.state.set("measured", self.state.get("notes"))
                late = time.monotonic() - saved > self.recipe.run.checkpoint_minutes * 60
                if ended or stop or late:
                    self._keep(memories)
                    save(self.folder, self.model, self.state, self.optimiser, step)
                    export(averaged_model(self.model, self.state), self.folder / "encoder")
                    saved = time.monotonic()
                if stop and not ended:
                    logs.close()
                    return False
                if ended:
                    break
        logs.close()
        return True

    def _memories(self, size: int) -> tuple[Memory, Memory]:
        made = []
        for vectors, works in (("vectors", "works"), ("fused", "fused_works")):
            kept = self.state.get_buffer(vectors)
            memory = Memory(min(size, len(kept)), kept.shape[1])
            if count := len(memory.works):
                memory.vectors = kept[-count:].clone().cpu()
                memory.works = self.state.get_buffer(works)[-count:].clone().cpu()
            made.append(memory)
        return made[0], made[1]

    def _keep(self, memories: tuple[Memory, Memory]) -> None:
        for memory, vectors, works in zip(
            memories, ("vectors", "fused"), ("works", "fused_works"), strict=True
        ):
            if count := len(memory.works):
                self.state.get_buffer(vectors)[-count:] = memory.vectors.to(self.device)
                self.state.get_buffer(works)[-count:] = memory.works.to(self.device)

    def _batches(self, objective: Contrast, step: int) -> Iterator[Batch]:
        """Batches from a step on; the next is made while this one trains."""

        def make(number: int) -> Batch:
            return objective.batch(np.random.default_rng([self.recipe.run.seed, number]))

        with ThreadPoolExecutor(1, thread_name_prefix="midikin-batches") as maker:
            coming: Future[Batch] = maker.submit(make, step)
            while True:
                batch = coming.result()
                step += 1
                coming = maker.submit(make, step)
                yield batch

    def _step(
        self, made: Batch, objective: Contrast, memories: tuple[Memory, Memory], rate: float
    ) -> dict[str, float]:
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in made.items()}
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with self._precision():
            loss, vectors, numbers = objective.loss(self.model, batch, *memories)
        if not torch.isfinite(loss):
            raise CorpusError("the loss is not finite; lower the learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.run.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        for memory, rows in zip(memories, vectors, strict=True):
            if rows is not None:
                memory.add(rows, batch["works"])
        # The average is of all weights at first, and then of the last ones.
        count = self.state.get("stage_step") if not self.state.get("stage") else 1e9
        self.state.follow(self.model, min(self.recipe.run.average, (count + 1) / (count + 10)))
        notes = float(made["lengths"].sum())
        for name, more in (("stage_step", 1.0), ("stage_notes", notes), ("notes", notes)):
            self.state.set(name, self.state.get(name) + more)
        return numbers | {"rate": rate}

    def _measure(self) -> dict[str, float]:
        if self.measures is None:
            self.measures = Measures(self.corpus, "validation")
        model = averaged_model(self.model, self.state)
        found = self._figures(model, fused=False)
        if self.recipe.stages[min(int(self.state.get("stage")), len(self.recipe.stages) - 1)].settings.fused:
            found |= {f"fused {name}": value for name, value in self._figures(model, fused=True).items()}
        self.on_line("measures " + " ".join(f"{name}: {value:.1f};" for name, value in found.items()))
        return found

    def _figures(self, model: EnsembleTransformer, *, fused: bool) -> dict[str, float]:
        assert self.measures is not None
        context = self.recipe.run.context
        return self.measures(
            lambda pieces: piece_vectors(model, pieces, context, self._precision, fused=fused)
        )

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.run.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
