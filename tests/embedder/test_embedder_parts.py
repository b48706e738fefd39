"""Which track and channel a note comes from, and what is heard of a part counting for all its notes."""

from pathlib import Path

import mido
import numpy as np
import pytest

from embedder import Notes, read_midi
from embedder.melody import by_part, melody_model
from embedder.midi.reading import parts_of

Played = tuple[int, int, int, int]  # tick, length, channel, key


def write(path: Path, tracks: list[list[Played]], kind: int = 1) -> Path:
    file = mido.MidiFile(type=kind, ticks_per_beat=480)
    for notes in tracks:
        track, now = mido.MidiTrack(), 0
        events = [(start, "note_on", channel, key) for start, _, channel, key in notes]
        events += [(start + length, "note_off", channel, key) for start, length, channel, key in notes]
        for tick, message, channel, key in sorted(events):
            track.append(mido.Message(message, channel=channel, note=key, velocity=64, time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)
    return path


def test_every_note_is_found_in_its_part(tmp_path: Path) -> None:
    high = [(0, 240, 0, 72), (480, 240, 0, 74), (960, 480, 0, 60)]
    low = [(0, 480, 1, 48), (480, 480, 1, 50), (960, 240, 1, 60)]
    path = write(tmp_path / "two.mid", [high, low])
    notes = read_midi(path)
    assert notes.pitch.tolist() == [48, 72, 50, 74, 60, 60]
    parts = parts_of(notes, path)
    assert parts is not None
    assert parts.tolist() == [1, 0, 1, 0, 1, 0]  # of two that strike one key, the shorter is the low one's
    part = notes.slice_time(0.4, 0.9)
    assert np.array_equal(parts_of(part, path), parts[2:4])  # type: ignore[arg-type]


def test_channels_of_one_track_and_patterns_of_type_2_are_parts(tmp_path: Path) -> None:
    together = write(tmp_path / "one.mid", [[(0, 100, 0, 60), (0, 100, 1, 64), (500, 100, 0, 62)]], 0)
    assert parts_of(read_midi(together), together).tolist() == [0, 1, 0]  # type: ignore[union-attr]
    patterns = write(tmp_path / "two.mid", [[(0, 100, 0, 60)], [(0, 100, 0, 62)]], 2)
    notes = read_midi(patterns)
    assert notes.pitch.tolist() == [60, 62]
    assert parts_of(notes, patterns).tolist() == [0, 1]  # type: ignore[union-attr]


def test_the_drums_are_a_part_that_is_left_out_as_the_notes_are(tmp_path: Path) -> None:
    path = write(tmp_path / "band.mid", [[(0, 100, 9, 36), (0, 100, 9, 60)], [(0, 100, 0, 60)]])
    assert parts_of(read_midi(path), path).tolist() == [0, 1, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize("change", ["gone", "junk", "other", "empty"])
def test_parts_of_a_file_that_changed_are_not_known(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / "one.mid", [[(0, 100, 0, 60)], [(200, 100, 0, 64)]])
    notes = read_midi(path)
    if change == "gone":
        path.unlink()
    elif change == "junk":
        path.write_bytes(b"no music")
    else:
        write(path, [[(0, 100, 0, 60)], [(210, 100, 0, 64)]] if change == "other" else [[]])
    assert parts_of(notes, path) is None


def test_what_is_heard_of_a_part_counts_for_its_notes() -> None:
    rng = np.random.default_rng(0)
    parts = np.repeat([3, 1], 200)
    truth = np.where(parts == 3, 0, 2)
    heard = np.where(rng.random(400) < 0.25, rng.integers(0, 3, 400), truth)
    shares = np.full((400, 3), 0.1, dtype=np.float32)
    shares[np.arange(400), heard] = 0.8
    assert (shares.argmax(1) == truth).mean() < 0.9
    adjusted = by_part(shares, parts)
    assert np.allclose(adjusted.sum(1), 1, atol=1e-5)
    assert (adjusted.argmax(1) == truth).all()
    assert by_part(shares, np.zeros(400, np.int64)) is shares


def test_a_part_of_two_voices_keeps_both() -> None:
    rng = np.random.default_rng(1)
    parts = np.repeat([0, 1], 300)
    truth = np.where(parts == 0, rng.integers(0, 2, 600), 2)
    shares = np.full((600, 3), 0.02, dtype=np.float32)
    shares[np.arange(600), truth] = 0.96
    assert (by_part(shares, parts).argmax(1) == truth).all()


def test_a_voice_that_is_hardly_heard_is_not_made_up() -> None:
    parts = np.repeat([0, 1], 300)
    shares = np.tile(np.array([0.001, 0.009, 0.99], dtype=np.float32), (600, 1))
    shares[parts == 1] = (0.002, 0.008, 0.99)
    assert (by_part(shares, parts).argmax(1) == 2).all()


def test_the_shipped_model_takes_parts() -> None:
    beats = np.arange(200) * 0.5
    notes = Notes(np.repeat(beats, 2), np.full(400, 0.5), np.tile([48, 72], 200), np.full(400, 64))
    told = melody_model().voices(notes, np.tile([1, 0], 200))
    assert len(told) == 400
    assert len(np.unique(told[::2])) == len(np.unique(told[1::2])) == 1
    assert len(melody_model().voices(Notes.empty(), np.empty(0, np.int64))) == 0
