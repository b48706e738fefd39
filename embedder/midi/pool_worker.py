"""One reading process: paths come in on standard input, what was read goes out on standard output.

It is started by `embedder.midi.pool`, and ends when its input does, so it never outlives its parent. A file
that takes far too long ends it through an alarm, which works even where native code never returns to Python.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from ..core.errors import MidiError
from ..descriptors import Descriptors, describe
from .reading import Limits, MidiFile, load, printable, read_piece

__all__ = ["FileRead", "read_file", "receive", "send", "serve"]

LARGEST_MEMORY = 4 * 2**30  # bytes of address space; a file that needs more fails alone
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class FileRead:
    """A file and what it says.

    Attributes
    ----------
    size_bytes, mtime_ns, sha256 : of the bytes that were read; the last is hexadecimal
    changed_ns : last change of anything, permissions included; None if unknown
    inode : of the file; None if unknown
    prepared : what the front of an encoder made of the bytes, None if none was asked for
    """

    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    midi: MidiFile
    descriptors: Descriptors
    prepared: Any = None
    changed_ns: int | None = None
    inode: int | None = None


def send(stream: IO[bytes], message: Any) -> None:
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


def read_file(path: str, options: dict[str, Any]) -> FileRead:
    """Read and describe one file; raises MidiError.

    Parameters
    ----------
    options : the "front" of an encoder, if it has one, and keyword arguments of `read_piece`
    """
    how = {name: value for name, value in options.items() if name != "front"}
    data, status = load(path, how.get("limits") or Limits())
    try:
        midi = read_piece(data, **how)
        prepared = _prepared(options.get("front"), data)
    except MidiError as error:
        raise MidiError(error.reason, printable(path)) from None
    return FileRead(
        path=path,
        size_bytes=len(data),
        mtime_ns=status.st_mtime_ns,
        sha256=hashlib.sha256(data).hexdigest(),
        midi=midi,
        descriptors=describe(midi.notes, midi.tempo_bpm),
        prepared=prepared,
        changed_ns=max(status.st_mtime_ns, status.st_ctime_ns),
        inode=status.st_ino,
    )


def _prepared(front: str | None, data: bytes) -> Any:
    """What an encoder's front makes of the bytes of a file; None if it has none. Raises MidiError."""
    if front is None:
        return None
    if front == "aria":
        from ..aria.windows import AriaRuns

        return AriaRuns.of_file(data)
    raise ValueError(f"no encoder has the front {front!r}")


def serve() -> None:
    """Answer requests until there are no more."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever native code prints must not get among them
    _limit_memory()
    alarm_s, options = receive(requests)
    send(answers, "ready")
    while True:
        try:
            path = receive(requests)
        except EOFError:
            return
        _alarm(alarm_s)
        try:
            answer: FileRead | MidiError = read_file(path, options)
        except MidiError as error:
            answer = error
        except MemoryError:
            answer = MidiError("needs too much memory", printable(path))
        _alarm(0)
        send(answers, answer)


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > LARGEST_MEMORY:
        with suppress(ValueError, OSError):  # macOS knows the limit but does not take it
            resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, hard))
