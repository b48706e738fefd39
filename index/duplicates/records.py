"""Groups of pieces that hold the same music: what a search for duplicates gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..matching import Kind, Link, Relation
from ..records import Named
from .decisions import Verdict
from .files import FileStatus, MemberFile, inspect_files
from .grouping import LARGE_GROUP

__all__ = ["DuplicateGroup", "DuplicateLink", "Member"]


@dataclass(frozen=True)
class Member(Named):
    """A piece of a group, with all files that hold these bytes; the one to keep before the others."""

    piece_id: int
    files: tuple[MemberFile, ...]
    sha256: str
    title: str | None
    notes: int
    start_s: float
    end_s: float

    @property
    def path(self) -> str:
        return self.files[0].path

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(file.path for file in self.files)

    @property
    def displays(self) -> tuple[str, ...]:
        return tuple(file.display for file in self.files)

    @property
    def present(self) -> tuple[MemberFile, ...]:
        """Files that are there and no links to others."""
        return tuple(file for file in self.files if file.status is FileStatus.PRESENT)

    def inspected(self, *, verify: bool = False) -> Member:
        """The same with its files as they are now, those that are present first."""
        files = inspect_files(self.files, self.sha256, verify=verify)
        files.sort(key=lambda file: file.status is not FileStatus.PRESENT)
        return replace(self, files=tuple(files))

    def to_json(self) -> dict[str, Any]:
        return {
            "piece_id": self.piece_id,
            "path": self.path,
            "paths": list(self.paths),
            "display": self.display,
            "files": [file.to_json() for file in self.files],
            "sha256": self.sha256,
            "title": self.title,
            "notes": self.notes,
            "start_s": self.start_s,
            "end_s": self.end_s,
        }


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
            "relation": link.kind.relation.value,
            "contained": link.contained,
            "same_performance": link.same_performance,
            "verdict": None if self.verdict is None else self.verdict.value,
            "keeper": self.keeper,
            "evidence": link.evidence.to_json(),
            "says": str(link.evidence),
        }


@dataclass(frozen=True)
class DuplicateGroup:
    """Pieces that hold the same music.

    Attributes
    ----------
    kind : the loosest kind of sameness that was needed to join them
    members : the keeper first; of a whole and its parts, the whole first
    keeper, reason : of duplicates, the piece that is suggested to stay, and why; None if none of them has a
        file to keep. Of relatives None: they are versions of one work, and all of them stay.
    resolved : decisions connect all members
    """

    number: int
    kind: Kind
    members: tuple[Member, ...]
    links: tuple[DuplicateLink, ...]
    keeper: int | None
    reason: str
    resolved: bool

    @property
    def relation(self) -> Relation:
        return self.kind.relation

    def inspected(self) -> DuplicateGroup:
        """The same with the files as they are now; without a keeper if its file is no longer there."""
        verify = any(item.verdict is Verdict.DUPLICATE for item in self.links)
        members = tuple(member.inspected(verify=verify) for member in self.members)
        group = replace(self, members=members)
        keeper = group.keeper_member
        if self.keeper is None or (keeper is not None and keeper.present):
            return group
        return replace(group, keeper=None, reason="the file to keep is no longer there; search again")

    def relative(self, root: str) -> DuplicateGroup:
        """The same with paths as seen from a folder, for readers who shall not see where it lies."""
        members = (
            replace(member, files=tuple(file.relative(root) for file in member.files))
            for member in self.members
        )
        return replace(self, members=tuple(members))

    @property
    def keeper_member(self) -> Member | None:
        return next((member for member in self.members if member.piece_id == self.keeper), None)

    def best_link(self, member: Member) -> DuplicateLink | None:
        """The strongest link of a member, with the keeper (or the whole) if possible; None for these."""
        centre = self.members[0].piece_id if self.kind is Kind.CONTAINS else self.keeper
        if member.piece_id == centre:
            return None
        own = [item for item in self.links if member.piece_id in (item.link.one, item.link.other)]
        return max(
            own,
            key=lambda item: (centre in (item.link.one, item.link.other), item.link.strength),
            default=None,
        )

    def describe(self, member: Member) -> str:
        """Why the keeper should stay; for another member, what it is to the keeper or to its nearest."""
        if member.piece_id == self.keeper:
            return f"keep: {self.reason}"
        if self.kind is Kind.CONTAINS and member == self.members[0]:
            return "contains all the others and more"
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
            "relation": self.relation.value,
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
