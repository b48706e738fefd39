"""Errors of a library on disk: what SQLite, the operating system or a damaged row say, in plain words."""

from __future__ import annotations

import errno
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedder.core.errors import DiskFull, LibraryDamaged, LibraryError, LibraryReadOnly
from embedder.core.files import printable as display

__all__ = ["DATABASE_NAME", "damaged", "decoding", "disk_errors", "library_error"]

DATABASE_NAME = "midikin.db"
_NEARLY_NOTHING_BYTES = 1 << 20
# What decoding of odd bytes raises; RecursionError is of JSON nested thousands deep.
_ODD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, struct.error)


def damaged(what: str) -> LibraryDamaged:
    """The exception for a database whose pages were read but hold nonsense."""
    return LibraryDamaged(
        f"midikin.db is damaged: {what}; `midikin repair` keeps all that can be read, "
        "or put a backup in its place"
    )


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Around the decoding of rows and blobs: whatever goes wrong inside means that they are damaged."""
    try:
        yield
    except _ODD as error:
        raise damaged(f"{what} cannot be read") from error


def library_error(reason: str, folder: Path) -> LibraryError:
    """The exception for what SQLite or the operating system said about a library's folder."""
    where = display(str(folder))
    reason = " ".join(reason.split())
    words = reason.lower()
    if "full" in words or "no space" in words or ("disk i/o" in words and _nearly_full(folder)):
        return DiskFull(
            f"{where}: no space left on the disk; free some and run the same command again, "
            "what was stored before is safe"
        )
    if "readonly" in words or "read-only" in words:
        return LibraryReadOnly(f"{where}: the library cannot be written; it can only be searched")
    if "not a database" in words or any(word in words for word in ("malformed", "corrupt", "decode")):
        return LibraryDamaged(
            f"{where}: {DATABASE_NAME} is damaged ({reason}); `midikin repair` keeps all that can be read, "
            "or put a backup in its place"
        )
    if "unable to open" in words:
        return LibraryError(f"{where}: {DATABASE_NAME} cannot be opened; check the folder's permissions")
    if "locked" in words:
        return LibraryError(
            f"{where}: the database stayed locked by another program; try again when it is done"
        )
    return LibraryError(f"{where}: the database failed ({reason}); check the disk and try again")


def _nearly_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _NEARLY_NOTHING_BYTES
    except OSError:
        return False


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system says while writing in a library's folder into the library's errors."""
    try:
        yield
    except OSError as error:
        where = display(str(folder))
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise library_error("no space", folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LibraryReadOnly(
                f"{where}: no permission to write here; choose a folder of your own"
            ) from error
        reason = (error.strerror or str(error)).lower()
        raise LibraryError(f"{where}: cannot be used as a library's folder ({reason})") from error
