"""Locks of a library's folder: one writing process at a time, and one machine.

`writer_lock` is a lock of the operating system, which drops it when its holder dies, however it dies. Such
locks and SQLite's do not reach across a network, so a second machine is refused: whoever may write keeps a
file in the folder, one for each machine, and renews it now and then (`Claim`):

    in-use-MACHINE.json     name of the machine, and a number that changes with each beat

A file of another machine counts if its number changes while one looks. Clocks are not compared, for they
may differ and may be set back; and what a machine leaves behind that lost its power is soon seen to be dead.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from embedder.core.errors import LibraryBusy

from .errors import disk_errors
from .paths import display

__all__ = ["Claim", "on_network", "this_machine", "writer_lock"]

BEAT_S = 2.0
LOOK_S = 6.0
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs", "9p"}
_POLL_S = 0.2
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_machine() -> str:
    """What tells this machine from others. Containers of one machine are one: its locks hold among them."""
    try:
        return _BOOT.read_text(encoding="ascii").strip().replace("-", "")
    except OSError:
        return f"{uuid.getnode():x}"


def on_network(folder: Path) -> bool:
    """Whether a folder lies on a file system that other machines may use at the same time."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    where = os.path.realpath(folder)
    best, kind = "", ""
    for line in mounts.splitlines():
        place, _, rest = line.partition(" - ")
        point = place.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind in _NETWORK


class Claim:
    """Says for as long as it lives that this machine uses a folder.

    Raises
    ------
    LibraryBusy
        If another machine does. It takes some seconds to be sure of that, and no time at all otherwise.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / f"in-use-{this_machine()[:12]}.json"
        self._ended = threading.Event()
        self._beat()
        try:
            self._refuse_others()
        except BaseException:
            self._forget()
            raise
        self._thread = threading.Thread(target=self._beat_on, daemon=True, name="midikin-claim")
        self._thread.start()

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self) -> None:
        beside = self._own.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
        with suppress(OSError):  # a full disk must not end what could still be finished
            beside.write_text(json.dumps({"machine": platform.node(), "beat": uuid.uuid4().hex}))
            os.replace(beside, self._own)
            return
        with suppress(OSError):
            beside.unlink(missing_ok=True)

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_S):
            self._beat()

    def _forget(self) -> None:
        # Another process of this machine may be using the folder too: its next beat makes the file anew.
        with suppress(OSError):
            self._own.unlink(missing_ok=True)

    def _refuse_others(self) -> None:
        before = self._others()
        deadline = time.monotonic() + LOOK_S
        while before and time.monotonic() < deadline:
            time.sleep(BEAT_S / 4)
            now = self._others()
            for path, (name, beat) in now.items():
                if path in before and before[path][1] != beat:
                    raise LibraryBusy(
                        f"{display(str(self._folder))}: the machine {display(name)} is using this library; "
                        "two machines cannot use one folder at once, wait until it is done"
                    )
            before = {path: state for path, state in before.items() if path in now}
        for path in before:  # what a machine left that is no longer there
            with suppress(OSError):
                path.unlink()

    def _others(self) -> dict[Path, tuple[str, str]]:
        found = {}
        for path in self._folder.glob("in-use-*.json"):
            if path != self._own:
                with suppress(OSError, ValueError, KeyError, TypeError):
                    state = json.loads(path.read_text(encoding="utf-8"))
                    found[path] = str(state["machine"]), str(state["beat"])
        return found


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
