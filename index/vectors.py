"""Nearest vectors under keys: the `VectorStore` interface, and FAISS behind it.

A key is one integer that says which piece, and which of its windows (0 for the vector of the whole piece).
Up to EXACT_LIMIT vectors FAISS compares the query with every one, in float16, which is exactly what the
database holds; beyond it looks only into the nearest of some thousands of cells (IVF), as many as it takes
to find 98 % of the true nearest of sampled queries. Searches restricted to few pieces always compare every
allowed vector.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedder.errors import LibraryError

__all__ = ["EXACT_LIMIT", "FaissStore", "VectorStore", "keys_of", "load_faiss", "ordinals_of", "pieces_of"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

EXACT_LIMIT = 400_000  # vectors; at dimension 512 about 20 ms a query on one core, measured
RECALL_WANTED = 0.98
RECALL_AT = 10
FEWEST_CELLS = 8  # searched whatever the sample says: real queries lie farther off than stored vectors
RECALL_QUERIES = 100
TRAINING_VECTORS_PER_CELL = 64
_ORDINAL_BITS = 20  # a million windows a piece, 2**43 pieces
_DEAD = -1


def keys_of(piece_id: int, windows: int) -> IntArray:
    """Keys of all windows of a piece, int64 [windows]."""
    return (piece_id << _ORDINAL_BITS) + np.arange(windows, dtype=np.int64)


def pieces_of(keys: IntArray) -> IntArray:
    """Which piece each key belongs to."""
    return keys >> _ORDINAL_BITS


def ordinals_of(keys: IntArray) -> IntArray:
    """Which window of its piece each key stands for."""
    return keys & ((1 << _ORDINAL_BITS) - 1)


class VectorStore(Protocol):
    """What the library asks of an engine for nearest vectors (inner product of unit vectors).

    Safe to use from several threads. Vectors are float32 [n, dim], unit rows; keys int64 [n], each at most
    once.
    """

    @property
    def count(self) -> int:
        """Vectors held."""
        ...

    def pieces(self) -> IntArray:
        """Numbers of the pieces held, sorted, int64."""
        ...

    def add(self, keys: IntArray, vectors: FloatArray) -> None:
        """Add vectors of pieces that are not held yet."""
        ...

    def remove(self, pieces: IntArray) -> None:
        """Remove every vector of these pieces."""
        ...

    def search(
        self, query: FloatArray, k: int, *, only: IntArray | None = None, without: Collection[int] = ()
    ) -> tuple[IntArray, FloatArray]:
        """Keys and scores of the nearest, best first: k of them whenever so many are allowed.

        Parameters
        ----------
        query : float32 [dim], unit
        only : numbers of the pieces that may answer, sorted; None for all
        without : numbers of pieces that may not
        """
        ...


def load_faiss() -> Any:
    """Import FAISS, when it is needed and not before."""
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)  # two OpenMP runtimes in one process crash there
    return faiss


class FaissStore:
    """Vectors in a FAISS index, and the key of each row.

    Removed rows stay in the index as dead weight that no search may return; `wasted` says how much, and
    whoever holds the store builds it anew in time. One lock keeps searches and additions apart.
    """

    def __init__(self, index: Any, keys: IntArray, *, nprobe: int = 0, recall: float = 1.0) -> None:
        if index.ntotal != len(keys):
            raise LibraryError("an index and its keys differ in length")
        self.index = index
        self.keys = keys
        self.nprobe = nprobe  # 0: exact
        self.recall = recall
        self._lock = threading.Lock()

    @classmethod
    def build(
        cls,
        dim: int,
        total: int,
        batches: Iterable[tuple[IntArray, FloatArray]],
        sample: FloatArray | None = None,
    ) -> FaissStore:
        """Index `total` vectors that come in batches.

        Parameters
        ----------
        sample : float32 [s, dim], vectors drawn at random, from which cells are learned; where there is
            one, an approximate index is made
        """
        faiss = load_faiss()
        half = faiss.ScalarQuantizer.QT_fp16
        if sample is None:
            store = cls(faiss.IndexScalarQuantizer(dim, half, faiss.METRIC_INNER_PRODUCT), _no_keys())
        else:
            cells = cells_for(total)
            coarse = faiss.IndexFlatIP(dim)
            index = faiss.IndexIVFScalarQuantizer(coarse, dim, cells, half, faiss.METRIC_INNER_PRODUCT, False)
            index.cp.spherical = True
            index.train(np.ascontiguousarray(sample))
            store = cls(index, _no_keys(), nprobe=FEWEST_CELLS)
        for keys, vectors in batches:
            store.add(keys, vectors)
        if sample is not None:
            store._tune(sample[:RECALL_QUERIES])
        return store

    @property
    def kind(self) -> str:
        return "exact" if not self.nprobe else f"IVF {self.index.nlist} cells, {self.nprobe} searched"

    @property
    def dim(self) -> int:
        return int(self.index.d)

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self.keys != _DEAD))

    @property
    def wasted(self) -> float:
        """Share of rows that are dead."""
        return 1 - self.count / len(self.keys) if len(self.keys) else 0.0

    def pieces(self) -> IntArray:
        return np.unique(pieces_of(self.keys[self.keys != _DEAD]))

    def add(self, keys: IntArray, vectors: FloatArray) -> None:
        keys = np.asarray(keys, dtype=np.int64)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.shape != (len(keys), self.dim):
            raise ValueError(f"vectors {vectors.shape} do not fit {len(keys)} keys of dimension {self.dim}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors must be finite")
        if (keys < 0).any() or len(np.unique(keys)) < len(keys) or np.isin(keys, self.keys).any():
            raise ValueError("keys must be non-negative and new")
        if not len(keys):
            return
        with self._lock:
            if self.nprobe:
                rows = np.arange(len(self.keys), len(self.keys) + len(keys))
                self.index.add_with_ids(vectors, rows)
            else:
                self.index.add(vectors)
            self.keys = np.concatenate([self.keys, keys])

    def remove(self, pieces: IntArray) -> None:
        with self._lock:
            gone = np.isin(pieces_of(self.keys), pieces) & (self.keys != _DEAD)
            self.keys = np.where(gone, _DEAD, self.keys)

    def search(
        self, query: FloatArray, k: int, *, only: IntArray | None = None, without: Collection[int] = ()
    ) -> tuple[IntArray, FloatArray]:
        query = np.ascontiguousarray(query, dtype=np.float32).reshape(1, -1)
        if query.shape[1] != self.dim or not np.isfinite(query).all():
            raise ValueError(f"a query is {self.dim} finite numbers")
        with self._lock:
            allowed = self._allowed(only, without)
            total = len(self.keys) if allowed is None else int(np.count_nonzero(allowed))
            k = min(k, total)
            if k <= 0:
                return _no_keys(), np.empty(0, dtype=np.float32)
            for nprobe in self._efforts(total):
                rows, scores = self._rows(query, k, allowed, nprobe)
                if (rows >= 0).all():
                    break
            found = rows >= 0
            return self.keys[rows[found]], scores[found]

    def _allowed(self, only: IntArray | None, without: Collection[int]) -> NDArray[np.bool_] | None:
        """Mask of the rows that may answer; None if all may."""
        dead = self.keys == _DEAD
        if only is None and not len(without) and not dead.any():
            return None
        piece = pieces_of(self.keys)
        mask: NDArray[np.bool_] = ~dead
        if only is not None:
            table = np.zeros(max(int(piece.max(initial=0)), int(only.max(initial=0))) + 1, dtype=bool)
            table[only] = True
            mask &= table[piece]  # a dead row's key is -1: it takes the last entry, but is masked already
        for number in without:
            mask &= piece != number
        return mask

    def _efforts(self, allowed: int) -> Iterator[int]:
        """How many cells to look into, first the usual number, then all: never fewer answers than exist."""
        if not self.nprobe:
            yield 0
            return
        share = allowed / len(self.keys)
        if share > 0.1:
            yield min(self.index.nlist, int(self.nprobe / share))
        yield self.index.nlist

    def _rows(
        self, query: FloatArray, k: int, allowed: NDArray[np.bool_] | None, nprobe: int
    ) -> tuple[IntArray, FloatArray]:
        faiss = load_faiss()
        chosen = {}
        if allowed is not None:
            chosen["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        if nprobe:
            params = faiss.SearchParametersIVF(nprobe=nprobe, **chosen)
        else:
            params = faiss.SearchParameters(**chosen)
        scores, rows = self.index.search(query, k, params=params)
        return rows[0].astype(np.int64), scores[0]

    def _tune(self, queries: FloatArray) -> None:
        """Look into more and more cells until sampled queries find nearly all of their true nearest."""
        # A sampled vector finds itself first; that answer is asked for on top and not counted.
        k = RECALL_AT + 1
        exact = [set(self._rows(q[None], k, None, self.index.nlist)[0][1:].tolist()) for q in queries]
        while True:
            near = [self._rows(q[None], k, None, self.nprobe)[0].tolist() for q in queries]
            found = sum(len(truth.intersection(n)) for truth, n in zip(exact, near, strict=True))
            self.recall = found / max(1, sum(map(len, exact)))
            if self.recall >= RECALL_WANTED or self.nprobe >= self.index.nlist:
                return
            self.nprobe = min(2 * self.nprobe, self.index.nlist)


def cells_for(total: int) -> int:
    """Number of cells of an approximate index of so many vectors: near 4 sqrt(n), as FAISS advises."""
    return 1 << max(4, round(float(np.log2(4 * np.sqrt(total)))))


def _no_keys() -> IntArray:
    return np.empty(0, dtype=np.int64)
