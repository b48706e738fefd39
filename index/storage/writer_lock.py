"""One writer at a time: a lock that the operating system drops when its holder dies, however it dies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from embedder.core.errors import LibraryBusy

from .database import disk_errors
from .host_lock import Claim
from .paths import display

__all__ = ["writer_lock"]

_POLL_S = 0.2


@contextmanager
def writer_lock(
    folder: Path, wait_s: float | None, waiting: Callable[[int | None], None] | None = None
) -> Iterator[None]:
    """Hold the library's write lock.

    Parameters
    ----------
    folder : the library's folder
    wait_s : how long to wait for another process; None waits as long as it takes
    waiting : called now and then while waiting, with the number of the process that holds the lock

    Raises
    ------
    LibraryBusy
        If another process still holds it after `wait_s`, or another machine is writing in this folder.
    """
    from filelock import FileLock, Timeout

    # thread_local=False: the thread that closes a library need not be the one that adds.
    lock = FileLock(folder / "writer.lock", thread_local=False)
    holder = folder / "writer.pid"  # beside the lock, which others truncate when they try it
    deadline = None if wait_s is None else time.monotonic() + wait_s
    while True:
        # The innermost: a Timeout is an OSError too.
        with disk_errors(folder), suppress(Timeout):
            lock.acquire(timeout=0)
        if lock.is_locked:
            break
        pid = _read_pid(holder)
        if deadline is not None and time.monotonic() >= deadline:
            by = f"process {pid}" if pid else "another process"
            raise LibraryBusy(
                f"{display(str(folder))}: {by} is changing this library; try again when it is done"
            )
        if waiting is not None:
            waiting(pid)
        time.sleep(_POLL_S)
    try:
        with suppress(OSError):  # only a courtesy to those who wait
            holder.write_text(str(os.getpid()))
        with Claim(folder):
            yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _read_pid(holder: Path) -> int | None:
    try:
        return int(holder.read_text())
    except (OSError, ValueError):
        return None
