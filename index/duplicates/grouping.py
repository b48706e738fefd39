"""Grouping: from links between pairs to groups, so that no single wrong link can merge two works.

Links are taken from the strictest and strongest on. Two pieces join freely; a group takes in another piece or
group only with mutual support: of the pairs across that were compared, at least half must be linked, and at
least two if there are two. A link that says "contains" never joins groups: a medley would otherwise merge all
its works. Wholes and their parts are groups of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..matching.relations import KINDS, Kind, Link

__all__ = ["LARGE_GROUP", "PieceGroup", "group_links"]

LARGE_GROUP = 60  # members; above it a group is worth a look, whatever supports it
_SUPPORT = 0.5  # of the compared pairs across two groups


@dataclass(frozen=True)
class PieceGroup:
    """Pieces that hold the same music.

    Attributes
    ----------
    kind : the loosest kind of link that was needed to join the members; CONTAINS for a whole and its parts
    members : numbers of the pieces, rising; of a whole and its parts, the whole first
    links : all links among the members
    """

    kind: Kind
    members: tuple[int, ...]
    links: tuple[Link, ...]


def group_links(
    links: Iterable[Link], compared: set[tuple[int, int]], *, loosest: Kind = Kind.CONTAINS
) -> list[PieceGroup]:
    """Groups, largest first, then wholes with their parts.

    Parameters
    ----------
    compared : all pairs that were compared, the lower number first: those without a link speak against
        joining
    loosest : leave out links of looser kinds
    """
    allowed = [link for link in links if KINDS.index(link.kind) <= KINDS.index(loosest)]
    joining = [link for link in allowed if link.kind is not Kind.CONTAINS]
    owner = _joined(joining, compared)
    inside: dict[int, list[Link]] = {}
    for link in joining:
        if owner[link.one] == owner[link.other]:
            inside.setdefault(owner[link.one], []).append(link)
    members: dict[int, list[int]] = {}
    for piece, root in owner.items():
        members.setdefault(root, []).append(piece)
    groups = [
        PieceGroup(_loosest(found), tuple(sorted(members[root])), tuple(found))
        for root, found in inside.items()
    ]
    groups.sort(key=lambda group: (-len(group.members), group.members))
    return groups + _wholes(link for link in allowed if link.kind is Kind.CONTAINS)


def _joined(links: list[Link], compared: set[tuple[int, int]]) -> dict[int, int]:
    """For each piece, one piece that stands for its group."""
    owner = {piece: piece for link in links for piece in (link.one, link.other)}
    members = {piece: [piece] for piece in owner}
    linked = {(min(link.one, link.other), max(link.one, link.other)) for link in links}
    waiting = sorted(links, key=lambda link: (KINDS.index(link.kind), -link.strength, link.one, link.other))
    while waiting:
        put_off = []
        for link in waiting:
            one, other = owner[link.one], owner[link.other]
            if one == other:
                continue
            if not _supported(link, members[one], members[other], linked, compared):
                put_off.append(link)
                continue
            if len(members[one]) < len(members[other]):
                one, other = other, one
            for piece in members[other]:
                owner[piece] = one
            members[one] += members.pop(other)
        if len(put_off) == len(waiting):
            break
        # What joined meanwhile may be the support that a link lacked.
        waiting = put_off if len(put_off) < len(waiting) else []
    return owner


def _supported(
    link: Link,
    ones: list[int],
    others: list[int],
    linked: set[tuple[int, int]],
    compared: set[tuple[int, int]],
) -> bool:
    """Whether a link may join two groups."""
    across = [(min(a, b), max(a, b)) for a in ones for b in others]
    votes = sum(pair in linked for pair in across)
    asked = sum(pair in compared for pair in across)
    # A single copy of one member (the melody of a song, say) need not resemble the others.
    alone = min(len(ones), len(others)) == 1 and link.kind is not Kind.WORK
    wanted = 1 if alone else min(2, len(across))
    return votes >= wanted and votes >= _SUPPORT * asked


def _loosest(links: list[Link]) -> Kind:
    """The loosest kind that is needed to hold the members together: strict links first."""
    owner = {piece: piece for link in links for piece in (link.one, link.other)}

    def root(piece: int) -> int:
        while owner[piece] != piece:
            owner[piece] = owner[owner[piece]]
            piece = owner[piece]
        return piece

    needed = links[0].kind
    loosest = 0
    for link in sorted(links, key=lambda link: KINDS.index(link.kind)):
        one, other = root(link.one), root(link.other)
        if one != other:
            owner[one] = other
            if KINDS.index(link.kind) >= loosest:
                loosest, needed = KINDS.index(link.kind), link.kind
    return needed


def _wholes(links: Iterable[Link]) -> list[PieceGroup]:
    parts: dict[int, list[Link]] = {}
    for link in links:
        parts.setdefault(link.other, []).append(link)
    return [
        PieceGroup(Kind.CONTAINS, (whole, *sorted(link.one for link in found)), tuple(found))
        for whole, found in sorted(parts.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
