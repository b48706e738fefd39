"""Works of labelled pieces: which of them are versions of the same music.

Cross-validation must not split versions of a work between folds. They are linked by their landmarks
(`matching.works`); a pair that the user decided to be the same is linked too, and one decided to be different
is not linked directly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from ..duplicates.decisions import Verdict, active_decisions, list_decisions
from ..matching import group_works, landmark_keys, link_versions
from ..storage import schema, unpack_notes
from ..storage.pieces import chunks

__all__ = ["GROUPING", "works_of"]

GROUPING = "works detected from landmarks of the labelled pieces' notes"
_CACHED_PIECES = 700  # about 30 MB of landmarks: suggestions look at up to 600 pieces after each label


def works_of(connection: Connection, piece_ids: Sequence[int]) -> dict[int, int]:
    """For each piece the lowest piece id of its work."""
    ids = sorted(set(piece_ids))
    index = {piece_id: i for i, piece_id in enumerate(ids)}
    same, different = _decided(connection, index)
    links = [pair for pair in link_versions(_landmarks(connection, ids)) if pair not in different]
    work = group_works(len(ids), [*same, *links])
    _, first = np.unique(work, return_index=True)
    return {piece_id: ids[first[work[i]]] for piece_id, i in index.items()}


def _landmarks(connection: Connection, piece_ids: Sequence[int]) -> list[NDArray[np.uint32]]:
    """The landmark keys of each piece."""
    table = schema.notes
    keys = []
    for chunk in chunks(piece_ids):
        query = select(table.c.packed).where(table.c.piece_id.in_(chunk)).order_by(table.c.piece_id)
        keys += [_cached_keys(packed) for packed in connection.execute(query).scalars()]
    return keys


@lru_cache(maxsize=_CACHED_PIECES)
def _cached_keys(packed: bytes) -> NDArray[np.uint32]:
    return landmark_keys(unpack_notes(packed))


def _decided(
    connection: Connection, index: Mapping[int, int]
) -> tuple[list[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs of places that the user decided to be the same music, and pairs decided to be different.

    Parameters
    ----------
    index : the place of each piece
    """
    of_hash: dict[str, int] = {}
    for chunk in chunks(list(index)):
        query = select(schema.pieces.c.sha256, schema.pieces.c.id).where(schema.pieces.c.id.in_(chunk))
        of_hash.update((row.sha256, index[row.id]) for row in connection.execute(query))
    same, different = [], set()
    for (hash_a, hash_b), decision in active_decisions(list_decisions(connection)).items():
        if hash_a in of_hash and hash_b in of_hash:
            a, b = sorted((of_hash[hash_a], of_hash[hash_b]))
            if decision.verdict is Verdict.NOT_SAME:
                different.add((a, b))
            else:
                same.append((a, b))
    return same, different
