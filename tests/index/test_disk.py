"""Full disks, disks that cannot be written, and databases that are no databases."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedder.core.errors import DiskFull, LibraryError, LibraryReadOnly
from index import Library
from index.storage.database import Database
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes


def mount(*arguments: str | Path) -> bool:
    """Whether the system lets us mount; it needs the superuser and Linux."""
    if sys.platform != "linux" or os.getuid() != 0:
        return False
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=1m", "none", disk):
        pytest.skip("mounting a small disk needs the superuser of a Linux machine")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 300
    return text


def test_a_full_disk_is_one_clear_line_and_what_was_stored_is_safe(
    small_disk: Path, tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.add.BATCH_FILES", 5)
    music = tmp_path / "music"
    write_tunes(music, 150, notes=300)
    folder = small_disk / "library"
    with Library.open(folder, encoder=encoder) as library:
        with pytest.raises(DiskFull) as caught:
            library.add(music, workers=1)
        assert "no space left" in one_line(caught.value)
        stored = library.info().pieces
        assert 0 < stored < 150
        assert len(library.search(tune(1), k=200).results) == stored
    shutil.copytree(folder, tmp_path / "larger")
    with Library.open(tmp_path / "larger", encoder=encoder) as library:
        assert library.info().pieces == stored
        library.add(music, workers=1)
        assert library.info().pieces == 150
        assert sqlite3.connect(library.folder / "midikin.db").execute(
            "PRAGMA integrity_check"
        ).fetchone() == ("ok",)


def test_a_database_that_may_not_grow_is_a_full_disk(
    tmp_path: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Database._prepare

    def limited(self: Database, connection: Any, record: Any) -> None:
        prepare(self, connection, record)
        connection.execute("PRAGMA max_page_count=40")

    with Library.open(tmp_path / "library", encoder=encoder):
        pass
    write_tunes(music / "more", 60, first_seed=100, notes=400)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "_prepare", limited)
        with Library.open(tmp_path / "library", encoder=encoder) as library:
            with pytest.raises(DiskFull) as caught:
                library.add(music, workers=1)
            assert "no space left" in one_line(caught.value)
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(music, workers=1)
        assert library.info().pieces == 72


def test_no_library_fits_on_a_disk_without_any_space(small_disk: Path, encoder: FakeEncoder) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(bytes(2 << 20))
    assert shutil.disk_usage(small_disk).free == 0
    with pytest.raises(DiskFull) as caught:
        Library.open(small_disk / "library", encoder=encoder)
    one_line(caught.value)


def check_read_only(folder: Path, music: Path, encoder: FakeEncoder, expected: Any) -> None:
    with Library.open(folder, encoder=encoder) as library:
        assert library.read_only
        assert library.info().pieces == 12
        assert library.search(tune(900), k=50).results == expected
        for change in (lambda: library.add(music), lambda: library.remove(1)):
            with pytest.raises(LibraryReadOnly, match="cannot be written") as caught:
                change()
            one_line(caught.value)


@pytest.mark.parametrize("cached", [False, True])
def test_a_library_on_a_read_only_disk_can_be_searched(
    cached: bool, tmp_path: Path, small_disk: Path, music: Path, encoder: FakeEncoder
) -> None:
    folder = small_disk / "library"
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(music, workers=1)
        expected = library.search(tune(900), k=50).results
    if not cached:
        for path in (tmp_path / "library").glob("*.json"):
            path.unlink()
    shutil.copytree(tmp_path / "library", folder)
    assert mount("-o", "remount,ro", small_disk)
    before = sorted(path.name for path in folder.iterdir())
    check_read_only(folder, music, encoder, expected)
    assert sorted(path.name for path in folder.iterdir()) == before
    with pytest.raises(LibraryReadOnly):
        Library.open(small_disk / "another", encoder=encoder)


def test_a_library_that_was_not_closed_says_so_on_a_read_only_disk(
    tmp_path: Path, small_disk: Path, music: Path, encoder: FakeEncoder
) -> None:
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(list(music.glob("part0")), workers=1)
        shutil.copytree(tmp_path / "library", small_disk / "library", ignore=lambda *_: ["midikin.db-shm"])
    assert mount("-o", "remount,ro", small_disk)
    with pytest.raises(LibraryReadOnly, match="not closed properly") as caught:
        Library.open(small_disk / "library", encoder=encoder)
    one_line(caught.value)


def test_a_library_without_permission_to_write_can_be_searched(
    library: Library, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = library.search(tune(900), k=50).results
    library.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    check_read_only(library.folder, music, encoder, expected)


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, None], ids=["text", "scrambled"])
def test_a_damaged_database_is_one_clear_line(
    content: bytes | None, library: Library, encoder: FakeEncoder
) -> None:
    library.close()
    path = library.folder / "midikin.db"
    data = bytearray(path.read_bytes())
    data[100:] = random.Random(1).randbytes(len(data) - 100)
    path.write_bytes(data if content is None else content)
    with pytest.raises(LibraryError, match="damaged") as caught:
        Library.open(library.folder, encoder=encoder)
    one_line(caught.value)


def read_everything(folder: Path, encoder: FakeEncoder) -> None:
    with Library.open(folder, encoder=encoder) as library:
        library.search(tune(1), k=50, passages=True)
        for piece in library.pieces(limit=100):
            library.notes(piece.id)


def test_a_truncated_database_never_shows_a_traceback_of_sqlite(
    library: Library, encoder: FakeEncoder
) -> None:
    library.close()
    path = library.folder / "midikin.db"
    data = path.read_bytes()
    for index in library.folder.glob("*.json"):
        index.unlink()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(LibraryError) as caught:
            read_everything(library.folder, encoder)
        one_line(caught.value)


def test_other_databases_and_newer_libraries_are_refused(
    tmp_path: Path, library: Library, encoder: FakeEncoder
) -> None:
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / "midikin.db") as connection:
        connection.execute("CREATE TABLE meta (name TEXT, value TEXT)")
    with pytest.raises(LibraryError, match="not a midikin library"):
        Library.open(tmp_path / "other", encoder=encoder)
    library.close()
    with sqlite3.connect(library.folder / "midikin.db") as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")
    with pytest.raises(LibraryError, match="newer midikin"):
        Library.open(library.folder, encoder=encoder)


def test_places_that_hold_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="midikin add"):
        Library.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="cannot be used"):
        Library.open(tmp_path / "file")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "midikin.db").write_bytes(b"")  # killed before the first table
    with pytest.raises(LibraryError, match="midikin add"):
        Library.open(tmp_path / "begun", create=False)
    with Library.open(tmp_path / "begun") as library:
        assert library.info().pieces == 0


def test_a_folder_whose_name_is_not_text(tmp_path: Path, music: Path, encoder: FakeEncoder) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/lib \xff%20?#\n name")
    try:
        os.mkdir(folder)
    except (OSError, UnicodeError):
        pytest.skip("this file system wants names to be UTF-8")
    with Library.open(folder, encoder=encoder) as library:
        library.add(music, workers=1)
        expected = library.search(1, passages=True)
    with Library.open(folder) as library:
        assert library.search(1, passages=True) == expected
        assert library.info().indexes[0].current


def test_the_environment_names_the_default_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDIKIN_LIBRARY", str(tmp_path / "mine"))
    with Library.open() as library:
        assert library.folder == tmp_path / "mine"
