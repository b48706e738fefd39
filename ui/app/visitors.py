"""Who uses the app, as it was started: the user of this computer alone, or remote visitors.

Remote visitors are shown no absolute path of the server: paths begin at the folder that all files share.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .escaping import plain

__all__ = ["music_roots", "remote", "shown_error", "without_paths"]

# An absolute path up to its last part, on POSIX and on Windows.
_FOLDERS = re.compile(r"""(?<![\w.~/\\])(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^/\\\n:'"<>|]+[\\/])+""")


def music_roots() -> tuple[Path, ...] | None:
    """Folders below which visitors may add music; None where only the user can reach the app."""
    setting = os.environ.get("MIDIKIN_UI_MUSIC")
    if setting is None:
        return None
    return tuple(Path(folder).resolve() for folder in setting.split(os.pathsep) if folder)


def remote() -> bool:
    """Whether others than the user of this computer can reach the app."""
    return music_roots() is not None


def without_paths(message: str) -> str:
    """A message as it may be shown: for remote visitors, absolute paths lose their folders."""
    return _FOLDERS.sub("", message) if remote() else message


def shown_error(error: object) -> str:
    """An error in one line of Markdown, as it may be shown."""
    return plain(without_paths(str(error)))
