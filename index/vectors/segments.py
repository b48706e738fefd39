"""A part of a store: one FAISS index, the key of each of its rows, and which rows are alive.

Removed rows stay as dead weight that no search returns, until `compact` drops them. Keys in rising order, as
they come from the database, are found by bisection, so that leaving out a piece costs nothing even among a
million.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import ragged_ranges

from .keys import FloatArray, IntArray, first_key, no_keys, pieces_of

__all__ = ["Part", "load_faiss"]

Mask = NDArray[np.bool_]


def load_faiss() -> Any:
    """Import FAISS, when it is needed and not before."""
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)  # two OpenMP runtimes in one process crash there
    return faiss


class Part:
    """Vectors in one FAISS index whose ids are the numbers of its rows.

    Attributes
    ----------
    index : the FAISS index
    keys : int64 [rows]
    effort : cells searched (IVF) or candidates kept (HNSW); 0 if the index is exact
    """

    def __init__(self, index: Any, keys: IntArray, *, effort: int = 0, dead: IntArray | None = None) -> None:
        if index.ntotal != len(keys):
            raise ValueError("an index and its keys differ in length")
        self.index = index
        self.keys = keys
        self.effort = effort
        self._rising = bool((np.diff(keys) > 0).all())
        self._alive = np.ones(len(keys), dtype=bool)
        if dead is not None:
            self._alive[dead] = False
        self._bits: NDArray[np.uint8] | None = None
        self._asked: tuple[IntArray, Mask] | None = None  # the pieces last asked for, and their living rows

    @property
    def cells(self) -> int:
        """Number of cells of an IVF index; 0 for any other."""
        return int(getattr(self.index, "nlist", 0))

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self._alive))

    @property
    def dead(self) -> IntArray:
        """Rows that were removed."""
        return np.flatnonzero(~self._alive)

    def pieces(self) -> IntArray:
        """Numbers of the pieces held, sorted, int64."""
        held = pieces_of(self.keys[self._alive])
        return held[np.diff(held, prepend=-1) > 0] if self._rising else np.unique(held)

    def holds(self, keys: IntArray) -> bool:
        """Whether a living row has one of these keys."""
        alive = self.keys[self._alive]
        if self._rising and len(alive):
            at = np.minimum(np.searchsorted(alive, keys), len(alive) - 1)
            return bool((alive[at] == keys).any())
        return bool(np.isin(keys, alive).any())

    def add(self, keys: IntArray, vectors: FloatArray) -> None:
        """Append rows; only to an index that is in memory."""
        if self.cells:
            self.index.add_with_ids(vectors, np.arange(len(self.keys), len(self.keys) + len(keys)))
        else:
            self.index.add(vectors)
        self._rising &= bool((np.diff(np.concatenate([self.keys[-1:], keys])) > 0).all())
        self.keys = np.concatenate([self.keys, keys])
        self._alive = np.concatenate([self._alive, np.ones(len(keys), dtype=bool)])
        self._bits = self._asked = None

    def remove(self, pieces: IntArray) -> None:
        """Let no search return these pieces."""
        self._alive[self._rows_of(pieces)] = False
        self._bits = self._asked = None

    def compact(self) -> None:
        """Drop the dead rows for good; only for an index that is in memory, and not for a graph."""
        faiss = load_faiss()
        if not len(self.dead):
            return
        after = np.cumsum(self._alive) - 1
        self.index.remove_ids(faiss.IDSelectorBatch(self.dead))
        if self.cells:  # other kinds number their rows anew by themselves
            lists = self.index.invlists
            for cell in range(self.cells):
                if lists.list_size(cell):
                    ids = faiss.rev_swig_ptr(lists.get_ids(cell), lists.list_size(cell))
                    ids[:] = after[ids]
        self.keys = self.keys[self._alive]
        self._alive = np.ones(len(self.keys), dtype=bool)
        self._bits = self._asked = None

    # -- searching ------------------------------------------------------------------------------

    def search(
        self, query: FloatArray, k: int, only: IntArray | None, without: IntArray
    ) -> tuple[IntArray, FloatArray]:
        """Keys and scores of the nearest, best first; see `VectorStore.search`."""
        selector, allowed = self._selector(only, without)
        k = min(k, allowed)
        if k <= 0:
            return no_keys(), np.empty(0, dtype=np.float32)
        for effort in self._efforts(allowed, k):
            rows, scores = self.rows(query, k, selector, effort)
            if (rows >= 0).all():
                break
        found = rows >= 0
        return self.keys[rows[found]], scores[found]

    def rows(self, query: FloatArray, k: int, selector: Any, effort: int) -> tuple[IntArray, FloatArray]:
        """Rows and scores of the k nearest as FAISS gives them: -1 where it found too few."""
        faiss = load_faiss()
        chosen = {} if selector is None else {"sel": selector}
        index = self.index
        if self.cells:
            params = faiss.SearchParametersIVF(nprobe=effort, **chosen)
        elif self.effort and effort:
            params = faiss.SearchParametersHNSW(efSearch=effort, **chosen)
        else:
            index = index.storage if self.effort else index  # the plain vectors below a graph
            params = faiss.SearchParameters(**chosen)
        scores, rows = index.search(query.reshape(1, -1), k, params=params)
        return rows[0].astype(np.int64), scores[0]

    def _selector(self, only: IntArray | None, without: IntArray) -> tuple[Any, int]:
        """What tells FAISS which rows may answer, None if all may; and how many those are."""
        faiss = load_faiss()
        out = self._rows_of(without)
        out = out[self._alive[out]]
        if only is not None:
            mask = self._living(only).copy()
            mask[out] = False
            return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")), int(np.count_nonzero(mask))
        living = self.count
        selector = None
        if living < len(self.keys):
            if self._bits is None:
                self._bits = np.packbits(self._alive, bitorder="little")
            selector = faiss.IDSelectorBitmap(self._bits)
        if len(out):
            others = faiss.IDSelectorNot(faiss.IDSelectorBatch(out))
            selector = others if selector is None else faiss.IDSelectorAnd(others, selector)
        return selector, living - len(out)

    def _living(self, only: IntArray) -> Mask:
        """Which rows are alive and of these pieces; the same array again, as a page of searches gives it, is
        not looked up again."""
        if self._asked is None or self._asked[0] is not only:
            mask = np.zeros(len(self.keys), dtype=bool)
            mask[self._rows_of(only)] = True
            mask &= self._alive
            self._asked = only, mask
        return self._asked[1]

    def _efforts(self, allowed: int, k: int) -> Iterator[int]:
        """How hard to look: first as usual, then everywhere, for there are never fewer answers than exist."""
        if not self.effort:
            yield 0
            return
        share = allowed / len(self.keys)
        if share > 0.1:
            wider = int(self.effort / share)
            yield min(self.cells, wider) if self.cells else max(wider, 2 * k)
        yield self.cells  # all of them; 0, the plain vectors, for a graph

    def _rows_of(self, pieces: IntArray) -> IntArray:
        """Rows of these pieces, dead ones included."""
        if not len(pieces):
            return no_keys()
        if not self._rising:
            return np.flatnonzero(np.isin(pieces_of(self.keys), pieces))
        first = np.searchsorted(self.keys, first_key(pieces))
        counts = np.searchsorted(self.keys, first_key(pieces + 1)) - first
        return ragged_ranges(first, counts)
