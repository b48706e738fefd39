"""Whatever is wrong with a path, the answer is a MidiError of one printable line, at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from embedder import Limits, MidiError, read_midi, read_piece
from tests.support import hostile


def reason(path: str | os.PathLike[str]) -> str:
    with pytest.raises(MidiError) as caught:
        read_midi(path)
    message = str(caught.value)
    assert message.isprintable()
    assert caught.value.path is not None
    assert message == f"{caught.value.path}: {caught.value.reason}"
    return caught.value.reason


def test_path_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tune.mid"
    path.write_bytes(hostile.tune())
    assert read_piece(path) == read_piece(str(path)) == read_piece(hostile.tune())


def test_no_such_file(tmp_path: Path) -> None:
    assert "No such file" in reason(tmp_path / "none.mid")
    assert "null byte" in reason("a\0b.mid")
    assert "too long" in reason("x" * 100_000)


@pytest.mark.timeout(20)
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mid")
    (tmp_path / "circle.mid").symlink_to("circle.mid")
    (tmp_path / "to the pipe.mid").symlink_to("pipe.mid")
    assert "folder" in reason(tmp_path)
    assert "not a regular file" in reason(tmp_path / "pipe.mid")
    assert "not a regular file" in reason(tmp_path / "to the pipe.mid")
    assert "not a regular file" in reason("/dev/zero")
    assert "symbolic links" in reason(tmp_path / "circle.mid")


def test_file_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "private.mid"
    path.write_bytes(hostile.tune())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "Permission denied" in reason(path)


def test_large_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.mid"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room, unless it is read
    assert "larger than the limit" in reason(path)
    with pytest.raises(MidiError, match="10 bytes"):
        read_midi(path, limits=Limits(size_bytes=10))


def test_odd_names_are_read_and_shown(tmp_path: Path) -> None:
    for name in (
        b"new\nline.mid",
        b"bell\x07.mid",
        b"\xff\xe9.mid",
        "曲🎵.mid".encode(),
        b"\xe2\x80\xae.mid",
    ):
        path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
        Path(path).write_bytes(hostile.tune())
        assert len(read_midi(path)) == 40
        Path(path).write_bytes(b"no music")
        assert reason(path) == "is not a MIDI file"
    with pytest.raises(MidiError, match="曲🎵"):
        read_midi(tmp_path / "曲🎵.mid")


def test_every_file_of_a_hostile_folder_has_its_answer(tmp_path: Path) -> None:
    answers = hostile.hostile_folder(tmp_path / "music")
    for path, is_music in answers.items():
        if is_music:
            assert len(read_midi(path)) >= 30
        else:
            reason(path)
    for trap in ("folder.mid", "itself.mid", "nowhere.mid", "pipe.mid", "socket.mid", "loop/ping"):
        reason(tmp_path / "music" / trap)
