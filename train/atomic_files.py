"""Files that are put in their place only when they are whole and on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["replace_file"]


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, and put it in its place once it is on the disk."""
    beside = path.with_name(f"{path.stem}.part{path.suffix}")  # numpy would add a suffix that it misses
    write(beside)
    with open(beside, "rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)
