"""`midikin train run`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.options import JsonOption

if TYPE_CHECKING:
    from train.loop import Progress

__all__ = ["run"]


def run(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")
    ],
    corpus: Annotated[str, typer.Option("--corpus", metavar="CORPUS", help="What `prepare` made.")],
    out: Annotated[str, typer.Option("--out", metavar="RUN", help="Folder of the run; continued if begun.")],
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="WEIGHTS", help="Folder of finished weights that a new run begins with."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, cuda:1, ...; a GPU if there is one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a model as a recipe says.

    Stop it whenever you like: the same command continues from the last checkpoint, to the same weights.
    log.csv in the run's folder holds the numbers of the run, and `tensorboard --logdir RUN` draws them.
    Several processes, with a GPU each if there are any, share the work under torchrun:
    torchrun --nproc-per-node 2 -m ui.cli train run RECIPE --corpus CORPUS --out RUN

    \b
    Examples:
      midikin train run pretrain --corpus corpus --out runs/pretrained
      midikin train run contrast --corpus corpus --out runs/small --from runs/pretrained/encoder
      midikin train run my-recipe.toml --corpus corpus --out runs/mine --device cuda --json
    """
    import torch

    from train.corpus import Corpus
    from train.dist import Processes
    from train.loop import run as train
    from train.monitor import matrix_rate
    from train.recipe import Recipe
    from ui.cli.output import print_json

    parsed = Recipe.read(recipe)
    notes = Corpus(corpus)
    line = _ProgressLine(parsed.run.log_every)
    with torch.random.fork_rng():
        rate = matrix_rate(Processes().device(device), parsed.run.precision)
    weights = train(parsed, notes, out, start_from=start_from, device=device, on_progress=line.show)
    line.finish()
    if not Processes.from_environment().first:
        return
    if line.last is None:
        result: dict[str, Any] = {"weights": str(weights)}
    else:
        result = {
            "weights": str(weights),
            "steps": line.last.steps,
            "notes_per_s": line.last.notes_per_s,
            "flops_per_s": line.last.flops_per_s,
            "matrix_product_flops_per_s": rate,
            "model_flop_utilisation": line.last.flops_per_s / rate,
            "numbers": line.last.numbers,
        }
    if json:
        print_json(result)
    else:
        _print(result)


class _ProgressLine:
    """Progress on stderr: one line that is overwritten on a terminal, a line now and then elsewhere."""

    def __init__(self, every: int) -> None:
        self.every, self.last = every, None  # type: int, Progress | None
        self._terminal = sys.stderr.isatty()
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        self.last = progress
        due = time.monotonic() - self._shown > 0.2 if self._terminal else not progress.step % self.every
        if due or progress.step == progress.steps:
            self._shown = time.monotonic()
            start, end = ("\r", "\x1b[K") if self._terminal else ("", "\n")
            print(start + _text(progress), end=end, file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self._terminal and self.last is not None:
            print(file=sys.stderr)


def _text(progress: Progress) -> str:
    from ui.cli.output import clock

    named = [name for name in ("held_out_bits", "in_batch_accuracy") if name in progress.numbers]
    numbers = "  ".join(f"{name} {progress.numbers[name]:.3f}" for name in ["loss", *named])
    left = clock(progress.remaining_s)
    place, rate = f"step {progress.step:,} of {progress.steps:,}", f"{progress.notes_per_s:,.0f} notes/s"
    return f"{place}  {numbers}  {rate}  {left} left"


def _print(result: dict[str, Any]) -> None:
    if "steps" in result:
        rate, limit = result["flops_per_s"], result["matrix_product_flops_per_s"]
        print(f"{result['steps']:,} steps, {result['notes_per_s']:,.0f} notes a second")
        print(
            f"model FLOP utilisation {rate / limit:.2f}:"
            f" {rate / 1e9:,.1f} of the {limit / 1e9:,.1f} GFLOP/s of a matrix product"
        )
        print("  ".join(f"{name} {value:.4g}" for name, value in result["numbers"].items()))
    print(f"weights in {result['weights']}")
