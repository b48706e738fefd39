"""What commands print: tables for people, CSV, TSV and JSON for programs.

Results go to stdout and everything else (progress, remarks) to stderr, so that pipes stay clean. A table is
drawn on a terminal and printed as TSV into a pipe, unless `--format` says otherwise.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedder.core.table_files import guarded
from embedder.core.text import count, iso_utc

if TYPE_CHECKING:
    from index import LabelReport

__all__ = [
    "Format",
    "clock",
    "count",
    "date",
    "is_drawn",
    "json_text",
    "on_terminal",
    "print_json",
    "print_label_report",
    "print_pairs",
    "print_table",
    "print_wrapped",
    "remark",
    "table_text",
    "write_output",
]


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"


def on_terminal() -> bool:
    """Whether a person reads stdout as it comes."""
    return sys.stdout.isatty()


def is_drawn(format: Format | None) -> bool:
    """Whether a table is drawn for a person; if not, its cells are written for programs."""
    return on_terminal() if format is None else format is Format.TABLE


def clock(seconds: float) -> str:
    """A time as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def date(seconds: float) -> str:
    """Seconds since 1970 as a date with hours and minutes, UTC; empty for what no calendar has."""
    return iso_utc(seconds)[:16].replace("T", " ")


def remark(text: str) -> None:
    """A line for the person at the terminal, not part of the result."""
    print(text, file=sys.stderr, flush=True)


def print_wrapped(text: str) -> None:
    """A line for a person, broken between words where the terminal ends."""
    print(textwrap.fill(text, width=shutil.get_terminal_size().columns, break_long_words=False))


def json_text(value: Any) -> str:
    """JSON in pure ASCII, whatever the names of files hold."""
    return json.dumps(value, indent=2)


def print_json(value: Any) -> None:
    """Print JSON in pure ASCII."""
    print(json_text(value))


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Names and values in two columns."""
    width = max(map(len, pairs)) + 2
    for name, value in pairs.items():
        for i, line in enumerate(value.splitlines() or [""]):
            print(f"{'' if i else name:<{width}}{line}")


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]], format: Format | None = None) -> str:
    """A table as CSV, or as TSV for any other format: a line of names, then a line a row.

    A spreadsheet would run a cell that begins like a formula; an apostrophe before it keeps it text.
    """
    from io import StringIO

    cells = ([guarded(cell) for cell in row] for row in (columns, *rows))
    text = StringIO()
    if format is Format.CSV:
        csv.writer(text, lineterminator="\n").writerows(cells)
    else:
        for row in cells:
            text.write("\t".join(" ".join(re.split(r"[\t\r\n]", cell)) for cell in row) + "\n")
    return text.getvalue()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    format: Format | None = None,
) -> None:
    """Print a table: drawn on a terminal, TSV elsewhere, or as `format` says.

    Parameters
    ----------
    columns : their names
    rows : cells, plain text that is printable
    right : names of the columns that are set flush right
    """
    if not is_drawn(format):
        print(table_text(columns, rows, format), end="")
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


def print_label_report(report: LabelReport, *, json: bool) -> None:
    """Counts of a labelling in a line, or as JSON."""
    if json:
        print_json(report.to_json())
        return
    counts = {"labelled": report.set, "changed": report.replaced, "taken away": report.removed}
    outcomes = [f"{number:,} {outcome}" for outcome, number in counts.items() if number]
    if report.unchanged:
        outcomes.append(f"{report.unchanged:,} unchanged")
    line = ", ".join(outcomes) or "nothing to change"
    print(line if report.action is None else f"{line}; `midikin tags undo` takes it back")


def write_output(path: str | Path, content: str | bytes) -> None:
    """Write a file that the user asked for, whole or not at all, and say so.

    Raises
    ------
    MidikinError
        If it cannot be written.
    """
    from embedder.core.errors import MidikinError
    from embedder.core.files import atomic_write, printable

    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe or a device is written to, not replaced
            Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            atomic_write(path, content)
    except OSError as error:
        raise MidikinError(f"{printable(path)}: cannot be written ({error.strerror})") from error
    remark(f"wrote {printable(path)}")
