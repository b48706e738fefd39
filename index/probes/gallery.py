"""All pieces of a library as a probe sees them: numbers and vectors side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from embedder.core.errors import TagError

from ..storage import damaged, schema, unpack_vectors

__all__ = ["Gallery", "count_gallery", "load_gallery"]

_ROWS = 10_000  # read, or moved into a probe's space, at a time

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Gallery:
    """Pieces by number.

    Attributes
    ----------
    numbers : int64 [n], rising
    vectors : float16 [n, dim], as they are stored: half the memory, and all that is known
    """

    numbers: IntArray
    vectors: NDArray[np.float16]

    def rows_of(self, numbers: IntArray) -> IntArray:
        """Rows of pieces that are there, int64."""
        rows = np.searchsorted(self.numbers, numbers)
        return rows.astype(np.int64)

    def vectors_of(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """Vectors of pieces that are there, float32 [n, dim]."""
        return self.vectors[self.rows_of(np.asarray(numbers, dtype=np.int64))].astype(np.float32)

    def portions(self) -> Iterator[slice]:
        """Slices of rows, few enough to be made float32 at once."""
        for first in range(0, len(self.numbers), _ROWS):
            yield slice(first, first + _ROWS)


def count_gallery(connection: Connection, after: int = 0) -> int:
    """How many pieces there are with numbers greater than `after`."""
    table = schema.piece_vectors
    query = select(func.count()).select_from(table).where(table.c.piece_id > after)
    return int(connection.execute(query).scalar_one())


def load_gallery(connection: Connection, dim: int, *, after: int = 0) -> Gallery:
    """The pieces that the connection sees, or those with numbers greater than `after`.

    Raises
    ------
    TagError
        If the library holds none.
    """
    table = schema.piece_vectors
    count = count_gallery(connection, after)
    if not count or dim < 1:
        raise TagError("the library holds no pieces; add some with `midikin add FOLDER`")
    numbers = np.empty(count, dtype=np.int64)
    vectors = np.empty((count, dim), dtype=np.float16)
    query = select(table.c.piece_id, table.c.vector).where(table.c.piece_id > after)
    found = connection.execute(query.order_by(table.c.piece_id))
    at = 0
    while some := found.fetchmany(_ROWS):
        rows = unpack_vectors(b"".join(row.vector for row in some), dim)
        if len(rows) != len(some):
            raise damaged("a stored vector has the wrong length")
        numbers[at : at + len(some)] = [row.piece_id for row in some]
        vectors[at : at + len(some)] = rows
        at += len(some)
    return Gallery(numbers, vectors)
