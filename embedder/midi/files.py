"""Bytes of files, read without waiting for pipes and without surprises in size."""

from __future__ import annotations

import os
import stat

from ..core.errors import MidiError

__all__ = ["load_bytes", "printable"]


def printable(path: str | os.PathLike[str]) -> str:
    """A path as one line that any terminal can show: odd characters and undecodable bytes are escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in os.fsdecode(os.fspath(path))
    )


def load_bytes(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    """Bytes of a regular file, and its status when it was opened.

    Raises
    ------
    MidiError
        If there is none, it is no regular file (pipes and devices are not even opened), or it is too large.
    """
    try:
        return _load(path, max_bytes)
    except OSError as error:
        raise MidiError(f"cannot be read: {error.strerror or error}", printable(path)) from None
    except (ValueError, MemoryError) as error:  # a zero byte in the path; no room for the file
        raise MidiError(f"cannot be read: {error or type(error).__name__}", printable(path)) from None
    except MidiError as error:
        raise MidiError(error.reason, printable(path)) from None


def _load(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    _check_regular(os.stat(path), max_bytes)
    # It may be replaced by a pipe between the two calls: opening must not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(status, max_bytes)
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise MidiError(f"is larger than the limit of {max_bytes:,} bytes")
    return data, status


def _check_regular(status: os.stat_result, max_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise MidiError("is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise MidiError("is not a regular file")
    if status.st_size > max_bytes:
        raise MidiError(f"is larger than the limit of {max_bytes:,} bytes")
