"""Retrieval figures: small tables worked out by hand."""

import numpy as np
import pytest

from train.retrieval_metrics import retrieval

SIMILARITY = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.4]])
RIGHT = np.array([[True, False, False], [True, False, False]])


def test_ranks_by_hand() -> None:
    figures = retrieval(SIMILARITY, RIGHT)
    assert figures.queries == 2
    assert figures.recall_at_1 == 0.5
    assert figures.recall_at_5 == 1.0
    assert figures.mrr == pytest.approx((1 + 1 / 3) / 2)


def test_ties_count_against_the_system() -> None:
    assert retrieval(np.ones((1, 4)), np.array([[False, True, False, False]])).mrr == 0.25


def test_the_best_of_several_right_answers_counts_and_the_query_itself_does_not() -> None:
    right = np.array([[True, True, False]])
    itself = np.array([[True, False, False]])
    assert retrieval(SIMILARITY[:1], right, itself).recall_at_1 == 1.0
    assert retrieval(SIMILARITY[:1], np.array([[True, False, True]]), itself).mrr == 0.5


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        retrieval(SIMILARITY * np.nan, RIGHT)
    with pytest.raises(ValueError, match="no right answer"):
        retrieval(SIMILARITY, np.zeros_like(RIGHT))
    with pytest.raises(ValueError, match="shape"):
        retrieval(SIMILARITY, RIGHT[:, :2])
