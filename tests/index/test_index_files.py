"""The indexes on disk: whatever happens to them, answers stay right and nothing is an error."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index import Library, SearchResult
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

NAMES = ("pieces", "windows")
PARTS = ("faiss", "keys", "tail", "json")


def file_of(folder: Path, name: str, part: str) -> Path:
    """A file of an index as it lies on disk now."""
    if part == "json":
        return folder / f"{name}.json"
    (path,) = folder.glob(f"{name}-*.{part}")
    return path


def files(folder: Path) -> dict[str, bytes]:
    """All files of the indexes with what is in them."""
    return {path.name: path.read_bytes() for name in NAMES for path in folder.glob(f"{name}[-.]*")}


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
    monkeypatch.setattr(
        "index.vectors.vector_indexes.autotune.build", lambda *a: pytest.fail("an index was rebuilt")
    )
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
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_harmed_index_is_rebuilt(
    name: str,
    part: str,
    harm: Callable[[Path], None],
    folder: Path,
    encoder: FakeEncoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = answers(folder, encoder)
    harm(file_of(folder, name, part))
    assert answers(folder, encoder) == before
    if not (part == "json" and harm is Path.unlink):  # without a manifest there simply is no index
        assert any("rebuilt" in record.message for record in caplog.records)
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize(
    ("name", "part"), [("pieces", "faiss"), ("windows", "faiss"), ("pieces", "keys"), ("pieces", "tail")]
)
def test_a_flipped_byte_anywhere_is_noticed(
    name: str, part: str, folder: Path, encoder: FakeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(folder, encoder)
    rng = random.Random(0)
    for _ in range(10):
        path = file_of(folder, name, part)
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        caplog.clear()
        assert answers(folder, encoder) == before
        assert any("rebuilt" in record.message for record in caplog.records)


def test_a_stale_index_is_brought_up_to_date(
    folder: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = files(folder)
    write_tunes(music / "more", 3, first_seed=50)
    (music / "part0" / "tune000.mid").unlink()
    with Library.open(folder, encoder=encoder) as library:
        library.add(music, workers=1, prune=True)
    fresh = answers(folder, encoder)
    for name in files(folder):
        (folder / name).unlink()
    for name, data in old.items():
        (folder / name).write_bytes(data)
    with monkeypatch.context() as patch:
        patch.setattr(
            "index.vectors.vector_indexes.autotune.build", lambda *a: pytest.fail("rebuilt, not appended")
        )
        assert answers(folder, encoder) == fresh
    for name in files(folder):
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
    for name in NAMES:
        for part in PARTS:
            (folder / f"{name}.{part}.new").write_bytes(b"half")
        (folder / f"{name}-0123456789ab.faiss").write_bytes(b"of a manifest that never came")
        (folder / f"{name}.faiss").write_bytes(b"of an older midikin")
    (folder / "pieces.json").unlink()
    assert answers(folder, encoder) == before
    assert not (folder / "pieces.faiss.new").exists()
    assert not (folder / "pieces.faiss").exists()
    assert len(list(folder.glob("pieces-*"))) == 3


def test_a_disk_that_takes_no_index_is_a_warning_only(
    folder: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(folder, encoder)
    for name in files(folder):
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
    monkeypatch.setattr("index.vectors.autotune.EXACT_LIMIT", 20)
    monkeypatch.setattr("index.vectors.autotune.TRAINING_VECTORS_PER_CELL", 1)
    for _ in range(2):  # built, then read from disk
        found = answers(library.folder, encoder)
        assert {hit.piece_id for hit in found[1].results} == {hit.piece_id for hit in exact[1].results}
    with Library.open(library.folder) as again:
        (windows,) = (index for index in again.info().indexes if index.name == "windows")
    assert windows.kind.startswith("IVF")
    assert 0 < windows.recall <= 1


@pytest.fixture
def large(library: Library, music: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library whose sizes count as large: cells, and mapped into memory where the system can."""
    monkeypatch.setattr("index.vectors.autotune.EXACT_LIMIT", 10)
    monkeypatch.setattr("index.vectors.autotune.TRAINING_VECTORS_PER_CELL", 1)
    monkeypatch.setattr("index.vectors.index_files.LARGE_BYTES", 1)
    library.maintenance.prepare()
    return library.folder


def best(library: Library, seeds: range) -> list[str]:
    """Of tunes with these seeds, the files that are found for them."""
    return [Path(library.search(tune(seed), 1, include_self=True).results[0].path).name for seed in seeds]


def names(seeds: range) -> list[str]:
    return [f"tune{seed:03d}.mid" for seed in seeds]


def test_what_comes_to_a_large_index_is_put_beside_it(
    large: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = file_of(large, "pieces", "faiss")
    written = base.stat().st_mtime_ns
    write_tunes(music / "more", 2, first_seed=12)
    monkeypatch.setattr(
        "index.vectors.vector_indexes.autotune.build", lambda *a: pytest.fail("an index was rebuilt")
    )
    with Library.open(large, encoder=encoder) as library:
        library.add(music, workers=1)
        assert best(library, range(14)) == names(range(14))
        library.remove(music / "part0" / "tune000.mid")
        assert best(library, range(1, 14)) == names(range(1, 14))
        assert library.info().indexes[0].current
    with Library.open(large, encoder=encoder) as library:
        assert best(library, range(1, 14)) == names(range(1, 14))
    assert file_of(large, "pieces", "faiss") == base
    assert base.stat().st_mtime_ns == written


def test_base_and_tail_become_one_when_the_tail_is_long(
    large: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = file_of(large, "pieces", "faiss").name
    write_tunes(music / "more", 5, first_seed=12)
    monkeypatch.setattr(
        "index.vectors.vector_indexes.autotune.build", lambda *a: pytest.fail("an index was rebuilt")
    )
    with Library.open(large, encoder=encoder) as library:
        library.remove(music / "part0" / "tune000.mid")
        library.add(music / "more", workers=1)
        library._catalogue.store("pieces")
        store = library._catalogue._held["pieces"].store
        assert (store.loose, store.wasted, store.count) == (0, 0, 16)
        assert store.mapped == (os.name == "posix" and os.uname().sysname == "Linux")
        assert best(library, range(1, 17)) == names(range(1, 17))
    assert file_of(large, "pieces", "faiss").name != base
    with Library.open(large, encoder=encoder) as library:
        assert best(library, range(1, 17)) == names(range(1, 17))


def test_searches_go_on_while_an_index_is_built_anew(
    large: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import index.vectors.autotune

    started, searched = threading.Event(), threading.Event()
    build = index.vectors.autotune.build

    def slowly(*arguments: Any) -> Any:
        started.set()
        assert searched.wait(20), "a search waited for the index that is being built"
        return build(*arguments)

    monkeypatch.setattr("index.vectors.vector_indexes.autotune.build", slowly)
    with Library.open(large, encoder=encoder) as library, Library.open(large, encoder=encoder) as other:
        assert best(library, range(3)) == names(range(3))
        thread = threading.Thread(target=library._catalogue.rebuild, args=("pieces", ["sq8"]))
        thread.start()
        assert started.wait(20)
        for opened in (library, other):
            assert best(opened, range(12)) == names(range(12))
        searched.set()
        thread.join()
        for opened in (library, other):  # `other` reads files whose names are gone by now
            assert best(opened, range(12)) == names(range(12))
        assert library.info().indexes[0].setting == "sq8"


def test_a_writer_killed_before_its_manifest_costs_nothing(
    large: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    replace = os.replace

    def killing(source: Path, target: Path) -> None:
        if Path(target).name in ("pieces.json", "windows.json"):
            raise Killed
        replace(source, target)

    write_tunes(music / "more", 2, first_seed=12)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killing)
        with Library.open(large, encoder=encoder) as library, pytest.raises(Killed):
            library.add(music, workers=1)
    monkeypatch.setattr(
        "index.vectors.vector_indexes.autotune.build", lambda *a: pytest.fail("an index was rebuilt")
    )
    with Library.open(large, encoder=encoder) as library:
        assert best(library, range(14)) == names(range(14))
