"""The store of vectors against plain numpy: exact and approximate, with filters, after removals."""

from __future__ import annotations

import numpy as np
import pytest

from index.vectors import autotune
from index.vectors.faiss_store import FaissStore, VectorStore, keys_of, ordinals_of, pieces_of

DIM = 24


def some_vectors(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors in loose clusters, as music has them."""
    centres = np.random.default_rng(0).standard_normal((20, DIM))
    rng = np.random.default_rng(100 + seed)
    vectors = centres[rng.integers(0, 20, count)] + 0.7 * rng.standard_normal((count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def store_of(vectors: np.ndarray, per_piece: int, setting: str = "exact") -> FaissStore:
    keys = np.concatenate([keys_of(1 + i, per_piece) for i in range(len(vectors) // per_piece)])
    some = slice(None, None, max(1, len(vectors) // 4000))
    halves = np.array_split(np.arange(len(keys)), 2)
    batches = ((keys[h], vectors[h]) for h in halves)
    return FaissStore.of(autotune.build([setting], DIM, len(keys), batches, (keys[some], vectors[some]))[0])


def test_keys_hold_piece_and_window() -> None:
    keys = keys_of(2**40, 5)
    assert pieces_of(keys).tolist() == [2**40] * 5
    assert ordinals_of(keys).tolist() == [0, 1, 2, 3, 4]


def test_exact_search_is_what_numpy_says() -> None:
    vectors = some_vectors(3000)
    store: VectorStore = store_of(vectors, 3)
    for query in some_vectors(10, seed=1):
        keys, scores = store.search(query, 10)
        plain = vectors @ query
        assert scores == pytest.approx(np.sort(plain)[::-1][:10], abs=1e-3)
        assert plain[(pieces_of(keys) - 1) * 3 + ordinals_of(keys)] == pytest.approx(scores, abs=1e-3)


@pytest.mark.parametrize("setting", ["exact", "sq8", "hnsw"])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 1.0])
def test_a_filter_gives_as_many_answers_as_exist(share: float, setting: str) -> None:
    vectors = some_vectors(9000)
    store = store_of(vectors, 3, setting)
    rng = np.random.default_rng(2)
    only = np.sort(rng.choice(np.arange(1, 3001), int(3000 * share), replace=False))
    for query in some_vectors(5, seed=1):
        keys, scores = store.search(query, 50, only=only)
        assert len(keys) == min(50, 3 * len(only))
        assert np.isin(pieces_of(keys), only).all()
        if share <= 0.02:  # narrow filters are exact in every store
            mask = np.isin(np.repeat(np.arange(1, 3001), 3), only)
            rounding = 1e-2 if setting == "sq8" else 1e-3
            assert scores == pytest.approx(np.sort((vectors @ query)[mask])[::-1][:50], abs=rounding)


@pytest.mark.parametrize("setting", ["fp16", "sq8", "hnsw"])
def test_an_approximate_store_measures_its_recall(setting: str) -> None:
    vectors = some_vectors(10000)
    store = store_of(vectors, 1, setting)
    assert autotune.RECALL_WANTED <= store.recall <= 1
    assert store.base.effort > 0
    exact = store_of(vectors, 1)
    queries = some_vectors(100, seed=5)
    shares = [len(set(store.search(q, 10)[0]) & set(exact.search(q, 10)[0])) / 10 for q in queries]
    assert np.mean(shares) > 0.9


def test_coarse_codes_are_measured_for_what_they_lose() -> None:
    vectors = some_vectors(10000)
    recalls = {name: store_of(vectors, 1, name).recall for name in ("pq", "sq4", "sq8")}
    assert recalls["pq"] < recalls["sq4"] < recalls["sq8"]


@pytest.mark.parametrize("setting", ["exact", "sq8", "hnsw"])
def test_removed_pieces_never_answer(setting: str) -> None:
    vectors = some_vectors(6000)
    store = store_of(vectors, 2, setting)
    gone = np.arange(1, 1001)
    store.remove(gone)
    assert store.count == 4000
    assert not np.isin(store.pieces(), gone).any()
    assert store.wasted == pytest.approx(1 / 3)
    if setting != "hnsw":
        store.compact()
        assert (store.wasted, store.loose, store.count) == (0, 0, 4000)
    keys, _ = store.search(vectors[0], 4000)
    assert len(keys) == 4000
    assert pieces_of(keys).min() == 1001
    keys, _ = store.search(vectors[0], 10, only=np.array([5, 1500, 90000]), without={1500})
    assert len(keys) == 0
    store.add(keys_of(5000, 2), vectors[:2])
    assert pieces_of(store.search(vectors[0], 1)[0])[0] == 5000
    if setting != "hnsw":
        store.compact()
        assert len(store.base.keys) == 4002
        assert pieces_of(store.search(vectors[0], 1)[0])[0] == 5000
        for row in (0, 1234, 3999):  # every vector is still under its own key
            best = store.search(vectors[2000 + row], 1)[0]
            assert best[0] == keys_of(1001 + row // 2, 2)[row % 2]


def test_the_same_pieces_asked_for_again_are_those_that_live_now() -> None:
    vectors = some_vectors(1000)
    store = store_of(vectors, 1, "sq8")
    only = np.arange(100, 200)
    assert [len(store.search(vectors[0], 500, only=only)[0]) for _ in range(2)] == [100, 100]
    store.remove(np.arange(100, 150))
    assert set(pieces_of(store.search(vectors[0], 500, only=only)[0])) == set(range(150, 200))
    store.add(keys_of(120, 1), vectors[:1])
    assert pieces_of(store.search(vectors[0], 500, only=only)[0])[0] == 120
    assert len(store.search(vectors[0], 500, only=only, without={120, 160})[0]) == 49
    assert len(store.search(vectors[0], 500, only=only)[0]) == 51


def test_what_faiss_would_swallow_is_refused() -> None:
    vectors = some_vectors(10)
    store = store_of(vectors, 1)
    bad = vectors[:1].copy()
    bad[0, 3] = np.nan
    for keys, wrong in (
        (keys_of(77, 1), bad),
        (keys_of(1, 1), vectors[:1]),
        (np.array([9 << 40, 9 << 40]), vectors[:2]),
        (np.array([-1]), vectors[:1]),
        (keys_of(77, 1), vectors[:1, :5]),
        (keys_of(77, 2), vectors[:1]),
    ):
        with pytest.raises(ValueError):
            store.add(keys, wrong)
    assert store.count == 10
    for query in (bad[0], vectors[0, :5]):
        with pytest.raises(ValueError):
            store.search(query, 3)


def test_few_vectors_give_few_answers_and_no_padding() -> None:
    store = store_of(some_vectors(3), 1)
    keys, scores = store.search(some_vectors(1)[0], 100)
    assert sorted(pieces_of(keys)) == [1, 2, 3]
    assert len(scores) == 3


def test_the_cheapest_that_finds_enough_is_chosen() -> None:
    def trial(setting: str, recall: float, p50_ms: float, bytes_per_vector: float) -> autotune.Trial:
        part = store_of(some_vectors(10), 1).base
        return autotune.Trial(setting, part, recall, p50_ms, 2 * p50_ms, bytes_per_vector)

    exact, wide = trial("exact", 1.0, 40.0, 528), trial("fp16", 0.99, 2.0, 536)
    small, poor = trial("sq8", 0.96, 3.0, 280), trial("sq4", 0.94, 1.0, 150)
    slow = trial("sq6", 0.97, 30.0, 215)
    assert autotune.choose([exact, wide, small, poor, slow]) is small
    assert autotune.choose([exact, wide, poor, slow]) is wide
    assert autotune.choose([exact, poor, slow]) is slow  # nothing is quick: the quickest that finds enough
    assert autotune.choose([poor]) is poor
    quick = trial("exact", 1.0, 5.0, 528)
    assert autotune.choose([small, quick]) is quick  # where comparing all is quick, nothing is given away
