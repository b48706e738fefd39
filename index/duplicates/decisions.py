"""Decisions of people about pairs of pieces: kept with date and evidence, undone at will, never lost.

A decision names the two contents by their hashes, not their numbers: it outlives pieces that are removed and
added again, new encoders and new fingerprints. Undoing does not delete, it dates the end; the latest decision
of a pair that has not been undone is the one that counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, Float, Index, Integer, Table, Text, insert, select, update

from embedder.core.errors import LibraryError

from ..storage.schema import metadata

__all__ = ["Decision", "Verdict", "decisions", "list_decisions", "record", "standing", "undo"]

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("one", Text, nullable=False),
    Column("other", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("keeper", Text),
    Column("evidence", Text, nullable=False),
    Column("decided_s", Float, nullable=False),
    Column("undone_s", Float),
    Index("ix_decisions_pair", "one", "other"),
    sqlite_autoincrement=True,
)


class Verdict(StrEnum):
    """What was decided about a pair."""

    KEEP = "keep"  # the same music, and both stay
    DUPLICATE = "duplicate"  # one of them is not needed
    NOT_SAME = "not-same"  # never to be linked again


@dataclass(frozen=True)
class Decision:
    """A decision about a pair.

    Attributes
    ----------
    one, other : SHA-256 of the two contents, in alphabetical order
    keeper : the one to keep, for a duplicate
    evidence : what was known when it was decided
    decided_s, undone_s : seconds since 1970; undone_s is None while it stands
    pieces, paths : number and a path of the one and of the other while the library holds them, or None
    """

    id: int
    one: str
    other: str
    verdict: Verdict
    keeper: str | None
    evidence: dict[str, Any]
    decided_s: float
    undone_s: float | None
    pieces: tuple[int | None, int | None] = (None, None)
    paths: tuple[str | None, str | None] = (None, None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def record(
    connection: Connection,
    one: str,
    other: str,
    verdict: Verdict,
    evidence: dict[str, Any],
    keeper: str | None = None,
) -> int:
    """Store a decision about two contents; its number. An earlier one about them is undone by it."""
    if one == other:
        raise ValueError("a decision needs two different contents")
    if verdict is Verdict.DUPLICATE and keeper not in (one, other):
        raise ValueError("a duplicate needs one of the two as the keeper")
    first, second = sorted((one, other))
    now = time.time()
    table = decisions.c
    standing_pair = (table.one == first) & (table.other == second) & table.undone_s.is_(None)
    connection.execute(update(decisions).where(standing_pair).values(undone_s=now))
    row = insert(decisions).values(
        one=first,
        other=second,
        verdict=verdict.value,
        keeper=keeper,
        evidence=json.dumps(evidence),
        decided_s=now,
    )
    key = connection.execute(row).inserted_primary_key
    assert key is not None
    return int(key[0])


def undo(connection: Connection, number: int) -> None:
    """End a decision.

    Raises
    ------
    LibraryError
        If no decision of that number stands.
    """
    table = decisions.c
    ended = update(decisions).where((table.id == number) & table.undone_s.is_(None))
    if not connection.execute(ended.values(undone_s=time.time())).rowcount:
        raise LibraryError(f"no decision {number} stands; `midikin decisions` lists them")


def list_decisions(connection: Connection, *, undone: bool = False) -> list[Decision]:
    """All decisions that stand, or with `undone` all there ever were, oldest first."""
    query = select(decisions).order_by(decisions.c.id)
    if not undone:
        query = query.where(decisions.c.undone_s.is_(None))
    return [
        Decision(
            id=row.id,
            one=row.one,
            other=row.other,
            verdict=Verdict(row.verdict),
            keeper=row.keeper,
            evidence=json.loads(row.evidence),
            decided_s=row.decided_s,
            undone_s=row.undone_s,
        )
        for row in connection.execute(query)
    ]


def standing(found: Iterable[Decision]) -> dict[tuple[str, str], Decision]:
    """The decision that counts for each pair of contents."""
    return {(one.one, one.other): one for one in found if one.undone_s is None}
