"""Alignment of a query with a place of a piece, and how much it proves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .landmarks import Line
from .time_map import PitchTable, Warp, first_warp, match, refine

__all__ = ["LEAST_CHANCE", "TOLERANCE_S", "Alignment", "align", "chance_of", "surprise_bits"]

TOLERANCE_S = 0.15  # around the bent clock; players of one score differ by less at nearly every note
_NEIGHBOURHOOD_S = 4.0
LEAST_CHANCE = 0.02

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Alignment:
    """What a query and a place of a piece have in common.

    Attributes
    ----------
    query_note, piece_note : int64 [m], matched notes, as places in the two lines, by the query's time
    late_s : float64 [m], by how much the piece's note misses the smooth clock
    warp : from the query's time to the piece's
    notes : notes of the query
    chance : share of the query's notes that unrelated music of the piece's notes would match
    transposition : semitones from the query up to the piece
    """

    query_note: IntArray
    piece_note: IntArray
    late_s: FloatArray
    warp: Warp
    notes: int
    chance: float
    transposition: int

    @property
    def matched(self) -> float:
        """Share of the query's notes that are matched, 0..1."""
        return len(self.query_note) / self.notes

    @property
    def bits(self) -> float:
        """How surprising so many matches are, see `surprise_bits`."""
        return surprise_bits(self.matched, self.chance, self.notes)


def surprise_bits(share: float, chance: float, notes: int) -> float:
    """How unlikely it is by chance that `notes` notes match in such a share: -log2, by Chernoff's bound."""
    share = min(share, 1 - 1e-9)
    if share <= chance:
        return 0.0
    divergence = share * np.log2(share / chance) + (1 - share) * np.log2((1 - share) / (1 - chance))
    return float(notes * divergence)


def align(
    query: Line, piece: Line, transposition: int, at_s: FloatArray, to_s: FloatArray
) -> Alignment | None:
    """Align a query with part of a piece from times where they seem to agree.

    Parameters
    ----------
    query, piece : notes of both; of the piece, the part around the place
    at_s, to_s : float64 [h], times of agreeing landmarks in the query and in the piece

    Returns
    -------
    None if the times agree on no tempo.
    """
    rough = first_warp(at_s, to_s)
    if rough is None or not len(query):
        return None
    table = PitchTable(piece)
    warp = refine(query, transposition, piece, table, rough)
    own, other, late = match(query, transposition, table, warp, TOLERANCE_S)
    chance = chance_of(query, transposition, table, warp)
    return Alignment(own, other, late, warp, len(query), chance, transposition)


def chance_of(query: Line, transposition: int, table: PitchTable, warp: Warp) -> float:
    """Share of notes that would match if the piece held the same pitches thereabouts at random times."""
    expected = warp(query.onset_s)
    reach = _NEIGHBOURHOOD_S * max(1.0, warp.slope)
    count = table.count_between(query.pitch + transposition, expected - reach, expected + reach)
    rate = count * (TOLERANCE_S * max(1.0, warp.slope) / reach)
    return float(np.clip(np.mean(1 - np.exp(-rate)), LEAST_CHANCE, 0.98))
