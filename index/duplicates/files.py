"""The files of a piece as they are on disk now: present, links, missing, changed or unreadable.

A library records where bytes lay when they were added. Before anything is advised about a file it is looked
at again: device and inode tell whether two paths are one file, size and times of change whether it may have
changed, and its hash whether it has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from embedder.core.files import relative_path, sha256_of

from ..storage import display

__all__ = ["FileStatus", "MemberFile", "inspect_files", "is_below", "looks_like_a_copy"]

_COPY_NAME = re.compile(
    r"\(\d+\)$|^(copy|kopie) (of|von)\b|(^|[\s_.-])(copy|kopie|copie|copia)([\s_-]*\(?\d+\)?)?$",
    re.IGNORECASE,
)


class FileStatus(StrEnum):
    PRESENT = "present"
    LINK = "link"  # another name of a file, symbolic or hard
    MISSING = "missing"
    CHANGED = "changed"  # it holds something else by now
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class MemberFile:
    """A file of a piece.

    Attributes
    ----------
    size_bytes, mtime_ns, changed_ns : when the library read it; the last, of its content or its inode, is
        None if another machine has read it
    status : when it was last looked at
    link_of : of a link, the file that it is another name of
    """

    path: str
    size_bytes: int
    mtime_ns: int
    changed_ns: int | None = None
    status: FileStatus = FileStatus.PRESENT
    link_of: str | None = None

    def relative(self, root: str) -> MemberFile:
        """The same with paths as seen from a folder."""
        link = self.link_of and relative_path(self.link_of, root)
        return replace(self, path=relative_path(self.path, root), link_of=link)

    @property
    def display(self) -> str:
        """The path as one printable line."""
        return display(self.path)

    @property
    def remark(self) -> str:
        """What is to be said about the file; nothing of one that is simply there."""
        if self.status is FileStatus.PRESENT:
            return ""
        if self.status is FileStatus.LINK:
            return f"a link to {display(self.link_of or '')}"
        return {
            FileStatus.MISSING: "missing",
            FileStatus.CHANGED: "changed since it was added",
            FileStatus.UNREADABLE: "cannot be read",
        }[self.status]

    def to_json(self) -> dict[str, Any]:
        values = asdict(self) | {"display": self.display, "status": self.status.value}
        return {name: values[name] for name in ("path", "display", "status", "link_of")}


def inspect_files(files: Sequence[MemberFile], sha256: str, *, verify: bool = False) -> list[MemberFile]:
    """Files with the status that they have now, in the given order.

    Parameters
    ----------
    sha256 : of the bytes that they should hold
    verify : hash every file; otherwise only those whose size or times are not as recorded
    """
    inspected: list[MemberFile] = []
    by_inode: dict[tuple[int, int], list[int]] = {}
    for number, file in enumerate(files):
        status, inode = _inspect(file, sha256, verify)
        inspected.append(replace(file, status=status, link_of=None))
        if inode is not None:
            by_inode.setdefault(inode, []).append(number)
    for numbers in by_inode.values():
        paths = [files[number].path for number in numbers]
        real = min(paths, key=lambda path: (os.path.islink(path), os.path.realpath(path) != path, path))
        for number in numbers:
            path = files[number].path
            if path != real:
                inspected[number] = replace(inspected[number], status=FileStatus.LINK, link_of=real)
            elif os.path.islink(path):  # to a file that the library does not know
                target = os.path.realpath(path)
                inspected[number] = replace(inspected[number], status=FileStatus.LINK, link_of=target)
    return inspected


def _inspect(file: MemberFile, sha256: str, verify: bool) -> tuple[FileStatus, tuple[int, int] | None]:
    """Status of one file by itself, and its device and inode if it holds what it should."""
    try:
        status = os.stat(file.path)
        unchanged = (status.st_size, status.st_mtime_ns) == (file.size_bytes, file.mtime_ns)
        unchanged &= file.changed_ns in (None, max(status.st_mtime_ns, status.st_ctime_ns))
        if verify or not unchanged:
            if sha256_of(file.path) != sha256:
                return FileStatus.CHANGED, None
        elif not os.access(file.path, os.R_OK):
            return FileStatus.UNREADABLE, None
    except (FileNotFoundError, NotADirectoryError):
        return FileStatus.MISSING, None
    except IsADirectoryError:
        return FileStatus.CHANGED, None
    except OSError:
        return FileStatus.UNREADABLE, None
    return FileStatus.PRESENT, (status.st_dev, status.st_ino)


def looks_like_a_copy(path: str) -> bool:
    """Whether a file has the name that systems give to copies: Song (1).mid, Song - Copy.mid."""
    return _COPY_NAME.search(Path(path).stem.strip()) is not None


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a file lies in one of some folders, at any depth."""
    return any(Path(path).is_relative_to(folder) for folder in folders)
