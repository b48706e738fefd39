"""Verifying, repairing and copying libraries, damaged in every way that can be thought of."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from embedder.core.errors import DiskFull, LibraryDamaged, LibraryError
from index import Library, repair_library, verify_library
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

PAGE = 8192


@pytest.fixture
def closed(library: Library) -> Path:
    """A library of twelve tunes with a decision and with indexes, closed."""
    library.maintenance.prepare()
    library.duplicates.decide(1, 2, "not-same")
    library.close()
    return library.folder


def sql(folder: Path, command: str) -> None:
    with closing(sqlite3.connect(folder / "midikin.db")) as connection, connection:
        connection.execute(command)


def test_a_sound_library_is_sound_and_left_alone(closed: Path) -> None:
    before = (closed / "midikin.db").read_bytes()
    report = verify_library(closed)
    assert (report.sound, report.problems, report.pieces) == (True, (), 12)
    found = repair_library(closed)
    assert (found.pieces, found.paths, found.kept_as, found.indexes) == (12, 12, None, ())
    assert (closed / "midikin.db").read_bytes() == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("DELETE FROM notes WHERE piece_id = 3", "a part of it is missing"),
        ("UPDATE windows SET vectors = x'0011' WHERE piece_id = 3", "wrong length"),
        ("UPDATE piece_vectors SET vector = zeroblob(128) WHERE piece_id = 3", "differ in number"),
        ("UPDATE notes SET packed = x'0102030405060708090a' WHERE piece_id = 3", "stored notes"),
        ("DELETE FROM paths WHERE piece_id = 3", "no file holds it"),
        ("UPDATE pieces SET density = 'many' WHERE id = 3", "density is no float"),
        ("UPDATE pieces SET title = x'ff' WHERE id = 3", "title is no str"),
    ],
)
def test_a_piece_that_is_not_whole_is_found_and_goes(
    command: str, said: str, closed: Path, music: Path, encoder: FakeEncoder
) -> None:
    sql(closed, command)
    report = verify_library(closed)
    assert not report.sound
    assert any(said in problem.reason for problem in report.problems)
    found = repair_library(closed)
    assert (found.pieces, found.lost_pieces) == (11, 1)
    assert verify_library(closed).problems == ()
    with Library.open(closed, encoder=encoder) as library:
        assert len(library.search(tune(900), k=50).results) == 11
        library.add(music, workers=1)
        numbers = [piece.id for piece in library.pieces()]
        assert len(numbers) == 12
        assert numbers[-1] > 12  # a number is never used twice
        assert len(library.duplicates.decisions()) == 1


@pytest.mark.parametrize("seed", range(12))
def test_whatever_pages_are_damaged_all_that_can_be_read_is_kept(
    seed: int, closed: Path, music: Path, encoder: FakeEncoder
) -> None:
    path = closed / "midikin.db"
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    pages = len(data) // PAGE
    for _ in range(1 + seed % 3):  # the first page holds what the tables are; without it nothing is left
        page = rng.randrange(1, pages)
        some = rng.choice([64, 512, PAGE])
        at = page * PAGE + rng.randrange(PAGE - some + 1)
        data[at : at + some] = rng.randbytes(some)
    path.write_bytes(data)
    damaged = not verify_library(closed).sound
    found = repair_library(closed)
    assert (found.kept_as is not None) == damaged
    assert found.pieces >= 12 - 12 * (1 + seed % 3)
    assert verify_library(closed).sound
    with Library.open(closed, encoder=encoder) as library:
        library.search(tune(900), k=50)
        library.add(music, workers=1)
        assert library.info().pieces == 12
        assert len(library.search(tune(900), k=50, include_self=True).results) == 12
    if damaged:
        assert found.kept_as is not None
        assert Path(found.kept_as).read_bytes() == bytes(data)


def test_one_leaf_that_is_damaged_costs_its_own_rows_only(tmp_path: Path, encoder: FakeEncoder) -> None:
    music = tmp_path / "music"
    write_tunes(music, 60, notes=600)
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(music, workers=1)
    path = tmp_path / "library" / "midikin.db"
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT pageno FROM dbstat WHERE name = 'notes' AND pagetype = 'leaf'"
        try:
            pages = [page for (page,) in connection.execute(query)]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite does not tell which page is whose")
    assert len(pages) > 5
    data = bytearray(path.read_bytes())
    data[(pages[2] - 1) * PAGE : pages[2] * PAGE] = random.Random(1).randbytes(PAGE)
    path.write_bytes(data)
    found = repair_library(tmp_path / "library")
    assert 60 - 8 <= found.pieces < 60
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        assert library.add(music, workers=1).added == 60 - found.pieces


def test_what_cannot_be_helped_is_one_clear_line(closed: Path) -> None:
    data = (closed / "midikin.db").read_bytes()
    (closed / "midikin.db").write_bytes(b"\0" * PAGE + data[PAGE:])
    assert not verify_library(closed).sound
    with pytest.raises(LibraryError, match="backup") as caught:
        repair_library(closed)
    assert "\n" not in str(caught.value)
    assert (closed / "midikin.db").read_bytes()[PAGE:] == data[PAGE:]
    assert not list(closed.glob("*.repaired*"))
    with pytest.raises(LibraryError, match="no library"):
        verify_library(closed / "nowhere")


def test_damage_met_on_the_way_names_the_command(closed: Path, encoder: FakeEncoder) -> None:
    sql(closed, "UPDATE notes SET packed = x'00' WHERE piece_id = 3")
    with (
        Library.open(closed, encoder=encoder) as library,
        pytest.raises(LibraryDamaged, match="midikin repair"),
    ):
        library.notes(3)


def test_a_damaged_index_is_found_and_made_anew(closed: Path, encoder: FakeEncoder) -> None:
    (index,) = closed.glob("pieces-*.faiss")
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    report = verify_library(closed)
    assert report.sound
    assert [(problem.what, problem.name) for problem in report.problems] == [("index", "pieces")]
    assert repair_library(closed).indexes == ("pieces",)
    assert verify_library(closed).problems == ()
    with Library.open(closed, encoder=encoder) as library:
        assert len(library.search(tune(900), k=50).results) == 12


def test_a_backup_is_a_library(library: Library, music: Path, tmp_path: Path, encoder: FakeEncoder) -> None:
    target = tmp_path / "copies" / "one"
    assert library.maintenance.backup(target) == target
    assert [path.name for path in target.iterdir()] == ["midikin.db"]
    with Library.open(target, encoder=encoder) as copy:
        assert copy.search(tune(900), k=50) == library.search(tune(900), k=50)
        copy.remove(1)
    write_tunes(music / "more", 2, first_seed=70)
    library.add(music, workers=1)
    library.maintenance.backup(target)  # over the earlier one, that was used in between
    with Library.open(target, encoder=encoder) as copy:
        assert copy.info().pieces == 14
    assert verify_library(target).sound


def test_a_backup_never_overwrites_another_library(
    library: Library, tmp_path: Path, encoder: FakeEncoder
) -> None:
    with Library.open(tmp_path / "other", encoder=encoder) as other:
        write_tunes(tmp_path / "few", 2)
        other.add(tmp_path / "few", workers=1)
    with pytest.raises(LibraryError, match="another library"):
        library.maintenance.backup(tmp_path / "other")
    with pytest.raises(LibraryError, match="the library itself"):
        library.maintenance.backup(library.folder)
    with Library.open(tmp_path / "other", encoder=encoder) as other:
        assert other.info().pieces == 2


def test_a_backup_while_pieces_are_added(
    library: Library, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.add.BATCH_FILES", 2)
    write_tunes(music / "more", 20, first_seed=70)
    thread = threading.Thread(target=library.add, args=(music,), kwargs={"workers": 1})
    thread.start()
    sizes = []
    while thread.is_alive():
        library.maintenance.backup(tmp_path / "copy")
        report = verify_library(tmp_path / "copy")
        assert report.sound
        sizes.append(report.pieces)
    thread.join()
    assert sizes == sorted(sizes)
    assert library.info().pieces == 32


def test_a_backup_that_finds_no_room_leaves_the_earlier_one(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import index.storage.backup

    library.maintenance.backup(tmp_path / "copy")
    before = (tmp_path / "copy" / "midikin.db").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index.storage.backup.os, "fsync", full)
    with pytest.raises(DiskFull, match="no space left"):
        library.maintenance.backup(tmp_path / "copy")
    assert (tmp_path / "copy" / "midikin.db").read_bytes() == before
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["midikin.db"]


def test_a_clock_that_goes_backwards_changes_no_answer(
    library: Library, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [2_000_000_000.0]

    def earlier() -> float:
        now[0] -= 86_400.0
        return now[0]

    monkeypatch.setattr("time.time", earlier)
    write_tunes(music / "more", 2, first_seed=70)
    assert library.add(music, workers=1).added == 2
    assert library.add(music, workers=1).added == 0
    library.duplicates.decide(1, 2, "not-same")
    library.duplicates.decide(1, 2, "keep")
    assert [str(decision.verdict) for decision in library.duplicates.decisions()] == ["keep"]
    shutil.rmtree(music / "more")
    assert library.add(music, workers=1, prune=True).pruned
    assert library.info().pieces == 12
    assert len(library.search(tune(900), k=50).results) == 12
