"""What is left to decide of duplicates: pairs, strongest first, in the light of what was decided before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index import Decision, Duplicates
    from index.duplicates.records import DuplicateGroup, DuplicateLink, Member

__all__ = ["Pair", "as_decided", "pairs_of"]

STRENGTH = ("bytes", "notes", "edited", "work", "contains")  # strictest first


@dataclass(frozen=True)
class Pair:
    """Two pieces that may be the same music.

    Attributes
    ----------
    group : the group that both are in, with all its members
    keeper, other : the one that is suggested to stay, and another of the group
    says : the evidence in words
    decision : what stands about the two, or None
    """

    group: DuplicateGroup
    keeper: Member
    other: Member
    kind: str
    says: str
    decision: Decision | None

    @property
    def name(self) -> str:
        """Its name in the address."""
        return f"{self.keeper.piece_id}-{self.other.piece_id}"


def pairs_of(found: Duplicates, decided: Iterable[Decision]) -> list[Pair]:
    """Each member of a group beside the one it is most like, the strictest kinds first.

    A member is set beside the keeper if the two are linked, and else beside the member it is linked with most
    strongly: so the pairs hold every group together, and nobody is asked about two pieces twice.
    """
    standing = {_key(one.one, one.other): one for one in decided if one.undone_s is None}
    pairs = []
    for group in found.groups:
        members = {member.piece_id: member for member in group.members}
        for member in group.members:
            link = _link(group, member.piece_id)
            if member.piece_id == group.keeper or link is None:
                continue
            partner = members[link.link.other if link.link.one == member.piece_id else link.link.one]
            pairs.append(
                Pair(
                    group=group,
                    keeper=partner,
                    other=member,
                    kind=link.link.kind.value,
                    says=str(link.link.evidence),
                    decision=standing.get(_key(partner.sha256, member.sha256)),
                )
            )
    strength = {
        pair.name: link.link.strength for pair in pairs if (link := _link(pair.group, pair.other.piece_id))
    }
    return sorted(pairs, key=lambda pair: (STRENGTH.index(pair.kind), -strength[pair.name], pair.name))


def _key(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def _link(group: DuplicateGroup, number: int) -> DuplicateLink | None:
    own = [one for one in group.links if number in (one.link.one, one.link.other)]
    return max(
        own, key=lambda one: (group.keeper in (one.link.one, one.link.other), one.link.strength), default=None
    )


def as_decided(found: Duplicates, decided: Sequence[Decision]) -> Duplicates:
    """The groups with what has been decided since they were looked for.

    Links between pieces that are not the same are taken away, and groups fall apart where nothing holds them.
    """
    standing = {_key(one.one, one.other): one for one in decided if one.undone_s is None}
    groups: list[DuplicateGroup] = []
    for group in found.groups:
        hashes = {member.piece_id: member.sha256 for member in group.members}
        links = []
        for one in group.links:
            decision = standing.get(_key(hashes[one.link.one], hashes[one.link.other]))
            verdict = None if decision is None else decision.verdict
            kept = [n for n in (one.link.one, one.link.other) if decision and hashes[n] == decision.keeper]
            if verdict != "not-same":
                links.append(replace(one, verdict=verdict, keeper=kept[0] if kept else None))
        for part in _parts(group, links):
            inside = tuple(one for one in links if one.link.one in part)
            keeper = group.keeper if group.keeper in part else min(part)
            members = tuple(member for member in group.members if member.piece_id in part)
            tied = [one for one in inside if one.verdict is not None]
            groups.append(
                replace(
                    group,
                    number=len(groups) + 1,
                    members=members,
                    links=inside,
                    keeper=keeper,
                    resolved=len(part) > 1
                    and len(_parts(replace(group, members=members), tied)) == 1
                    and len(_parts(replace(group, members=members), tied)[0]) == len(part),
                )
            )
    return replace(found, groups=tuple(groups))


def _parts(group: DuplicateGroup, links: Iterable[DuplicateLink]) -> list[set[int]]:
    """Members that hang together by the links; of several only those with company."""
    parts = [{member.piece_id} for member in group.members]
    for one in links:
        joined = [part for part in parts if part & {one.link.one, one.link.other}]
        parts = [part for part in parts if part not in joined] + [set().union(*joined)]
    alone = len(group.members) == 1  # one content in several files
    return [part for part in parts if len(part) > 1 or alone]
