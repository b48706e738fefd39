"""The indexes on disk: whatever happens to them, answers stay right and nothing is an error."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_encoder import FakeEncoder, tune, write_tunes

from index import Library, SearchResult

FILES = [f"{name}.{part}" for name in ("pieces", "windows") for part in ("faiss", "keys", "json")]


def answers(folder: Path, encoder: FakeEncoder) -> list[SearchResult]:
    """A whole search and one for passages, by a Library that is opened anew."""
    with Library.open(folder, encoder=encoder) as library:
        return [library.search(tune(900), k=50, passages=passages) for passages in (False, True)]


@pytest.fixture
def folder(library: Library, encoder: FakeEncoder) -> Path:
    answers(library.folder, encoder)
    return library.folder


def test_indexes_are_written_and_used_again(
    folder: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(folder, encoder)
    monkeypatch.setattr("index.catalogue.FaissStore.build", lambda *a: pytest.fail("an index was rebuilt"))
    assert answers(folder, encoder) == before
    assert not caplog.records
    with Library.open(folder) as library:
        indexes = {index.name: index for index in library.info().indexes}
    assert indexes["pieces"].vectors == 12
    assert indexes["windows"].vectors == 36
    assert all(index.current and index.recall == 1 and index.kind == "exact" for index in indexes.values())


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(500))


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [empty, cut, garbage, Path.unlink, folder_instead])
@pytest.mark.parametrize("name", FILES)
def test_a_harmed_index_is_rebuilt(
    name: str,
    harm: Callable[[Path], None],
    folder: Path,
    encoder: FakeEncoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = answers(folder, encoder)
    harm(folder / name)
    assert answers(folder, encoder) == before
    if not (name.endswith("json") and harm is Path.unlink):  # without a manifest there simply is no index
        assert any("rebuilt" in record.message for record in caplog.records)
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("name", ["pieces.faiss", "windows.faiss", "pieces.keys"])
def test_a_flipped_byte_anywhere_is_noticed(
    name: str, folder: Path, encoder: FakeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(folder, encoder)
    path = folder / name
    rng = random.Random(0)
    for _ in range(10):
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        caplog.clear()
        assert answers(folder, encoder) == before
        assert any("rebuilt" in record.message for record in caplog.records)


def test_a_stale_index_is_brought_up_to_date(
    folder: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {name: (folder / name).read_bytes() for name in FILES}
    write_tunes(music / "more", 3, first_seed=50)
    (music / "part0" / "tune000.mid").unlink()
    with Library.open(folder, encoder=encoder) as library:
        library.add(music, workers=1, prune=True)
    fresh = answers(folder, encoder)
    for name, data in old.items():
        (folder / name).write_bytes(data)
    with monkeypatch.context() as patch:
        patch.setattr("index.catalogue.FaissStore.build", lambda *a: pytest.fail("rebuilt, not appended"))
        assert answers(folder, encoder) == fresh
    for name in FILES:
        (folder / name).unlink()
    assert answers(folder, encoder) == fresh


def test_many_changes_rebuild_the_index(folder: Path, music: Path, encoder: FakeEncoder) -> None:
    write_tunes(music / "more", 40, first_seed=50, notes=40)
    with Library.open(folder, encoder=encoder) as library:
        library.add(music, workers=1)
        library.remove(music / "part0")
        assert len(library.search(tune(900), k=100).results) == 48
        assert library.info().indexes[0].vectors == 48


def test_an_index_of_another_encoder_is_not_used(folder: Path, encoder: FakeEncoder) -> None:
    before = answers(folder, encoder)
    manifest = folder / "pieces.json"
    manifest.write_text(manifest.read_text().replace(encoder.id, "other@000000000000"))
    assert answers(folder, encoder) == before
    assert encoder.id in manifest.read_text()


def test_what_a_killed_writer_left_does_no_harm(folder: Path, encoder: FakeEncoder) -> None:
    before = answers(folder, encoder)
    for name in FILES:
        (folder / f"{name}.new").write_bytes(b"half")
    (folder / "pieces.json").unlink()
    assert answers(folder, encoder) == before
    assert not (folder / "pieces.faiss.new").exists()


def test_a_disk_that_takes_no_index_is_a_warning_only(
    folder: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(folder, encoder)
    for name in FILES:
        (folder / name).unlink()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert answers(folder, encoder) == before
    assert any("could not be saved" in record.message for record in caplog.records)
    assert not list(folder.glob("*.new"))


def test_a_large_library_gets_an_approximate_index(
    library: Library, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = answers(library.folder, encoder)
    for path in library.folder.glob("*.json"):
        path.unlink()
    monkeypatch.setattr("index.catalogue.EXACT_LIMIT", 20)
    monkeypatch.setattr("index.catalogue.TRAINING_VECTORS_PER_CELL", 1)
    for _ in range(2):  # built, then read from disk
        found = answers(library.folder, encoder)
        assert {hit.piece_id for hit in found[1].results} == {hit.piece_id for hit in exact[1].results}
    with Library.open(library.folder) as again:
        (windows,) = (index for index in again.info().indexes if index.name == "windows")
    assert windows.kind.startswith("IVF")
    assert 0 < windows.recall <= 1
