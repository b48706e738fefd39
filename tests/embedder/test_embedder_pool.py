"""Reading in worker processes: order, answers, and what crashes, hangs and interruptions leave behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from embedder import MidiError, describe, read_piece
from embedder.midi import pool
from embedder.midi.pool import FileRead, read_many
from tests.support import hostile

# A worker whose reader does what the name of a file says, and reads the others.
MISCHIEF = """
import json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv[1])
from embedder.midi import pool_worker
sound = pool_worker.read_file
def read_file(path, options):
    name = os.path.basename(path)
    if name.startswith("segfault"): os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("exit"): os._exit(3)
    if name.startswith("hang"): signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); time.sleep(1000)
    if name.startswith("print"): os.write(1, b"noise on standard output")
    if name.startswith("memory"): bytearray(2**36)
    return sound(path, options)
pool_worker.read_file = read_file
pool_worker.serve()
"""


@pytest.fixture
def tunes(tmp_path: Path) -> Callable[[str], str]:
    """Write a tune of that name; gives its path."""

    def write(name: str) -> str:
        path = tmp_path / name
        path.write_bytes(hostile.tune(20 + len(name)))
        return str(path)

    return write


@pytest.fixture
def _mischief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_START", MISCHIEF)


@pytest.fixture(autouse=True)
def new_children() -> Iterator[Callable[[], list[psutil.Process]]]:
    """Processes that this test has started, not what other tests left (multiprocessing keeps a tracker)."""
    before = set(psutil.Process().children())

    def started() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child not in before]

    yield started
    deadline = time.monotonic() + 5
    while started() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started() == []


def test_answers_come_in_order_and_whole(tunes: Callable[[str], str], tmp_path: Path) -> None:
    paths = [tunes(f"{i}" * (i % 7 + 1) + ".mid") for i in range(30)]
    (tmp_path / "bad.mid").write_bytes(b"no music")
    paths[7:7] = [str(tmp_path / "bad.mid"), str(tmp_path / "none.mid")]
    answers = list(read_many(iter(paths), workers=2))
    assert [path for path, _ in answers] == paths
    for path, answer in answers:
        if "bad" in path or "none" in path:
            assert isinstance(answer, MidiError)
            assert answer.path == path
            continue
        assert isinstance(answer, FileRead)
        data = Path(path).read_bytes()
        assert answer.path == path
        assert answer.size_bytes == len(data)
        assert answer.mtime_ns == os.stat(path).st_mtime_ns
        assert answer.sha256 == hashlib.sha256(data).hexdigest()
        assert answer.midi == read_piece(path)
        assert answer.descriptors == describe(answer.midi.notes, answer.midi.tempo_bpm)
        assert not answer.midi.notes.onset.flags.writeable


def test_options_reach_the_reader(tunes: Callable[[str], str]) -> None:
    path = tunes("a.mid")
    ((_, held),) = read_many([path], workers=1, sustain=True)
    ((_, none),) = read_many([path], workers=1, programs={5})
    assert isinstance(held, FileRead)
    assert held.midi == read_piece(path, sustain=True) != read_piece(path)
    assert isinstance(none, MidiError)


def test_nothing_to_read() -> None:
    assert list(read_many([], workers=3)) == []
    with pytest.raises(ValueError, match="at least one"):
        next(read_many(["a"], workers=0))


@pytest.mark.usefixtures("_mischief")
@pytest.mark.parametrize("workers", [1, 2])
def test_mischief_costs_its_own_file_only(tunes: Callable[[str], str], workers: int) -> None:
    odd = ["segfault", "2", "hang", "3", "print", "exit", "exit2", "4", "memory"]
    names = [f"{name}.mid" for name in ["1", *odd, "5"]]
    answers = {}
    for path, answer in read_many([tunes(name) for name in names], workers=workers, timeout_s=1):
        answers[os.path.basename(path)] = answer
    assert list(answers) == names
    reasons = {name: answer.reason for name, answer in answers.items() if isinstance(answer, MidiError)}
    assert reasons == {
        "segfault.mid": "crashed the reader (SIGSEGV)",
        "hang.mid": "was not read within 1 s",
        "exit.mid": "crashed the reader (exit status 3)",
        "exit2.mid": "crashed the reader (exit status 3)",
        "memory.mid": "needs too much memory",
    }


def test_worker_killed_between_files_is_no_fault_of_the_next(
    tunes: Callable[[str], str], new_children: Callable[[], list[psutil.Process]]
) -> None:
    paths = [tunes(f"{i}.mid") for i in range(6)]
    for number, (_, answer) in enumerate(read_many(paths, workers=1)):
        assert isinstance(answer, FileRead)
        if number == 1:
            time.sleep(0.3)  # until it waits for its next file
            (worker,) = new_children()
            worker.kill()
            worker.wait()


def test_only_a_few_files_are_read_ahead(tunes: Callable[[str], str]) -> None:
    path = tunes("a.mid")
    asked = []

    def paths() -> Iterator[str]:
        for i in range(1_000):
            asked.append(i)
            yield path

    answers = read_many(paths(), workers=2)
    next(answers)
    assert len(asked) <= 8
    answers.close()  # type: ignore[attr-defined]


def test_stopping_early_ends_the_processes(tunes: Callable[[str], str]) -> None:
    def interrupted() -> None:
        for _ in read_many([tunes("a.mid")] * 50, workers=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


@pytest.mark.usefixtures("_mischief")
def test_stopping_does_not_wait_for_a_file_that_hangs(tunes: Callable[[str], str]) -> None:
    answers = read_many([tunes("1.mid"), tunes("hang.mid"), tunes("2.mid")], workers=2, timeout_s=100)
    next(answers)
    began = time.monotonic()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5


def test_workers_that_cannot_start_are_told(
    tunes: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_START", "raise SystemExit(1)")
    with pytest.raises(RuntimeError, match="could not be started"):
        list(read_many([tunes("a.mid")], workers=1))


@pytest.mark.parametrize("name", ["many.mid", "hang.mid"])
def test_workers_end_with_a_parent_that_is_killed(tunes: Callable[[str], str], name: str) -> None:
    """Even one that hangs: an alarm ends it soon after its time was up."""
    code = (
        "import sys; from embedder.midi import pool; path, pool._START = sys.argv[1:]\n"
        "for _ in pool.read_many(iter(lambda: path, None), workers=2, timeout_s=3): pass"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tunes(name), MISCHIEF])
    workers: list[psutil.Process] = []
    deadline = time.monotonic() + 20
    while len(workers) < 2 and time.monotonic() < deadline:
        workers = psutil.Process(parent.pid).children()
        time.sleep(0.05)
    time.sleep(1)  # until they read
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


def test_a_module_of_the_current_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("open('was-run', 'w').close()\n")
    (tmp_path / "one.mid").write_bytes(hostile.header() + hostile.track(hostile.NOTE + hostile.END))
    monkeypatch.chdir(tmp_path)
    [(_, answer)] = read_many(["one.mid"], workers=1)
    assert isinstance(answer, FileRead)
    assert not (tmp_path / "was-run").exists()
