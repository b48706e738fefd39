"""Reading many files in processes of their own, so that no file can harm its neighbours.

A worker that crashes or hangs costs exactly the file it was reading, and is replaced. Workers are plain
subprocesses and not those of `multiprocessing`, which would run the caller's main module once more in
each of them: a script without a guard, or a page of an app, must be able to read files too.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from ..core.errors import MidiError
from .pool_worker import FileRead, receive, send
from .reading import printable

__all__ = ["FileRead", "read_many"]

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from embedder.midi.pool_worker import serve; serve()"
)
_START_S = 60.0  # for a worker to start, on a busy machine
_AHEAD = 2  # files read or being read for each worker, before the caller asks for them


def read_many(
    paths: Iterable[str],
    *,
    workers: int,
    timeout_s: float = 10.0,
    front: str | None = None,
    **read_options: Any,
) -> Iterator[tuple[str, FileRead | MidiError]]:
    """Read files in worker processes; yields each path with its content or its error, in the given order.

    Parameters
    ----------
    paths : consumed in the caller's thread, a few ahead of what was yielded
    workers : number of processes, at least 1
    timeout_s : seconds that one file may take
    front : of the encoder that the files are for (`Encoder.front`); what it refuses is an error
    read_options : keyword arguments of `read_piece`

    Raises
    ------
    RuntimeError
        If no worker can be started.

    Notes
    -----
    Closing the iterator, or an exception in it (Ctrl-C too), ends the processes.
    """
    if workers < 1:
        raise ValueError("at least one worker is needed")
    with _Readers(workers, timeout_s, {"front": front, **read_options}) as readers:
        pending: deque[tuple[str, Future[FileRead | MidiError]]] = deque()
        for path in paths:
            pending.append((path, readers.submit(path)))
            if len(pending) >= workers * _AHEAD:
                first, answer = pending.popleft()
                yield first, answer.result()
        while pending:
            first, answer = pending.popleft()
            yield first, answer.result()


class _Worker:
    """A reading process and when it must have answered."""

    def __init__(self, timeout_s: float, options: dict[str, Any]) -> None:
        self._deadline = math.inf
        self._overdue = False
        self._clock = threading.Lock()  # so that no answer arrives between looking at the clock and killing
        self._timeout_s = timeout_s
        self._options = options
        # In a session of its own, Ctrl-C in the terminal reaches the parent only, which decides.
        self._process = subprocess.Popen(
            # Without -P, a json.py in the current folder would be run in place of the real one.
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # nothing to share out
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def start(self) -> None:
        """Wait until it is ready; EOFError if it never is."""
        # The alarm is the second line of defence, for when the parent is gone.
        alarm_s = math.ceil(self._timeout_s) + 2
        self._ask((alarm_s, self._options), _START_S)

    def read(self, path: str) -> FileRead | MidiError:
        """Read one file; a worker that is `dead` afterwards must not be asked again."""
        try:
            answer: FileRead | MidiError = self._ask(path, self._timeout_s)
            return answer
        except (EOFError, OSError):
            self.kill()
            if self._overdue:
                reason = f"was not read within {self._timeout_s:g} s"
            else:
                reason = f"crashed the reader ({self._ending()})"
            return MidiError(reason, printable(path))

    @property
    def dead(self) -> bool:
        return self._overdue or self._process.poll() is not None

    def end_if_overdue(self) -> None:
        """Kill it if its answer is late; whoever waits for the answer then sees its pipe close."""
        with self._clock:
            if time.monotonic() > self._deadline:
                self._overdue = True
                self._process.kill()

    def kill(self) -> None:
        """End the process; without effect on one that has ended."""
        self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Close the pipes of a process that has been killed."""
        for pipe in (self._requests, self._answers):
            with suppress(OSError):  # what was not sent cannot be flushed any more
                pipe.close()

    def _ask(self, message: Any, timeout_s: float) -> Any:
        with self._clock:
            self._deadline = time.monotonic() + timeout_s
        try:
            send(self._requests, message)
            return receive(self._answers)
        finally:
            with self._clock:
                self._deadline = math.inf

    def _ending(self) -> str:
        code = self._process.returncode
        if code >= 0:
            return f"exit status {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"


class _Readers:
    """Workers with a thread each, which waits for its answers, and one more that looks at the clock."""

    def __init__(self, workers: int, timeout_s: float, options: dict[str, Any]) -> None:
        self._timeout_s = timeout_s
        self._options = options
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="midikin-read")
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._alive: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._watch_clock, name="midikin-read-clock", daemon=True)

    def __enter__(self) -> _Readers:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed.set()
            for worker in self._alive:
                worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._watch.join()
        for worker in self._alive:
            worker.release()

    def submit(self, path: str) -> Future[FileRead | MidiError]:
        return self._threads.submit(self._read, path)

    def _read(self, path: str) -> FileRead | MidiError:
        worker = self._take()
        answer = worker.read(path)
        if worker.dead:
            self._forget(worker)
        else:
            self._idle.put(worker)
        return answer

    def _take(self) -> _Worker:
        with suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if not worker.dead:
                    return worker
                self._forget(worker)  # killed from outside between two files: no fault of the next
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("reading was stopped")
            worker = _Worker(self._timeout_s, self._options)
            self._alive.add(worker)
        try:
            worker.start()
        except (EOFError, OSError):
            self._forget(worker)
            raise RuntimeError("a reading process could not be started; its own message tells why") from None
        return worker

    def _forget(self, worker: _Worker) -> None:
        worker.kill()
        with self._lock:
            self._alive.discard(worker)
        worker.release()

    def _watch_clock(self) -> None:
        while not self._closed.wait(0.05):
            with self._lock:
                for worker in self._alive:
                    worker.end_if_overdue()
