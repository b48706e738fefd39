"""Child processes that work for this one: requests and answers are pickled through pipes.

They are plain subprocesses and not those of `multiprocessing`, whose start method "spawn" runs the caller's
main module once more in each of them: a script without a main guard, a notebook, a thread or a page of an app
must be able to use several processes too. A child ends when its input does, so it never outlives its parent,
and it has a session of its own, so that Ctrl-C in the terminal reaches the parent only, which decides.

What a child runs is named as "package.module:function". The function gets the arguments of `start` and
returns another, which answers the requests one after the other.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

__all__ = ["ChildEnded", "ChildProcess", "ChildProcesses", "receive", "send", "serve"]

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from embedder.core.processes import serve; serve(sys.argv[2])"
)
_LENGTH = struct.Struct("<Q")
_AHEAD = 2  # requests running or waiting for each process, before the caller takes their answers
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the processes share the cores already


class ChildEnded(RuntimeError):
    """A child process has ended before its time."""


class ChildProcess:
    """One child that answers requests, one at a time.

    Parameters
    ----------
    function : "package.module:function", see the module's description
    arguments : of the function

    Raises
    ------
    ChildEnded
        If it cannot be started; an exception of the function is raised as it is.
    """

    def __init__(self, function: str, *arguments: Any) -> None:
        self._process = subprocess.Popen(
            # Without -P, a json.py in the current folder would be run in place of the real one.
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path), function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | _ONE_THREAD,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        try:
            self.ask(arguments)
        except BaseException:
            self.kill()
            self.release()
            raise

    def ask(self, request: Any) -> Any:
        """The answer to a request; an exception that the child's function raised is raised here.

        Raises
        ------
        ChildEnded
            If the child ends before it has answered.
        """
        try:
            send(self._requests, request)
            success, answer = receive(self._answers)
        except (EOFError, OSError):
            self.kill()
            raise ChildEnded(f"a process ended while it worked ({self.ending})") from None
        if not success:
            raise answer
        return answer

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended: the name of a signal, or an exit status."""
        code = self._process.returncode
        if code is None:
            return "still running"
        if code >= 0:
            return f"exit status {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def kill(self) -> None:
        """End the process; without effect on one that has ended."""
        self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Close the pipes of a process that has been killed."""
        for pipe in (self._requests, self._answers):
            with suppress(OSError):  # what was not sent cannot be flushed any more
                pipe.close()


class ChildProcesses:
    """Several children of one kind, as a context manager; leaving it ends them.

    Parameters
    ----------
    count : processes
    function, arguments : as of `ChildProcess`
    """

    def __init__(self, count: int, function: str, *arguments: Any) -> None:
        if count < 1:
            raise ValueError("at least one process is needed")
        self._count, self._function, self._arguments = count, function, arguments
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="midikin-child")
        self._idle: queue.LifoQueue[ChildProcess] = queue.LifoQueue()
        self._children: set[ChildProcess] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for child in self._children:
            child.release()

    def map(self, requests: Iterable[Any]) -> Iterator[Any]:
        """The answers in the order of the requests, which are taken a few ahead of the answers.

        Raises
        ------
        ChildEnded
            If a child cannot be started or ends before it has answered.
        """
        pending: deque[Future[Any]] = deque()
        for request in requests:
            pending.append(self._threads.submit(self._ask, request))
            if len(pending) >= self._count * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _ask(self, request: Any) -> Any:
        child = self._take()
        try:
            return child.ask(request)
        finally:
            if child.alive:  # or the next request starts another
                self._idle.put(child)

    def _take(self) -> ChildProcess:
        with suppress(queue.Empty):
            return self._idle.get_nowait()
        child = ChildProcess(self._function, *self._arguments)
        with self._lock:
            self._children.add(child)
            if self._closed:
                child.kill()
        return child


# -- the protocol -----------------------------------------------------------------------------------


def send(stream: IO[bytes], message: Any) -> None:
    """Write a message."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    length = stream.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        raise EOFError
    data = stream.read(*_LENGTH.unpack(length))
    if len(data) < _LENGTH.unpack(length)[0]:
        raise EOFError
    return pickle.loads(data)


def serve(function: str) -> None:
    """Answer requests until there are no more: what a child runs."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever native code prints must not get among them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    module, _, name = function.partition(":")
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        arguments = receive(requests)
        try:
            answer = getattr(importlib.import_module(module), name)(*arguments)
        except Exception as error:
            send(answers, (False, error))
            return
        send(answers, (True, None))
        while True:
            request = receive(requests)
            try:
                reply = True, answer(request)
            except Exception as error:
                reply = False, error
            send(answers, reply)
