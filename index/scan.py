"""Walking folders for MIDI files: every file once, whatever links, loops and locks stand in the way."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .storage import clamped_ns, is_midi_name

__all__ = ["FileStatus", "Unreadable", "file_status", "scan"]

_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # gone meanwhile, or a link to nothing


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file that may be MIDI, as it was when it was looked at.

    Attributes
    ----------
    mtime_ns : last change of its content
    changed_ns : last change of anything, permissions included
    inode : its number in the file system
    """

    path: str
    size_bytes: int
    mtime_ns: int
    changed_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder or file that cannot even be looked at, and why."""

    path: str
    reason: str


def scan(roots: Iterable[str]) -> Iterator[FileStatus | Unreadable]:
    """Walk absolute paths in order: folders recursively by MIDI suffix, single files whatever their name.

    A folder is entered once, by its identity on the disk; so links that lead back up, and roots inside one
    another, are harmless. Names in a folder come in the order of their bytes.
    """
    entered: set[tuple[int, int]] = set()
    given: set[str] = set()
    for root in roots:
        try:
            status = os.stat(root)
        except OSError as error:
            if os.path.lexists(root):  # what is gone altogether has not failed: it has vanished
                yield Unreadable(root, _reason(error))
            continue
        if stat.S_ISDIR(status.st_mode):
            for found in _walk(root, status, entered):
                if found.path not in given:
                    yield found
        elif root not in given:
            given.add(root)
            yield _looked_at(root, status)


def _walk(
    root: str, status: os.stat_result, entered: set[tuple[int, int]]
) -> Iterator[FileStatus | Unreadable]:
    """Folder by folder with a stack of its own: no depth of nesting exhausts Python's."""
    waiting = [(root, status)]
    while waiting:
        folder, status = waiting.pop()
        identity = (status.st_dev, status.st_ino)
        if identity in entered:
            continue
        entered.add(identity)
        try:
            with os.scandir(folder) as inside:
                entries = sorted(inside, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield Unreadable(folder, f"the folder cannot be listed: {_reason(error)}")
            continue
        inner = []
        for entry in entries:
            name, path = entry.name, os.path.join(folder, entry.name)
            try:
                status = os.stat(path)
            except OSError as error:
                if is_midi_name(name) or (error.errno not in _NO_FOLDER and _may_be_folder(entry)):
                    yield Unreadable(path, _reason(error))
                continue
            if stat.S_ISDIR(status.st_mode):
                inner.append((path, status))
            elif is_midi_name(name):
                yield _looked_at(path, status)
        waiting.extend(reversed(inner))


def _looked_at(path: str, status: os.stat_result) -> FileStatus | Unreadable:
    if not stat.S_ISREG(status.st_mode):
        return Unreadable(path, "not a regular file")  # opening a pipe would wait for ever
    changed_ns = clamped_ns(max(status.st_mtime_ns, status.st_ctime_ns))
    inode = clamped_ns(status.st_ino)
    return FileStatus(path, status.st_size, clamped_ns(status.st_mtime_ns), changed_ns, inode)


def file_status(path: str) -> FileStatus | None:
    """A file as it is now; None if it cannot be looked at or is no regular file."""
    try:
        status = _looked_at(path, os.stat(path))
    except OSError:
        return None
    return status if isinstance(status, FileStatus) else None


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Whether what cannot be looked at may hold MIDI files: no mere file without a MIDI name does."""
    try:
        return entry.is_dir(follow_symlinks=False) or entry.is_symlink()
    except OSError:
        return True


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
