"""The store in Milvus against the one in FAISS: the same answers, from a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedder.core.errors import LibraryError
from index.vectors import autotune
from index.vectors.faiss_store import FaissStore, VectorStore, keys_of, pieces_of
from tests.support import servers

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]

DIM = 24
PIECES = 1500


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Milvus server that ends with the tests."""
    with servers.milvus() as address:
        yield address


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20, DIM))[rng.integers(0, 20, 2 * PIECES)]
    rows = rows + 0.7 * rng.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


@pytest.fixture
def stores(address: str, vectors: np.ndarray) -> Iterator[tuple[VectorStore, VectorStore]]:
    """The same vectors, two a piece, in FAISS and in Milvus, both exact."""
    from index.vectors.milvus import MilvusStore

    keys = np.concatenate([keys_of(1 + i, 2) for i in range(PIECES)])
    plain = FaissStore.of(autotune.build(["exact"], DIM, len(keys), [(keys, vectors)], (keys, vectors))[0])
    remote = MilvusStore(address, f"test{time.time_ns()}", DIM, exact=True)
    remote.add(keys, vectors)
    yield plain, remote
    remote.drop()


def test_both_give_the_same_neighbours(stores: tuple[VectorStore, VectorStore], vectors: np.ndarray) -> None:
    plain, remote = stores
    assert (plain.count, plain.dim) == (remote.count, remote.dim) == (2 * PIECES, DIM)
    assert plain.pieces().tolist() == remote.pieces().tolist()
    narrow, wide = np.arange(3, 40), np.arange(2, PIECES, 2)
    for query in vectors[::300]:
        for filters in ({}, {"only": narrow}, {"only": wide}, {"without": {5, 6}}, {"only": narrow[:1]}):
            mine, theirs = (store.search(query, 10, **filters) for store in (plain, remote))
            assert mine[1] == pytest.approx(theirs[1], abs=1e-3)
            assert len(set(mine[0]) ^ set(theirs[0])) <= 2  # ties and rounding at the end of the list


def test_adding_twice_and_removing(stores: tuple[VectorStore, VectorStore], vectors: np.ndarray) -> None:
    _, remote = stores
    remote.add(keys_of(1, 2), vectors[:2])
    assert remote.count == 2 * PIECES
    remote.remove(np.arange(1, 501))
    assert remote.count == 2 * (PIECES - 500)
    keys, _ = remote.search(vectors[0], 100)
    assert len(keys) == 100
    assert pieces_of(keys).min() > 500
    remote.add(keys_of(9000, 1), vectors[:1])
    assert pieces_of(remote.search(vectors[0], 1)[0])[0] == 9000


def test_more_allowed_pieces_than_a_condition_takes(
    stores: tuple[VectorStore, VectorStore], vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, remote = stores
    monkeypatch.setattr("index.vectors.milvus._MOST", 300)
    only = np.setdiff1d(np.arange(1, PIECES), pieces_of(plain.search(vectors[0], 500)[0]))
    for filters in ({"only": np.arange(1, 1400)}, {"only": only, "without": {int(only[0])}}):
        mine, theirs = (store.search(vectors[0], 10, **filters) for store in (plain, remote))
        assert mine[1] == pytest.approx(theirs[1], abs=1e-3)


def test_a_graph_finds_nearly_all(address: str, vectors: np.ndarray) -> None:
    from index.vectors.milvus import MilvusStore

    remote = MilvusStore(address, f"graph{time.time_ns()}", DIM)
    keys = np.concatenate([keys_of(1 + i, 2) for i in range(PIECES)])
    remote.add(keys, vectors)
    remote.flush()
    found = 0
    for query in vectors[::60]:
        true = set(keys[np.argsort(-(vectors @ query))[:10]].tolist())
        found += len(true & set(remote.search(query, 10)[0].tolist()))
    assert found / (10 * len(vectors[::60])) >= 0.95
    again = MilvusStore(address, remote._name, DIM)
    assert again.count == 2 * PIECES
    remote.drop()


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus", reason="the extra `cluster` is not installed")
    from index.vectors.milvus import MilvusStore

    with pytest.raises(LibraryError, match="Milvus failed") as caught:
        MilvusStore("http://127.0.0.1:9", "none", DIM)
    assert "\n" not in str(caught.value)
