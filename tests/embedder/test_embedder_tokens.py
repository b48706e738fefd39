"""Token rows: ranges, inverse, and what tempo and transposition do to them."""

import numpy as np
import pytest
from hypothesis import given

from embedder import Notes
from embedder.tokens import ATTRIBUTES, END, from_tokens, to_tokens
from tests.support.strategies import notes as drawn_notes


@given(drawn_notes(min_size=1))
def test_tokens_lie_in_their_vocabularies(notes: Notes) -> None:
    rows = to_tokens(notes)
    assert rows.shape == (len(notes), 4)
    assert rows[0, 0] == 0
    assert rows[:, 0].max() < END
    assert all(rows[:, i].max() < size for i, size in enumerate(ATTRIBUTES.values()))


@pytest.mark.parametrize("seed", range(5))
def test_tokens_of_the_notes_that_tokens_stand_for_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.integers(1, size - 1, 300) for size in ATTRIBUTES.values()], axis=1)
    rows[0, 0] = 0
    np.testing.assert_array_equal(to_tokens(from_tokens(rows)), rows)


def test_an_octave_of_tempo_is_twelve_steps() -> None:
    notes = Notes([0, 0.25, 0.75], [0.25, 0.5, 0.25], [60, 62, 64], [64, 64, 64])
    slow, fast = to_tokens(notes.stretch(2)), to_tokens(notes)
    np.testing.assert_array_equal(slow[1:, 0].astype(int) - fast[1:, 0], 12)
    np.testing.assert_array_equal(slow[:, 2].astype(int) - fast[:, 2], 12)


@pytest.mark.parametrize("row", [[END, 60, 10, 10], [0, 128, 10, 10], [0, 60, 10, 32], [0, -1, 10, 10]])
def test_tokens_outside_their_vocabularies_are_refused(row: list[int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        from_tokens(np.array([row]))
