"""Search by melody: songs are found by what is sung in them, and melodies are extracted once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedder import MidiError, Notes, read_midi
from index import Library
from index.melody.melody_cache import FILE
from tests.support.fake_encoder import FakeEncoder
from tests.support.songs import REGISTERS, write_songs


class Registers:
    """A melody model that tells voices by their registers; counts the pieces that it was asked about."""

    digest = "registers"

    def __init__(self) -> None:
        self.asked = 0
        self.parts: list[int] = []  # how many each piece has; 0 where it is not known

    def voices(self, notes: Notes, parts: np.ndarray | None = None) -> np.ndarray:
        self.asked += 1
        self.parts.append(len(np.unique(notes.part if parts is None else parts)))
        low = [REGISTERS["BRIDGE"] - 8, REGISTERS["MELODY"] - 10]
        return np.where(notes.pitch >= low[0], 1, np.where(notes.pitch >= low[1], 0, 2)).astype(np.uint8)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Registers:
    model = Registers()
    monkeypatch.setattr("embedder.melody.melody_model", lambda *folder: model)
    return model


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    return write_songs(tmp_path / "songs", 8)


@pytest.fixture
def library(tmp_path: Path, songs: Path, model: Registers) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.add(songs, workers=1)
        yield library


def melody_of(path: Path) -> Notes:
    notes = read_midi(path)
    return notes.select(Registers().voices(notes) == 0)


def test_a_melody_alone_finds_its_song(library: Library, songs: Path) -> None:
    for number in range(8):
        hummed = melody_of(songs / f"{number:03d}" / f"{number:03d}.mid").transpose(-3).stretch(1.3)
        result = library.search_melody(hummed.slice_notes(4, 24), 3)
        best = result.results[0]
        assert Path(best.path).stem == f"{number:03d}"
        assert best.transposition == -3
        assert best.matched > 0.9
        assert best.end_s > best.start_s > 0
        assert not result.extracted
        assert result.to_json()["results"][0]["display"] == best.display


def test_the_melody_of_a_whole_song_is_extracted(library: Library, songs: Path) -> None:
    path = songs / "004" / "004.mid"
    result = library.search_melody(path, include_self=True)
    assert result.extracted
    assert result.results[0].path == str(path)
    assert result.results[0].matched == 1
    assert str(path) not in [hit.path for hit in library.search_melody(path).results]


def test_melodies_are_extracted_once(library: Library, songs: Path, model: Registers) -> None:
    hummed = melody_of(songs / "001" / "001.mid")
    library.search_melody(hummed)
    assert model.asked == 8
    reported: list[tuple[int, int]] = []
    with Library.open(library.folder, encoder=FakeEncoder()) as again:
        again.search_melody(hummed, on_progress=lambda stage, done, total: reported.append((done, total)))
        assert (model.asked, reported) == (8, [])
        again.remove([songs / "007"])
        write_songs(songs / "more", 1)
        again.add(songs / "more", workers=1)
    (songs / "more" / "000" / "000.mid").unlink()
    with Library.open(library.folder, encoder=FakeEncoder()) as again:
        result = again.search_melody(hummed)
        assert result.pieces == 7  # the added one is a copy of a song that is there
        assert model.asked == 8


def test_tracks_count_whatever_became_of_the_file(library: Library, songs: Path, model: Registers) -> None:
    (songs / "003" / "003.mid").unlink()
    (songs / "005" / "005.mid").write_bytes((songs / "006" / "006.mid").read_bytes())
    library.search_melody(songs / "001" / "001.mid")
    assert model.parts == [3] * 9  # eight pieces and the query


@pytest.mark.parametrize("damage", [b"", b"junk", None], ids=["empty", "junk", "cut"])
def test_a_damaged_cache_is_made_again(
    library: Library, songs: Path, model: Registers, damage: bytes
) -> None:
    hummed = melody_of(songs / "001" / "001.mid")
    whole = library.search_melody(hummed)
    cache = library.folder / FILE
    kept = cache.read_bytes()
    cache.write_bytes(kept[: len(kept) // 2] if damage is None else damage)
    with Library.open(library.folder, encoder=FakeEncoder()) as again:
        assert again.search_melody(hummed) == whole
    assert model.asked == 16
    assert not list(library.folder.glob("*.part"))


def test_another_model_makes_other_melodies(library: Library, songs: Path, model: Registers) -> None:
    hummed = melody_of(songs / "001" / "001.mid")
    library.search_melody(hummed)
    model.digest = "another"
    with Library.open(library.folder, encoder=FakeEncoder()) as again:
        again.search_melody(hummed)
    assert model.asked == 16


def test_what_is_too_short_is_told(library: Library, songs: Path) -> None:
    hummed = melody_of(songs / "001" / "001.mid")
    with pytest.raises(MidiError, match="too short to look for"):
        library.search_melody(hummed.slice_notes(0, 4))
    with pytest.raises(ValueError, match="k"):
        library.search_melody(hummed, 0)
