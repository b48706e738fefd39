"""`midikin index build`, `tune` and `info`: the vector indexes that searches use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import FormatOption, LibraryOption
from ui.cli.output import Format

if TYPE_CHECKING:
    from index import IndexTrial, Library

__all__ = ["app"]

app = typer.Typer(
    help="Build, measure and choose the vector indexes of searches.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

IndexOption = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="INDEX",
        help="pieces: the index of whole pieces; windows: that of windows, which passages and parts use.",
        autocompletion=lambda: ["pieces", "windows"],
    ),
]


@app.command("build")
def build(
    library: LibraryOption = None,
    of: IndexOption = "pieces",
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="exact, hnsw, fp16, sq8, sq6, sq4 or pq; what suits the number of vectors if not given.",
        ),
    ] = None,
    format: FormatOption = None,
) -> None:
    """Build a search index, beside the one that is there, which serves until it is done.

    Searches build what they need by themselves; this does it now, or of another kind.

    \b
    Examples:
      midikin index build
      midikin index build --of windows --kind sq8
    """
    _print_trials(library, format, lambda opened: opened.maintenance.build_index(of, kind))


@app.command("tune")
def tune(library: LibraryOption = None, of: IndexOption = "pieces", format: FormatOption = None) -> None:
    """Measure the kinds of index that are worth it, and keep the best.

    Recall is the share of the ten true nearest neighbours that a search finds. The best needs the fewest
    bytes per vector among those with a recall of 95 % within 10 ms; where comparing all vectors is as quick,
    that.

    \b
    Examples:
      midikin index tune
      midikin index tune --of windows --json
    """
    _print_trials(library, format, lambda opened: opened.maintenance.tune_index(of))


@app.command("info")
def info(library: LibraryOption = None, format: FormatOption = None) -> None:
    """Show the indexes on the disk.

    \b
    Examples:
      midikin index info
      midikin index info --json
    """
    from dataclasses import asdict

    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened:
        indexes = opened.info().indexes
    if format is Format.JSON:
        print_json([asdict(index) for index in indexes])
        return
    rows = [
        (
            index.name,
            index.kind,
            f"{index.vectors:,}",
            f"{index.recall:.3f}",
            f"{index.size_bytes / max(index.vectors, 1):.0f}",
            f"{index.size_bytes / 1e6:.1f}",
            "yes" if index.current else "after the next search",
        )
        for index in indexes
    ]
    columns = ("index", "kind", "vectors", "recall@10", "bytes/vector", "MB", "current")
    print_table(columns, rows, right=columns[2:6], format=format)


def _print_trials(
    library: str | None, format: Format | None, measure: Callable[[Library], list[IndexTrial]]
) -> None:
    from index import Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, print_table, remark

    with Library.open(library, create=False) as opened, usage_errors("--of or --kind"):
        trials = measure(opened)
    if format is Format.JSON:
        print_json([trial.to_json() for trial in trials])
        return
    if not trials:
        remark("the library has no pieces yet; `midikin add FOLDER` adds some")
    rows = [
        (
            "*" if trial.chosen else "",
            trial.setting,
            trial.kind,
            f"{trial.recall:.3f}",
            f"{trial.p50_ms:.2f}",
            f"{trial.p99_ms:.2f}",
            f"{trial.bytes_per_vector:.0f}",
            f"{trial.size_bytes / 1e6:.1f}",
        )
        for trial in trials
    ]
    columns = ("used", "setting", "kind", "recall@10", "p50 ms", "p99 ms", "bytes/vector", "MB")
    print_table(columns, rows, right=columns[3:], format=format)
