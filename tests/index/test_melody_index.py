"""Tunes: a line finds the melody that holds it, with mistakes and in other keys."""

import numpy as np
import pytest

from index.melody import melody_index
from index.melody.melody_index import BUDGET, MIN_NOTES, MelodyIndex, MelodyMatch, interval_keys


def walk(seed: int, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 50 + np.abs(np.cumsum(rng.integers(-4, 5, count)) % 48 - 24)


@pytest.fixture(scope="module")
def index() -> MelodyIndex:
    return MelodyIndex([walk(seed) for seed in range(60)])


def test_keys_do_not_change_with_the_key() -> None:
    for one, other in zip(interval_keys(walk(0)), interval_keys(walk(0) + 7), strict=True):
        assert np.array_equal(one, other)
    assert not len(interval_keys(np.array([60, 62, 64]))[0])


def test_a_part_is_found_where_it_is_in_another_key(index: MelodyIndex) -> None:
    for seed in (3, 41):
        best = index.search(walk(seed)[50:80] + 5, 3)[0]
        assert best == MelodyMatch(seed, 50, 80, 5, 1.0)


def test_wrong_missing_and_further_notes_are_forgiven(index: MelodyIndex) -> None:
    rng = np.random.default_rng(1)
    for seed in range(0, 60, 6):
        line = walk(seed)[20:80]
        line = line[rng.random(len(line)) > 0.1]
        wrong = rng.random(len(line)) < 0.1
        line = np.where(wrong, line + rng.integers(1, 5, len(line)), line)
        line = np.insert(line, rng.integers(0, len(line), 5), 70)
        best = index.search(line, 1)[0]
        assert best.number == seed
        assert 0.6 < best.matched < 1
        assert best.first >= 15
        assert best.last <= 110


def test_what_is_nowhere_matches_little(index: MelodyIndex) -> None:
    rng = np.random.default_rng(5)
    result = index.search(rng.integers(40, 90, 40), 3)
    assert all(tune.matched < 0.6 for tune in result)
    assert MelodyIndex([]).search(walk(1), 3) == []
    assert MelodyIndex([np.empty(0, np.uint8)]).search(walk(1), 3) == []


def test_a_few_notes_are_too_few(index: MelodyIndex) -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_NOTES}"):
        index.search(walk(0)[: MIN_NOTES - 1], 1)


def test_a_note_that_repeats_costs_no_more_than_others() -> None:
    flood = MelodyIndex([np.full(5000, 60), walk(1), np.full(5000, 67)])
    line = np.concatenate([np.full(200, 60), walk(1)[:60]])
    assert len(flood._shared(line)[0]) <= BUDGET
    assert flood.search(walk(1)[20:60], 1)[0].number == 1


def test_common_subsequences_are_the_longest() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        line, melody = rng.integers(0, 4, 8), rng.integers(0, 4, 15)
        first, last, length = melody_index.longest_common_subsequence(line, melody)
        assert length == longest(line.tolist(), melody.tolist())
        strays = min(length // 12, len(line) - length)
        assert longest(line.tolist(), melody[first:last].tolist()) >= length - 2 * strays
        assert last - first <= 15


def longest(one: list[int], other: list[int]) -> int:
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = table[i - 1, j - 1] + 1 if a == b else max(table[i - 1, j], table[i, j - 1])
    return int(table[-1, -1])
