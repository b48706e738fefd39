"""Duplicates: the groups of a library, with keepers and evidence, in the light of earlier decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select

from ..matching.align import LEAST_CHANCE, surprise_bits
from ..matching.fingerprints import Snapshot
from ..matching.relations import Evidence, Kind, Link, Span
from ..named import Named
from ..records import Piece
from ..storage import piece_reader, schema
from ..storage.paths import display
from .decisions import Decision, Verdict, list_decisions, standing
from .grouping import LARGE_GROUP, PieceGroup, group_links
from .keeper import merit_of, suggest_keeper
from .pairs import find_links

__all__ = ["DuplicateGroup", "DuplicateLink", "Duplicates", "Member", "find_duplicates"]

Progress = Callable[[str, int, int], None]


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
    keeper: int | None = None  # of a pair decided as duplicates

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
    kind : the loosest kind of sameness among them that was needed to join them
    members : the keeper first; of a whole and its parts, the whole first
    keeper, why : the piece that is suggested to stay, and the reason
    settled : every member has been decided about
    """

    number: int
    kind: Kind
    members: tuple[Member, ...]
    links: tuple[DuplicateLink, ...]
    keeper: int
    why: str
    settled: bool

    def best_link(self, member: Member) -> Link | None:
        """The strongest link of a member, with the keeper if possible; None of the keeper itself."""
        if member.piece_id == self.keeper:
            return None
        own = [one.link for one in self.links if member.piece_id in (one.link.one, one.link.other)]
        return max(own, key=lambda link: (self.keeper in (link.one, link.other), link.strength), default=None)

    def says(self, member: Member) -> str:
        """Why the keeper should stay; of another member what it is to the keeper."""
        if member.piece_id == self.keeper:
            return f"keep: {self.why}"
        best = self.best_link(member)
        if best is None:
            return ""
        seen = best.evidence if best.one == member.piece_id else best.evidence.turned()
        return f"{_relation(best, member.piece_id)}: {seen}"

    @property
    def large(self) -> bool:
        """Whether the group is so large that it should be looked at."""
        return len(self.members) > LARGE_GROUP

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "kind": self.kind.value,
            "keeper": self.keeper,
            "why": self.why,
            "settled": self.settled,
            "large": self.large,
            "members": [member.to_json() for member in self.members],
            "links": [link.to_json() for link in self.links],
        }


@dataclass(frozen=True)
class Duplicates:
    """All groups of a library.

    Attributes
    ----------
    pieces : how many pieces were looked at
    compared : how many pairs were compared note by note
    """

    pieces: int
    compared: int
    groups: tuple[DuplicateGroup, ...]

    def csv(self) -> str:
        """A table with one line a file."""
        from .report import to_csv

        return to_csv(self)

    def html(self) -> str:
        """A page that needs nothing else, with the shared passages drawn."""
        from .report_html import to_html

        return to_html(self)

    def script(self) -> bytes:
        """Commands for the user to review and run: only for what was decided, the rest as comments."""
        from .report import shell_script

        return shell_script(self)

    def only_open(self) -> Duplicates:
        """Without the groups that are settled."""
        return replace(self, groups=tuple(group for group in self.groups if not group.settled))

    def to_json(self) -> dict[str, Any]:
        return {
            "pieces": self.pieces,
            "compared": self.compared,
            "groups": [group.to_json() for group in self.groups],
        }


def find_duplicates(
    connection: Connection, snapshot: Snapshot, *, loosest: Kind, workers: int, progress: Progress
) -> Duplicates:
    """Group a library; see `Library.duplicates`."""
    columns = schema.pieces.c
    wanted = (columns.id, columns.sha256, columns.digest, columns.notes, columns.start_s, columns.end_s)
    facts = connection.execute(select(*wanted).order_by(columns.id)).all()
    hashes = {row.id: row.sha256 for row in facts}
    first: dict[str, int] = {}
    stands_for: dict[int, list[int]] = {}
    identical: dict[int, Evidence] = {}
    for row in facts:
        identical[row.id] = _identical(row.notes, row.start_s, row.end_s)
        stands_for.setdefault(first.setdefault(row.digest, row.id), []).append(row.id)
    links, compared = find_links(snapshot, sorted(stands_for), workers=workers, progress=progress)
    links += [
        Link(one, other, Kind.NOTES, False, identical[one])
        for one, others in stands_for.items()
        for other in others[1:]
    ]
    decided = standing(list_decisions(connection))
    refused = {
        _pair(link.one, link.other)
        for link in links
        if (found := _decision(decided, hashes, link)) and found.verdict is Verdict.NOT_SAME
    }
    links = [link for link in links if _pair(link.one, link.other) not in refused]
    groups = group_links(links, compared | refused, loosest=loosest)
    groups += _same_bytes(connection, {piece for group in groups for piece in group.members})
    found_groups = _dressed(connection, groups, decided, hashes)
    return Duplicates(pieces=len(facts), compared=len(compared), groups=found_groups)


def _relation(link: Link, piece: int) -> str:
    """What a piece is to the other of its link."""
    partner = link.other if link.one == piece else link.one
    if link.kind is not Kind.CONTAINS:
        return f"{_RELATIONS[link.kind]} #{partner}"
    if link.same_performance:
        return f"cut from #{partner}" if piece == link.one else f"the whole of #{partner}"
    return f"{'in' if piece == link.one else 'holds'} #{partner}, played by other hands"


_RELATIONS = {Kind.NOTES: "the same notes as", Kind.EDITED: "an edit of", Kind.WORK: "the same work as"}


def _identical(notes: int, start_s: float, end_s: float) -> Evidence:
    """Evidence for two pieces whose notes are known to be the same to the last bit."""
    bits = surprise_bits(1.0, LEAST_CHANCE, notes)
    return Evidence(
        1.0, 1.0, 1.0, 1.0, 0, 1.0, 0.0, LEAST_CHANCE, bits, (Span(start_s, end_s, start_s, end_s),)
    )


def _pair(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _decision(
    decided: Mapping[tuple[str, str], Decision], hashes: Mapping[int, str], link: Link
) -> Decision | None:
    one, other = sorted((hashes[link.one], hashes[link.other]))
    return decided.get((one, other))


def _same_bytes(connection: Connection, grouped: set[int]) -> list[PieceGroup]:
    """Pieces that several files hold and that are in no other group."""
    column = schema.paths.c.piece_id
    several = select(column).group_by(column).having(func.count() > 1).order_by(column)
    found = connection.execute(several).scalars()
    return [PieceGroup(Kind.BYTES, (piece,), ()) for piece in found if piece not in grouped]


def _dressed(
    connection: Connection,
    groups: list[PieceGroup],
    decided: Mapping[tuple[str, str], Decision],
    hashes: Mapping[int, str],
) -> tuple[DuplicateGroup, ...]:
    """Groups with paths, keepers and decisions."""
    numbers = {piece for group in groups for piece in group.members}
    pieces = piece_reader.pieces_by_id(connection, numbers)
    merits = {n: merit_of(pieces[n], piece_reader.notes_of(connection, n)) for n in sorted(numbers)}
    dressed = []
    for number, group in enumerate(groups, 1):
        if group.kind is Kind.CONTAINS:
            keeper, why = group.members[0], "holds all the others and more"
        else:
            keeper, why = suggest_keeper(group.members, merits)
        found = [(link, _decision(decided, hashes, link)) for link in group.links]
        order = sorted(group.members, key=lambda piece: (piece != keeper, piece))
        dressed.append(
            DuplicateGroup(
                number=number,
                kind=group.kind,
                members=tuple(_member(pieces[piece], hashes[piece]) for piece in order),
                links=tuple(_judged(link, decision, hashes) for link, decision in found),
                keeper=keeper,
                why=why,
                settled=_settled(group, decided, hashes),
            )
        )
    return tuple(dressed)


def _judged(link: Link, decision: Decision | None, hashes: Mapping[int, str]) -> DuplicateLink:
    if decision is None:
        return DuplicateLink(link, None)
    kept = [piece for piece in (link.one, link.other) if hashes[piece] == decision.keeper]
    return DuplicateLink(link, decision.verdict, kept[0] if kept else None)


def _settled(
    group: PieceGroup, decided: Mapping[tuple[str, str], Decision], hashes: Mapping[int, str]
) -> bool:
    """Whether decisions tie all members together; a new member has none, and so reopens its group."""
    if len(group.members) < 2:
        return False
    own = {hashes[piece] for piece in group.members}
    inside = [pair for pair in decided if own.issuperset(pair)]
    reached, grew = {hashes[group.members[0]]}, True
    while grew:
        near = {one for pair in inside if reached & set(pair) for one in pair}
        grew = not near <= reached
        reached |= near
    return reached == own


def _member(piece: Piece, sha256: str) -> Member:
    return Member(
        piece_id=piece.id,
        paths=piece.paths,
        sha256=sha256,
        title=piece.title,
        notes=piece.descriptors.notes,
        start_s=piece.start_s,
        end_s=piece.end_s,
    )
