"""`library.duplicates`: groups of pieces that hold the same music, with keepers, evidence and decisions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select

from embedder.core.arrays import connected_components
from embedder.core.progress import OnProgress, no_progress

from ..matching import (
    Kind,
    Link,
    Matching,
    Relation,
    Snapshot,
    arrangement_of,
    identical_evidence,
    in_arrangements,
)
from ..records import Piece
from ..resolve import no_such_piece
from ..storage import Database, absolute, chunks, from_bytes, schema
from ..storage.pieces import instruments_of, known_contents, notes_of, pieces_by_id
from . import report
from .decisions import (
    Decision,
    Verdict,
    active_decisions,
    list_decisions,
    record_decision,
    undo_decision,
)
from .files import FileStatus, MemberFile, inspect_files
from .grouping import PieceGroup, group_links
from .keeper import KeeperScore, file_order, keeper_score, suggest_keeper
from .pairs import find_links
from .records import DuplicateGroup, DuplicateLink, Member

__all__ = ["DuplicateSearch", "Duplicates", "find_duplicates"]

_Decided = Mapping[tuple[str, str], Decision]


@dataclass(frozen=True)
class Duplicates:
    """All groups of a library.

    Attributes
    ----------
    pieces : how many pieces were searched
    compared : how many pairs were compared note by note
    """

    pieces: int
    compared: int
    groups: tuple[DuplicateGroup, ...]

    def csv(self, root: str | None = None) -> str:
        """A table with one row a file, as the files are now; paths as seen from `root` if it is given."""
        return report.to_csv(self._reported(root))

    def html(self, root: str | None = None) -> str:
        """A self-contained page with the files as they are now, and the shared passages drawn.

        Paths are as seen from `root` if it is given.
        """
        return report.to_html(self._reported(root), self.pieces, self.compared)

    def _reported(self, root: str | None) -> tuple[DuplicateGroup, ...]:
        groups = self.inspected().groups
        return groups if root is None else tuple(group.relative(root) for group in groups)

    def script(self, move_to: str | os.PathLike[str] | None = None) -> bytes:
        """Commands for the user to review and run: only for what was decided, the rest as comments.

        Each command checks what it acts on, and that the file to keep is there and holds what it did.

        Parameters
        ----------
        move_to : a folder that files are moved to, below it under their whole paths; they are removed if it
            is not given
        """
        folder = None if move_to is None else absolute(move_to)
        return report.shell_script(self.inspected().groups, folder)

    def inspected(self) -> Duplicates:
        """The same with every file looked at again, and hashed where something was decided or has changed."""
        return replace(self, groups=tuple(group.inspected() for group in self.groups))

    def only_open(self) -> Duplicates:
        """Without the groups that are resolved."""
        return replace(self, groups=tuple(group for group in self.groups if not group.resolved))

    def to_json(self) -> dict[str, Any]:
        return {
            "pieces": self.pieces,
            "compared": self.compared,
            "groups": [group.to_json() for group in self.groups],
        }


class DuplicateSearch:
    """Duplicates in a library and decisions about them; calling it searches for them.

    Parameters
    ----------
    database : of the library
    matching : its fingerprints and comparisons
    """

    def __init__(self, database: Database, matching: Matching) -> None:
        self._database = database
        self._matching = matching

    def __call__(
        self,
        *,
        loosest: Kind | str = Kind.CONTAINS,
        workers: int | None = None,
        prefer: Iterable[str | os.PathLike[str]] = (),
        progress: OnProgress = no_progress,
    ) -> Duplicates:
        """Group the library's pieces that hold the same music. No file is touched.

        Parameters
        ----------
        loosest : the loosest kind of sameness to report: bytes, notes, edited, work or contains
        workers : processes; as many as there are cores, up to 8, if not given
        prefer : folders whose files are kept before others
        progress : gets the stage ("candidates", "pairs"), how much is done, and of how much
        """
        preferred = [absolute(folder) for folder in prefer]
        with self._database.read() as connection:
            return find_duplicates(
                connection,
                self._matching.snapshot(connection),
                loosest=Kind(loosest),
                workers=workers or max(1, min(8, os.cpu_count() or 1)),
                prefer=preferred,
                progress=progress,
            )

    def decide(
        self,
        one: int,
        other: int,
        verdict: Verdict | str,
        *,
        keeper: int | None = None,
        evidence: dict[str, Any] | None = None,
    ) -> int:
        """Decide about two pieces of the library, by number; returns the number of the decision.

        Parameters
        ----------
        verdict : "keep" (both stay), "duplicate" (the keeper stays) or "not-same"
        keeper : the number of the piece to keep, for a duplicate
        evidence : stored with it; a comparison of the two if not given

        Raises
        ------
        PieceNotFound
            If there is no piece of a number.
        ValueError
            If the verdict or the keeper makes no sense.
        """
        if evidence is None:
            evidence = self._matching.compare(one, other).summary()
        hashes = {}
        with self._database.write() as connection:
            for number in (one, other):
                column = schema.pieces.c.sha256
                sha256 = connection.execute(select(column).where(schema.pieces.c.id == number)).scalar()
                if sha256 is None:
                    raise no_such_piece(number)
                hashes[number] = sha256
            keep = None if keeper is None else hashes.get(keeper, "")
            return record_decision(connection, hashes[one], hashes[other], Verdict(verdict), evidence, keep)

    def undo(self, number: int) -> None:
        """End a decision; the pair is open again.

        Raises
        ------
        LibraryError
            If there is no active decision of that number.
        """
        with self._database.write() as connection:
            undo_decision(connection, number)

    def decisions(self, *, undone: bool = False) -> list[Decision]:
        """Active decisions, or with `undone` all there ever were, oldest first."""
        with self._database.read() as connection:
            listed = list_decisions(connection, undone=undone)
            pieces = _by_hash(connection, {sha256 for item in listed for sha256 in (item.one, item.other)})
        unknown = (None, None)
        located = []
        for decision in listed:
            one, other = pieces.get(decision.one, unknown), pieces.get(decision.other, unknown)
            located.append(replace(decision, pieces=(one[0], other[0]), paths=(one[1], other[1])))
        return located


def find_duplicates(
    connection: Connection,
    snapshot: Snapshot,
    *,
    loosest: Kind,
    workers: int,
    prefer: Sequence[str] = (),
    progress: OnProgress = no_progress,
) -> Duplicates:
    """Group a library; see `DuplicateSearch`."""
    columns = schema.pieces.c
    query = select(
        columns.id,
        columns.sha256,
        columns.digest,
        columns.notes,
        columns.start_s,
        columns.end_s,
        columns.drum_notes,
        columns.instruments,
    )
    rows = connection.execute(query.order_by(columns.id)).all()
    hashes = {row.id: row.sha256 for row in rows}
    arrangements = {
        row.id: None
        if row.instruments is None
        else arrangement_of(instruments_of(row.instruments), row.drum_notes or 0)
        for row in rows
    }
    # Of pieces whose notes and instruments are identical, the first is compared for all.
    first_of: dict[tuple[Any, ...], int] = {}
    identical: dict[int, list[int]] = {}
    for row in rows:
        content = row.digest, arrangements[row.id]
        identical.setdefault(first_of.setdefault(content, row.id), []).append(row.id)
    links, compared = find_links(snapshot, sorted(identical), workers=workers, progress=progress)
    evidence = {row.id: identical_evidence(row.notes, row.start_s, row.end_s) for row in rows}
    links += [
        Link(first, other, Kind.NOTES, False, evidence[first])
        for first, others in identical.items()
        for other in others[1:]
    ]
    links = [in_arrangements(link, arrangements[link.one], arrangements[link.other]) for link in links]
    decided = active_decisions(list_decisions(connection))
    refused = {
        link.pair
        for link in links
        if (decision := _decision(decided, hashes, link)) and decision.verdict is Verdict.NOT_SAME
    }
    links = [link for link in links if link.pair not in refused]
    groups = group_links(links, compared | refused, loosest=loosest)
    duplicates = [group for group in groups if group.kind.relation is Relation.DUPLICATES]
    files = _files(connection, groups)
    inspected = {piece: inspect_files(files[piece], hashes[piece]) for piece in files}
    grouped = {piece for group in duplicates for piece in group.members}
    groups[len(duplicates) : len(duplicates)] = [
        PieceGroup(Kind.BYTES, (piece,), ())
        for piece, own in sorted(inspected.items())
        if piece not in grouped and sum(file.status is FileStatus.PRESENT for file in own) > 1
    ]
    complete = _complete(connection, groups, decided, hashes, inspected, prefer)
    return Duplicates(len(rows), len(compared), complete)


def _decision(decided: _Decided, hashes: Mapping[int, str], link: Link) -> Decision | None:
    one, other = sorted((hashes[link.one], hashes[link.other]))
    return decided.get((one, other))


def _files(connection: Connection, groups: Iterable[PieceGroup]) -> dict[int, list[MemberFile]]:
    """Files of the members of groups and of pieces with several files, as the library has recorded them."""
    table = schema.paths.c
    several = select(table.piece_id).group_by(table.piece_id).having(func.count() > 1)
    numbers = {piece for group in groups for piece in group.members}
    numbers.update(connection.execute(several).scalars())
    files: dict[int, list[MemberFile]] = {}
    for batch in chunks(sorted(numbers)):
        columns = (table.piece_id, table.path, table.size_bytes, table.mtime_ns, table.changed_ns)
        query = select(*columns).where(table.piece_id.in_(batch)).order_by(table.path)
        for piece, path, *recorded in connection.execute(query):
            files.setdefault(piece, []).append(MemberFile(from_bytes(path), *recorded))
    return files


def _complete(
    connection: Connection,
    groups: Sequence[PieceGroup],
    decided: _Decided,
    hashes: Mapping[int, str],
    files: Mapping[int, Sequence[MemberFile]],
    prefer: Sequence[str],
) -> tuple[DuplicateGroup, ...]:
    """Groups with files, keepers and decisions."""
    numbers = {piece for group in groups for piece in group.members}
    pieces = pieces_by_id(connection, numbers)
    ordered = {piece: tuple(sorted(files[piece], key=file_order(prefer))) for piece in numbers}
    scores: dict[int, KeeperScore] = {}
    complete = []
    for number, group in enumerate(groups, 1):
        keeper, reason = None, ""
        if group.kind.relation is Relation.DUPLICATES:
            for piece in group.members:
                notes = notes_of(connection, piece)
                scores[piece] = keeper_score(pieces[piece], notes, ordered[piece], prefer)
            keeper, reason = suggest_keeper(group.members, scores)
        members = [_member(pieces[piece], hashes[piece], ordered[piece]) for piece in group.members]
        members.sort(key=lambda member, keeper=keeper: member.piece_id != keeper)  # type: ignore[misc]
        complete.append(
            DuplicateGroup(
                number=number,
                kind=group.kind,
                members=tuple(members),
                links=tuple(_decided_link(link, decided, hashes) for link in group.links),
                keeper=keeper,
                reason=reason,
                resolved=_is_resolved(group, decided, hashes),
            )
        )
    return tuple(complete)


def _decided_link(link: Link, decided: _Decided, hashes: Mapping[int, str]) -> DuplicateLink:
    decision = _decision(decided, hashes, link)
    if decision is None:
        return DuplicateLink(link, None)
    keepers = [piece for piece in (link.one, link.other) if hashes[piece] == decision.keeper]
    return DuplicateLink(link, decision.verdict, keepers[0] if keepers else None)


def _is_resolved(group: PieceGroup, decided: _Decided, hashes: Mapping[int, str]) -> bool:
    """Whether decisions connect all members; a new member has none, and so reopens its group."""
    if len(group.members) < 2:
        return False
    number = {hashes[piece]: place for place, piece in enumerate(group.members)}
    edges = [(number[one], number[other]) for one, other in decided if one in number and other in number]
    return not connected_components(len(number), edges).any()


def _member(piece: Piece, sha256: str, files: tuple[MemberFile, ...]) -> Member:
    return Member(
        piece_id=piece.id,
        files=files,
        sha256=sha256,
        title=piece.title,
        notes=piece.descriptors.notes,
        start_s=piece.start_s,
        end_s=piece.end_s,
    )


def _by_hash(connection: Connection, hashes: set[str]) -> dict[str, tuple[int, str]]:
    """Number and path of the pieces with these contents."""
    numbers = known_contents(connection, hashes)
    pieces = pieces_by_id(connection, numbers.values())
    return {content: (number, pieces[number].path) for content, number in numbers.items()}
