"""Kinds of sameness, strictest first, and the judgement of one pair of pieces.

    bytes      the same file content
    notes      the same notes at the same times: another container, track order, tempo map or velocity scale
    edited     the same performance, trimmed, stretched, transposed, quantised or with notes lost
    work       the same work in other hands
    contains   one holds the other among more

A copy of a performance keeps its clock: whatever was done to it, the times of its notes lie on one straight
line against the original's. Another player's never do. That, and how much of each piece is covered, tells the
kinds apart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agreement import Agreement, Anchors, Sketch, agreement, anchors
from .comparing import OneWay, compare_one_way
from .warp import PitchTable, running_median

__all__ = ["KINDS", "Evidence", "Kind", "Link", "Span", "judge"]

_LEAST_MATCHED = 0.4  # of the notes of either piece; unrelated music reaches 0.15, players of one work 0.67
_LEAST_BLOCKS = 0.3  # of either piece covered by agreeing blocks, before notes are looked at
_WHOLE = 0.8  # covered: the piece is all there
_SAME_NOTES = 0.99
_SAME_TIMES_S = 0.004
_STRAIGHT_S = 0.018  # median drift from a straight clock: copies stay below, players of strict Bach at 0.022
_DRIFT_NOTES = 31  # drift is the running median of so many notes: jitter and quantisation average out in it
_FEWEST_TO_FIT = 8  # notes of a passage
_SHORTEST_STRAIGHT_S = 8.0  # within less, anybody plays straight

FloatArray = NDArray[np.float64]


class Kind(StrEnum):
    BYTES = "bytes"
    NOTES = "notes"
    EDITED = "edited"
    WORK = "work"
    CONTAINS = "contains"


KINDS = tuple(Kind)  # strictest first


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
    straight_s : median drift of the notes from a straight clock
    passages : where they agree
    """

    covered: float
    other_covered: float
    matched: float
    other_matched: float
    transposition: int
    tempo_ratio: float
    straight_s: float
    passages: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"passages": [asdict(span) for span in self.passages]}

    def __str__(self) -> str:
        parts = [f"{self.matched:.0%} and {self.other_matched:.0%} of the notes agree"]
        if self.transposition:
            parts.append(f"{self.transposition:+d} semitones")
        if abs(self.tempo_ratio - 1) >= 0.01:
            parts.append(f"tempo x {self.tempo_ratio:.2f}")
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
    def strength(self) -> float:
        """For ordering: how much of both agrees."""
        return self.evidence.matched + self.evidence.other_matched


def judge(one_id: int, one: Sketch, other_id: int, other: Sketch, up: int) -> Link | None:
    """Compare two pieces and say how they are the same; None if they are not.

    Parameters
    ----------
    up : semitones from `one` up to `other`
    """
    if len(one.line) > len(other.line):
        one_id, one, other_id, other, up = other_id, other, one_id, one, -up
    shared = anchors(one, other, up)
    ahead = agreement(one, shared)
    if ahead.covered < _LEAST_BLOCKS:
        return None
    back = agreement(other, Anchors(shared.other, shared.event))
    found = compare_one_way(one, other, shared, ahead, up)
    if found.matched < _LEAST_MATCHED:
        return None
    return _judged(one_id, one, other_id, other, up, shared, found, ahead, back)


def _judged(
    one_id: int,
    one: Sketch,
    other_id: int,
    other: Sketch,
    up: int,
    shared: Anchors,
    found: OneWay,
    ahead: Agreement,
    back: Agreement,
) -> Link:
    ratio, straight = _clock(one, other, found)
    reached = len(np.unique(found.other_note)) / max(1, len(other.line))
    evidence = Evidence(
        covered=max(ahead.covered, found.covered),
        # Blocks see a repeat that only the other piece takes; notes see a piece too short for blocks.
        other_covered=max(back.covered, _share_reached(other, found)),
        matched=found.matched,
        other_matched=reached,
        transposition=-up,
        tempo_ratio=ratio,
        straight_s=straight,
        passages=tuple(Span(p.start_s, p.end_s, p.other_start_s, p.other_end_s) for p in found.passages),
    )
    whole = evidence.other_covered >= _WHOLE
    length = float(np.ptp(one.line.onset_s)) if len(one.line) else 0.0
    copy = straight <= _STRAIGHT_S and length >= _SHORTEST_STRAIGHT_S
    kind = Kind.EDITED if copy else Kind.WORK
    if not whole and evidence.covered >= _WHOLE:
        kind = Kind.CONTAINS
    elif up == 0 and _same_notes(one, other, shared):
        kind = Kind.NOTES
    contained = evidence.covered >= _WHOLE and evidence.other_covered < 0.97
    return Link(one_id, other_id, kind, contained, evidence)


def _share_reached(other: Sketch, found: OneWay) -> float:
    """Share of the other piece's notes that lie within the passages."""
    inside = np.zeros(len(other.line), bool)
    for passage in found.passages:
        inside |= (other.line.onset_s >= passage.other_start_s - 1e-6) & (
            other.line.onset_s <= passage.other_end_s + 1e-6
        )
    return float(inside.mean()) if len(inside) else 0.0


def _clock(one: Sketch, other: Sketch, found: OneWay) -> tuple[float, float]:
    """Tempo ratio, and median drift from a straight clock (s)."""
    at, to = one.line.onset_s[found.note], other.line.onset_s[found.other_note]
    own = sum(p.end_s - p.start_s for p in found.passages)
    there = sum(p.other_end_s - p.other_start_s for p in found.passages)
    ratio = there / own if own > 0 and there > 0 else 1.0
    drifts: list[FloatArray] = []
    for passage in found.passages:
        inside = (at >= passage.start_s) & (at <= passage.end_s)
        inside &= (to >= passage.other_start_s) & (to <= passage.other_end_s)
        places = np.flatnonzero(inside)
        if len(places) >= _FEWEST_TO_FIT:
            places = places[np.argsort(at[places], kind="stable")]
            slope, start = _straight_line(at[places], to[places])
            error = to[places] - start - slope * at[places]
            drifts.append(np.abs(running_median(error, _DRIFT_NOTES)))
    return ratio, float(np.median(np.concatenate(drifts))) if drifts else float("inf")


def _same_notes(one: Sketch, other: Sketch, shared: Anchors) -> bool:
    """Whether nearly every note of either piece is in the other at the same distance in time."""
    apart = other.event_s[shared.other] - one.event_s[shared.event]
    bins, counts = np.unique(np.rint(apart / _SAME_TIMES_S).astype(np.int64), return_counts=True)
    near = np.abs(apart - bins[np.argmax(counts)] * _SAME_TIMES_S) <= _SAME_TIMES_S
    offset = float(np.median(apart[near]))
    for own, there, later in ((one, other, offset), (other, one, -offset)):
        place, late_s = PitchTable(there.line).nearest(own.line.pitch, own.line.onset_s + later)
        held = (place >= 0) & (np.abs(late_s) <= _SAME_TIMES_S)
        if held.mean() < _SAME_NOTES:
            return False
    return True


def _straight_line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Slope and start of a line through points of which a tenth may be wrong."""
    keep = np.ones(len(x), bool)
    slope = start = 0.0
    for _ in range(3):
        centre, level = x[keep].mean(), y[keep].mean()
        spread = float(((x[keep] - centre) ** 2).sum())
        slope = float(((x[keep] - centre) * (y[keep] - level)).sum()) / spread if spread else 1.0
        start = float(level - slope * centre)
        error = np.abs(y - start - slope * x)
        keep = error <= np.quantile(error, 0.9)
    return slope, start
