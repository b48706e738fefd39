"""Groups of pieces that hold the same music: what a search for duplicates gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..matching.classify import Kind, Link
from ..named import Named
from ..storage.paths import display
from .decisions import Verdict
from .grouping import LARGE_GROUP

__all__ = ["DuplicateGroup", "DuplicateLink", "Member"]


@dataclass(frozen=True)
class Member(Named):
    """A piece of a group, with all files that hold these bytes."""

    piece_id: int
    paths: tuple[str, ...]
    sha256: str
    title: str | None
    notes: int
    start_s: float
    end_s: float

    @property
    def path(self) -> str:
        return self.paths[0]

    @property
    def displays(self) -> tuple[str, ...]:
        return tuple(display(path) for path in self.paths)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"paths": list(self.paths), "path": self.path}


@dataclass(frozen=True)
class DuplicateLink:
    """Two members that hold the same music, and what was decided about them."""

    link: Link
    verdict: Verdict | None
    keeper: int | None = None  # of a pair decided to be duplicates

    def to_json(self) -> dict[str, Any]:
        link = self.link
        return {
            "one": link.one,
            "other": link.other,
            "kind": link.kind.value,
            "contained": link.contained,
            "same_performance": link.same_performance,
            "verdict": None if self.verdict is None else self.verdict.value,
            "keeper": self.keeper,
            "evidence": link.evidence.to_json(),
            "says": str(link.evidence),
        }


@dataclass(frozen=True)
class DuplicateGroup:
    """Files that hold the same music.

    Attributes
    ----------
    kind : the loosest kind of sameness that was needed to join them
    members : the keeper first; of a whole and its parts, the whole first
    keeper, reason : the piece that is suggested to stay, and why
    resolved : decisions connect all members
    """

    number: int
    kind: Kind
    members: tuple[Member, ...]
    links: tuple[DuplicateLink, ...]
    keeper: int
    reason: str
    resolved: bool

    def best_link(self, member: Member) -> DuplicateLink | None:
        """The strongest link of a member, with the keeper if possible; None for the keeper itself."""
        if member.piece_id == self.keeper:
            return None
        own = [item for item in self.links if member.piece_id in (item.link.one, item.link.other)]
        return max(
            own,
            key=lambda item: (self.keeper in (item.link.one, item.link.other), item.link.strength),
            default=None,
        )

    def describe(self, member: Member) -> str:
        """Why the keeper should stay; for another member, what it is to the keeper."""
        if member.piece_id == self.keeper:
            return f"keep: {self.reason}"
        best = self.best_link(member)
        if best is None:
            return ""
        link = best.link
        evidence = link.evidence if link.one == member.piece_id else link.evidence.swapped()
        return f"{_relation(link, member.piece_id)}: {evidence}"

    @property
    def large(self) -> bool:
        """Whether the group is so large that it should be checked."""
        return len(self.members) > LARGE_GROUP

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "kind": self.kind.value,
            "keeper": self.keeper,
            "why": self.reason,
            "settled": self.resolved,
            "large": self.large,
            "members": [member.to_json() for member in self.members],
            "links": [link.to_json() for link in self.links],
        }


_RELATIONS = {
    Kind.NOTES: "the same notes as",
    Kind.EDITED: "an edit of",
    Kind.WORK: "another performance or arrangement of",
}


def _relation(link: Link, piece: int) -> str:
    """What a piece is to the other one of its link."""
    partner = link.other if link.one == piece else link.one
    if link.kind is not Kind.CONTAINS:
        return f"{_RELATIONS[link.kind]} #{partner}"
    if link.same_performance:
        return f"cut from #{partner}" if piece == link.one else f"the whole of #{partner}"
    return (
        f"{'part of' if piece == link.one else 'contains'} #{partner}, in another performance or arrangement"
    )
