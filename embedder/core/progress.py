"""Progress of long work: one signature for all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["OnProgress", "no_progress"]

# Called now and then, in the thread that works, with the stage ("read", "embed", ...), how much of it is
# done and how much there is in all (0 where that is not known).
OnProgress: TypeAlias = Callable[[str, int, int], None]


def no_progress(stage: str, done: int, total: int) -> None:
    """An `OnProgress` that shows nothing."""
