"""`midikin index build`, `midikin index info` and `midikin index tune`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from index import IndexTrial, Library

app = typer.Typer(
    help="Build, measure and choose the indexes that searches use.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

NameOption = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="pieces|windows",
        help="The index of whole pieces, or of windows, which passages and parts of queries use.",
    ),
]


@app.command("build")
def build(
    library: LibraryOption = None,
    of: NameOption = "pieces",
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="exact, hnsw, fp16, sq8, sq6, sq4 or pq; what suits the number of vectors if not given.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build a search index anew, beside the one that is there, which serves until it is done.

    Searches build what they need by themselves; this does it now, or of another kind.

    \b
    Examples:
      midikin index build
      midikin index build --of windows --kind sq8
    """
    _show(library, json, lambda opened: opened.maintenance.build_index(of, kind))


@app.command("tune")
def tune(library: LibraryOption = None, of: NameOption = "pieces", json: JsonOption = False) -> None:
    """Try the kinds of index that are worth it, show what each costs, and keep the best.

    Recall is the share of the ten true nearest that a search finds. The best needs the fewest bytes a
    vector among those that find 95 % of them within 10 ms; where comparing all vectors is as quick, that.

    \b
    Examples:
      midikin index tune
      midikin index tune --of windows --json
    """
    _show(library, json, lambda opened: opened.maintenance.tune_index(of))


@app.command("info")
def info(library: LibraryOption = None, json: JsonOption = False) -> None:
    """Show the indexes that lie on the disk.

    \b
    Examples:
      midikin index info
      midikin index info --json
    """
    from dataclasses import asdict

    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened:
        found = opened.info().indexes
    if json:
        print_json([asdict(index) for index in found])
        return
    rows = [
        (
            index.name,
            index.kind,
            f"{index.vectors:,}",
            f"{index.recall:.3f}",
            f"{index.size_bytes / max(index.vectors, 1):.0f}",
            f"{index.size_bytes / 1e6:.1f}",
            "yes" if index.current else "by the next search",
        )
        for index in found
    ]
    columns = ("index", "kind", "vectors", "recall@10", "bytes/vector", "MB", "current")
    print_table(columns, rows, right=columns[2:6])


def _show(library: str | None, json: bool, work: Callable[[Library], list[IndexTrial]]) -> None:
    from index import Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, print_table, remark

    with Library.open(library, create=False) as opened, usage_errors("--of or --kind"):
        found = work(opened)
    if json:
        print_json([trial.to_json() for trial in found])
        return
    if not found:
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
        for trial in found
    ]
    columns = ("used", "setting", "kind", "recall@10", "p50 ms", "p99 ms", "bytes/vector", "MB")
    print_table(columns, rows, right=columns[3:])
