"""Arrays: types that recur, rows of unit length, ragged ranges, and components of a graph."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BoolArray",
    "FloatArray",
    "FloatRows",
    "IntArray",
    "connected_components",
    "ragged_ranges",
    "unit_rows",
]

IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.float64]
FloatRows: TypeAlias = NDArray[np.float32]


def unit_rows(rows: NDArray[Any], eps: float = 1e-12) -> NDArray[Any]:
    """Vectors along the last axis scaled to length 1, [..., d], in the type that they have.

    Those shorter than `eps` are divided by it instead, so that a zero vector stays zero.
    """
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: NDArray[Any] = (rows / np.maximum(norm, eps)).astype(rows.dtype, copy=False)
    return unit


def ragged_ranges(first: ArrayLike, count: ArrayLike) -> IntArray:
    """Ranges of count[i] numbers from first[i], one behind another: int64 [sum(count)]."""
    start = np.asarray(first, dtype=np.int64)
    length = np.asarray(count, dtype=np.int64)
    behind = np.cumsum(length)
    return np.repeat(start - behind + length, length) + np.arange(int(behind[-1]) if len(behind) else 0)


def connected_components(nodes: int, edges: ArrayLike) -> IntArray:
    """The component of each node of an undirected graph, int64 [nodes].

    Components are numbered from 0 in the order of their first nodes.

    Parameters
    ----------
    nodes : how many there are
    edges : pairs of nodes, [e, 2]; none is an empty list
    """
    from scipy.sparse import coo_array, csgraph

    pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    _, label = csgraph.connected_components(graph, directed=False)
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered: IntArray = rank[inverse.reshape(-1)]
    return numbered
