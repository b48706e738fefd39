"""Works of labelled pieces, which cross-validation keeps together in one fold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from ..duplicates.decisions import Verdict, active_decisions, list_decisions
from ..matching.works import group_works, landmark_keys, link_versions
from ..storage import schema, unpack_notes
from ..storage.pieces import chunks

__all__ = ["GROUPING", "works_of"]

GROUPING = "works detected from landmarks of the labelled pieces' notes"
_CACHED_PIECES = 700  # about 30 MB of landmarks: suggestions look at up to 600 pieces after each label


def works_of(connection: Connection, piece_ids: Sequence[int]) -> dict[int, int]:
    """The work of each piece: versions by their landmarks, and what the user decided about duplicates.

    A pair that was decided to be the same is linked, and one decided to be different is not linked directly.
    """
    ids = sorted(set(piece_ids))
    same, different = _decided(connection, ids)
    detected = set(link_versions(_landmarks(connection, ids))) - different
    works = group_works(len(ids), [*same, *sorted(detected)])
    return dict(zip(ids, works.tolist(), strict=True))


def _landmarks(connection: Connection, piece_ids: Sequence[int]) -> list[NDArray[np.uint32]]:
    """The landmark keys of each piece, in the order of the ids, which are ascending."""
    table = schema.notes
    keys = []
    for chunk in chunks(piece_ids):
        query = select(table.c.packed).where(table.c.piece_id.in_(chunk)).order_by(table.c.piece_id)
        keys += [_landmark_keys(packed) for packed in connection.execute(query).scalars()]
    return keys


@lru_cache(maxsize=_CACHED_PIECES)
def _landmark_keys(packed: bytes) -> NDArray[np.uint32]:
    """The landmark keys of packed notes."""
    return landmark_keys(unpack_notes(packed))


def _decided(
    connection: Connection, piece_ids: Sequence[int]
) -> tuple[list[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs of indices, ascending, that the user decided to be the same music, and to be different."""
    index = {piece_id: i for i, piece_id in enumerate(piece_ids)}
    of_hash: dict[str, int] = {}
    for chunk in chunks(piece_ids):
        query = select(schema.pieces.c.sha256, schema.pieces.c.id).where(schema.pieces.c.id.in_(chunk))
        of_hash.update((row.sha256, index[row.id]) for row in connection.execute(query))
    same, different = [], set()
    for (hash_a, hash_b), decision in active_decisions(list_decisions(connection)).items():
        if hash_a in of_hash and hash_b in of_hash:
            pair = min(of_hash[hash_a], of_hash[hash_b]), max(of_hash[hash_a], of_hash[hash_b])
            if decision.verdict is Verdict.NOT_SAME:
                different.add(pair)
            else:
                same.append(pair)
    return same, different
