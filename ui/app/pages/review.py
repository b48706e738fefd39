"""What is left to decide of duplicates: groups and their pairs, with the decisions made so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index import Decision, Duplicates
    from index.duplicates.records import DuplicateGroup, DuplicateLink, Member

__all__ = ["Pair", "ReviewGroup", "as_decided", "groups_of", "pairs_of"]

STRENGTH = ("bytes", "notes", "edited", "work", "contains")  # strictest first
VERSIONS = ("work", "contains")  # other versions, of which usually both are kept


@dataclass(frozen=True)
class Pair:
    """Two pieces that may be the same music.

    Attributes
    ----------
    group : the group that both are in, with all its members
    keeper, other : the one that is suggested to stay, and another of the group
    says : the evidence in words
    decision : the active decision about the two, or None
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


@dataclass(frozen=True)
class ReviewGroup:
    """A group with its pairs.

    Attributes
    ----------
    versions : whether its pieces are other performances, arrangements or parts of each other, and no copies
    """

    group: DuplicateGroup
    pairs: tuple[Pair, ...]

    @property
    def versions(self) -> bool:
        return any(pair.kind in VERSIONS for pair in self.pairs)

    @property
    def keeper(self) -> int:
        """The piece that is suggested to stay, or the first one."""
        keeper = self.group.keeper
        return self.group.members[0].piece_id if keeper is None else keeper

    @property
    def decided(self) -> bool:
        return all(pair.decision is not None for pair in self.pairs)

    @property
    def kind(self) -> str:
        """The loosest kind of its pairs."""
        return max((pair.kind for pair in self.pairs), key=STRENGTH.index)

    @property
    def name(self) -> str:
        """Its name in the address: that of its first pair."""
        return self.pairs[0].name


def groups_of(duplicates: Duplicates, decided: Iterable[Decision]) -> list[ReviewGroup]:
    """Groups with at least one pair, those with the strictest kinds first."""
    pairs: dict[int, list[Pair]] = {}
    for pair in pairs_of(duplicates, decided):
        pairs.setdefault(pair.group.number, []).append(pair)
    groups = [ReviewGroup(members[0].group, tuple(members)) for members in pairs.values()]
    return sorted(groups, key=lambda group: STRENGTH.index(group.kind))


def pairs_of(duplicates: Duplicates, decided: Iterable[Decision]) -> list[Pair]:
    """Each member of a group beside the one it is most like, the strictest kinds first.

    A member is paired with the keeper if the two are linked, otherwise with the member of its strongest link:
    the pairs then connect the group, and no pair occurs twice.
    """
    active = {_key(one.one, one.other): one for one in decided if one.undone_s is None}
    pairs: list[Pair] = []
    seen: set[tuple[str, str]] = set()
    for group in duplicates.groups:
        members = {member.piece_id: member for member in group.members}
        for member in group.members:
            link = _link(group, member.piece_id)
            if member.piece_id == group.keeper or link is None:
                continue
            partner = members[link.link.other if link.link.one == member.piece_id else link.link.one]
            if _key(partner.sha256, member.sha256) in seen:
                continue
            seen.add(_key(partner.sha256, member.sha256))
            pairs.append(
                Pair(
                    group=group,
                    keeper=partner,
                    other=member,
                    kind=link.link.kind.value,
                    says=str(link.link.evidence),
                    decision=active.get(_key(partner.sha256, member.sha256)),
                )
            )
    strength = {
        pair.name: link.link.strength for pair in pairs if (link := _link(pair.group, pair.other.piece_id))
    }
    return sorted(pairs, key=lambda pair: (STRENGTH.index(pair.kind), -strength[pair.name], pair.name))


def _key(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def _link(group: DuplicateGroup, number: int) -> DuplicateLink | None:
    own = [
        one
        for one in group.links
        if number in (one.link.one, one.link.other) and one.link.kind.relation is group.relation
    ]
    return max(
        own, key=lambda one: (group.keeper in (one.link.one, one.link.other), one.link.strength), default=None
    )


def as_decided(duplicates: Duplicates, decided: Sequence[Decision]) -> Duplicates:
    """The groups with what has been decided since they were looked for.

    Links between pieces that are not the same are taken away, and groups fall apart where nothing holds them.
    """
    active = {_key(one.one, one.other): one for one in decided if one.undone_s is None}
    groups: list[DuplicateGroup] = []
    for group in duplicates.groups:
        hashes = {member.piece_id: member.sha256 for member in group.members}
        links = []
        for one in group.links:
            decision = active.get(_key(hashes[one.link.one], hashes[one.link.other]))
            verdict = None if decision is None else decision.verdict
            kept = [n for n in (one.link.one, one.link.other) if decision and hashes[n] == decision.keeper]
            if verdict != "not-same":
                links.append(replace(one, verdict=verdict, keeper=kept[0] if kept else None))
        for part in _parts(group, links):
            inside = tuple(one for one in links if one.link.one in part)
            keeper = group.keeper if group.keeper is None or group.keeper in part else min(part)
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
    return replace(duplicates, groups=tuple(groups))


def _parts(group: DuplicateGroup, links: Iterable[DuplicateLink]) -> list[set[int]]:
    """Members that hang together by the links; of several only those with company."""
    parts = [{member.piece_id} for member in group.members]
    for one in links:
        joined = [part for part in parts if part & {one.link.one, one.link.other}]
        parts = [part for part in parts if part not in joined] + [set().union(*joined)]
    alone = len(group.members) == 1  # one content in several files
    return [part for part in parts if len(part) > 1 or alone]
