"""What a model is trained to do: each objective builds a batch from a corpus and gives a loss."""

from .base import Batch, Objective, Step, make_objective
from .contrastive import Contrastive
from .next_note import NextNote

__all__ = ["Batch", "Contrastive", "NextNote", "Objective", "Step", "make_objective"]
