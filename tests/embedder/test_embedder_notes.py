"""The value that flows through everything: its order, its grid, its hash and its transforms."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder import GRID_HZ, Notes
from tests.support import strategies


def rows(notes: Notes) -> list[tuple[float, float, int, int]]:
    return list(
        zip(
            notes.onset.tolist(),
            notes.duration.tolist(),
            notes.pitch.tolist(),
            notes.velocity.tolist(),
            strict=True,
        )
    )


@given(strategies.notes(), st.randoms())
def test_order_of_the_input_does_not_matter(notes: Notes, random: object) -> None:
    shuffled = list(range(len(notes)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = notes.select(np.array(shuffled, dtype=np.int64))
    assert again == notes
    assert again.digest() == notes.digest()
    assert hash(again) == hash(notes)


@given(strategies.notes())
def test_sorted_on_the_grid_and_never_without_length(notes: Notes) -> None:
    for times in (notes.onset, notes.duration):
        assert np.array_equal(times, np.rint(times * GRID_HZ) / GRID_HZ)
    assert (notes.duration >= 1 / GRID_HZ).all()
    keys = [(onset, pitch) for onset, _, pitch, _ in rows(notes)]
    assert keys == sorted(keys)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=20))
def test_snapping_moves_less_than_a_step_and_happens_once(onsets: list[float]) -> None:
    count = len(onsets)
    notes = Notes(onsets, [0.3] * count, [60] * count, [64] * count)
    assert np.abs(notes.onset - np.sort(onsets)).max() <= 0.5 / GRID_HZ * (1 + 1e-6)
    assert Notes(notes.onset, notes.duration, notes.pitch, notes.velocity) == notes


@given(strategies.notes(min_size=1))
def test_arrays_cannot_be_written(notes: Notes) -> None:
    for twin in (notes, copy.deepcopy(notes), pickle.loads(pickle.dumps(notes))):
        assert twin == notes
        for array in (twin.onset, twin.duration, twin.pitch, twin.velocity):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    with pytest.raises(AttributeError):
        notes.onset = np.zeros(1)  # type: ignore[misc]


@given(strategies.notes(), st.integers(0, 10**6))
def test_digest_ignores_leading_silence_only(notes: Notes, steps: int) -> None:
    assert notes.shift(steps / GRID_HZ).digest() == notes.digest()
    if len(notes) > 1:
        assert notes.slice_notes(0, len(notes) - 1).digest() != notes.digest()
    if len(notes):
        louder = notes.with_velocity(notes.velocity % 127 + 1)
        assert louder.digest() != notes.digest()
        assert louder != notes


def test_digest_stays_what_it_is() -> None:
    """Libraries on disk hold digests: a change here is a change of format."""
    notes = Notes([0.5, 1.0], [0.25, 0.5], [60, 64], [80, 90])
    assert notes.digest() == "e2435139df15fd6b778d5ccb0aa3ace1"


@given(strategies.notes(), st.integers(-130, 130))
def test_transposing(notes: Notes, semitones: int) -> None:
    moved = notes.transpose(semitones)
    expected = [(o, d, p + semitones, v) for o, d, p, v in rows(notes) if 0 <= p + semitones <= 127]
    assert rows(moved) == expected
    if len(moved) == len(notes):
        assert moved.transpose(-semitones) == notes


@given(strategies.notes(longest_s=100), st.integers(1, 5))
def test_stretching_by_whole_numbers_is_exact_and_undone(notes: Notes, factor: int) -> None:
    slower = notes.stretch(factor)
    assert np.array_equal(np.rint(slower.onset * GRID_HZ), np.rint(notes.onset * GRID_HZ) * factor)
    assert slower.stretch(1 / factor) == notes


@given(strategies.notes(), st.floats(0, 700), st.floats(0, 700))
def test_slices_of_time_tile_the_piece(notes: Notes, one: float, other: float) -> None:
    first, second = sorted((one, other))
    parts = [notes.slice_time(None, first), notes.slice_time(first, second), notes.slice_time(second)]
    assert [row for part in parts for row in rows(part)] == rows(notes)
    assert all(first <= onset < second for onset, _, _, _ in rows(parts[1]))


@given(strategies.notes(), st.sampled_from([0.01, 0.125, 0.5, 1.0]))
def test_quantising(notes: Notes, step_s: float) -> None:
    on_steps = notes.quantise(step_s)
    for times in (on_steps.onset, on_steps.end):
        assert np.abs(times / step_s - np.rint(times / step_s)).max(initial=0) < 1e-6
    assert on_steps.quantise(step_s) == on_steps
    assert (on_steps.duration >= step_s - 1e-9).all()
    assert np.array_equal(np.sort(on_steps.pitch), np.sort(notes.pitch))


def test_chance_is_the_callers() -> None:
    notes = Notes(np.arange(1_000) / 10, [0.1] * 1_000, [60] * 1_000, [64] * 1_000)
    one, other = (notes.jitter(0.01, np.random.default_rng(7)) for _ in range(2))
    assert one == other != notes
    assert 0.005 < np.std(one.onset - notes.onset) < 0.02
    kept = notes.drop(0.3, np.random.default_rng(7))
    assert 600 < len(kept) < 800
    assert set(rows(kept)) <= set(rows(notes))
    assert notes.drop(0, np.random.default_rng(7)) == notes
    assert len(notes.drop(1, np.random.default_rng(7))) == 0


@pytest.mark.parametrize(
    "arrays",
    [
        ([0], [1], [60], []),
        ([0, 1], [1], [60], [64]),
        ([np.nan], [1], [60], [64]),
        ([np.inf], [1], [60], [64]),
        ([0], [np.nan], [60], [64]),
        ([0], [-0.1], [60], [64]),
        ([0], [1], [128], [64]),
        ([0], [1], [-1], [64]),
        ([0], [1], [60], [0]),
        ([0], [1], [60], [128]),
        ([2e9], [1], [60], [64]),
    ],
)
def test_what_is_no_music_is_refused(arrays: tuple[list[float], ...]) -> None:
    with pytest.raises(ValueError):
        Notes(*arrays)


def test_nothing_is_music_too() -> None:
    empty = Notes.empty()
    assert len(empty) == 0
    assert (empty.start_s, empty.end_s) == (0.0, 0.0)
    assert empty.transpose(3).stretch(2).quantise(0.1).from_zero().slice_time(1, 2) == empty
    assert empty != "nothing"


@pytest.mark.parametrize(("pitch", "velocity"), [(np.nan, 64), (60, np.nan), (60.5, 64), (60, 64.5)])
def test_pitch_and_velocity_are_whole_numbers(pitch: float, velocity: float) -> None:
    with pytest.raises(ValueError, match="must be whole numbers"):
        Notes([0], [1], [pitch], [velocity])


@pytest.mark.parametrize("semitones", [40_000, -40_000, 10**30])
def test_transposing_far_away_leaves_nothing(semitones: int) -> None:
    assert len(Notes([0, 1], [1, 1], [0, 127], [64, 64]).transpose(semitones)) == 0


def test_transposing_by_a_part_of_a_semitone_is_refused() -> None:
    with pytest.raises(ValueError, match="whole semitones"):
        Notes([0], [1], [60], [64]).transpose(0.5)  # type: ignore[arg-type]
