"""Hand-made counts: they add up, ignore what they should ignore, and keep pieces of a batch apart."""

import numpy as np
import pytest
from hypothesis import given, settings

from embedder import Notes
from embedder.base_encoder import window_ranges
from embedder.features.handcrafted import (
    PATTERN_BINS,
    STATISTICS,
    Layout,
    column_count,
    pattern_counts,
    statistic_counts,
    statistics,
)
from tests.support.strategies import notes as drawn_notes


def melody(seed: int = 0, count: int = 200) -> Notes:
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.25, 0.5], count))
    return Notes(
        onset, rng.choice([0.2, 0.4], count), rng.integers(40, 80, count), rng.integers(30, 90, count)
    )


def counted(pieces: list[Notes], window: int = 64) -> tuple[Layout, np.ndarray, np.ndarray]:
    layout = Layout.of(pieces, [window_ranges(len(piece), window) for piece in pieces])
    return layout, statistic_counts(layout), pattern_counts(layout)


@settings(deadline=None, max_examples=30)
@given(drawn_notes(min_size=1), drawn_notes(min_size=1))
def test_any_notes_can_be_counted(first: Notes, second: Notes) -> None:
    layout, statistic, pattern = counted([first, second], window=8)
    windows = len(layout.piece_of_window)
    assert statistic.shape == (windows, column_count(counted=True))
    assert pattern.shape == (windows, PATTERN_BINS)
    shares = statistics(statistic)
    assert np.isfinite(shares).all()
    assert shares.shape == (windows, sum(STATISTICS.values()))


def test_pieces_of_a_batch_do_not_leak_into_each_other() -> None:
    pieces = [melody(1), melody(2, 150), melody(3, 30)]
    layout, statistic, pattern = counted(pieces)
    for i, piece in enumerate(pieces):
        alone = counted([piece])
        np.testing.assert_allclose(statistic[layout.piece_of_window == i], alone[1], rtol=1e-5)
        np.testing.assert_array_equal(pattern[layout.piece_of_window == i], alone[2])


def test_counts_of_windows_add_up_to_those_of_the_piece() -> None:
    pieces = [melody(1), melody(2, 150)]
    layout, statistic, pattern = counted(pieces)
    _, whole_statistic, whole_pattern = counted(pieces, window=1000)
    np.testing.assert_allclose(layout.per_piece(statistic), whole_statistic, rtol=1e-4)
    np.testing.assert_array_equal(layout.per_piece(pattern), whole_pattern)


@pytest.mark.parametrize("semitones", [1, 5, -6])
def test_patterns_do_not_know_transposition_nor_tempo(semitones: int) -> None:
    piece = melody()
    _, _, pattern = counted([piece])
    _, _, moved = counted([piece.transpose(semitones).stretch(1.25)])
    np.testing.assert_array_equal(pattern, moved)


def test_the_hash_of_patterns_is_the_same_everywhere() -> None:
    """Shipped weights depend on it."""
    _, _, pattern = counted([melody(7, 40)])
    bins = np.flatnonzero(pattern.sum(0))
    assert len(bins) == 259
    assert bins[:5].tolist() == [29, 43, 133, 168, 185]
