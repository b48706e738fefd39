"""Decisions of people about pairs of pieces: stored with date and evidence, undone at will, never lost.

A decision identifies the two contents by their hashes, not their numbers: it outlives pieces that are removed
and added again, new encoders and new fingerprints. Undoing does not delete, it records the end; the latest
decision of a pair that has not been undone is the active one.
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

__all__ = [
    "Decision",
    "Verdict",
    "active_decisions",
    "decisions",
    "list_decisions",
    "record_decision",
    "undo_decision",
]

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
    keeper : the content to keep, for a duplicate
    evidence : what was known when it was decided
    decided_s, undone_s : seconds since 1970; undone_s is None while it is active
    pieces, paths : number and a path of each of the two while the library holds them, or None
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


def record_decision(
    connection: Connection,
    one: str,
    other: str,
    verdict: Verdict,
    evidence: dict[str, Any],
    keeper: str | None = None,
) -> int:
    """Store a decision about two contents; returns its number. An earlier one about them is undone by it."""
    if one == other:
        raise ValueError("a decision needs two different contents")
    if verdict is Verdict.DUPLICATE and keeper not in (one, other):
        raise ValueError("a duplicate needs one of the two as the keeper")
    first, second = sorted((one, other))
    now = time.time()
    table = decisions.c
    active_pair = (table.one == first) & (table.other == second) & table.undone_s.is_(None)
    connection.execute(update(decisions).where(active_pair).values(undone_s=now))
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


def undo_decision(connection: Connection, number: int) -> None:
    """End a decision.

    Raises
    ------
    LibraryError
        If there is no active decision of that number.
    """
    table = decisions.c
    ended = update(decisions).where((table.id == number) & table.undone_s.is_(None))
    if not connection.execute(ended.values(undone_s=time.time())).rowcount:
        raise LibraryError(f"there is no active decision {number}; `midikin decisions` lists them")


def list_decisions(connection: Connection, *, undone: bool = False) -> list[Decision]:
    """Active decisions, or with `undone` all there ever were, oldest first."""
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


def active_decisions(listed: Iterable[Decision]) -> dict[tuple[str, str], Decision]:
    """The active decision about each pair of contents."""
    return {(decision.one, decision.other): decision for decision in listed if decision.undone_s is None}
