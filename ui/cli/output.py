"""What commands print: for people on a terminal, as tab-separated lines into a pipe, or as JSON.

Results go to stdout and everything else (progress, remarks) to stderr, so that pipes stay clean.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from embedder.core.text import count

__all__ = [
    "clock",
    "count",
    "on_terminal",
    "print_json",
    "print_pairs",
    "print_table",
    "print_wrapped",
    "remark",
]


def on_terminal() -> bool:
    """Whether a person reads stdout as it comes."""
    return sys.stdout.isatty()


def clock(seconds: float) -> str:
    """A time as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def remark(text: str) -> None:
    """A line for the person at the terminal, not part of the result."""
    print(text, file=sys.stderr, flush=True)


def print_wrapped(text: str) -> None:
    """A line for a person, broken between words where the terminal ends."""
    print(textwrap.fill(text, width=shutil.get_terminal_size().columns, break_long_words=False))


def print_json(value: Any) -> None:
    """Pure ASCII, whatever the names of files hold."""
    print(json.dumps(value, indent=2))


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Names and values in two columns."""
    width = max(map(len, pairs)) + 2
    for name, value in pairs.items():
        for i, line in enumerate(value.splitlines() or [""]):
            print(f"{'' if i else name:<{width}}{line}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """A table: drawn on a terminal, tab-separated with a line of names elsewhere.

    Parameters
    ----------
    columns : their names
    rows : cells, plain text that is printable
    right : names of the columns that are set flush right
    """
    if not on_terminal():
        for row in (columns, *rows):
            print("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    flush_right = set(right)
    for name in columns:
        justify = "right" if name in flush_right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in flush_right)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
