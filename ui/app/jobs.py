"""Background jobs, each a child process, so that no page waits: adding, duplicates, probes, the map."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from embedder.core.errors import LibraryBusy

__all__ = ["Job", "Jobs"]

WORKER = ("-P", "-m", "ui.app.worker")


@dataclass(frozen=True)
class Job:
    """The state of a job.

    Attributes
    ----------
    kind : "add", "demo", "duplicates", "map" or "probe"
    request : the arguments of the job
    state : "running", "done", "failed" or "stopped"
    phase, done, total : progress; total is 0 where it is unknown
    extra : further numbers of the progress
    result : what came out
    error : one line, if it failed
    """

    number: int
    kind: str
    request: dict[str, Any]
    state: str = "running"
    phase: str = "starting"
    done: int = 0
    total: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error: str = ""
    started_s: float = 0.0
    seconds: float = 0.0

    @property
    def running(self) -> bool:
        return self.state == "running"


class Jobs:
    """The jobs of one library: one of each kind at a time, the last one remembered. Thread-safe."""

    def __init__(self, folder: str, command: Sequence[str] | None = None) -> None:
        self._folder = folder
        self._command = list(command or (sys.executable, *WORKER))
        self._lock = threading.Lock()
        self._last: dict[str, Job] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._count = 0

    def last(self, kind: str) -> Job | None:
        """The job of a kind that runs, or that ran last."""
        with self._lock:
            return self._last.get(kind)

    def start(self, kind: str, **request: Any) -> Job:
        """Start a job; `last` tells its progress.

        Raises
        ------
        LibraryBusy
            If one of this kind is running already.
        """
        with self._lock:
            before = self._last.get(kind)
            if before is not None and before.running:
                raise LibraryBusy("this is running already; it is shown on the page of the library")
            self._count += 1
            job = Job(self._count, kind, request, started_s=time.time())
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal reaches the app, which then ends this
                env=os.environ | {"MIDIKIN_LIBRARY": self._folder},
            )
            self._last[kind] = job
            self._processes[kind] = process
        threading.Thread(target=self._follow, args=(job, process), daemon=True).start()
        return job

    def stop(self, kind: str) -> None:
        """Interrupt the job of a kind; what it has stored stays."""
        with self._lock:
            process = self._processes.get(kind)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def stop_all(self) -> None:
        for kind in list(self._processes):
            self.stop(kind)

    def _follow(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # The pipe stays open: the worker ends when it closes, which it does when this process is gone.
            process.stdin.write(json.dumps({"kind": job.kind, **job.request}).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                self._receive(job, json.loads(line))
        except BrokenPipeError:
            pass  # it has ended already; why is seen below
        finally:
            code = process.wait()
            process.stdout.close()
            process.stdin.close()
        error = f"the job ended with status {code}" if code != -signal.SIGINT else ""
        self._update(job, only_if_running=True, state="failed" if error else "stopped", error=error)

    def _receive(self, job: Job, message: dict[str, Any]) -> None:
        """A line of the worker: progress or result."""
        if "pickled" in message:  # written by our own worker into our own pipe
            message["result"] = pickle.loads(base64.b64decode(message.pop("pickled")))
        self._update(job, **message)

    def _update(self, job: Job, *, only_if_running: bool = False, **changes: Any) -> None:
        """Change the state of a job, unless a later one has replaced it."""
        with self._lock:
            known = self._last[job.kind]
            if known.number == job.number and (known.running or not only_if_running):
                self._last[job.kind] = replace(known, **changes, seconds=time.time() - job.started_s)
