"""`midikin duplicates`, `decide` and `decisions`: groups of the same music, and what people decide."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.errors import usage_errors
from ui.cli.options import (
    ForceOption,
    FormatOption,
    LibraryOption,
    PieceArgument,
    check_free,
    numbered,
    piece_number,
)
from ui.cli.output import Format

if TYPE_CHECKING:
    from index import Decision, Duplicates

__all__ = ["decide", "decisions", "duplicates"]

_COLUMNS = ("group", "kind", "piece", "notes", "relation", "file")


class _Kind(StrEnum):
    BYTES = "bytes"
    NOTES = "notes"
    EDITED = "edited"
    WORK = "work"
    CONTAINS = "contains"


class _Verdict(StrEnum):
    KEEP = "keep"
    DUPLICATE = "duplicate"
    NOT_SAME = "not-same"


def duplicates(
    loosest: Annotated[
        _Kind,
        typer.Option(
            "--loosest",
            metavar="KIND",
            help="Loosest kind to report: bytes, notes, edited, work or contains.",
            autocompletion=lambda: list(_Kind),
        ),
    ] = _Kind.CONTAINS,
    open_only: Annotated[bool, typer.Option("--open", help="Leave out groups that are decided.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("-k", "--limit", metavar="COUNT", min=1, help="Print at most so many groups."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write a report; the ending says which: .csv, .tsv or .json, .html (a page with drawings), "
            ".sh (commands for you to review and run yourself). May be repeated.",
        ),
    ] = None,
    prefer: Annotated[
        list[Path] | None,
        typer.Option("--prefer", metavar="FOLDER", help="Keep files of this folder first. May be repeated."),
    ] = None,
    move_to: Annotated[
        Path | None,
        typer.Option(
            "--move-to",
            metavar="FOLDER",
            help="Let commands of a .sh file move files here, not remove them.",
        ),
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv-file", hidden=True, help="As -o FILE.csv.")] = None,
    html: Annotated[Path | None, typer.Option("--html", hidden=True, help="As -o FILE.html.")] = None,
    script: Annotated[Path | None, typer.Option("--script", hidden=True, help="As -o FILE.sh.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="COUNT", min=1, help="Processes that compare.")
    ] = None,
    force: ForceOption = False,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Group pieces that hold the same music; no file is touched.

    Kinds, strictest first: the same bytes; the same notes; the same performance edited (trimmed, stretched,
    transposed, quantised, notes lost); another performance or arrangement of the same work; one piece that
    contains another. The first three are duplicates, of which one file is suggested to stay. The others are
    relatives: versions of a work, none of which is suggested to go.

    Commands of a .sh file check that what they act on has not changed, and that the file to keep is there.

    \b
    Examples:
      midikin duplicates
      midikin duplicates --prefer ~/Music/originals --move-to ~/Music/spare -o duplicates.sh
      midikin duplicates --loosest edited -o report.html
      midikin duplicates --csv > duplicates.csv
    """
    from index import Library
    from ui.cli.output import print_json, write_output
    from ui.cli.progress import progress_bar

    reports = [(path, _report_kind(path)) for path in output or ()]
    older = ((csv_file, ".csv"), (html, ".html"), (script, ".sh"))
    reports += [(path, kind) for path, kind in older if path is not None]
    check_free([path for path, _ in reports], force)
    with Library.open(library, create=False) as opened, progress_bar() as bar:
        tasks = {
            stage: bar.add_task(label, total=None, rate="")
            for stage, label in (("candidates", "looking for candidates"), ("pairs", "comparing pairs"))
        }
        groups = opened.duplicates(
            loosest=loosest.value,
            workers=workers,
            prefer=prefer or (),
            progress=lambda stage, done, total: bar.update(tasks[stage], completed=done, total=total),
        )
    if open_only:
        groups = groups.only_open()
    for path, kind in reports:
        write_output(path, _report(groups, kind, move_to))
    if format is Format.JSON:
        print_json(groups.to_json())
    elif not reports or format is not None:
        _print_groups(groups, limit, format)


def _report_kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".json", ".html", ".htm", ".sh"):
        raise typer.BadParameter(
            f"{path}: no report has this ending; there are .csv, .tsv, .json, .html and .sh",
            param_hint="'--output'",
        )
    return ".html" if kind == ".htm" else kind


def _report(groups: Duplicates, kind: str, move_to: Path | None) -> str | bytes:
    from ui.cli.output import json_text, table_text

    if kind == ".csv":
        return groups.csv()
    if kind == ".html":
        return groups.html()
    if kind == ".sh":
        return groups.script(move_to)
    if kind == ".json":
        return json_text(groups.to_json()) + "\n"
    return table_text(_COLUMNS, _rows(groups, None), Format.TSV)


def _rows(groups: Duplicates, limit: int | None) -> list[tuple[str, ...]]:
    return [
        (
            str(group.number),
            group.kind.value,
            f"#{member.piece_id}",
            str(member.notes),
            file.remark or ("the same bytes" if copy else group.describe(member)),
            file.display,
        )
        for group in groups.groups[:limit]
        for member in group.members
        for copy, file in enumerate(member.files)
    ]


def _print_groups(groups: Duplicates, limit: int | None, format: Format | None) -> None:
    from ui.cli.output import count, print_table, remark

    print_table(_COLUMNS, _rows(groups, limit), right=("group", "piece", "notes"), format=format)
    number = len(groups.groups)
    shown = f", of which {limit:,} are shown" if limit is not None and limit < number else ""
    remark(
        f"{count(number, 'group')} among {count(groups.pieces, 'piece')}{shown}; "
        "`midikin decide` records what you decide"
    )


def decide(
    one: PieceArgument,
    other: PieceArgument,
    verdict: Annotated[
        _Verdict,
        typer.Argument(
            metavar="VERDICT",
            help="keep: both stay; duplicate: the first stays, the second is not needed; "
            "not-same: never link them.",
            autocompletion=lambda: list(_Verdict),
        ),
    ],
    library: LibraryOption = None,
) -> None:
    """Record what you decide about two pieces of the library.

    The decision is kept with its date and evidence until you undo it; no file is touched.

    \b
    Examples:
      midikin decide '#12' '#40' duplicate
      midikin decide song.mid song-copy.mid not-same
    """
    from index import Library

    with Library.open(library, create=False) as opened:
        numbers = [piece_number(opened, text) for text in (one, other)]
        with usage_errors("PIECE PIECE VERDICT"):
            keeper = numbers[0] if verdict is _Verdict.DUPLICATE else None
            number = opened.duplicates.decide(numbers[0], numbers[1], verdict.value, keeper=keeper)
    print(f"decision {number} recorded; `midikin decisions --undo {number}` takes it back")


def decisions(
    undo: Annotated[
        int | None, typer.Option("--undo", metavar="NUMBER", help="Take a decision back.")
    ] = None,
    undone: Annotated[bool, typer.Option("--all", help="List those taken back too.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("-k", "--limit", metavar="COUNT", min=1, help="List at most so many, the newest."),
    ] = None,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """List the decisions about duplicates, or take one back.

    \b
    Examples:
      midikin decisions
      midikin decisions --undo 3
    """
    from index import Library
    from ui.cli.output import date, print_json, print_table

    with Library.open(library, create=False) as opened:
        if undo is not None:
            opened.duplicates.undo(undo)
        listed = opened.duplicates.decisions(undone=undone)
    if limit is not None:
        listed = listed[-limit:]
    if format is Format.JSON:
        print_json({"decisions": [decision.to_json() for decision in listed]})
        return
    rows = [
        (
            str(decision.id),
            date(decision.decided_s),
            decision.verdict.value,
            *_pieces(decision),
            str(decision.evidence.get("says", "")),
            "" if decision.undone_s is None else date(decision.undone_s),
        )
        for decision in listed
    ]
    columns = ("number", "decided", "verdict", "A", "B", "evidence", "undone")
    print_table(columns, rows, right=("number",), format=format)


def _pieces(decision: Decision) -> list[str]:
    """The two pieces of a decision, the one to keep first."""
    from embedder.core.files import printable

    names = [
        f"(no longer here: {content[:12]})" if path is None else numbered(number, printable(path))
        for content, number, path in zip(
            (decision.one, decision.other), decision.pieces, decision.paths, strict=True
        )
    ]
    return names[::-1] if decision.keeper == decision.other else names
