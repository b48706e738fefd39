"""What a model is trained to do: each objective builds a batch from a corpus and gives a loss."""

from .contrastive import Contrastive
from .next_note import NextNote
from .registry import Batch, Equipped, Objective, Step, equip, make_objective

__all__ = ["Batch", "Contrastive", "Equipped", "NextNote", "Objective", "Step", "equip", "make_objective"]
