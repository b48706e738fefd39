"""Several processes that train one model, under torchrun: the rank of this one, and sums over all of them.

Started without torchrun there is one process, and every exchange does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["Processes", "processes"]


@dataclass(frozen=True)
class Processes:
    """This process among `count` that train together; `rank` 0 writes files and reports.

    All processes draw the same batches: each works on its share of the rows of a batch whose rows are
    compared with one another, or on its share of batches that stand alone.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> Processes:
        """This process as torchrun's environment describes it."""
        names = ("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")
        return cls(*(int(os.environ.get(name, default)) for name, default in names))

    @property
    def first(self) -> bool:
        return self.rank == 0

    def device(self, name: str | None) -> torch.device:
        """The device of that name; else a GPU of this process's own, else the CPU."""
        if name is not None:
            return torch.device(name)
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    def rows(self, total: int) -> slice:
        """This process's share of `total` rows."""
        edges = [total * i // self.count for i in range(self.count + 1)]
        return slice(edges[self.rank], edges[self.rank + 1])

    def gather_rows(self, own: Tensor, total: int) -> Tensor:
        """All rows [total, d] from every process's own."""
        if self.count == 1:
            return own
        every = own.new_zeros(total, own.shape[1])
        every[self.rows(total)] = own
        dist.all_reduce(every)
        return every

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        sizes = [g.numel() for g in gradients]
        for gradient, total in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(total.view_as(gradient))

    def add_numbers(self, numbers: dict[str, float], device: torch.device) -> dict[str, float]:
        """Sums over the processes of numbers that all of them name."""
        if self.count == 1:
            return numbers
        values = torch.tensor(list(numbers.values()), dtype=torch.float64).to(
            device, torch.float32 if device.type == "mps" else torch.float64
        )
        dist.all_reduce(values)
        return dict(zip(numbers, values.tolist(), strict=True))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def processes() -> Iterator[Processes]:
    """Join the processes that torchrun started; one alone if it did not start this one.

    NCCL connects processes that have a GPU each, gloo all others.
    """
    own = Processes.from_environment()
    if own.count == 1:
        yield own
        return
    own_gpu = torch.cuda.is_available() and own.local_rank < torch.cuda.device_count()
    if own_gpu:
        torch.cuda.set_device(own.local_rank)
    dist.init_process_group("nccl" if own_gpu else "gloo")
    try:
        yield own
    finally:
        dist.destroy_process_group()
