"""Which kind of FAISS index: chosen by size, measured against exact search, tuned to the recall wanted.

    exact     every vector is compared, in float16, which is exactly what the database holds
    hnsw      a graph over the same float16 vectors (Malkov and Yashunin 2016, arXiv 1603.09320)
    fp16      cells (IVF): only the nearest of some thousands of cells are looked into; float16 inside
    sq8       cells; 8 bits a number, of the difference to the cell's centre
    sq6, sq4  the same with 6 and 4 bits
    pq        cells; product quantisation, 2 bits a number (Jegou, Douze and Schmid 2011)

Recall is the share of the ten true nearest of sampled vectors, themselves left out, that a search finds. The
true ones are computed from the vectors as they are, while they pass by on their way into the index: so what
coarse codes lose is counted too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .keys import FloatArray, IntArray, no_keys
from .segments import Part, load_faiss

__all__ = ["EXACT_LIMIT", "RECALL_PROMISED", "SETTINGS", "Trial", "build", "candidates", "choose", "usual"]

EXACT_LIMIT = 400_000  # vectors; at dimension 512 about 20 ms a query on one core, measured
RECALL_PROMISED = 0.95
RECALL_WANTED = 0.97  # what the number of cells is tuned to: the sample may flatter by a hundredth or so
RECALL_AT = 10
RECALL_QUERIES = 200
FEWEST_CELLS = 8  # searched whatever the sample says: real queries lie farther off than stored vectors
TRAINING_VECTORS_PER_CELL = 64
LARGEST_BYTES = 1 << 30  # of one index, if a smaller one will do
QUICK_MS = 10.0
_HNSW_LINKS = 32
_HNSW_BUILD = 80
_PQ_LEAST = 10_000  # vectors; its 256 centres a part must be learned from more
_CELLS = {"fp16": "QT_fp16", "sq8": "QT_8bit", "sq6": "QT_6bit", "sq4": "QT_4bit"}
SETTINGS = ("exact", "hnsw", "fp16", "sq8", "sq6", "sq4", "pq")


@dataclass(frozen=True)
class Trial:
    """An index that was built, and what was measured of it.

    Attributes
    ----------
    setting : one of SETTINGS
    recall : of ten, 0 to 1
    p50_ms, p99_ms : time of one query on this machine, in the middle and for the slowest hundredth
    bytes_per_vector : in memory and on disk
    """

    setting: str
    part: Part
    recall: float
    p50_ms: float
    p99_ms: float
    bytes_per_vector: float


def usual(total: int, dim: int) -> tuple[str, ...]:
    """Settings to try for so many vectors, one after the other until one has the recall promised."""
    if total <= EXACT_LIMIT:
        return ("exact",)
    return ("sq8", "fp16") if total * dim <= LARGEST_BYTES else ("sq4", "sq8")


def candidates(total: int, dim: int) -> tuple[str, ...]:
    """Settings worth comparing for so many vectors; they are built side by side."""
    found = ["sq4", "sq6", "sq8", "fp16", "exact"]
    if total >= _PQ_LEAST:
        found.insert(0, "pq")
    if total <= EXACT_LIMIT // 2:  # a graph takes about a millisecond a vector to build
        found.append("hnsw")
    return tuple(name for name in found if total * bytes_per_vector(name, dim) <= LARGEST_BYTES) or ("pq",)


def choose(trials: Sequence[Trial]) -> Trial:
    """The cheapest with the recall promised.

    Exact search, where it is quick, gives nothing away. Then fewest bytes among the quick ones, then the
    quickest; if none has the recall, the one with most of it.
    """
    good = [trial for trial in trials if trial.recall >= RECALL_PROMISED]
    quick = [trial for trial in good if trial.p50_ms <= QUICK_MS]
    exact = [trial for trial in quick if trial.setting == "exact"]
    if quick:
        return (exact or sorted(quick, key=lambda trial: trial.bytes_per_vector))[0]
    return min(good, key=lambda trial: trial.p50_ms) if good else max(trials, key=lambda trial: trial.recall)


def cells_for(total: int) -> int:
    """Number of cells of an approximate index of so many vectors: near 4 sqrt(n), as FAISS advises."""
    advised = round(float(np.log2(4 * np.sqrt(max(1, total)))))
    return int(1 << max(0, min(advised, int(np.log2(max(1, total // 4))))))


def training_size(total: int) -> int:
    """How many vectors it takes to learn the cells of so many, and to measure recall."""
    return min(total, max(RECALL_QUERIES, TRAINING_VECTORS_PER_CELL * cells_for(total)))


def bytes_per_vector(setting: str, dim: int) -> float:
    """Size of an index of this kind, for each of its vectors, the key included."""
    bits = {"exact": 16, "fp16": 16, "hnsw": 16, "sq8": 8, "sq6": 6, "sq4": 4, "pq": 2}[setting]
    links = 2 * _HNSW_LINKS * 4 if setting == "hnsw" else 0
    row = 8 if setting in (*_CELLS, "pq") else 0
    return dim * bits / 8 + links + row + 8


def build(
    settings: Sequence[str],
    dim: int,
    total: int,
    batches: Iterable[tuple[IntArray, FloatArray]],
    sample: tuple[IntArray, FloatArray],
) -> list[Trial]:
    """Build one index for each setting in a single pass over the vectors, and measure each.

    Memory is the indexes themselves, the sample, and one batch.

    Parameters
    ----------
    total : about how many vectors will come
    batches : keys and vectors, keys rising
    sample : keys and vectors drawn at random from them: cells are learned from these, and the first are the
        queries by which recall is measured
    """
    if "pq" in settings and total < _PQ_LEAST:
        raise ValueError(f"the kind pq is for {_PQ_LEAST:,} vectors or more; here are {total:,}")
    indexes = _untrained(settings, dim, total)
    for index in indexes.values():
        if not index.is_trained:
            index.train(np.ascontiguousarray(sample[1]))
    truth = _Truth(sample[0][:RECALL_QUERIES], sample[1][:RECALL_QUERIES])
    celled = next((index for index in indexes.values() if hasattr(index, "nlist")), None)
    keys = [no_keys()]
    held = 0
    for some, vectors in batches:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        rows = np.arange(held, held + len(some))
        # All settings share the cells, and finding them is most of the work.
        cells = None if celled is None else celled.quantizer.search(vectors, 1)[1].ravel()
        for index in indexes.values():
            if hasattr(index, "nlist"):
                _add_to_cells(index, vectors, rows, cells)
            else:
                index.add(vectors)
        truth.see(some, vectors)
        keys.append(some)
        held += len(some)
    return [_measured(name, index, np.concatenate(keys), truth) for name, index in indexes.items()]


def _untrained(settings: Sequence[str], dim: int, total: int) -> dict[str, Any]:
    """An empty index for each setting; those with cells share them."""
    faiss = load_faiss()
    kinds, metric = faiss.ScalarQuantizer, faiss.METRIC_INNER_PRODUCT
    coarse = faiss.IndexFlatIP(dim)
    found: dict[str, Any] = {}
    for name in settings:
        if name == "exact":
            index = faiss.IndexScalarQuantizer(dim, kinds.QT_fp16, metric)
        elif name == "hnsw":
            index = faiss.IndexHNSWSQ(dim, kinds.QT_fp16, _HNSW_LINKS, metric)
            index.hnsw.efConstruction = _HNSW_BUILD
        elif name == "pq":
            index = faiss.IndexIVFPQ(coarse, dim, cells_for(total), _pq_parts(dim), 8, metric)
        else:
            kind = getattr(kinds, _CELLS[name])
            index = faiss.IndexIVFScalarQuantizer(coarse, dim, cells_for(total), kind, metric, True)
        if hasattr(index, "cp"):
            index.cp.spherical = True
        found[name] = index
    return found


def _pq_parts(dim: int) -> int:
    """Parts of a product quantiser, a byte each: a quarter of the dimension if it divides so."""
    return next(parts for parts in range(max(1, dim // 4), 0, -1) if dim % parts == 0)


def _add_to_cells(index: Any, vectors: FloatArray, rows: IntArray, cells: Any) -> None:
    """Add vectors whose cells are known already."""
    faiss = load_faiss()
    arrays = (vectors, np.ascontiguousarray(rows), np.ascontiguousarray(cells))
    index.add_core(len(vectors), *map(faiss.swig_ptr, arrays))


class _Truth:
    """The true nearest of some queries among vectors that pass by."""

    def __init__(self, keys: IntArray, queries: FloatArray) -> None:
        self.own = keys
        self.queries = queries
        self._keys = np.full((len(queries), RECALL_AT + 1), -1, dtype=np.int64)
        self._scores = np.full((len(queries), RECALL_AT + 1), -np.inf, dtype=np.float32)

    def see(self, keys: IntArray, vectors: FloatArray) -> None:
        scores = np.concatenate([self._scores, self.queries @ vectors.T], axis=1)
        both = np.concatenate([self._keys, np.broadcast_to(keys, (len(self.queries), len(keys)))], axis=1)
        best = np.argpartition(-scores, RECALL_AT, axis=1)[:, : RECALL_AT + 1]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._keys = np.take_along_axis(both, best, axis=1)

    def nearest(self) -> list[set[int]]:
        """Keys of the ten nearest of each query, without the query itself."""
        order = np.argsort(-self._scores, axis=1)
        ranked = np.take_along_axis(self._keys, order, axis=1).tolist()
        pairs = zip(ranked, self.own.tolist(), strict=True)
        return [set([key for key in row if key not in (own, -1)][:RECALL_AT]) for row, own in pairs]


def _measured(name: str, index: Any, keys: IntArray, truth: _Truth) -> Trial:
    """Look into more and more cells until enough of the true nearest are found, and take the time."""
    part = Part(index, keys)
    least, most = 0, 0
    if part.cells:
        least, most = FEWEST_CELLS, part.cells
    elif name == "hnsw":
        least, most = 2 * RECALL_AT, 64 * RECALL_AT
    part.effort = min(least, most)
    nearest = truth.nearest()
    recall, times = _recall(part, truth, nearest)
    while recall < RECALL_WANTED and part.effort < most:
        part.effort = min(most, part.effort + part.effort // 2)
        recall, times = _recall(part, truth, nearest)
    p50, p99 = np.percentile(times or [0.0], [50, 99])
    return Trial(name, part, recall, float(p50), float(p99), bytes_per_vector(name, int(index.d)))


def _recall(part: Part, truth: _Truth, nearest: list[set[int]]) -> tuple[float, list[float]]:
    """Share of the true nearest that a search finds, and the time of each query in ms."""
    found, times = 0, []
    for query, own, true in zip(truth.queries, truth.own.tolist(), nearest, strict=True):
        begun = time.perf_counter()
        rows, _ = part.rows(query, RECALL_AT + 1, None, part.effort)
        times.append(1000 * (time.perf_counter() - begun))
        answers = [key for key in part.keys[rows[rows >= 0]].tolist() if key != own][:RECALL_AT]
        found += len(true.intersection(answers))
    total = sum(map(len, nearest))
    return (found / total if total else 1.0), times
