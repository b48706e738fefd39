"""Landmarks, segments and the files that hold them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from embedder.notes import Notes
from index.matching.landmarks import find_landmarks, find_query_landmarks, note_sequence
from index.matching.postings import Segment, build_segment, merge_segments, open_segment, write_segment
from index.matching.time_map import initial_time_map, longest_increasing_subsequence
from tests.support.fake_encoder import tune
from tests.support.strategies import notes as some_notes


def keys(notes: Notes) -> list[int]:
    return sorted(find_landmarks(note_sequence(notes)).key.tolist())


def test_tempo_leaves_landmarks_as_they_are() -> None:
    piece = tune(1)
    assert keys(piece.stretch(1.3)) == keys(piece)
    assert len(keys(piece)) > len(piece)


def test_transposition_changes_only_the_low_bits() -> None:
    piece = tune(2)
    assert keys(piece.transpose(5)) == [key + 5 for key in keys(piece)]


def test_a_lost_note_spoils_only_landmarks_near_it() -> None:
    piece = tune(3, 200)
    without = piece.select(np.arange(200) != 100)
    shared = set(keys(piece)) & set(keys(without))
    assert len(shared) > 0.9 * len(set(keys(piece)))


def test_chords_may_be_spread() -> None:
    rng = np.random.default_rng(0)
    onset = np.repeat(np.arange(60) * 0.4, 3)
    pitch = 48 + rng.integers(0, 5, 180) + np.tile([0, 5, 10], 60)
    chords = Notes(onset, np.full(180, 0.3), pitch, np.full(180, 64))
    spread = Notes(onset + rng.uniform(0, 0.03, 180), np.full(180, 0.3), pitch, np.full(180, 64))
    assert keys(spread) == keys(chords)


def test_short_queries_look_for_more() -> None:
    piece = tune(4, 30)
    sequence = note_sequence(piece)
    more = find_query_landmarks(piece, sequence)
    assert set(keys(piece)) <= set(more.key.tolist())
    assert more.group.max() < sequence.groups


@given(some_notes())
@settings(max_examples=60, deadline=None)
def test_any_notes_have_landmarks_within_their_onset_groups(piece: Notes) -> None:
    sequence = note_sequence(piece)
    result = find_landmarks(sequence)
    assert len(sequence) == len(piece)
    assert ((result.group >= 0) & (result.group < max(1, sequence.groups))).all()
    assert len(sequence.group_onsets_s()) == sequence.groups


def saved(segment: Segment, path: Path) -> Path:
    with open(path, "wb") as file:
        write_segment(segment, file)
    return path


def equal(one: Segment, other: Segment) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)


def test_a_segment_comes_back_from_its_file(tmp_path: Path) -> None:
    segment = build_segment((i, tune(i)) for i in range(5))
    assert equal(open_segment(saved(segment, tmp_path / "a.seg")), segment)
    sequence = segment.sequence(3)
    assert np.allclose(sequence.onset_s, note_sequence(tune(3)).onset_s, atol=1e-4)
    assert sequence.pitch.tolist() == note_sequence(tune(3)).pitch.tolist()


def test_joined_segments_are_as_if_built_together() -> None:
    apart = [build_segment((i, tune(i)) for i in some) for some in ((0, 1), (2,), (3, 4))]
    assert equal(merge_segments(apart), build_segment((i, tune(i)) for i in range(5)))


def test_an_empty_segment_and_an_empty_piece(tmp_path: Path) -> None:
    assert len(open_segment(saved(build_segment([]), tmp_path / "none.seg")).ids) == 0
    lone = build_segment([(7, Notes.empty()), (8, tune(1))])
    assert len(lone.sequence(0)) == 0
    assert len(lone.sequence(1)) == 150


@pytest.mark.parametrize("harm", ["cut", "flipped table", "no header", "empty"])
def test_a_damaged_segment_is_refused(tmp_path: Path, harm: str) -> None:
    path = saved(build_segment((i, tune(i)) for i in range(3)), tmp_path / "a.seg")
    content = bytearray(path.read_bytes())
    if harm == "cut":
        content = content[:-100]
    elif harm == "flipped table":
        content[content.index(b"\n") + 3] ^= 1
    elif harm == "no header":
        content = content[content.index(b"\n") + 1 :]
    else:
        content = bytearray()
    path.write_bytes(content)
    with pytest.raises((ValueError, KeyError)):
        open_segment(path)


def test_writing_needs_only_a_stream() -> None:
    stream = io.BytesIO()
    write_segment(build_segment([(1, tune(1))]), stream)
    assert stream.getvalue().startswith(b"{")


@pytest.mark.parametrize(
    ("values", "length"), [([], 0), ([1], 1), ([3, 2, 1], 1), ([1, 9, 2, 3, 4], 4), ([1, 1, 1], 1)]
)
def test_longest_rise(values: list[float], length: int) -> None:
    places = longest_increasing_subsequence(np.array(values, float))
    assert len(places) == length
    assert (np.diff(np.array(values)[places]) > 0).all()


def test_a_figure_that_repeats_does_not_steepen_the_clock() -> None:
    here = np.arange(8) * 0.25
    turns = np.arange(-4, 5) * 0.5  # the piece holds the same figure again every half second
    at, to = np.repeat(here, len(turns)), (1.1 * here[:, None] + turns[None, :]).ravel()
    time_map = initial_time_map(at, to)
    assert time_map is not None
    assert 0.7 < time_map.slope < 1.5


@pytest.mark.parametrize("tempo", [0.4, 0.5, 1, 2, 2.5])
def test_a_clock_may_run_at_half_or_double_speed(tempo: float) -> None:
    at = np.cumsum([0.1, 0.3, 0.2, 0.4, 0.2, 0.7, 0.3, 0.2, 0.5, 0.3])
    wrong = np.array([1.0, 7.0, 3.0])
    time_map = initial_time_map(np.concatenate([at, at[:3]]), np.concatenate([5 + tempo * at, wrong]))
    assert time_map is not None
    assert time_map.slope == pytest.approx(tempo, rel=0.1)
