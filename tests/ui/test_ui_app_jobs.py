"""Long work in processes of its own: how it is told, stopped, and how it ends."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from embedder.core.errors import LibraryBusy
from ui.app.jobs import Job, Jobs

# Stands in for the worker: does what the request says.
WORKER = """
import json, os, sys, time
request = json.loads(sys.stdin.readline())
say = lambda **said: print(json.dumps(said), flush=True)
say(phase="adding", done=3, total=9, extra={"notes": 5})
if request["how"] == "wait":
    try:
        while sys.stdin.read(1): pass
        say(state="stopped", phase="closed")
    except KeyboardInterrupt:
        say(state="stopped")
elif request["how"] == "die":
    os._exit(3)
elif request["how"] == "fail":
    say(state="failed", error="the disk is full")
else:
    say(state="done", result={"library": os.environ["MIDIKIN_LIBRARY"]})
"""


def ended(jobs: Jobs, kind: str = "add") -> Job:
    deadline = time.monotonic() + 90
    while (job := jobs.last(kind)) is not None and job.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job is not None
    return job


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(str(tmp_path), [sys.executable, "-c", WORKER])


def test_work_says_how_far_it_is_and_what_came_out(jobs: Jobs, tmp_path: Path) -> None:
    assert jobs.last("add") is None
    assert jobs.start("add", how="well").running
    job = ended(jobs)
    assert (job.state, job.done, job.total, job.extra) == ("done", 3, 9, {"notes": 5})
    assert job.result == {"library": str(tmp_path)}


def test_of_each_kind_one_runs_at_a_time_and_is_stopped(jobs: Jobs) -> None:
    jobs.start("add", how="wait")
    with pytest.raises(LibraryBusy):
        jobs.start("add", how="well")
    jobs.start("duplicates", how="well")
    assert ended(jobs, "duplicates").state == "done"
    while (job := jobs.last("add")) is not None and job.phase == "starting":
        time.sleep(0.01)
    jobs.stop("add")
    assert ended(jobs).state == "stopped"
    jobs.start("add", how="well")
    assert ended(jobs).state == "done"


def test_failures_are_said_in_a_line(jobs: Jobs) -> None:
    jobs.start("add", how="fail")
    assert ended(jobs).error == "the disk is full"
    jobs.start("add", how="die")
    job = ended(jobs)
    assert (job.state, job.error) == ("failed", "the job ended with status 3")


def test_stopping_what_does_not_run_is_nothing(jobs: Jobs) -> None:
    jobs.stop("add")
    jobs.stop_all()
    assert jobs.last("add") is None
