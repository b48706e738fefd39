"""Works of labelled pieces: which of them are versions of the same music, from their landmarks alone.

The groups of `Library.duplicates` align every pair note by note, and are not stored. Cross-validation needs
less: versions of a work must not be split between folds, and joining two different works costs little. So
only the labelled pieces are compared, by their landmarks. A pair is joined if it shares enough of the smaller
piece's landmarks, weighted by inverse document frequency, and not next to nothing of the larger one's: a bare
accompaniment lies in many long pieces and would join them all. A pair that the user decided to be the same is
joined too, and one decided to be different is not joined directly.

On 505 performances 99 in 100 of the pairs that hold the same notes are joined, and 99 in 100 of those joined
do; of 44,000 pairs of different pop songs one is joined. Short folk tunes and their bare chords have few
landmarks of their own, and more of them are joined than should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sqlalchemy import Connection, select

from embedder.core.arrays import connected_components

from ..duplicates.decisions import Verdict, active_decisions, list_decisions
from ..matching.landmarks import find_landmarks, note_sequence
from ..matching.sources import matched_notes
from ..storage import schema
from ..storage.note_codec import unpack_notes
from ..storage.piece_writer import chunks

__all__ = ["GROUPING", "works_of"]

GROUPING = "works detected from landmarks of the labelled pieces' notes"
_MIN_SHARE = 0.3  # of the smaller piece's landmarks, weighted by inverse document frequency
_MIN_COSINE = 0.05  # and of the geometric mean of both: the smaller may be a four-hundredth of the larger
_MAX_LANDMARKS = 3_000_000  # of all pieces; of more, a sample is used that has the same keys in every piece
_CACHED_PIECES = 700  # about 30 MB of landmarks: suggestions look at up to 600 pieces after each label


def works_of(connection: Connection, piece_ids: Sequence[int]) -> dict[int, int]:
    """For each piece the lowest piece id of its work."""
    ids = sorted(set(piece_ids))
    index = {piece_id: i for i, piece_id in enumerate(ids)}
    same, different = _decided(connection, ids)
    pairs = same + [pair for pair in _similar_pairs(connection, ids) if pair not in different]
    component = connected_components(len(ids), [(index[a], index[b]) for a, b in pairs])
    _, first = np.unique(component, return_index=True)
    return {piece_id: ids[first[component[i]]] for piece_id, i in index.items()}


def _similar_pairs(connection: Connection, piece_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs that share landmarks as versions of a work do, the lower id first."""
    keys = _landmarks(connection, piece_ids)
    rows = np.repeat(np.arange(len(piece_ids)), [len(own) for own in keys])
    known, column = np.unique(np.concatenate(keys), return_inverse=True)
    shape = (len(piece_ids), len(known))
    has = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, column)), shape=shape)
    idf = np.log(len(piece_ids) / np.maximum(np.asarray(has.sum(0)).ravel(), 1)).astype(np.float32)
    shared = (has @ sparse.diags(idf) @ has.T).tocoo()
    size = np.asarray(has @ idf).ravel()
    size_a, size_b = size[shared.row], size[shared.col]
    enough = np.maximum(_MIN_SHARE * np.minimum(size_a, size_b), _MIN_COSINE * np.sqrt(size_a * size_b))
    similar = (shared.row < shared.col) & (enough > 0) & (shared.data >= enough)
    pairs = zip(shared.row[similar], shared.col[similar], strict=True)
    return sorted((piece_ids[a], piece_ids[b]) for a, b in pairs)


def _landmarks(connection: Connection, piece_ids: Sequence[int]) -> list[NDArray[np.uint32]]:
    """The landmark keys of each piece; of very many, a sample by hash, the same keys in every piece."""
    table = schema.notes
    keys = []
    for chunk in chunks(piece_ids):
        query = select(table.c.packed).where(table.c.piece_id.in_(chunk)).order_by(table.c.piece_id)
        for packed in connection.execute(query).scalars():
            keys.append(_landmark_keys(packed))
    stride = -(-sum(map(len, keys)) // _MAX_LANDMARKS)
    return keys if stride <= 1 else [own[_hashed(own) % np.uint64(stride) == 0] for own in keys]


@lru_cache(maxsize=_CACHED_PIECES)
def _landmark_keys(packed: bytes) -> NDArray[np.uint32]:
    """The distinct landmark keys of packed notes."""
    return np.unique(find_landmarks(note_sequence(matched_notes(unpack_notes(packed)))).key)


def _hashed(keys: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Multiplicative hashes of keys, so that a sample by remainder is drawn evenly from all kinds."""
    return (keys.astype(np.uint64) * np.uint64(0x9E3779B1)) >> np.uint64(20)


def _decided(
    connection: Connection, piece_ids: Sequence[int]
) -> tuple[list[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs that the user decided to be the same music, and pairs decided to be different."""
    of_hash: dict[str, int] = {}
    for chunk in chunks(piece_ids):
        query = select(schema.pieces.c.sha256, schema.pieces.c.id).where(schema.pieces.c.id.in_(chunk))
        of_hash.update((row.sha256, row.id) for row in connection.execute(query))
    same, different = [], set()
    for (hash_a, hash_b), decision in active_decisions(list_decisions(connection)).items():
        if hash_a in of_hash and hash_b in of_hash:
            a, b = sorted((of_hash[hash_a], of_hash[hash_b]))
            if decision.verdict is Verdict.NOT_SAME:
                different.add((a, b))
            else:
                same.append((a, b))
    return same, different
