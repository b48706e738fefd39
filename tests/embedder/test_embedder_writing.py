"""What is written is read back note for note."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from embedder import Notes, read_midi, read_piece, write_midi
from tests.support import strategies


@given(strategies.notes(min_size=1))
def test_round_trip(notes: Notes) -> None:
    assert read_midi(write_midi(notes)) == notes


@settings(max_examples=300, deadline=None)
@given(strategies.bands())
def test_bands_are_read_back_with_everything(band: Notes) -> None:
    again = read_midi(write_midi(band))
    assert again == band
    used = np.unique(band.part).tolist()
    assert again.parts == tuple(band.parts[number] for number in used)
    assert [used[number] for number in again.part.tolist()] == band.part.tolist()
    assert again.tempo.us_per_quarter.tolist() == band.tempo.us_per_quarter.tolist()
    exact = again.tempo.division % (band.tempo.division or 1) == 0  # else tempos move to the nearest tick
    np.testing.assert_allclose(again.tempo.second, band.tempo.second, atol=1e-9 if exact else 2e-4)
    coarse_s = 60 / 24 / 50 + 1e-9  # a tick of the longest division and tempo drawn
    assert [(m.numerator, m.denominator) for m in again.meters] == [
        (m.numerator, m.denominator) for m in band.meters
    ]
    for one, other in zip(again.meters, band.meters, strict=True):
        assert abs(one.second - other.second) <= coarse_s
    np.testing.assert_allclose(again.pedal.second, band.pedal.second, atol=coarse_s)
    for name in ("controller", "value", "channel"):
        assert np.array_equal(getattr(again.pedal, name), getattr(band.pedal, name))


@settings(max_examples=20, deadline=None)
@given(strategies.notes(min_size=1, longest_s=80_000.0, max_size=10))
def test_round_trip_of_hours(notes: Notes) -> None:
    """Beyond 31 bits of ticks, which is where symusic stops."""
    if notes.end_s <= 24 * 3600:
        assert read_midi(write_midi(notes)) == notes


@pytest.mark.parametrize(
    "notes",
    [
        Notes([0] * 100, np.arange(1, 101) / 10, [60] * 100, [64] * 100),
        Notes(np.arange(100) / 100, [5.0] * 100, [60] * 100, np.arange(1, 101)),
        Notes(np.arange(50) / 10, [0.1] * 50, [60] * 50, [64] * 50),
        Notes([0, 0, 1e-5, 2e-5], [0, 0, 0, 0], [60, 60, 60, 60], [1, 2, 3, 4]),
        Notes([20_000.0], [30_000.0], [0], [127]),
    ],
    ids=["a hundred at once", "all overlapping", "no gaps", "no lengths", "long silence, long note"],
)
def test_round_trip_of_what_one_channel_cannot_hold(notes: Notes) -> None:
    assert read_midi(write_midi(notes)) == notes


def test_real_pieces_survive(data_dir: Path) -> None:
    paths = sorted(data_dir.glob("asap/**/*.mid"))[::40] + sorted(data_dir.glob("pop909/**/*.mid"))[::150]
    for path in paths:
        notes = read_midi(path)
        assert read_midi(write_midi(notes)) == notes, path
    assert len(paths) > 25


def test_file_is_written_as_a_whole(tmp_path: Path) -> None:
    notes = Notes([0.5], [1], [60], [64])
    path = tmp_path / "new.mid"
    data = write_midi(notes, path, program=40)
    assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["new.mid"]
    assert read_piece(path, programs={40}).notes.as_piano() == notes
    assert read_piece(path).tempo_bpm is None
    write_midi(notes.shift(1), str(path))
    assert read_midi(path) == notes.shift(1)
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder.mid").mkdir()
    with pytest.raises(OSError):
        write_midi(Notes([0], [1], [60], [64]), tmp_path / "folder.mid")
    assert os.listdir(tmp_path) == ["folder.mid"]


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="before 0 s"):
        write_midi(Notes([-1], [1], [60], [64]))
    with pytest.raises(ValueError, match="program"):
        write_midi(Notes.empty(), program=128)


def test_nothing_is_written_as_a_file_without_notes() -> None:
    assert write_midi(Notes.empty()).startswith(b"MThd")


def test_what_would_not_be_read_back_is_refused() -> None:
    day_s = 24 * 3600.0
    last = Notes([day_s - 1], [1], [60], [64])
    assert read_midi(write_midi(last)) == last
    with pytest.raises(ValueError, match="seconds, more than the limit"):
        write_midi(last.shift(1))
    count = 1_024
    overlapping = Notes(np.arange(count) * 1e-3, np.full(count, 100), np.full(count, 60), np.full(count, 64))
    with pytest.raises(ValueError, match="1,025 tracks"):
        write_midi(overlapping)
