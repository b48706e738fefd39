"""One judgement for compare and duplicates: repetitive music, patterns that much music shares, other keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedder.midi.writing import write_midi
from embedder.notes import Notes
from index import Library, compare_files
from index.matching.block_matching import IndexedPiece
from index.matching.classify import Kind, Link, classify_pair, transposition_of
from index.matching.compare import align_both_ways
from index.matching.landmarks import interval_variety, note_sequence
from tests.support.fake_encoder import FakeEncoder, tune


def notes(onset: np.ndarray, pitch: np.ndarray) -> Notes:
    return Notes(onset, np.full(len(onset), 0.2), pitch, np.full(len(onset), 64))


def chords(roots: list[int], step_s: float = 0.75) -> Notes:
    """A bass note and a triad on every step: the accompaniment of a thousand tunes."""
    at = np.repeat(np.arange(len(roots)) * step_s, 4)
    pitch = np.concatenate([[root - 12, root, root + 4, root + 7] for root in roots])
    return notes(at, pitch)


def aabb(seed: int) -> Notes:
    """A folk tune: eight bars twice, and eight others twice, of six notes of a scale."""
    rng = np.random.default_rng(seed)
    scale = np.array([62, 64, 66, 67, 69, 71, 74])
    first, second = rng.integers(0, 7, 48), rng.integers(0, 7, 48)
    pitch = scale[np.concatenate([first, first, second, second])]
    return notes(np.arange(len(pitch)) * 0.25, pitch)


def verdict(one: Notes, other: Notes) -> Link | None:
    return classify_pair(1, IndexedPiece.of(one), 2, IndexedPiece.of(other))


REPETITIVE = {
    "ostinato": notes(np.arange(400) * 0.2, np.tile([48, 55, 60, 55], 100)),
    "repeats": aabb(3),
    "chords": chords([48, 48, 53, 55] * 16),
    "unison": notes(np.repeat(np.arange(100) * 0.3, 2), np.repeat(60 + np.arange(100) * 7 % 24, 2)),
}


@pytest.mark.parametrize("name", REPETITIVE)
def test_a_repetitive_piece_agrees_wholly_with_itself(name: str) -> None:
    piece = REPETITIVE[name]
    result = align_both_ways(IndexedPiece.of(piece), IndexedPiece.of(piece), 0)
    assert result.one.matched == result.other.matched == 1
    assert result.tempo_ratio == pytest.approx(1)
    link = verdict(piece, piece.shift(2).with_velocity(90))
    assert link is not None
    assert (link.kind, link.evidence.matched) == (Kind.NOTES, 1)


def test_a_melody_is_linked_to_its_arrangement() -> None:
    melody = aabb(5)
    below = chords([50, 55, 57, 50] * 16)
    full = Notes(*(np.concatenate([getattr(melody, n), getattr(below, n)]) for n in _FIELDS))
    link = verdict(melody, full)
    assert link is not None
    assert link.evidence.matched > 0.99
    assert link.evidence.tempo_ratio == pytest.approx(1, abs=0.01)


_FIELDS = ("onset", "duration", "pitch", "velocity")


@pytest.mark.parametrize("seed", range(6))
def test_tunes_of_one_scale_and_chords_are_not_the_same(seed: int) -> None:
    assert verdict(aabb(2 * seed), aabb(2 * seed + 1)) is None
    rng = np.random.default_rng(seed)
    roots = [[int(r) for r in rng.choice([48, 53, 55], 40, p=[0.5, 0.25, 0.25])] for _ in range(2)]
    assert verdict(chords(roots[0]), chords(roots[1])) is None


@pytest.mark.parametrize("steps", [[1] * 60, [1] * 60 + [-1] * 60, [2, 2, 1, 2, 2, 2, 1] * 7])
def test_a_scale_is_no_part_of_a_piece_that_runs_through_it(steps: list[int]) -> None:
    scale = notes(np.arange(len(steps)) * 0.1, 40 + np.cumsum(steps))
    parts = [tune(1, 200), scale.shift(200), tune(2, 200).shift(300)]
    piece = Notes(*(np.concatenate([getattr(part, field) for part in parts]) for field in _FIELDS))
    assert verdict(scale, piece) is None
    excerpt = verdict(tune(1, 200).slice_notes(20, 80), piece)
    assert excerpt is not None
    assert excerpt.kind is Kind.CONTAINS


def test_the_order_of_the_two_makes_no_difference() -> None:
    one, other = tune(1, 300), tune(1, 300).slice_notes(100, 250).transpose(5)
    there, back = verdict(one, other), verdict(other, one)
    assert there is not None
    assert back is not None
    assert there.evidence == back.evidence
    assert transposition_of(IndexedPiece.of(one), IndexedPiece.of(other)) == -5
    assert transposition_of(IndexedPiece.of(other), IndexedPiece.of(one)) == 5


def test_compare_and_duplicates_judge_alike(tmp_path: Path, encoder: FakeEncoder) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "music"
    folder.mkdir()
    piece = tune(1, 400)
    copies = {
        "piece": piece,
        "lost": piece.drop(0.2, rng),
        "up": piece.transpose(7),
        "slow": piece.stretch(1.3),
        "part": piece.slice_notes(50, 200),
        "other": tune(2, 400),
    }
    for name, copy in copies.items():
        write_midi(copy, folder / f"{name}.mid")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(folder, workers=1)
        groups = library.duplicates(workers=1).groups
        links = [one.link for group in groups for one in group.links]
        assert {link.kind for link in links} >= {Kind.EDITED, Kind.CONTAINS}
        for link in links:
            result = library.compare(link.one, link.other)
            assert result.kind == link.kind.value
            assert (result.matched, result.other_matched) == (
                link.evidence.matched,
                link.evidence.other_matched,
            )
            assert result.says == str(link.evidence)
        assert library.compare(folder / "piece.mid", folder / "other.mid").words == "not the same music"


def test_files_are_compared_without_a_library(tmp_path: Path) -> None:
    write_midi(tune(1, 200), tmp_path / "a.mid")
    write_midi(tune(1, 200).slice_notes(0, 80), tmp_path / "b.mid")
    result = compare_files(tmp_path / "a.mid", tmp_path / "b.mid")
    assert result.kind == "contains"
    assert result.words == "a whole and a part of it, the same performance: A contains B"
    assert result.summary()["same_performance"] is True
    assert (result.covered, result.other_covered) == (pytest.approx(0.4, abs=0.1), 1)
    assert result.one_id is None


def test_scales_have_little_variety() -> None:
    scale = note_sequence(notes(np.arange(20) * 0.2, 60 + np.arange(20)))
    assert interval_variety(scale, np.arange(20)) == 1
    assert interval_variety(note_sequence(tune(1, 20)), np.arange(20)) > 5
