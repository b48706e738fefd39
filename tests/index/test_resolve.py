"""Which piece a user means: one rule for files that changed, one message for what is not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from embedder.core.errors import PieceNotFound
from embedder.midi.reading import read_midi
from index import Library
from index.resolve import Source, resolve


def meant(library: Library, target: object) -> Source:
    with library._database.read() as connection:
        source = resolve(connection, target)  # type: ignore[arg-type]
        assert len(source.notes)
    return source


def first_file(library: Library) -> Path:
    return Path(library.piece(1).path)


def test_a_number_and_its_written_form_are_the_same_piece(library: Library) -> None:
    assert meant(library, 3).piece == meant(library, "#3").piece == library.piece(3)


def test_a_file_of_that_name_comes_before_a_number(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(first_file(library), "#3")
    assert meant(library, "#3").piece_id == 1


def test_a_file_is_its_piece_by_its_content_and_when_it_is_gone(library: Library, tmp_path: Path) -> None:
    file = first_file(library)
    copy = shutil.copy(file, tmp_path / "copy.mid")
    assert meant(library, copy).piece_id == 1
    file.unlink()
    assert meant(library, file).piece_id == 1


def test_an_edit_that_keeps_size_and_time_is_noticed(library: Library, tmp_path: Path) -> None:
    file, other = first_file(library), Path(library.piece(2).path)
    times = file.stat()
    data = bytearray(file.read_bytes())
    at = data.rindex(b"\x90") + 1
    data[at] ^= 1  # another pitch
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == times.st_size
    source = meant(library, file)
    assert source.piece is None
    assert source.notes == read_midi(file) != library.notes(1)
    file.write_bytes(other.read_bytes())
    assert meant(library, file).piece_id == 2


@pytest.mark.parametrize("verb", ["search", "find", "compare", "label", "remove", "decide", "piece"])
def test_a_number_that_is_not_there_gets_one_message(library: Library, verb: str) -> None:
    calls = {
        "search": lambda: library.search(99),
        "find": lambda: library.find(99),
        "compare": lambda: library.compare(1, 99),
        "label": lambda: library.tags.label("calm", 99),
        "remove": lambda: library.remove(99),
        "decide": lambda: library.duplicates.decide(1, 99, "keep"),
        "piece": lambda: library.piece(99),
    }
    with pytest.raises(PieceNotFound, match="no piece of the library has the number 99; `midikin list`"):
        calls[verb]()


@pytest.mark.parametrize("verb", ["label", "remove"])
def test_a_file_that_is_not_there_gets_one_message(library: Library, tmp_path: Path, verb: str) -> None:
    calls = {
        "label": lambda: library.tags.label("calm", tmp_path / "no.mid"),
        "remove": lambda: library.remove(tmp_path / "no.mid"),
    }
    with pytest.raises(PieceNotFound, match=r"no\.mid: not in the library; add it first"):
        calls[verb]()


def test_a_changed_file_is_not_labelled_as_what_it_was(library: Library) -> None:
    file = first_file(library)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(PieceNotFound, match="not in the library"):
        library.tags.label("calm", file)
