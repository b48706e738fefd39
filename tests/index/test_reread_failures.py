"""Reading pieces again where files fail, or while they are embedded anew, loses no piece and no tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from embedder.core.errors import MidiError
from embedder.midi import pool
from index import Library, verify_library
from tests.index.test_reread import sql


@pytest.fixture
def tagged(library: Library) -> Library:
    """Pieces 1 to 3 have a tag, and pieces 1 to 4 were read by an older midikin."""
    library.tags.label("slow", [1, 2, 3])
    sql(library.folder, "UPDATE pieces SET reading = 0 WHERE id < 5")
    return library


def path_of(library: Library, number: int) -> Path:
    return next(Path(piece.path) for piece in library.pieces() if piece.id == number)


def reading_fails(monkeypatch: pytest.MonkeyPatch, name: str, before: Callable[[], object] = list) -> None:
    """Reading files of this name fails, after something else has happened to them."""
    real = pool.read_many

    def read(paths: Iterable[str], **options: Any) -> Iterator[tuple[str, object]]:
        before()
        for path, answer in real(paths, **options):
            failed = MidiError("cannot be read: input/output error", path)
            yield path, failed if Path(path).name == name else answer

    monkeypatch.setattr(pool, "read_many", read)


@pytest.mark.parametrize("reread", [False, True])
def test_a_piece_whose_file_fails_to_be_read_again_keeps_its_number_and_tags(
    tagged: Library, music: Path, monkeypatch: pytest.MonkeyPatch, reread: bool
) -> None:
    path = path_of(tagged, 1)
    with monkeypatch.context() as patch:
        reading_fails(patch, path.name)
        assert tagged.add(music, workers=1, reread=reread).failed == 1
    assert {piece.id for piece in tagged.pieces(["tag=slow"])} == {1, 2, 3}
    assert [failure.path for failure in tagged.failures()] == [str(path)]
    report = tagged.add(music, workers=1, retry_failures=True)
    assert (report.reread, report.unchanged) == (1, 11)
    assert tagged.failures() == []
    assert len(tagged.pieces()) == 12
    assert verify_library(tagged.folder).sound


def test_a_file_deleted_while_it_is_read_again_has_vanished_and_keeps_its_piece(
    tagged: Library, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(tagged, 1)
    with monkeypatch.context() as patch:
        reading_fails(patch, path.name, lambda: path.unlink(missing_ok=True))
        tagged.add(music, workers=1)
    assert {piece.id for piece in tagged.pieces(["tag=slow"])} == {1, 2, 3}
    report = tagged.add(music, workers=1)
    assert report.vanished == (str(path),)
    assert tagged.failures() == []


def test_a_file_that_now_holds_other_bytes_and_no_music_is_no_piece_any_more(
    tagged: Library, music: Path
) -> None:
    path = path_of(tagged, 1)
    path.write_bytes(b"x" * path.stat().st_size)
    assert tagged.add(music, workers=1).failed == 1
    assert {piece.id for piece in tagged.pieces(["tag=slow"])} == {2, 3}


def test_of_two_files_of_an_older_piece_one_may_change(tagged: Library, music: Path) -> None:
    path = path_of(tagged, 1)
    copy = path.with_name("copy.mid")
    copy.write_bytes(path.read_bytes())
    tagged.add(copy, workers=1)
    sql(tagged.folder, "UPDATE pieces SET reading = 0 WHERE id < 5")
    data = path.read_bytes()
    at = data.index(b"\x90") + 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    report = tagged.add(music, workers=1)
    assert (report.changed, report.added, report.failed) == (1, 1, 0)
    assert path_of(tagged, 1) == copy
    assert {piece.id for piece in tagged.pieces(["tag=slow"])} == {1, 2, 3}
    assert tagged.add(music, workers=1).unchanged == 13
