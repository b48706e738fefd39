"""Child processes: they answer in order, never run the caller's main module, and end with their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embedder.core.processes import ChildEnded, ChildProcess, ChildProcesses

ROOT = str(Path(__file__).parent.parent)


def start_divider(dividend: float) -> Callable[[float], float]:
    """What the children of these tests run."""

    def divide(divisor: float) -> float:
        print("native code prints what it likes")
        if divisor < 0:
            os._exit(3)
        return dividend / divisor

    return divide


DIVIDER = "tests.test_processes:start_divider"


def test_answers_come_in_the_order_of_the_requests() -> None:
    with ChildProcesses(2, DIVIDER, 12.0) as children:
        assert list(children.map(range(1, 7))) == [12, 6, 4, 3, 12 / 5, 2]


def test_an_exception_of_the_child_is_raised_here_and_the_child_goes_on() -> None:
    child = ChildProcess(DIVIDER, 1.0)
    with pytest.raises(ZeroDivisionError):
        child.ask(0)
    assert child.ask(2) == 0.5
    child.kill()
    child.release()


def test_a_child_that_ends_before_it_has_answered_is_reported_and_replaced() -> None:
    with ChildProcesses(1, DIVIDER, 1.0) as children:
        with pytest.raises(ChildEnded, match="exit status 3"):
            list(children.map([-1]))
        assert list(children.map([2])) == [0.5]  # by another


def test_a_function_that_is_not_there_is_reported() -> None:
    with pytest.raises(AttributeError):
        ChildProcess("tests.test_processes:nothing")
    with pytest.raises(TypeError):
        ChildProcess(DIVIDER)


def test_children_can_be_used_from_a_thread() -> None:
    answers: list[float] = []

    def work() -> None:
        with ChildProcesses(1, DIVIDER, 6.0) as children:
            answers.extend(children.map([3]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert answers == [2]


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from embedder.core.processes import ChildProcesses\n"
        "print('begins')\n"
        f"with ChildProcesses(2, '{DIVIDER}', 4.0) as children:\n"
        "    print(list(children.map([1, 2])))\n"
    )
    run = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": ROOT}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "begins\n[4.0, 2.0]\n"


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from embedder.core.processes import ChildProcess\n"
        f"child = ChildProcess('{DIVIDER}', 4.0)\n"
        "print(child._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": ROOT}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 20
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
