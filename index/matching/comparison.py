"""What a comparison of two pieces says, as a record to print and to draw."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .block_matching import Sketch
from .classify import judge, transposition_of
from .compare import Comparison, OneWay, compare
from .landmarks import Line, line_of
from .relations import Kind, Link
from .sources import Source, of_file

__all__ = ["Compared", "DifferingNote", "compare_files", "compare_sources"]


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
    one_id, other_id : numbers of the pieces of the library with the same bytes, or None
    kind : the strictest kind of sameness that fits, or None if they are not the same music
    same_performance : whether it is one performance that both hold, and not the work in other hands
    words : what they are to each other
    says : the evidence in words
    covered, other_covered : share of each piece that the shared passages cover, 0..1
    matched, other_matched : share of the notes of each that have a counterpart, 0..1
    comparison : passages, coverage and tempo curves
    only_one, only_other : notes within the shared passages that the other piece lacks there
    one_span_s, other_span_s : first and last onset of each piece
    """

    one: str
    other: str
    one_id: int | None
    other_id: int | None
    kind: str | None
    same_performance: bool
    words: str
    says: str
    covered: float
    other_covered: float
    matched: float
    other_matched: float
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
            "same_performance": self.same_performance,
            "words": self.words,
            "says": self.says,
            "covered": self.covered,
            "other_covered": self.other_covered,
            "matched": self.matched,
            "other_matched": self.other_matched,
            "transposition": found.transposition,
            "tempo_ratio": found.tempo_ratio,
        }

    def plot(self, width: int) -> list[str]:
        """Lines of text that show where moments of the one fall in the other, see `plotting`."""
        from .plot_text import plot_lines

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
            "one_id": self.one_id,
            "other_id": self.other_id,
            **self.summary(),
            "passages": passages,
            "only_one": [asdict(note) for note in self.only_one],
            "only_other": [asdict(note) for note in self.only_other],
        }


def compare_files(
    one: str | os.PathLike[str], other: str | os.PathLike[str], *, transposition: int | None = None
) -> Compared:
    """Compare the notes of two MIDI files; no library is needed. See `Library.compare`.

    Raises
    ------
    MidiError
        If a file cannot be read or holds no notes.
    """
    return compare_sources(of_file(one), of_file(other), transposition)


def compare_sources(one: Source, other: Source, transposition: int | None = None) -> Compared:
    """Compare two pieces note by note."""
    first, second = Sketch(line_of(one.notes)), Sketch(line_of(other.notes))
    if transposition is None:
        transposition = transposition_of(first, second)
    found = compare(first, second, transposition)
    link = judge(0, first, 1, second, -transposition)
    if link is None:
        covered, matched = (found.one.covered, found.other.covered), (found.one.matched, found.other.matched)
        says = "some passages alike" if found.one.passages else "no passage in common"
    else:
        evidence = link.evidence
        says = str(evidence)
        covered, matched = (
            (evidence.covered, evidence.other_covered),
            (evidence.matched, evidence.other_matched),
        )
        if link.one == 1:
            covered, matched = covered[::-1], matched[::-1]
    return Compared(
        one=one.display,
        other=other.display,
        one_id=one.piece_id,
        other_id=other.piece_id,
        kind=None if link is None else link.kind.value,
        same_performance=link is not None and link.same_performance,
        words=_words(link),
        says=says,
        covered=covered[0],
        other_covered=covered[1],
        matched=matched[0],
        other_matched=matched[1],
        comparison=found,
        only_one=_differing(first.line, found.one),
        only_other=_differing(second.line, found.other),
        one_span_s=_span(first.line),
        other_span_s=_span(second.line),
    )


def _words(link: Link | None) -> str:
    if link is None:
        return "not the same music"
    if link.kind is Kind.CONTAINS:
        inside = "B contains A" if link.one == 0 else "A contains B"
        return f"{link.words}: {inside}"
    return link.words


def _differing(line: Line, found: OneWay) -> tuple[DifferingNote, ...]:
    inside = np.zeros(len(line), bool)
    for passage in found.passages:
        inside |= (line.onset_s >= passage.start_s) & (line.onset_s <= passage.end_s)
    inside[found.note] = False
    places = np.flatnonzero(inside)
    return tuple(DifferingNote(round(float(line.onset_s[i]), 4), int(line.pitch[i])) for i in places)


def _span(line: Line) -> tuple[float, float]:
    return (float(line.onset_s.min()), float(line.onset_s.max())) if len(line) else (0.0, 0.0)
