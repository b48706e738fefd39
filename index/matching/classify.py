"""The judgement of one pair of pieces: are they the same music, and in which way?

Two pieces are the same music if far more of their notes agree than would if they were set off against each
other by a few events: music of few notes and patterns agrees with much that it is not. A copy of a
performance keeps its clock: whatever was done to it, the times of its notes lie on one straight line against
the original's. Another player's never do. That, and how much of each piece is covered, tells the kinds apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .align import surprise_bits
from .block_matching import Agreement, Anchors, Sketch, agreement, anchors, likely_transposition
from .compare import OneWay, compare_one_way, share_reached
from .linear_alignment import straight_line
from .relations import Evidence, Kind, Link, Span
from .time_map import PitchTable, running_median

__all__ = ["judge", "transposition_of"]

_LEAST_BLOCKS = 0.3  # of the shorter piece covered by agreeing blocks, before notes are looked at
_LEAST_LANDMARKS = (
    0.08  # of its landmarks that agree there: players of one work keep 0.4, takes of a song 0.12
)
# Notes that agree beyond chance, as a share of those that could: players of one work reach 0.5 and more,
# other music 0.2. Folk tunes of one family reach 0.45: where evidence is little or the clock that it needs
# jumps about, more must agree.
_LEAST_BEYOND_CHANCE = 0.35
_MORE_FOR_BITS = 30.0  # divided by the bits
_MORE_FOR_JUMPS = 0.25  # times the unsteadiness
_LEAST_BITS = 60.0  # counted by events, since notes of a chord come together
_UNSTEADIEST = 0.5  # octaves: median change of tempo from one moment to the next
_TEMPO_STEP_S = 2.0
_WHOLE = 0.8  # covered: the piece is all there
_SAME_NOTES = 0.99
_SAME_TIMES_S = 0.004
_DRIFT_NOTES = 31  # drift is the running median of so many notes: jitter and quantisation average out in it
_FEWEST_TO_FIT = 8  # notes of a passage

FloatArray = NDArray[np.float64]


def judge(one_id: int, one: Sketch, other_id: int, other: Sketch, up: int | None = None) -> Link | None:
    """Compare two pieces and say how they are the same; None if they are not.

    The order of the two makes no difference.

    Parameters
    ----------
    up : semitones from `one` up to `other`; the likeliest is looked for if not given
    """
    if _size(one) > _size(other):
        one_id, one, other_id, other, up = other_id, other, one_id, one, None if up is None else -up
    if up is None:
        up = -transposition_of(one, other)
    shared = anchors(one, other, up)
    ahead = agreement(one, shared)
    if ahead.covered < _LEAST_BLOCKS or ahead.landmarks < _LEAST_LANDMARKS:
        return None
    found = compare_one_way(one, other, shared, ahead, up, least=_LEAST_BEYOND_CHANCE)
    if found is None:
        return None
    back = agreement(other, Anchors(shared.other, shared.event))
    evidence = _evidence(one, other, up, found, ahead, back)
    same_notes = up == 0 and _same_notes(one, other, shared)
    if not same_notes and not _convinces(evidence, found):
        return None
    contained = evidence.covered >= _WHOLE and evidence.other_covered < 0.97
    kind = _kind(evidence, same_notes)
    return Link(one_id, other_id, kind, contained, evidence)


def transposition_of(one: Sketch, other: Sketch) -> int:
    """By how many semitones `one` most likely sounds higher than `other`, where they agree at all."""
    if _size(one) > _size(other):
        return likely_transposition(other, one)
    return -likely_transposition(one, other)


def _size(sketch: Sketch) -> tuple[int, int, float, int]:
    """Shorter pieces first, and of equally long ones always the same."""
    line = sketch.line
    return len(line), line.events, float(line.onset_s.sum()), int((line.pitch * np.arange(len(line))).sum())


def _evidence(
    one: Sketch, other: Sketch, up: int, found: OneWay, ahead: Agreement, back: Agreement
) -> Evidence:
    own = sum(p.end_s - p.start_s for p in found.passages)
    there = sum(p.other_end_s - p.other_start_s for p in found.passages)
    return Evidence(
        covered=max(ahead.covered, found.covered),
        # Blocks see a repeat that only the other piece takes; notes see a piece too short for blocks.
        other_covered=max(back.covered, share_reached(other, found)),
        matched=found.matched,
        other_matched=len(np.unique(found.other_note)) / max(1, len(other.line)),
        transposition=-up,
        tempo_ratio=there / own if own > 0 and there > 0 else 1.0,
        straight_s=_drift_s(one, other, found),
        chance=found.chance,
        surprise_bits=surprise_bits(
            found.matched / found.covered, found.chance, round(found.covered * one.line.events)
        ),
        passages=tuple(Span(p.start_s, p.end_s, p.other_start_s, p.other_end_s) for p in found.passages),
    )


def _convinces(evidence: Evidence, found: OneWay) -> bool:
    """Whether two pieces agree in more than any two do."""
    if evidence.surprise_bits < _LEAST_BITS:
        return False
    jumps = _unsteadiness(found)
    beyond = (evidence.matched - evidence.chance) / (1 - evidence.chance)
    wanted = _LEAST_BEYOND_CHANCE + _MORE_FOR_BITS / evidence.surprise_bits + _MORE_FOR_JUMPS * jumps
    return beyond >= wanted and jumps <= _UNSTEADIEST


def _unsteadiness(found: OneWay) -> float:
    """Median change of tempo (octaves) from one moment to the next: players shape time, but not at random."""
    changes: list[FloatArray] = [np.zeros(1)]
    for passage in found.passages:
        steps = max(1, int((passage.end_s - passage.start_s) / _TEMPO_STEP_S))
        at = np.linspace(passage.start_s, passage.end_s, steps + 1)
        to = np.interp(at, passage.knots_s, passage.other_knots_s)
        tempo = np.maximum(np.diff(to), 1e-3) / np.maximum(np.diff(at), 1e-3)
        changes.append(np.abs(np.diff(np.log2(tempo))))
    return float(np.median(np.concatenate(changes)))


def _kind(evidence: Evidence, same_notes: bool) -> Kind:
    if same_notes:
        return Kind.NOTES
    if evidence.other_covered < _WHOLE <= evidence.covered:
        return Kind.CONTAINS
    return Kind.EDITED if evidence.copied else Kind.WORK


def _drift_s(one: Sketch, other: Sketch, found: OneWay) -> float | None:
    """Median drift of the notes from a straight clock for each passage (s); None if there are too few."""
    at, to = one.line.onset_s[found.note], other.line.onset_s[found.other_note]
    drifts: list[FloatArray] = []
    for passage in found.passages:
        inside = (at >= passage.start_s) & (at <= passage.end_s)
        inside &= (to >= passage.other_start_s) & (to <= passage.other_end_s)
        places = np.flatnonzero(inside)
        if len(places) >= _FEWEST_TO_FIT:
            places = places[np.argsort(at[places], kind="stable")]
            slope, start = straight_line(at[places], to[places])
            error = to[places] - start - slope * at[places]
            drifts.append(np.abs(running_median(error, _DRIFT_NOTES)))
    return float(np.median(np.concatenate(drifts))) if drifts else None


def _same_notes(one: Sketch, other: Sketch, shared: Anchors) -> bool:
    """Whether nearly every note of either piece is in the other at the same distance in time."""
    if len(one.line) < _SAME_NOTES * len(other.line):
        return False
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
