"""Files: written beside their target and renamed when whole, hashed, and shown by printable names."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = [
    "atomic_file",
    "atomic_write",
    "printable",
    "relative_path",
    "replace_with",
    "sha256_of",
    "shortened",
    "sync_folder",
]

_CHUNK = 1 << 20


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, name: str | None = None) -> Iterator[IO[bytes]]:
    """A file open for writing that takes the place of `path` once it is whole and on the disk.

    Whoever reads `path` sees the old contents or the new, never a part. If the block raises, the old
    file stays and nothing is left beside it.

    Parameters
    ----------
    path : the file to replace or make
    name : of the file that is written beside it; one that nobody else uses if not given. With a fixed name
        what a killed process left is overwritten by the next.
    """
    target = Path(path)
    beside = target.with_name(name or f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    if name is not None:
        with suppress(FileNotFoundError):
            os.unlink(beside)  # and never written through, should it be a link
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def atomic_write(path: str | os.PathLike[str], data: bytes | str, *, name: str | None = None) -> None:
    """Replace the contents of a file at once; text is written as UTF-8. See `atomic_file`."""
    with atomic_file(path, name=name) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def replace_with(path: str | os.PathLike[str], write: Callable[[Path], Any]) -> None:
    """Let `write` make a file under a name beside `path`, and put it in its place once it is on the disk.

    For libraries that write to a path and not to an open file; the name keeps the suffix, which numpy
    would otherwise add.
    """
    target = Path(path)
    beside = target.with_name(f"{target.stem}.part{target.suffix}")
    try:
        write(beside)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make renames in a folder last through a power cut, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256_of(source: str | os.PathLike[str] | IO[bytes]) -> str:
    """SHA-256 of a file's contents, 64 hexadecimal digits; an open file is read from where it stands."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return sha256_of(file)
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def printable(path: str | bytes | os.PathLike[Any]) -> str:
    """A path as one printable line: control characters as `\\n`, undecodable bytes as `\\xff`."""
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fsdecode(os.fspath(path)))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how os.fsdecode carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def relative_path(path: str, root: str) -> str:
    """A path as seen from the folder `root`; folder and name of a file that lies elsewhere."""
    folder = root.rstrip("/\\")
    if folder and path.startswith((folder + "/", folder + "\\")):
        return path[len(folder) + 1 :]
    return "/".join(re.split(r"[/\\]+", path.strip("/\\"))[-2:])


def shortened(text: str, length: int = 60) -> str:
    """`printable` text for a message, cut to at most `length` characters."""
    line = printable(text)
    return line if len(line) <= length else line[: length - 3] + "..."
