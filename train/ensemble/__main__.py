"""Train the ensemble encoder: `python -m train.ensemble RECIPE CORPUS RUN`, again to go on."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

# Before torch is loaded: threads that spin while they wait would take the time of others on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from embedder.core.errors import CorpusError

from .corpus import EnsembleCorpus
from .recipe import StagedRecipe
from .staged import run_stages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", help="a recipe file, or the name of a shipped one")
    parser.add_argument("corpus", type=Path, help="made by python -m train.ensemble.prepare")
    parser.add_argument("run", type=Path, help="the run's folder; continued if it holds a checkpoint")
    parser.add_argument("--threads", type=int, help="if not given: all cores, or one while others work")
    parser.add_argument("--hours", type=float, help="stop, with a checkpoint, after so long")
    parser.add_argument("--device")
    parser.add_argument("--nice", type=int, default=19, help="lowest priority by default; 0 to compete")
    args = parser.parse_args()
    os.nice(max(0, args.nice - os.nice(0)))
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    until = math.inf if args.hours is None else time.time() + 3600 * args.hours
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    try:
        recipe = StagedRecipe.read(args.recipe)
        done = run_stages(
            recipe, EnsembleCorpus(args.corpus), args.run,
            device=args.device,
            stopped=lambda: told.is_set() or time.time() >= until,
            polite=args.threads is None,
            on_line=lambda line: print(time.strftime("%H:%M:%S"), line, flush=True),
        )  # fmt: skip
    except CorpusError as error:
        print(f"train.ensemble: {error}", file=sys.stderr)
        return 1
    print("all stages are done" if done else "stopped; the same command goes on", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
