"""Two machines, one folder: SQLite's locks do not reach across a network, so the second is refused.

Whoever may write says so in a file of the folder, one for each machine, and beats it now and then:

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
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from embedder.core.errors import LibraryBusy

from .paths import display

__all__ = ["Claim", "on_network", "this_machine"]

BEAT_S = 2.0
LOOK_S = 6.0
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs", "9p"}
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
