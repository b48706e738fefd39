"""Several processes at once, processes that are killed, and processes that are asked to stop."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from embedder.core.errors import LibraryBusy
from index import AddProgress, Library
from index.storage.database import Database
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

SCRIPT = Path(__file__).parent.parent / "support" / "slow_adder.py"
KILLS = 20

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")


def start_adder(library: Path, music: Path, pause_s: float = 0.0) -> subprocess.Popen[str]:
    """A process that adds; returns when it is about to begin."""
    command = [sys.executable, str(SCRIPT), str(library), str(music), str(pause_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def rows(library: Path) -> dict[str, list[Any]]:
    """Everything that the database holds, but for numbers and times of adding."""
    with sqlite3.connect(library / "midikin.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        columns = [row[1] for row in connection.execute("PRAGMA table_info(pieces)")]
        described = ", ".join(f"pieces.{c}" for c in columns if c not in ("id", "added_s"))
        queries = {
            "pieces": f"""SELECT {described}, vector, spans, vectors, packed FROM pieces
                JOIN piece_vectors ON piece_vectors.piece_id = pieces.id
                JOIN windows ON windows.piece_id = pieces.id JOIN notes ON notes.piece_id = pieces.id""",
            "paths": """SELECT path, display, name, paths.size_bytes, mtime_ns, sha256 FROM paths
                JOIN pieces ON pieces.id = piece_id""",
            "failures": "SELECT path, display, size_bytes, changed_ns, reason FROM failures",
            "counts": """SELECT (SELECT count(*) FROM pieces), (SELECT count(*) FROM piece_vectors),
                (SELECT count(*) FROM windows), (SELECT count(*) FROM notes), (SELECT count(*) FROM paths)""",
        }
        return {
            name: sorted(connection.execute(query).fetchall(), key=repr) for name, query in queries.items()
        }


@pytest.fixture
def mixed_music(tmp_path: Path) -> Path:
    """Tunes, duplicates and broken files, enough for a dozen small batches."""
    folder = tmp_path / "music"
    paths = write_tunes(folder, 30, notes=100)
    for i in range(4):
        (folder / f"copy{i}.mid").write_bytes(paths[i * 5].read_bytes())
        (folder / f"broken{i}.mid").write_bytes(b"broken" * i)
    return folder


def test_killed_at_any_moment_an_add_continues_to_the_same_library(tmp_path: Path, mixed_music: Path) -> None:
    calm = start_adder(tmp_path / "calm", mixed_music)
    answer = calm.communicate()[0]
    duration_s = float(answer.split()[-1])
    expected = rows(tmp_path / "calm")
    assert expected["counts"] == [(30, 30, 30, 30, 34)]
    rng = random.Random(20)
    stored = []
    for kill in range(KILLS):
        folder = tmp_path / f"killed{kill}"
        process = start_adder(folder, mixed_music)
        # Evenly spread, and at random within each stretch.
        time.sleep(duration_s * (kill + rng.random()) / KILLS)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        between = rows(folder)
        for table in ("pieces", "paths", "failures"):
            assert set(map(repr, between[table])) <= set(map(repr, expected[table]))
        stored.append(len(between["pieces"]))
        with Library.open(folder, encoder=FakeEncoder()) as library:
            library.search(tune(1))
            library.add(mixed_music, workers=1)
            assert len(library.search(tune(1), k=100).results) == 30
        assert rows(folder) == expected
    assert any(0 < count < 30 for count in stored), "no kill fell into the middle"


def test_ctrl_c_stops_an_adding_process_between_batches(tmp_path: Path, mixed_music: Path) -> None:
    process = start_adder(tmp_path / "library", mixed_music, pause_s=0.5)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        while library.info().pieces == 0:
            time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    answer = process.communicate(timeout=20)[0].split()
    assert process.returncode == 0
    assert answer[1] == "True"
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        assert library.info().pieces == int(answer[0]) < 30
        library.add(mixed_music, workers=1)
        assert library.info().pieces == 30


def test_a_second_adder_is_told_who_is_at_work_or_waits(tmp_path: Path, mixed_music: Path) -> None:
    process = start_adder(tmp_path / "library", mixed_music, pause_s=0.15)
    waited: list[AddProgress] = []
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        while library.info().pieces == 0:
            time.sleep(0.02)
        with pytest.raises(LibraryBusy, match=f"process {process.pid} is changing"):
            library.add(mixed_music, wait_s=0)
        with pytest.raises(LibraryBusy):
            library.remove(1, wait_s=0.3)
        # Searches go on meanwhile and see more and more.
        before = len(library.search(tune(1), k=100).results)
        report = library.add(mixed_music, waited.append, workers=1)
        assert len(library.search(tune(1), k=100).results) == 30 > before
    assert waited[0].phase == "waiting"
    assert waited[0].holder_pid == process.pid
    assert (report.unchanged, report.added) == (34, 0)
    assert process.communicate()[0].split()[0] == "30"


def test_the_lock_of_a_killed_adder_is_free(tmp_path: Path, mixed_music: Path) -> None:
    process = start_adder(tmp_path / "library", mixed_music, pause_s=0.3)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.add(mixed_music, workers=1, wait_s=0)
        assert library.info().pieces == 30


def test_processes_may_make_the_same_library_at_once(tmp_path: Path, music: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "library"), str(music)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    added = [int(process.communicate()[0].split()[1]) for process in processes]
    assert sorted(added) == [0, 0, 12]
    with Library.open(tmp_path / "library", create=False) as library:
        assert library.info().pieces == 12


def test_many_may_be_the_first_to_open_a_library(tmp_path: Path, encoder: FakeEncoder) -> None:
    """SQLite lets one of them switch its log on, and refuses the others without waiting."""
    with Library.open(tmp_path / "made", encoder=encoder) as library:
        library.add(write_tunes(tmp_path / "music", 1), workers=1)
    with sqlite3.connect(tmp_path / "made" / "midikin.db") as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    connection.close()
    failed: list[BaseException] = []

    def opening(folder: Path, start: threading.Barrier) -> None:
        try:
            start.wait()
            Database(folder, create=False).close()
        except BaseException as error:
            failed.append(error)

    for number in range(60):
        start = threading.Barrier(6)
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "made", folder)
        threads = [threading.Thread(target=opening, args=(folder, start)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
