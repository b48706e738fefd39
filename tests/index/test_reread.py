"""Pieces that an older reader read, and files that changed under us, are read again; nothing else is lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from embedder import write_midi
from index import AddReport, Library, verify_library
from index.add import _Run
from tests.support.fake_encoder import tune


def sql(folder: Path, command: str) -> None:
    with closing(sqlite3.connect(folder / "midikin.db")) as connection, connection:
        connection.execute(command)


@pytest.fixture
def older(library: Library) -> Library:
    """A library with a tag and a decision, whose first four pieces an older midikin read, differently."""
    library.tags.label("slow", [1, 2])
    library.duplicates.decide(1, 2, "not-same")
    library.maintenance.prepare()
    library.find(1)  # fingerprints are made
    wrong = "(SELECT packed FROM notes WHERE piece_id = 9)"
    sql(library.folder, f"UPDATE notes SET packed = {wrong}, crc = NULL WHERE piece_id < 5")
    sql(library.folder, "UPDATE pieces SET reading = 0, notes = 1 WHERE id < 5")
    return library


def test_the_next_add_reads_old_pieces_again_and_keeps_numbers_tags_and_decisions(
    older: Library, music: Path
) -> None:
    paths = {piece.id: piece.path for piece in older.pieces()}
    report = older.add(music, workers=1)
    assert (report.reread, report.added, report.unchanged) == (4, 0, 8)
    assert {piece.id: piece.path for piece in older.pieces()} == paths
    assert [older.notes(number) for number in (1, 2)] == [tune(0), tune(3)]
    assert {piece.descriptors.notes for piece in older.pieces()} == {150}
    assert {piece.id for piece in older.pieces(["tag=slow"])} == {1, 2}
    assert len(older.duplicates.decisions()) == 1
    assert older.find(tune(0)).results[0].piece_id == 1  # fingerprints follow the notes
    assert older.search(1, include_self=True).results[0].piece_id == 1
    assert older.add(music, workers=1).reread == 0
    assert verify_library(older.folder).sound


def test_an_add_that_was_stopped_while_reading_again_goes_on(
    older: Library, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with older._database.read() as connection:
        before = older._database.library_id(connection)
    with monkeypatch.context() as patch:
        patch.setattr("index.add.BATCH_FILES", 2)
        write, batches = _Run._write, []

        def killed(run: _Run, *rest: Any) -> AddReport:
            batches.append(1)
            if len(batches) > 1:
                raise KeyboardInterrupt
            return write(run, *rest)

        patch.setattr("index.add._Run._write", killed)
        stopped = older.add(music, workers=1)
    assert (stopped.interrupted, stopped.reread) == (True, 2)
    assert older.add(music, workers=1).reread == 2
    with older._database.read() as connection:
        assert older._database.library_id(connection) != before
    assert {piece.descriptors.notes for piece in older.pieces()} == {150}
    assert older.find(tune(0)).results[0].piece_id == 1


def same_times(path: Path, change: Callable[[], object]) -> None:
    """Change a file and give it back the size and the time of change that it had."""
    status = path.stat()
    change()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


def test_an_edit_that_keeps_size_and_time_is_noticed(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    data = path.read_bytes()
    at = data.index(b"\x90") + 1
    other = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    same_times(path, lambda: path.write_bytes(other))
    report = library.add(music, workers=1)
    assert (report.changed, report.unchanged) == (1, 11)


def test_a_file_put_in_the_place_of_another_is_noticed(library: Library, music: Path, tmp_path: Path) -> None:
    path = music / "part0" / "tune000.mid"
    other = tmp_path / "other.mid"
    write_midi(tune(0).transpose(1), other)
    assert other.stat().st_size == path.stat().st_size
    same_times(path, lambda: os.replace(other, path))
    assert library.add(music, workers=1).changed == 1


def test_every_file_is_read_again_when_asked(library: Library, music: Path) -> None:
    before = library.pieces()
    report = library.add(music, workers=1, reread=True)
    assert (report.reread, report.added) == (12, 0)
    assert library.pieces() == before


def test_files_that_only_were_touched_keep_their_vectors(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    os.utime(path)
    path.chmod(0o600)
    report = library.add(music, workers=1)
    assert (report.changed, report.reread, report.unchanged) == (0, 0, 12)


@pytest.mark.parametrize(
    ("table", "column"),
    [("piece_vectors", "vector"), ("windows", "vectors"), ("windows", "spans"), ("notes", "packed")],
)
def test_a_flipped_bit_in_a_blob_is_seen_by_verify(library: Library, table: str, column: str) -> None:
    library.close()
    with closing(sqlite3.connect(library.folder / "midikin.db")) as connection, connection:
        (blob,) = connection.execute(f"SELECT {column} FROM {table} WHERE piece_id = 3").fetchone()
        for at in range(0, len(blob), max(1, len(blob) // 12)):
            flipped = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE piece_id = 3", (flipped,))
            connection.commit()
            report = verify_library(library.folder)
            assert [problem.name for problem in report.problems] == ["#3"]
