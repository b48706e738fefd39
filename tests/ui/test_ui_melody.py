"""`midikin melody` and `midikin search --melody`."""

import json
from pathlib import Path

import pytest

from embedder import read_midi
from embedder.melody import skyline
from tests.support.songs import write_songs


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    return write_songs(tmp_path / "songs", 4)


def test_a_melody_is_extracted_and_written(midikin, songs: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    song, out = songs / "001" / "001.mid", tmp_path / "melody.mid"
    found = json.loads(midikin("melody", song, "--out", out, "--bridge", "--json").stdout)
    notes = read_midi(song)
    assert found["notes"] == len(notes) == sum(found["voices"].values())
    assert found["parts"] == 3
    assert len(found["skyline"]["pitch"]) == skyline(notes).sum()
    led = found["voices"]["melody"] + found["voices"]["bridge"]
    assert len(found["melody"]["onset_s"]) == led
    if led:
        assert found["out"] == str(out)
        assert read_midi(out).pitch.tolist() == found["melody"]["pitch"]
    table = midikin("melody", song).stdout.splitlines()
    assert [line.split("\t")[0] for line in table] == ["voice", "melody", "skyline"]


def test_a_piece_of_the_library_is_named_by_its_number(midikin, songs: Path) -> None:  # type: ignore[no-untyped-def]
    midikin("add", songs)
    path = json.loads(midikin("list", "--json").stdout)["pieces"][0]["path"]
    of_file, of_number = (json.loads(midikin("melody", piece, "--json").stdout) for piece in (path, "#1"))
    assert of_number.pop("path") == "#1"
    assert of_file.pop("path") == path
    assert of_number == of_file
    Path(path).unlink()  # which of its notes share a track is in the file alone
    assert json.loads(midikin("melody", "#1", "--json").stdout)["parts"] is None
    assert "no piece" in midikin("melody", "#99", status=1).stderr


def test_a_search_by_melody_names_the_piece(midikin, songs: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    midikin("add", songs)
    result = json.loads(midikin("search", "#1", "--melody", "--include-self", "--json").stdout)
    assert result["pieces"] == 4
    assert result["results"][0]["piece_id"] == 1
    assert midikin("search", "#1", "--melody", "--include-self").stdout.startswith("rank\tmatched")
    assert "takes neither" in midikin("search", "#1", "--melody", "--where", "notes>3", status=2).stderr
    assert "no piece" in midikin("search", "#99", "--melody", status=1).stderr


def test_no_file_is_replaced_unless_that_is_asked_for(midikin, songs: Path) -> None:  # type: ignore[no-untyped-def]
    song = songs / "001" / "001.mid"
    before = song.read_bytes()
    refused = midikin("melody", song, "--out", song, "--bridge", status=2)
    assert "--force replaces it" in " ".join(refused.stderr.split())
    assert song.read_bytes() == before
    itself = midikin("melody", song, "--out", song, "--bridge", "--force", status=2)
    assert "only read" in " ".join(itself.stderr.split())
    assert song.read_bytes() == before
    out = song.with_name("out.mid")
    out.write_bytes(b"old")
    midikin("melody", song, "--out", out, "--bridge", "--force")
    assert out.read_bytes() != b"old"
