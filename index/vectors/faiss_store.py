"""Nearest vectors under keys: the `VectorStore` interface, and FAISS behind it.

A `FaissStore` is two parts: a base, of the kind that suits its size (`tuning`), which may lie on disk and be
mapped into memory, and a tail of what came since, compared exactly. So adding never touches a large index and
never needs one built anew; now and then `compact` makes one part of the two.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any, Protocol

import numpy as np

from .autotune import Trial
from .keys import FloatArray, IntArray, keys_of, no_keys, ordinals_of, pieces_of, union
from .segments import Part, load_faiss

__all__ = ["FaissStore", "VectorStore", "keys_of", "ordinals_of", "pieces_of"]

_AT_ONCE = 10_000


class VectorStore(Protocol):
    """What the library asks of an engine for nearest vectors (inner product of unit vectors).

    Safe to use from several threads. Vectors are float32 [n, dim], unit rows; keys int64 [n], each at most
    once.
    """

    @property
    def count(self) -> int:
        """Vectors held."""
        ...

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
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


class FaissStore:
    """Vectors in FAISS indexes.

    Attributes
    ----------
    base, tail : the two parts
    setting : kind of the base, one of tuning.SETTINGS
    recall : share of the ten true nearest that the base finds; 1 if exact
    trained_on : vectors that there were when the base was built
    mapped : whether the base lies on disk and cannot be changed
    stored : what the file of the base is called on disk and its hash, if it is there as it is here
    """

    def __init__(
        self,
        base: Part,
        setting: str,
        *,
        tail: Part | None = None,
        recall: float = 1.0,
        trained_on: int | None = None,
        mapped: bool = False,
    ) -> None:
        self.base = base
        self.setting = setting
        self.tail = Part(_plain(base.index.d), no_keys()) if tail is None else tail
        self.recall = recall
        self.trained_on = len(base.keys) if trained_on is None else trained_on
        self.mapped = mapped
        self.stored: tuple[str, str] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, trial: Trial) -> FaissStore:
        """The store of an index that was built."""
        return cls(trial.part, trial.setting, recall=trial.recall)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.setting == "exact":
            return "exact"
        if self.setting == "hnsw":
            return f"HNSW, {self.base.effort} candidates"
        return f"IVF {self.setting}, {self.base.cells} cells, {self.base.effort} searched"

    @property
    def dim(self) -> int:
        return int(self.base.index.d)

    @property
    def count(self) -> int:
        return self.base.count + self.tail.count

    @property
    def wasted(self) -> float:
        """Share of rows that are dead."""
        rows = len(self.base.keys) + len(self.tail.keys)
        return 1 - self.count / rows if rows else 0.0

    @property
    def loose(self) -> float:
        """Share of the rows that are not in the base."""
        rows = len(self.base.keys) + len(self.tail.keys)
        return len(self.tail.keys) / rows if rows else 0.0

    def pieces(self) -> IntArray:
        with self._lock:
            return union(self.base.pieces(), self.tail.pieces())

    def add(self, keys: IntArray, vectors: FloatArray) -> None:
        keys = np.asarray(keys, dtype=np.int64)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.shape != (len(keys), self.dim):
            raise ValueError(f"vectors {vectors.shape} do not fit {len(keys)} keys of dimension {self.dim}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors must be finite")
        with self._lock:
            known = self.base.holds(keys) or self.tail.holds(keys)
            if known or (keys < 0).any() or len(np.unique(keys)) < len(keys):
                raise ValueError("keys must be non-negative and new")
            if len(keys):
                self.tail.add(keys, vectors)

    def remove(self, pieces: IntArray) -> None:
        with self._lock:
            for part in (self.base, self.tail):
                part.remove(np.asarray(pieces, dtype=np.int64))

    def compact(self) -> None:
        """Make one part of both, without what was removed; the cells stay as they were learned.

        Raises
        ------
        ValueError
            If the base lies on disk, or is a graph, which cannot forget.
        """
        if self.mapped or self.setting == "hnsw":
            raise ValueError("this index cannot be changed in place")
        with self._lock:
            self.base.compact()
            self.tail.compact()
            for first in range(0, len(self.tail.keys), _AT_ONCE):
                some = self.tail.keys[first : first + _AT_ONCE]
                self.base.add(some, self.tail.index.reconstruct_n(first, len(some)))
            self.tail = Part(_plain(self.dim), no_keys())
            self.stored = None

    def search(
        self, query: FloatArray, k: int, *, only: IntArray | None = None, without: Collection[int] = ()
    ) -> tuple[IntArray, FloatArray]:
        query = np.ascontiguousarray(query, dtype=np.float32).ravel()
        if len(query) != self.dim or not np.isfinite(query).all():
            raise ValueError(f"a query is {self.dim} finite numbers")
        out = np.array(sorted(without), dtype=np.int64)
        with self._lock:
            found = [part.search(query, k, only, out) for part in (self.base, self.tail)]
        keys, scores = (np.concatenate(column) for column in zip(*found, strict=True))
        best = np.argsort(-scores, kind="stable")[:k]
        return keys[best], scores[best]


def _plain(dim: int) -> Any:
    """An empty index that compares everything, in float16."""
    faiss = load_faiss()
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
