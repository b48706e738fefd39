"""Comparison of two pieces for people: how they are the same, where, and which notes differ."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from embedder.core.errors import MidiError
from embedder.notes import Notes

from ..resolve import Source, of_file
from .align import (
    NO_ALIGNMENT,
    PieceAlignment,
    align_pieces,
    identity_alignment,
)
from .block_matching import IndexedPiece, find_shared_landmarks, match_blocks
from .classify import (
    Arrangement,
    Kind,
    Link,
    arrangement_of,
    classify_pair,
    identical_offset_s,
    in_arrangements,
    transposition_of,
)
from .landmarks import NoteSequence, matched_notes

__all__ = [
    "Compared",
    "Comparison",
    "DifferingNote",
    "align_both_ways",
    "compare_files",
    "compare_sources",
    "matchable_notes",
]

_PLOT_HEIGHT = 20  # lines of text


@dataclass(frozen=True)
class Comparison:
    """Two pieces aligned both ways.

    Attributes
    ----------
    one, other : what of the first is in the second, and the reverse
    transposition : by how many semitones the first sounds higher
    """

    one: PieceAlignment
    other: PieceAlignment
    transposition: int

    @property
    def tempo_ratio(self) -> float:
        """Tempo of the first over that of the second, over all passages; 1 if there are none."""
        return self.one.tempo_ratio


def align_both_ways(one: IndexedPiece, other: IndexedPiece, transposition: int) -> Comparison:
    """Align two pieces, each with the other.

    Parameters
    ----------
    transposition : by how many semitones the first sounds higher
    """
    offset_s = identical_offset_s(one.sequence, other.sequence)
    if offset_s is not None and not transposition:
        return Comparison(
            identity_alignment(one.sequence, offset_s), identity_alignment(other.sequence, -offset_s), 0
        )
    shared = find_shared_landmarks(one, other, -transposition)
    back = shared.swapped()
    return Comparison(
        align_pieces(one, other, shared, match_blocks(one, shared), -transposition) or NO_ALIGNMENT,
        align_pieces(other, one, back, match_blocks(other, back), transposition) or NO_ALIGNMENT,
        transposition,
    )


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
    relation : "duplicates", of which one is not needed, "relatives", or None
    same_performance : whether both hold one performance, and not two of the same work
    words : what they are to each other
    says : the evidence in words
    covered, other_covered : share of each piece that the shared passages cover, 0..1
    matched, other_matched : share of the notes of each that have a counterpart, 0..1
    comparison : passages, coverage and time maps
    only_one, only_other : notes within the shared passages that the other piece lacks there
    one_span_s, other_span_s : first and last onset of each piece
    """

    one: str
    other: str
    one_id: int | None
    other_id: int | None
    kind: str | None
    relation: str | None
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
        return {
            "kind": self.kind,
            "relation": self.relation,
            "same_performance": self.same_performance,
            "words": self.words,
            "says": self.says,
            "covered": self.covered,
            "other_covered": self.other_covered,
            "matched": self.matched,
            "other_matched": self.other_matched,
            "transposition": self.comparison.transposition,
            "tempo_ratio": self.comparison.tempo_ratio,
        }

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

    def plot(self, width: int) -> list[str]:
        """The time maps as lines of text: time of A to the right, time of B upwards.

        Parameters
        ----------
        width : columns at most
        """
        columns = width - 10
        (start, end), (other_start, other_end) = self.one_span_s, self.other_span_s
        grid = [[" "] * columns for _ in range(_PLOT_HEIGHT)]
        for passage in self.comparison.one.passages:
            at = np.linspace(passage.start_s, passage.end_s, 4 * columns)
            to = np.interp(at, passage.knots_s, passage.other_knots_s)
            across = (at - start) / max(end - start, 1e-6) * (columns - 1)
            up = (to - other_start) / max(other_end - other_start, 1e-6) * (_PLOT_HEIGHT - 1)
            for x, y in zip(np.rint(across).astype(int), np.rint(up).astype(int), strict=True):
                if 0 <= x < columns and 0 <= y < _PLOT_HEIGHT:
                    grid[_PLOT_HEIGHT - 1 - y][x] = "*"
        labels = [f"B {other_end:5.0f} s", *[" " * 9] * (_PLOT_HEIGHT - 2), f"B {other_start:5.0f} s"]
        lines = [f"{label:>9}|{''.join(row)}".rstrip() for label, row in zip(labels, grid, strict=True)]
        foot = f"A {start:.0f} s"
        return [
            *lines,
            " " * 9 + "+" + "-" * columns,
            " " * 10 + foot + f"{end:.0f} s".rjust(columns - len(foot)),
        ]


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


def matchable_notes(source: Source) -> Notes:
    """The notes of a source that are compared; see `matched_notes`.

    Raises
    ------
    MidiError
        If there are none.
    """
    notes = matched_notes(source.notes)
    if not len(notes):
        raise MidiError("no notes to look for", source.display if source.path else None)
    return notes


def compare_sources(one: Source, other: Source, transposition: int | None = None) -> Compared:
    """Compare two pieces note by note."""
    first, second = (IndexedPiece.of(matchable_notes(source)) for source in (one, other))
    if transposition is None:
        identical = identical_offset_s(first.sequence, second.sequence) is not None
        transposition = 0 if identical else transposition_of(first, second)
    comparison = align_both_ways(first, second, transposition)
    link = classify_pair(0, first, 1, second, -transposition)
    if link is not None:
        link = in_arrangements(link, _arrangement(one.notes), _arrangement(other.notes))
    if link is None:
        ahead, back = comparison.one, comparison.other
        covered, matched = (ahead.covered, back.covered), (ahead.matched, back.matched)
        says = "some passages match" if ahead.passages else "no passage in common"
    else:
        evidence = link.evidence
        says = str(evidence)
        covered = (evidence.covered, evidence.other_covered)
        matched = (evidence.matched, evidence.other_matched)
        if link.one == 1:
            covered, matched = covered[::-1], matched[::-1]
    return Compared(
        one=one.display,
        other=other.display,
        one_id=one.piece_id,
        other_id=other.piece_id,
        kind=None if link is None else link.kind.value,
        relation=None if link is None else link.kind.relation.value,
        same_performance=link is not None and link.same_performance,
        words=_label(link),
        says=says,
        covered=covered[0],
        other_covered=covered[1],
        matched=matched[0],
        other_matched=matched[1],
        comparison=comparison,
        only_one=_differing(first.sequence, comparison.one),
        only_other=_differing(second.sequence, comparison.other),
        one_span_s=_span(first.sequence),
        other_span_s=_span(second.sequence),
    )


def _arrangement(notes: Notes) -> Arrangement:
    notes = notes.collapsed()
    programs = np.unique(notes.pitched().instrument)
    return arrangement_of(map(str, programs.tolist()), int(notes.is_drum.sum()))


def _label(link: Link | None) -> str:
    if link is None:
        return "not the same music"
    if link.kind is Kind.CONTAINS:
        return f"{link.label}: {'B contains A' if link.one == 0 else 'A contains B'}"
    return link.label


def _differing(sequence: NoteSequence, alignment: PieceAlignment) -> tuple[DifferingNote, ...]:
    inside = np.zeros(len(sequence), bool)
    for passage in alignment.passages:
        inside |= (sequence.onset_s >= passage.start_s) & (sequence.onset_s <= passage.end_s)
    inside[alignment.note] = False
    return tuple(
        DifferingNote(round(float(sequence.onset_s[i]), 4), int(sequence.pitch[i]))
        for i in np.flatnonzero(inside)
    )


def _span(sequence: NoteSequence) -> tuple[float, float]:
    onset_s = sequence.onset_s
    return (float(onset_s.min()), float(onset_s.max())) if len(onset_s) else (0.0, 0.0)
