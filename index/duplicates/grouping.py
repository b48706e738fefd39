"""Grouping: from links between pairs to groups, so that no single wrong link can merge two works.

Links are taken from the strictest and strongest on. Two pieces join freely; a group takes in another piece or
group only with mutual support: of the pairs across that were compared, at least half must be linked, and at
least two if there are two. A link of kind "contains" never joins groups: a medley would otherwise merge all
its works. Wholes and their parts are groups of their own.

Groups of duplicates come first: only links of kinds that make a piece dispensable join them. Groups of
relatives, the versions of a work, take the looser links in; their members may be duplicates of each other
too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from embedder.core.arrays import connected_components

from ..matching import Kind, Link, Relation

__all__ = ["LARGE_GROUP", "PieceGroup", "group_links"]

LARGE_GROUP = 60  # members; above it a group is worth a look, whatever supports it
_SUPPORT = 0.5  # of the compared pairs across two groups


@dataclass(frozen=True)
class PieceGroup:
    """Pieces that hold the same music.

    Attributes
    ----------
    kind : the loosest kind of link that was needed to join the members; CONTAINS for a whole and its parts
    members : numbers of the pieces, ascending; of a whole and its parts, the whole first
    links : all links among the members
    """

    kind: Kind
    members: tuple[int, ...]
    links: tuple[Link, ...]


def group_links(
    links: Iterable[Link], compared: set[tuple[int, int]], *, loosest: Kind = Kind.CONTAINS
) -> list[PieceGroup]:
    """Groups of duplicates, largest first, then of versions of a work, then wholes with their parts.

    Parameters
    ----------
    compared : all pairs that were compared, the lower number first: those without a link speak against
        joining
    loosest : leave out links of looser kinds
    """
    allowed = [link for link in links if link.kind.rank <= loosest.rank]
    duplicates = [link for link in allowed if link.kind.relation is Relation.DUPLICATES]
    joining = [link for link in allowed if link.kind is not Kind.CONTAINS]
    versions = _groups(joining, compared) if len(joining) > len(duplicates) else []
    return [
        *_groups(duplicates, compared),
        *(group for group in versions if group.kind is Kind.WORK),
        *_wholes(link for link in allowed if link.kind is Kind.CONTAINS),
    ]


def _groups(joining: list[Link], compared: set[tuple[int, int]]) -> list[PieceGroup]:
    """Groups that links make, largest first."""
    group_of = _join(joining, compared)
    inside: dict[int, list[Link]] = {}
    for link in joining:
        if group_of[link.one] == group_of[link.other]:
            inside.setdefault(group_of[link.one], []).append(link)
    members: dict[int, list[int]] = {}
    for piece, group in group_of.items():
        members.setdefault(group, []).append(piece)
    groups = [
        PieceGroup(_loosest_needed(own), tuple(sorted(members[group])), tuple(own))
        for group, own in inside.items()
    ]
    return sorted(groups, key=lambda group: (-len(group.members), group.members))


def _join(links: list[Link], compared: set[tuple[int, int]]) -> dict[int, int]:
    """For each piece, the piece that represents its group."""
    group_of = {piece: piece for link in links for piece in (link.one, link.other)}
    members = {piece: [piece] for piece in group_of}
    linked = {link.pair for link in links}
    pending = sorted(links, key=lambda link: (link.kind.rank, -link.strength, link.one, link.other))
    while pending:
        deferred = []
        for link in pending:
            first, second = group_of[link.one], group_of[link.other]
            if first == second:
                continue
            if not _supported(link, members[first], members[second], linked, compared):
                deferred.append(link)
                continue
            if len(members[first]) < len(members[second]):
                first, second = second, first
            for piece in members[second]:
                group_of[piece] = first
            members[first] += members.pop(second)
        # What joined meanwhile may be the support that a link lacked.
        pending = deferred if len(deferred) < len(pending) else []
    return group_of


def _supported(
    link: Link,
    firsts: list[int],
    seconds: list[int],
    linked: set[tuple[int, int]],
    compared: set[tuple[int, int]],
) -> bool:
    """Whether a link may join two groups."""
    across = [(min(a, b), max(a, b)) for a in firsts for b in seconds]
    votes = sum(pair in linked for pair in across)
    voters = sum(pair in compared for pair in across)
    # A single copy of one member (the melody of a song, say) need not resemble the others.
    alone = min(len(firsts), len(seconds)) == 1 and link.kind is not Kind.WORK
    required = 1 if alone else min(2, len(across))
    return votes >= required and votes >= _SUPPORT * voters


def _loosest_needed(links: list[Link]) -> Kind:
    """The loosest kind that is needed to connect the members: strict links first."""
    number: dict[int, int] = {}
    for link in links:
        for piece in (link.one, link.other):
            number.setdefault(piece, len(number))
    edges = [(number[link.one], number[link.other]) for link in links]
    for kind in sorted({link.kind for link in links}, key=lambda kind: kind.rank):
        strict = [edge for edge, link in zip(edges, links, strict=True) if link.kind.rank <= kind.rank]
        if not np.any(connected_components(len(number), strict)):
            return kind
    raise ValueError("the links do not connect their pieces")


def _wholes(links: Iterable[Link]) -> list[PieceGroup]:
    parts: dict[int, list[Link]] = {}
    for link in links:
        parts.setdefault(link.other, []).append(link)
    return [
        PieceGroup(Kind.CONTAINS, (whole, *sorted(link.one for link in own)), tuple(own))
        for whole, own in sorted(parts.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
