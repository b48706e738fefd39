"""Which member of a group to keep, and why: completeness, then expression, then metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embedder.core.text import count
from embedder.notes import Notes

from ..records import Piece

__all__ = ["KeeperScore", "keeper_score", "suggest_keeper"]

_NEARLY = 0.03  # shares of notes closer than this count as equally complete
_EXPRESSIVE_VELOCITIES = 8


@dataclass(frozen=True)
class KeeperScore:
    """What counts in favour of keeping a piece.

    Attributes
    ----------
    notes : number of notes
    velocities : how many different ones; a file entered by hand has one or a few
    free_timing : share of onset intervals that are unlike the most frequent ones; near 0 where everything is
        on a grid
    metadata : what the file states, in words: a title, a tempo
    """

    notes: int
    velocities: int
    free_timing: float
    metadata: tuple[str, ...]

    @property
    def expression(self) -> int:
        """0 for mechanical, 1 for expressive dynamics or timing, 2 for both."""
        return int(self.velocities >= _EXPRESSIVE_VELOCITIES) + int(self.free_timing >= 0.5)


def keeper_score(piece: Piece, notes: Notes) -> KeeperScore:
    """Score of a piece."""
    steps = np.rint(np.diff(notes.onset) * 1000)
    _, counts = np.unique(steps, return_counts=True)
    on_grid = np.sort(counts)[::-1][:8].sum() / max(1, len(steps))
    metadata = []
    if piece.title:
        metadata.append("a title")
    if piece.descriptors.tempo_bpm is not None:
        metadata.append("a tempo")
    return KeeperScore(
        notes=len(notes),
        velocities=len(np.unique(notes.velocity)),
        free_timing=1 - float(on_grid),
        metadata=tuple(metadata),
    )


def suggest_keeper(members: Sequence[int], scores: Mapping[int, KeeperScore]) -> tuple[int, str]:
    """The member to keep, and the reason in words."""
    most_notes = max(scores[piece].notes for piece in members)
    complete = [piece for piece in members if scores[piece].notes >= (1 - _NEARLY) * most_notes]
    expression = max(scores[piece].expression for piece in complete)
    expressive = [piece for piece in complete if scores[piece].expression == expression]
    metadata = max(len(scores[piece].metadata) for piece in expressive)
    titled = [piece for piece in expressive if len(scores[piece].metadata) == metadata]
    keeper = min(titled, key=lambda piece: (-scores[piece].notes, -scores[piece].velocities, piece))
    reasons = []
    if len(complete) < len(members):
        reasons.append(f"most complete ({count(scores[keeper].notes, 'note')})")
    if len(expressive) < len(complete):
        reasons.append("most expressive dynamics and timing")
    if len(titled) < len(expressive):
        reasons.append(f"states {' and '.join(scores[keeper].metadata)}")
    if not reasons:
        fewer = scores[keeper].notes > min(scores[piece].notes for piece in titled)
        reasons.append(f"most notes ({scores[keeper].notes:,})" if fewer else "added first")
    return keeper, ", ".join(reasons)
