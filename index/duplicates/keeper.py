"""Which member of a group to keep, and why: completeness, then expression, then metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embedder.notes import Notes

from ..records import Piece

__all__ = ["Merit", "merit_of", "suggest_keeper"]

_NEARLY = 0.03  # shares of notes closer than this count as equally complete
_EXPRESSIVE_VELOCITIES = 8


@dataclass(frozen=True)
class Merit:
    """What speaks for keeping a piece.

    Attributes
    ----------
    notes : how many
    velocities : how many different ones; a file typed in by hand has one or a few
    timings : share of onset intervals that are unlike the commonest ones; near 0 where everything is on a
        grid
    facts : title and tempo that the file states, in words
    files : how many paths hold it
    """

    notes: int
    velocities: int
    timings: float
    facts: tuple[str, ...]
    files: int

    @property
    def expression(self) -> int:
        """0 for mechanical, 1 for played or shaped loudness, 2 for both loudness and time."""
        return int(self.velocities >= _EXPRESSIVE_VELOCITIES) + int(self.timings >= 0.5)


def merit_of(piece: Piece, notes: Notes) -> Merit:
    """Merit of a piece."""
    steps = np.rint(np.diff(notes.onset) * 1000)
    _, counts = np.unique(steps, return_counts=True)
    common = np.sort(counts)[::-1][:8].sum() / max(1, len(steps))
    facts = []
    if piece.title:
        facts.append("a title")
    if piece.descriptors.tempo_bpm is not None:
        facts.append("a tempo")
    return Merit(
        notes=len(notes),
        velocities=len(np.unique(notes.velocity)),
        timings=1 - float(common),
        facts=tuple(facts),
        files=len(piece.paths),
    )


def suggest_keeper(members: Sequence[int], merits: Mapping[int, Merit]) -> tuple[int, str]:
    """The member to keep, and the reason in words."""
    most = max(merits[piece].notes for piece in members)
    complete = [piece for piece in members if merits[piece].notes >= (1 - _NEARLY) * most]
    expression = max(merits[piece].expression for piece in complete)
    shaped = [piece for piece in complete if merits[piece].expression == expression]
    facts = max(len(merits[piece].facts) for piece in shaped)
    told = [piece for piece in shaped if len(merits[piece].facts) == facts]
    keeper = min(told, key=lambda piece: (-merits[piece].notes, -merits[piece].velocities, piece))
    reasons = []
    if len(complete) < len(members):
        reasons.append(f"most complete ({merits[keeper].notes} notes)")
    if len(shaped) < len(complete):
        reasons.append("most expressive in loudness and time")
    if len(told) < len(shaped):
        reasons.append(f"states {' and '.join(merits[keeper].facts)}")
    if not reasons:
        more = merits[keeper].notes > min(merits[piece].notes for piece in told)
        reasons.append("has the most notes of equals" if more else "the first of equals")
    return keeper, ", ".join(reasons)
