"""Which member of a group of duplicates to keep, and why: the fullest, then the best file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embedder.core.text import count, percent
from embedder.notes import Notes

from ..records import Piece
from .files import FileStatus, MemberFile, is_below, looks_like_a_copy

__all__ = ["KeeperScore", "file_order", "keeper_score", "suggest_keeper"]

_NEARLY = 0.03  # shares of notes closer than this count as equally complete
_DOUBLING_S = 0.001  # notes of one pitch that begin so close are one note doubled
_EXPRESSIVE_VELOCITIES = 8
_FREE_TIMING = 0.5
_MIN_LENGTH_S = 0.02  # median of notes that have lengths, and not only beginnings


@dataclass(frozen=True)
class KeeperScore:
    """What counts in favour of keeping a piece.

    Attributes
    ----------
    notes : how many different ones, drums included, exact doublings counted once
    velocities : how many different ones; a file entered by hand has one or a few
    free_timing : share of onset intervals that are unlike the most frequent ones; near 0 where everything is
        on a grid
    lengths : whether notes have lengths
    title : whether the file states one
    file : the file to keep; None if none is present
    preferred : whether it lies in a folder whose files come first
    """

    notes: int
    velocities: int
    free_timing: float
    lengths: bool
    title: bool
    file: MemberFile | None
    preferred: bool

    @property
    def expression(self) -> int:
        """0 for mechanical, 1 for expressive dynamics or timing, 2 for both."""
        return int(self.velocities >= _EXPRESSIVE_VELOCITIES) + int(self.free_timing >= _FREE_TIMING)


def file_order(prefer: Sequence[str]) -> Callable[[MemberFile], tuple[bool, bool, bool, int, str]]:
    """A sort key that brings the file to keep first: present, preferred, not named as a copy, oldest."""

    def key(file: MemberFile) -> tuple[bool, bool, bool, int, str]:
        return (
            file.status is not FileStatus.PRESENT,
            not is_below(file.path, prefer),
            looks_like_a_copy(file.path),
            _age_s(file),
            file.path,
        )

    return key


def _age_s(file: MemberFile) -> int:
    return file.mtime_ns // 1_000_000_000


def keeper_score(
    piece: Piece, notes: Notes, files: Sequence[MemberFile], prefer: Sequence[str] = ()
) -> KeeperScore:
    """Score of a piece.

    Parameters
    ----------
    files : of the piece, as they are now
    prefer : folders whose files come first
    """
    steps = np.rint(np.diff(notes.onset) * 1000)
    _, counts = np.unique(steps, return_counts=True)
    on_grid = np.sort(counts)[::-1][:8].sum() / max(1, len(steps))
    at = np.rint(notes.onset / _DOUBLING_S).astype(np.int64)
    best = min(files, key=file_order(prefer), default=None)
    if best is not None and best.status is not FileStatus.PRESENT:
        best = None
    return KeeperScore(
        notes=len(np.unique((at * 2 + notes.is_drum) * 128 + notes.pitch)),
        velocities=len(np.unique(notes.velocity)),
        free_timing=1 - float(on_grid),
        lengths=len(notes) > 0 and float(np.median(notes.duration)) >= _MIN_LENGTH_S,
        title=bool(piece.title),
        file=best,
        preferred=best is not None and is_below(best.path, prefer),
    )


def suggest_keeper(members: Sequence[int], scores: Mapping[int, KeeperScore]) -> tuple[int | None, str]:
    """The member to keep and a sentence that says why; None if none of them has a file to keep."""
    present = [piece for piece in members if scores[piece].file is not None]
    if not present:
        return None, "none of these files is where it was"
    most_notes = max(scores[piece].notes for piece in present)

    def key(piece: int) -> tuple[float, ...]:
        score = scores[piece]
        assert score.file is not None
        return (
            not score.preferred,
            score.notes < (1 - _NEARLY) * most_notes,
            -score.expression,
            not score.lengths,
            looks_like_a_copy(score.file.path),
            _age_s(score.file),
            not score.title,
            -score.notes,
            piece,
        )

    ranked = sorted(present, key=key)
    keeper = ranked[0]
    if len(ranked) == 1:
        alone = "all files hold the same bytes" if len(members) == 1 else "only its file is present"
        return keeper, alone
    first, second = key(keeper), key(ranked[1])
    criterion = next(i for i, (own, other) in enumerate(zip(first, second, strict=True)) if own != other)
    return keeper, _reason(criterion, scores[keeper], scores[ranked[1]], ranked[1])


def _reason(criterion: int, score: KeeperScore, other: KeeperScore, following: int) -> str:
    """Why a piece comes before the next best one, with the figures of both."""
    assert score.file is not None
    assert other.file is not None
    if criterion == 0:
        return "it lies in a preferred folder"
    if criterion in (1, 7):
        return f"it has more different notes: {score.notes:,}, the next has {other.notes:,}"
    if criterion == 2:
        return (
            f"it is more expressive: {count(score.velocities, 'velocity', 'velocities')} and "
            f"{percent(score.free_timing)} of the onsets off the grid, the next has "
            f"{other.velocities:,} and {percent(other.free_timing)}"
        )
    if criterion == 3:
        return "its notes have lengths, those of the next have none"
    if criterion == 4:
        return "its name is not that of a copy, the next has one that is"
    if criterion == 5:
        return f"its file is older: from {_date(score.file)}, the next from {_date(other.file)}"
    if criterion == 6:
        return "it states a title, the next has none"
    return f"the next, #{following}, is as good and was added later"


def _date(file: MemberFile) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_age_s(file)))
