"""The interface of an objective: what it builds batches from, and how a batch is scored."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from embedder.transformer import ModelConfig, NoteTransformer

from ..dist import Processes

__all__ = ["Batch", "Equipped", "Objective", "Step", "equip"]

Batch = dict[str, Tensor]


class _Precision(Protocol):
    def __call__(self) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class Step:
    """How gradients of a batch are made.

    Attributes
    ----------
    precision : gives the context in which the model runs
    scale : factor of the loss, for several batches a step
    processes : those that share the work
    """

    precision: _Precision
    scale: float = 1.0
    processes: Processes = field(default_factory=Processes)


class Objective(Protocol):
    """Builds batches from a corpus (on the CPU, from a generator of its own) and scores them.

    Attributes
    ----------
    longest : notes of a row at most
    coupled : whether the rows of a batch are compared with one another, so that all processes have to work
        on each batch together; otherwise each takes batches of its own
    """

    longest: int
    coupled: bool

    def batch(self, rng: np.random.Generator) -> Batch: ...

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Scalar loss and the numbers worth logging."""
        ...

    def backward(self, model: NoteTransformer, batch: Batch, step: Step) -> dict[str, float]:
        """Add this process's part of the gradients to the model's; loss and numbers as `loss` gives them."""
        ...

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        """Operations of forward and backward over a batch (`train.monitor`)."""
        ...


@runtime_checkable
class Equipped(Objective, Protocol):
    """An objective with weights of its own: heads, a masker, a teacher, a codebook.

    Attributes
    ----------
    own : what `equip` made; trained with the model where it asks for gradients, and kept in checkpoints
    """

    own: nn.Module

    def equip(self, model: NoteTransformer) -> nn.Module:
        """Make the weights that go with a model that has its own by now."""
        ...

    def after_step(self, model: NoteTransformer, done: float) -> None:
        """Called after each step of the optimiser; `done` is the share of the run that is over."""
        ...


def equip(model: NoteTransformer, *objectives: Objective | None) -> nn.Module:
    """The objectives' own weights, made by the first and shared by all; an empty module if they have none."""
    own: nn.Module | None = None
    for objective in objectives:
        if isinstance(objective, Equipped):
            own = own or objective.equip(model)
            objective.own = own
    return own or nn.Module()
