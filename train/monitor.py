"""Numbers of a training run: `log.csv` and TensorBoard, and model FLOP utilisation.

Model FLOP utilisation is the arithmetic that a model needs, against the rate of a plain matrix product.
Counted are the multiplications and additions of matrix products and attention, forward and backward (twice
the forward), as in the appendix of PaLM (arXiv 2204.02311); what gradient caching computes a second time is
not counted, nor are norms, embeddings and the optimiser.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import torch

from embedder.tokens import ATTRIBUTES
from embedder.transformer import ModelConfig

__all__ = ["Logs", "matrix_rate", "training_flops"]


class Logs:
    """Writes the numbers of a run; those of steps after `step`, which a killed run left, are taken back."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / "log.csv"
        if self._path.exists():
            with open(self._path, newline="", encoding="utf-8") as file:
                # A line that the killed run did not finish has fewer cells.
                kept = [row for row in csv.reader(file) if len(row) == 3 and int(row[0]) <= step]
            with open(self._path, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(kept)
        self._board = _tensorboard(folder / "events", step)

    def write(self, step: int, numbers: dict[str, float]) -> None:
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([step, name, f"{value:.6g}"] for name, value in numbers.items())
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # the extra `train` has it
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def training_flops(config: ModelConfig, rows: int, length: int, *, predicts: bool, projects: bool) -> float:
    """Operations of one training step over `rows` rows of `length` notes.

    Parameters
    ----------
    predicts : whether the next note is predicted at every place
    projects : whether each row is projected to a vector
    """
    width = config.width
    block = 2 * (4 * width * width + 2 * width * config.hidden)
    attention = (
        2 * 2 * width * length / (2 if config.causal else 1)
    )  # causal: half of the positions attend to each other
    note = config.layers * (block + attention)
    if predicts:
        inner = width // 2
        note += sum(2 * (width * inner + inner * size) for size in ATTRIBUTES.values())
    row = 2 * (width * width + width * config.projection) if projects else 0
    return 3.0 * rows * (length * note + row)


def matrix_rate(device: torch.device, precision: str, size: int | None = None) -> float:
    """Operations a second of a square matrix product, the best of three; of 4,096 rows on a GPU, half as many
    on a CPU, where that is as fast."""
    size = size or (4096 if device.type == "cuda" else 2048)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    matrix = torch.randn(size, size, device=device).to(dtype)
    times = []
    for _ in range(4):
        _finish(device)
        begun = time.perf_counter()
        matrix @ matrix
        _finish(device)
        times.append(time.perf_counter() - begun)
    return 2.0 * size**3 / min(times[1:])


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
