"""One large file over HTTP: what has arrived stays on disk, and the next call asks for the rest only.

The hub's own client throws a download away that was broken off; 2.5 GB over a slow line deserve better.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from ..core.errors import EncoderError

__all__ = ["download"]

CHUNK = 2**20
ATTEMPTS = 5  # in a row that bring nothing
PAUSE_S = 2.0
PATIENCE_S = 30.0  # for a server to say the next word


def download(
    url: str,
    target: Path,
    *,
    size: int,
    etag: str,
    headers: Mapping[str, str] | None = None,
    on_bytes: Callable[[int], None] = lambda have: None,
) -> None:
    """Download a file; if it is stopped (Ctrl-C, kill, no network), the same call goes on.

    Parameters
    ----------
    target : is there when all has arrived and is sound, and not before
    size : of the file, in bytes
    etag : names this version of the file; its SHA-256, if it is 64 digits
    on_bytes : told now and then how many bytes are here

    Raises
    ------
    EncoderError
        If what has arrived is not what was promised; the next call begins anew.
    OSError, httpx.HTTPError
        If it cannot be stored, or the server cannot be reached or refuses.
    """
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{hashlib.sha256(etag.encode()).hexdigest()[:12]}.part")
    with FileLock(target.with_name(target.name + ".lock")):
        if target.exists():  # another process was faster
            return
        for old in target.parent.glob(f"{target.name}.*.part"):
            if old != part:  # of another version
                old.unlink()
        free = shutil.disk_usage(target.parent).free
        if free < size - _size(part):
            raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free where {size / 1e9:.1f} GB are to lie")
        _fill(url, part, size, headers or {}, on_bytes)
        _check(part, size, etag)
        os.replace(part, target)


def _fill(
    url: str, part: Path, size: int, headers: Mapping[str, str], on_bytes: Callable[[int], None]
) -> None:
    """Bring the rest of the file, however often the line breaks."""
    failed = 0
    while _size(part) < size:
        before = _size(part)
        try:
            _append(url, part, headers, on_bytes)
        except httpx.TransportError:
            failed = failed + 1 if _size(part) == before else 0
            if failed == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
        else:
            if _size(part) == before:
                return  # it is shorter than was promised


def _append(url: str, part: Path, headers: Mapping[str, str], on_bytes: Callable[[int], None]) -> None:
    have = _size(part)
    asked = {**headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", url, headers=asked, follow_redirects=True, timeout=PATIENCE_S) as answer:
        answer.raise_for_status()
        begins_anew = answer.status_code != httpx.codes.PARTIAL_CONTENT
        with open(part, "wb" if begins_anew else "ab") as file:
            have = 0 if begins_anew else have
            for piece in answer.iter_bytes(CHUNK):
                file.write(piece)
                have += len(piece)
                on_bytes(have)


def _check(part: Path, size: int, etag: str) -> None:
    """Refuse what is not what was promised, and make sure that the rest is on the disk."""
    with open(part, "rb+") as file:
        sound = _size(part) == size
        if sound and len(etag) == 64:
            sound = hashlib.file_digest(file, "sha256").hexdigest() == etag
        os.fsync(file.fileno())
    if not sound:
        part.unlink()
        raise EncoderError(f"{part.name} did not arrive as it was sent; try again")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
