"""What a comparison of two pieces says, as a record to print and to draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .agreement import Sketch
from .comparing import Comparison, OneWay, compare
from .kinds import judge
from .landmarks import Line, line_of
from .sources import Source

__all__ = ["Compared", "DifferingNote", "compare_sources"]


@dataclass(frozen=True)
class DifferingNote:
    """A note within a shared passage that the other piece does not have there."""

    onset_s: float
    pitch: int


@dataclass(frozen=True)
class Compared:
    """Two pieces compared both ways.

    Attributes
    ----------
    one, other : display names
    kind : the strictest kind of sameness that fits, or None if they are not the same music
    says : the judgement in words
    comparison : passages, coverage and tempo curves
    only_one, only_other : notes within the shared passages that the other piece lacks there
    one_span_s, other_span_s : first and last onset of each piece
    """

    one: str
    other: str
    kind: str | None
    says: str
    comparison: Comparison
    only_one: tuple[DifferingNote, ...]
    only_other: tuple[DifferingNote, ...]
    one_span_s: tuple[float, float]
    other_span_s: tuple[float, float]

    def summary(self) -> dict[str, Any]:
        """The figures, without passages and notes."""
        found = self.comparison
        return {
            "kind": self.kind,
            "says": self.says,
            "covered": found.one.covered,
            "other_covered": found.other.covered,
            "matched": found.one.matched,
            "other_matched": found.other.matched,
            "transposition": found.transposition,
            "tempo_ratio": found.tempo_ratio,
        }

    def plot(self, width: int) -> list[str]:
        """Lines of text that show where moments of the one fall in the other, see `plotting`."""
        from .plotting import plot_lines

        return plot_lines(self, width)

    def to_json(self) -> dict[str, Any]:
        passages = [
            {
                "start_s": p.start_s,
                "end_s": p.end_s,
                "other_start_s": p.other_start_s,
                "other_end_s": p.other_end_s,
                "offset_s": p.other_start_s - p.start_s,
                "tempo_ratio": p.tempo_ratio,
                "notes": p.notes,
                "matched": p.matched,
                "tempo_curve": np.stack([p.knots_s, p.other_knots_s], axis=1).round(3).tolist(),
            }
            for p in self.comparison.one.passages
        ]
        return {
            "one": self.one,
            "other": self.other,
            **self.summary(),
            "passages": passages,
            "only_one": [asdict(note) for note in self.only_one],
            "only_other": [asdict(note) for note in self.only_other],
        }


def compare_sources(one: Source, other: Source, transposition: int | None = None) -> Compared:
    """Compare two pieces note by note."""
    first, second = Sketch(line_of(one.notes)), Sketch(line_of(other.notes))
    found = compare(first, second, transposition)
    link = judge(0, first, 1, second, -found.transposition)
    if link is None:
        says = "not the same music" if not found.one.passages else "some passages alike, not the same music"
    else:
        says = str(link.evidence)
    return Compared(
        one=one.display,
        other=other.display,
        kind=None if link is None else link.kind.value,
        says=says,
        comparison=found,
        only_one=_differing(first.line, found.one),
        only_other=_differing(second.line, found.other),
        one_span_s=_span(first.line),
        other_span_s=_span(second.line),
    )


def _differing(line: Line, found: OneWay) -> tuple[DifferingNote, ...]:
    inside = np.zeros(len(line), bool)
    for passage in found.passages:
        inside |= (line.onset_s >= passage.start_s) & (line.onset_s <= passage.end_s)
    inside[found.note] = False
    places = np.flatnonzero(inside)
    return tuple(DifferingNote(round(float(line.onset_s[i]), 4), int(line.pitch[i])) for i in places)


def _span(line: Line) -> tuple[float, float]:
    return (float(line.onset_s.min()), float(line.onset_s.max())) if len(line) else (0.0, 0.0)
