"""Gradient caching (Gao et al. 2021, arXiv 2101.06983): contrast over more rows than fit in memory at once.

First all rows become vectors without keeping activations, a chunk at a time; then the loss and its gradient
with respect to the vectors; then each chunk runs again with activations, and its vectors hand that gradient
down to the weights. The result is the gradient of the whole batch, at the price of a second forward pass.
Several processes each run the rows that are theirs and tell each other the vectors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .base import Batch, Step

__all__ = ["cached_backward"]

Embed = Callable[[Batch], tuple[Tensor, Tensor]]


def cached_backward(
    embed: Embed,
    score: Callable[[Tensor], tuple[Tensor, dict[str, float]]],
    batch: Batch,
    step: Step,
    chunk: int,
) -> dict[str, float]:
    """Add this process's gradients of a loss over all rows.

    Parameters
    ----------
    embed : vectors [r, d] of rows of a batch, and a loss of the rows themselves that adds up over the
        rows (0 if there is none)
    score : loss and numbers of all vectors
    chunk : rows that run at once; 0 for all

    Returns
    -------
    The numbers of `score`, with `loss` and `rows_loss`.
    """
    total = len(batch["tokens"])
    own = step.processes.rows(total)
    size = chunk or max(own.stop - own.start, 1)
    parts = [slice(at, min(at + size, own.stop)) for at in range(own.start, own.stop, size)]
    with torch.no_grad(), step.precision():
        vectors = torch.cat([embed(_rows(batch, part))[0].float() for part in parts])
    every = step.processes.gather_rows(vectors, total).requires_grad_()
    loss, numbers = score(every)
    (gradient,) = torch.autograd.grad(loss * step.scale, every)
    rows_loss = 0.0
    for part in parts:
        with step.precision():
            again, of_rows = embed(_rows(batch, part))
        surrogate = (again.float() * gradient[part]).sum() + of_rows * step.scale
        surrogate.backward()  # type: ignore[no-untyped-call]
        rows_loss += of_rows.item()
    rows_loss = step.processes.add_numbers({"rows": rows_loss}, every.device)["rows"]
    return {"loss": loss.item() + rows_loss, **numbers, "rows_loss": rows_loss}


def _rows(batch: Batch, part: slice) -> Batch:
    return {name: tensor[part] for name, tensor in batch.items()}
