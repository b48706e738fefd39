"""Finding passages: right piece, right place, and nothing where there is nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from embedder.core.errors import MidiError, PieceNotFound
from embedder.midi.writing import write_midi
from embedder.notes import Notes
from index import Library
from index.matching.find import default_confidence
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes


def number_of(library: Library, name: str) -> int:
    return next(piece.id for piece in library.pieces() if piece.path.endswith(name))


def test_a_fragment_is_found_where_it_is(library: Library) -> None:
    piece = tune(5)
    part = piece.slice_notes(60, 100)
    best = library.find(part).results[0]
    assert best.path.endswith("tune005.mid")
    assert best.start_s == pytest.approx(part.start_s, abs=0.1)
    assert best.end_s == pytest.approx(part.onset[-1], abs=0.1)
    assert (best.transposition, best.matched) == (0, 1.0)
    assert best.tempo_ratio == pytest.approx(1, abs=0.02)
    assert best.confidence > 0.9


def test_it_may_be_transposed_and_played_faster(library: Library) -> None:
    part = tune(5).slice_notes(60, 110).from_zero().transpose(3).stretch(0.8)
    best = library.find(part).results[0]
    assert (best.path[-11:], best.transposition) == ("tune005.mid", 3)
    assert best.tempo_ratio == pytest.approx(1.25, abs=0.05)
    assert best.start_s == pytest.approx(tune(5).onset[60], abs=0.5)
    assert library.find(part, transposed=False).results == ()


def test_gradual_tempo_and_wrong_notes(library: Library) -> None:
    rng = np.random.default_rng(1)
    part = tune(7).slice_notes(20, 100).from_zero()
    slowing = Notes(part.onset + 0.02 * part.onset**2, part.duration, part.pitch, part.velocity)
    pitch = np.where(rng.random(80) < 0.1, slowing.pitch + 2, slowing.pitch)
    spoilt = Notes(slowing.onset, slowing.duration, pitch, slowing.velocity).drop(0.1, rng)
    best = library.find(spoilt).results[0]
    assert best.path.endswith("tune007.mid")
    assert best.matched > 0.7


def test_ten_notes_are_enough(library: Library) -> None:
    result = [library.find(tune(i).slice_notes(50, 60), min_confidence=0).results for i in range(12)]
    right = [bool(some) and some[0].path.endswith(f"tune{i:03d}.mid") for i, some in enumerate(result)]
    assert sum(right) >= 11


def test_of_ten_notes_an_answer_must_be_surer() -> None:
    assert default_confidence(10) > default_confidence(20) == default_confidence(500)


def test_half_and_double_speed(library: Library) -> None:
    for speed in (0.5, 2.0):
        best = library.find(tune(5).slice_notes(60, 110).from_zero().stretch(1 / speed)).results[0]
        assert best.path.endswith("tune005.mid")
        assert best.tempo_ratio == pytest.approx(speed, rel=0.05)


def test_a_whole_file_is_found_in_a_longer_one(library: Library, tmp_path: Path) -> None:
    parts = [tune(40, 900), tune(3), tune(41, 400)]
    onset, shift = [], 0.0
    for part in parts:
        onset.append(part.onset - part.start_s + shift)
        shift = float(onset[-1][-1]) + 1
    medley = Notes(
        np.concatenate(onset),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("duration", "pitch", "velocity")),
    )
    path = tmp_path / "medley.mid"
    write_midi(medley, path)
    best = library.find(path).results[0]
    assert best.path.endswith("tune003.mid")
    assert best.query_start_s == pytest.approx(onset[1][0], abs=3)
    assert 0.05 < best.matched < 0.2


def test_what_is_not_here_gets_no_answer(library: Library) -> None:
    assert all(library.find(tune(100 + i).slice_notes(0, 60)).results == () for i in range(20))


def test_notes_that_say_nothing_get_no_answer(library: Library) -> None:
    grid = np.arange(400) * 0.1
    same = Notes(grid, np.full(400, 0.1), np.full(400, 60), np.full(400, 64))
    chord = Notes(np.zeros(128), np.ones(128), np.arange(128), np.full(128, 64))
    trill = Notes(grid, np.full(400, 0.1), 60 + np.arange(400) % 2, np.full(400, 64))
    for query in (same, chord, trill):
        assert library.find(query).results == ()


def test_a_file_of_the_library_answers_unless_others_are_asked_for(library: Library, music: Path) -> None:
    path = music / "part2" / "tune002.mid"
    assert library.find(path).results[0].path == str(path)
    assert library.find(path, include_self=False).results == ()
    number = number_of(library, "tune002.mid")
    path.unlink()
    assert library.find(path).results[0].piece_id == number
    assert library.find(number).results[0].piece_id == number


def test_every_place_of_a_passage(library: Library, music: Path) -> None:
    theme = tune(60, 60).from_zero()
    between = tune(61, 80).from_zero()
    twice = [theme, between.shift(30), theme.shift(70)]
    piece = Notes(
        *(np.concatenate([getattr(p, n) for p in twice]) for n in ("onset", "duration", "pitch", "velocity"))
    )
    write_midi(piece, music / "rondo.mid")
    library.add(music, workers=1)
    assert len(library.find(theme).results) == 1
    places = sorted(one.start_s for one in library.find(theme, every_place=True).results)
    assert places == pytest.approx([0, 70], abs=0.2)


def test_wrong_questions(library: Library, tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="too few"):
        library.find(tune(1).slice_notes(0, 5))
    with pytest.raises(MidiError, match="no notes"):
        library.find(Notes.empty())
    with pytest.raises(ValueError, match="begin before"):
        library.find(tune(1), start_s=5, end_s=5)
    with pytest.raises(ValueError, match="at least 1"):
        library.find(tune(1), k=0)
    with pytest.raises(PieceNotFound):
        library.find(10_000)
    with pytest.raises(MidiError):
        library.find(tmp_path / "nothing.mid")


def test_an_empty_library_finds_nothing(tmp_path: Path, encoder: FakeEncoder) -> None:
    with Library.open(tmp_path / "empty", encoder=encoder) as library:
        assert library.find(tune(1)).results == ()


# -- fingerprints on disk ---------------------------------------------------------------------------


def segments(library: Library) -> list[Path]:
    return sorted((library.folder / "landmarks").glob("*.seg"))


def test_an_add_leaves_fingerprints_that_the_next_process_uses(
    library: Library, music: Path, encoder: FakeEncoder
) -> None:
    before = segments(library)
    assert len(before) == 1
    with Library.open(library.folder, encoder=encoder) as again:
        assert again.find(tune(4)).results[0].path.endswith("tune004.mid")
        assert segments(again) == before
    write_tunes(music, 2, first_seed=30)
    library.add(music, workers=1)
    assert len(segments(library)) == 2
    assert set(before) < set(segments(library))
    assert library.find(tune(31)).results[0].path.endswith("tune031.mid")


def test_many_small_adds_are_joined(library: Library, music: Path) -> None:
    for i in range(8):
        write_tunes(music, 1, first_seed=200 + i)
        library.add(music, workers=1)
    assert len(segments(library)) <= 5
    for i in range(8):
        assert library.find(tune(200 + i)).results[0].path.endswith(f"tune{200 + i}.mid")


def test_a_removed_piece_is_no_answer(library: Library) -> None:
    library.remove(number_of(library, "tune005.mid"))
    assert library.find(tune(5)).results == ()
    assert library.find(tune(6)).results[0].path.endswith("tune006.mid")


def test_removing_most_rebuilds_the_segment(library: Library) -> None:
    before = segments(library)
    library.remove([piece.id for piece in library.pieces() if piece.id % 4])
    left = library.pieces()[0]
    assert library.find(left.id).results[0].piece_id == left.id
    assert segments(library) != before


@pytest.mark.parametrize("harm", ["gone", "cut", "manifest gone", "manifest nonsense"])
def test_damaged_fingerprints_are_rebuilt(
    library: Library, encoder: FakeEncoder, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, manifest = segments(library)[0], library.folder / "landmarks" / "segments.json"
    if harm == "gone":
        file.unlink()
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif harm == "manifest gone":
        manifest.unlink()
    else:
        manifest.write_text("{")
    with (
        caplog.at_level(logging.WARNING, "index"),
        Library.open(library.folder, encoder=encoder) as again,
    ):
        assert again.find(tune(4)).results[0].path.endswith("tune004.mid")
        assert len(segments(again)) == 1
    assert ("rebuilt" in caplog.text) == (harm != "manifest gone")


def test_flipped_bytes_anywhere_never_crash(library: Library, encoder: FakeEncoder) -> None:
    file = segments(library)[0]
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(25):
        harmed = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            harmed[place] ^= 1 << int(rng.integers(8))
        for old in segments(library):
            old.unlink()
        file.write_bytes(harmed)
        (library.folder / "landmarks" / "segments.json").write_text(f'{{"segments": ["{file.stem}"]}}')
        with Library.open(library.folder, encoder=encoder) as again:
            assert again.find(tune(4)).results[0].path.endswith("tune004.mid")
