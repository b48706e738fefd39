"""A run's numbers over its steps: `log.csv` always, and TensorBoard's files where it is installed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

__all__ = ["Logs"]


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
