"""Kinds of sameness, strictest first, and what a link between two pieces says.

bytes      the same file content
notes      the same notes at the same times: another container, track order, tempo map or velocity scale
edited     the same performance, trimmed, stretched, transposed, quantised or with notes lost
work       the same work in other hands
contains   one holds the other among more

Whether two pieces are one performance is said beside the kind: a part may be cut from the very recording that
holds it, or be the same work in other hands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

__all__ = ["KINDS", "STRAIGHT_S", "Evidence", "Kind", "Link", "Span"]

# Median drift from a straight clock: copies quantised to an eighth of a second reach 0.013, strict Bach in
# other hands 0.019.
STRAIGHT_S = 0.016
_COPIED = 0.85  # matched within the passages; what is lost from a copy is lost from the shorter
_SHORTEST_STRAIGHT_S = 8.0  # within less, anybody plays straight


class Kind(StrEnum):
    BYTES = "bytes"
    NOTES = "notes"
    EDITED = "edited"
    WORK = "work"
    CONTAINS = "contains"

    @property
    def words(self) -> str:
        """What two pieces of this kind are to each other."""
        return _WORDS[self]


KINDS = tuple(Kind)  # strictest first
_WORDS = {
    Kind.BYTES: "the same bytes",
    Kind.NOTES: "the same notes",
    Kind.EDITED: "the same performance, edited",
    Kind.WORK: "the same work in other hands",
    Kind.CONTAINS: "a whole and a part of it",
}


@dataclass(frozen=True)
class Span:
    """A passage that two pieces share, in seconds of each."""

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float


@dataclass(frozen=True)
class Evidence:
    """What a judgement rests on.

    Attributes
    ----------
    covered, other_covered : share of each piece that the shared passages cover, 0..1
    matched, other_matched : share of the notes of each that have a counterpart
    transposition : by how many semitones the one sounds higher than the other
    tempo_ratio : tempo of the one over that of the other
    straight_s : median drift of the notes from a straight clock; None if too few agree to tell
    chance : share of notes that agree where the pieces are set off against each other
    surprise_bits : how unlikely so much agreement is by chance, -log2
    passages : where they agree
    """

    covered: float
    other_covered: float
    matched: float
    other_matched: float
    transposition: int
    tempo_ratio: float
    straight_s: float | None
    chance: float
    surprise_bits: float
    passages: tuple[Span, ...]

    @property
    def same_clock(self) -> bool:
        """Whether both run on one straight clock, as copies of one performance do."""
        return self.straight_s is not None and self.straight_s <= STRAIGHT_S

    @property
    def copied(self) -> bool:
        """Whether the passages are one performance: long, nearly all of their notes kept, on one clock."""
        first = min((span.start_s for span in self.passages), default=0.0)
        last = max((span.end_s for span in self.passages), default=0.0)
        kept = self.matched >= _COPIED * self.covered
        return self.same_clock and last - first >= _SHORTEST_STRAIGHT_S and kept

    def turned(self) -> Evidence:
        """The same, as seen from the other piece."""
        spans = (Span(s.other_start_s, s.other_end_s, s.start_s, s.end_s) for s in self.passages)
        return replace(
            self,
            covered=self.other_covered,
            other_covered=self.covered,
            matched=self.other_matched,
            other_matched=self.matched,
            transposition=-self.transposition,
            tempo_ratio=1 / self.tempo_ratio,
            passages=tuple(spans),
        )

    def to_json(self) -> dict[str, Any]:
        passages = [asdict(span) for span in self.passages]
        return asdict(self) | {"same_clock": self.same_clock, "passages": passages}

    def __str__(self) -> str:
        parts = [f"{self.matched:.0%} and {self.other_matched:.0%} of the notes agree"]
        if self.transposition:
            parts.append(f"{self.transposition:+d} semitones")
        if abs(self.tempo_ratio - 1) >= 0.01:
            parts.append(f"tempo x {self.tempo_ratio:.2f}")
        if self.same_clock:
            parts.append("on one clock")
        return ", ".join(parts)


@dataclass(frozen=True)
class Link:
    """Two pieces that hold the same music.

    Attributes
    ----------
    one, other : numbers of the pieces; of a part and a whole, `one` is the part
    kind : the strictest that fits
    contained : whether all of `one` is in `other`, which holds more
    """

    one: int
    other: int
    kind: Kind
    contained: bool
    evidence: Evidence

    @property
    def same_performance(self) -> bool:
        """Whether it is one performance that both hold, and not the work in other hands."""
        if self.kind is Kind.CONTAINS:
            return self.evidence.copied
        return self.kind is not Kind.WORK

    @property
    def words(self) -> str:
        """What the two are to each other."""
        if self.kind is not Kind.CONTAINS:
            return self.kind.words
        return f"{self.kind.words}, {'the same performance' if self.same_performance else 'in other hands'}"

    @property
    def strength(self) -> float:
        """For ordering: how much of both agrees."""
        return self.evidence.matched + self.evidence.other_matched
