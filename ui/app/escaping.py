"""Text from files shown as it is: names, titles and tags never become markup, links, formulas or paths."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from embedder.core.files import relative_path
from embedder.core.table_files import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["cell", "clock", "decimals", "file_name", "folder_of", "key_name", "plain", "shortened"]

_MARKS = re.compile(r"([!-/:-@\[-`{-~])")  # ASCII signs with a meaning in Markdown
_LINKS = re.compile(r"(?i)(https?|ftp|mailto)(?=:)|www(?=\.)|(?<=\w)(?=@)")
_WORD_JOINER = "\u2060"


def plain(text: object) -> str:
    """Text for a place where Streamlit reads Markdown: it comes out as it is written, in one line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    # An invisible character keeps Markdown from turning addresses into links.
    line = _LINKS.sub(lambda match: match[0] + _WORD_JOINER, line)
    return _MARKS.sub(r"\\\1", line)


def cell(value: object) -> str:
    """A cell of a table for spreadsheets, which would compute what begins like a formula."""
    return guarded("" if value is None else str(value))


def clock(seconds: float) -> str:
    """A time as m:ss or h:mm:ss."""
    from ui.cli.output import clock as written

    return written(seconds)


def key_name(key: str) -> str:
    """The name of a key with musical signs: Ab major -> A♭ major."""
    tonic, _, mode = key.partition(" ")
    return f"{tonic[:1]}{tonic[1:].replace('b', '♭').replace('#', '♯')} {mode}"


def decimals(number: float | None, places: int = 0, unit: str = "") -> str:
    """A number with its unit; a dash if there is none."""
    return "–" if number is None else f"{number:,.{places}f}{unit}"


def file_name(display: str) -> str:
    """The last part of a path's display form."""
    return PurePath(display).name or display


def folder_of(display: str, root: str) -> str:
    """The folder of a file, as seen from the folder that all files of the library share."""
    parent = os.path.dirname(display)  # of a hundred thousand, without the making of paths
    if not root.strip("/\\"):
        return file_name(parent)
    return parent.removeprefix(root).strip("/\\") or file_name(parent)


def shortened(texts: Iterable[str], root: str, max_length: int) -> list[str]:
    """Paths as seen from `root`; long ones lose their beginning."""
    relative = (relative_path(text, root) for text in texts)
    return [text if len(text) <= max_length else "…" + text[1 - max_length :] for text in relative]
