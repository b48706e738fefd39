"""What the library answers about identity: immutable records with `to_json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..named import Named

__all__ = ["FindQuery", "FindResult", "Found"]


@dataclass(frozen=True)
class FindQuery(Named):
    """What was looked for.

    Attributes
    ----------
    path : the file, or None for notes given as a value
    piece_id : its number if it is a piece of the library
    start_s, end_s : first and last onset of what was looked for
    notes : how many notes
    pieces : number of pieces that were looked through
    min_confidence : answers below it were left out
    """

    path: str | None
    piece_id: int | None
    start_s: float
    end_s: float
    notes: int
    pieces: int
    min_confidence: float


@dataclass(frozen=True)
class Found(Named):
    """A piece that holds the query, and where.

    Attributes
    ----------
    rank : 1 for the likeliest
    path, paths : a file of the piece, and all its files
    start_s, end_s : the passage in the piece, first to last onset
    query_start_s, query_end_s : the part of the query that it holds
    transposition : by how many semitones the query sounds higher than the piece
    tempo_ratio : tempo of the query over that of the piece: 1.25 if the query is a quarter faster
    matched : share of the query's notes that have a counterpart in the passage, 0..1
    confidence : 0..1, calibrated: of answers near 0.9 about nine in ten are right
    """

    rank: int
    piece_id: int
    path: str
    paths: tuple[str, ...]
    title: str | None
    start_s: float
    end_s: float
    query_start_s: float
    query_end_s: float
    transposition: int
    tempo_ratio: float
    matched: float
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"paths": list(self.paths)}


@dataclass(frozen=True)
class FindResult:
    """A query and the passages that hold it, likeliest first; empty if it is not here."""

    query: FindQuery
    results: tuple[Found, ...]

    def to_json(self) -> dict[str, Any]:
        return {"query": self.query.to_json(), "results": [found.to_json() for found in self.results]}
