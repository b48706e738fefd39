"""Plain statistics of the notes of labelled pieces: what a probe on vectors has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from embedder.features.handcrafted import Layout, statistic_counts, statistics

from ..storage import schema, unpack_notes
from ..storage.pieces import chunks

__all__ = ["standardised", "statistics_of"]

_CLIP = 4.0  # standard deviations


def statistics_of(connection: Connection, pieces: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """Statistics of whole pieces by number, each float32 [sum(STATISTICS.values())]."""
    table = schema.notes
    found = {}
    for some in chunks(sorted(set(pieces))):
        query = select(table.c.piece_id, table.c.packed).where(table.c.piece_id.in_(some))
        for row in connection.execute(query):
            notes = unpack_notes(row.packed)
            counts = statistic_counts(Layout.of([notes], [[(0, len(notes))]]))
            found[row.piece_id] = statistics(counts)[0]
    return found


def standardised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows [n, b] in standard deviations, clipped, of mean square length one."""
    spread = rows.std(0)
    scaled = np.where(spread > 1e-6, (rows - rows.mean(0)) / np.maximum(spread, 1e-6), 0.0)
    scaled = scaled.clip(-_CLIP, _CLIP)
    length = float(np.sqrt((scaled**2).sum(1).mean()))
    unit: NDArray[np.float32] = (scaled / max(length, 1e-6)).astype(np.float32)
    return unit
