"""`midikin tag`, and `midikin tags` with its commands import, export, folders, history, undo and rename."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.completion import complete_tag
from ui.cli.errors import usage_errors
from ui.cli.options import (
    ForceOption,
    FormatOption,
    FromOption,
    JsonOption,
    LibraryOption,
    PiecesArgument,
    TagArgument,
    TagsArgument,
    ToOption,
    check_free,
    numbered,
    parse_time,
    resolve_pieces,
)
from ui.cli.output import Format, print_label_report

if TYPE_CHECKING:
    from index import Library

__all__ = ["app", "tag"]

_MAX_PREDICTIONS = 1000  # that `midikin tag TAG` shows


def tag(
    name: Annotated[
        str,
        typer.Argument(metavar="TAG", help="A tag of your own; any words.", autocompletion=complete_tag),
    ],
    pieces: PiecesArgument = None,
    add: Annotated[bool, typer.Option("--add", help="These pieces have the tag.")] = False,
    no: Annotated[bool, typer.Option("--not", help="These pieces do not have the tag.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the labels of these pieces away: neither yes nor no.")
    ] = False,
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            metavar="VALUE",
            help="The tag is one of many values, like composer; this is the value.",
        ),
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    limit: Annotated[
        int | None, typer.Option("-k", "--limit", metavar="COUNT", min=1, help="Show at most so many pieces.")
    ] = None,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Label pieces with a tag of your own, or show its pieces.

    A tag is free (a piece has it or not) or, with --value, one of many values. Without pieces they are read
    from standard input: what `midikin search --json` prints is understood, and so are lines with numbers or
    files. --from and --to label a part of one piece. A tag that begins with a dash is written after the
    options and two dashes.

    \b
    Examples:
      midikin tag lullaby --add '#3' '#12' ~/Music/midi/cradle.mid
      midikin tag lullaby --not '#5'
      midikin tag composer --value Chopin --add ~/Music/midi/chopin
      midikin tag calm --add '#3' --from 0:30 --to 1:10
      midikin search theme.mid --json | midikin tag lullaby --add
      midikin tag --add -- '-quiet-' '#3'
      midikin tag lullaby
    """
    from index import Library

    with usage_errors("--add"):
        if add + no + remove > 1:
            raise ValueError("give one of --add, --not and --remove")
        if pieces and not (add or no or remove):
            raise ValueError("say what about these pieces: --add, --not or --remove")
    with usage_errors("--from"):
        part = {
            key: None if text is None else parse_time(text)
            for key, text in (("start_s", start), ("end_s", end))
        }
    with Library.open(library, create=False) as opened:
        if not (add or no or remove):
            _print_tagged(opened, name, value, limit, format)
            return
        targets, source = _targets(opened, pieces)
        with usage_errors("PIECE"):
            if remove:
                report = opened.tags.unlabel(name, targets, value=value)
            else:
                report = opened.tags.label(name, targets, value=value, holds=add, source=source, **part)
    print_label_report(report, json=format is Format.JSON)


def _targets(library: Library, pieces: list[str] | None) -> tuple[list[Any], str]:
    """Pieces that are meant, and the source of the labels for the history."""
    with usage_errors("PIECE"):
        if pieces:
            return resolve_pieces(library, pieces), "user"
        text = "" if sys.stdin.isatty() else sys.stdin.read()
        targets = _read_targets(library, text)
        if not targets:
            raise ValueError("name pieces, or send them on standard input")
    return targets, "search" if text.lstrip()[:1] in ("{", "[") else "user"


def _read_targets(library: Library, text: str) -> list[Any]:
    """Pieces in what another command printed: JSON with numbers of pieces, or a piece a line."""
    if text.lstrip()[:1] not in ("{", "["):
        return list(resolve_pieces(library, [line for line in text.splitlines() if line.strip()]))
    try:
        value = json_format.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the text on standard input begins like JSON but is not valid JSON") from None
    rows = value
    if isinstance(value, dict):
        rows = next((value[key] for key in ("results", "pieces", "predictions") if key in value), [])
    numbers = [_number(row) for row in rows] if isinstance(rows, list) else []
    if not numbers or None in numbers:
        raise ValueError(
            "the JSON on standard input lists no pieces; send what `midikin search --json` prints"
        )
    return numbers


def _number(row: Any) -> int | None:
    if isinstance(row, dict):
        row = row.get("piece_id", row.get("id"))
    return row if isinstance(row, int) and not isinstance(row, bool) else None


def _print_tagged(
    library: Library, name: str, value: str | None, limit: int | None, format: Format | None
) -> None:
    """Pieces with the tag: labels first, then predictions."""
    from embedder.core.errors import TagError
    from ui.cli.output import clock, print_json, print_table

    labels = [label for label in library.tags.labels(name) if value is None or label.value == value][:limit]
    try:
        predictions = library.probes.predictions(name, value=value, limit=limit or _MAX_PREDICTIONS)
    except TagError:  # no probe, or none that was applied
        predictions = []
    if limit is not None:
        predictions = predictions[: limit - len(labels)]
    if format is Format.JSON:
        print_json(
            {
                "labels": [label.to_json() for label in labels],
                "predictions": [prediction.to_json() for prediction in predictions],
            }
        )
        return
    rows = [
        (
            "label",
            _label_text(label.value, label.holds),
            "",
            ""
            if label.start_s is None or label.end_s is None
            else f"{clock(label.start_s)}-{clock(label.end_s)}",
            numbered(label.piece_id, label.display),
        )
        for label in labels
    ]
    rows += [
        (
            "prediction",
            prediction.value,
            f"{prediction.probability:.2f}",
            "",
            numbered(prediction.piece_id, prediction.display),
        )
        for prediction in predictions
    ]
    columns = ("by", "value", "probability", "part", "piece")
    print_table(columns, rows, right=("probability",), format=format)


def _label_text(value: str | None, holds: bool) -> str:
    if value is None:
        return "yes" if holds else "no"
    return value if holds else f"not {value}"


# -- midikin tags -------------------------------------------------------------------------------------

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def tags(ctx: typer.Context, library: LibraryOption = None, format: FormatOption = None) -> None:
    """List your tags; import, export and undo labels.

    \b
    Examples:
      midikin tags
      midikin tags import labels.csv --column composer
      midikin tags undo
    """
    if ctx.invoked_subcommand is not None:
        return
    from index import Library
    from ui.cli.output import print_json, print_table, remark

    with Library.open(library, create=False) as opened:
        listed = opened.tags()
    if format is Format.JSON:
        print_json({"tags": [tag.to_json() for tag in listed]})
    elif listed:
        rows = [
            (tag.display, tag.kind, value.display, str(value.labels), str(value.predictions), tag.probe)
            for tag in listed
            for value in tag.values
        ]
        columns = ("tag", "kind", "value", "labels", "predictions", "probe")
        print_table(columns, rows, right=("labels", "predictions"), format=format)
    else:
        remark("no tags yet; label pieces with `midikin tag TAG --add PIECE ...`")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV with a column of files, or MAESTRO's JSON.")
    ],
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME", help="A column that becomes a tag; may be repeated."),
    ] = None,
    called: Annotated[
        str | None, typer.Option("--as", metavar="TAG", help="Name of the tag that the one column becomes.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="Every file of the table gets this tag.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="NAME", help="Encoding of the table; detected if not given."),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Label what the library holds and only report the rest.")
    ] = False,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Import the labels of a table, all or none.

    The table is what `midikin tags export` writes, or has a row for each file: a column that names it (file,
    midi_filename, filename, path or midi) and columns that become tags. Names may be ends of paths.

    \b
    Examples:
      midikin tags import labels.csv --column composer
      midikin tags import maestro-v3.0.0.csv --skip-unknown
      midikin tags import ballads.txt --tag ballad
    """
    from index import Library
    from ui.cli.output import count, remark

    with usage_errors("--as"):
        if called is not None and len(column or ()) != 1:
            raise ValueError("goes with exactly one --column")
    columns = {name: called or name for name in column} if column else None
    with Library.open(library, create=False) as opened, usage_errors("--column"):
        report = opened.tags.import_labels(
            file, columns=columns, tag=tag, encoding=encoding, skip_unknown=skip_unknown
        )
    print_label_report(report, json=json)
    if not json:
        remark(f"{count(report.rows, 'row')}, read as {report.encoding}")
        if report.unknown:
            remark(f"{count(len(report.unknown), 'file')} not in the library, skipped")


@app.command("export")
def export(
    tag: TagsArgument = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File to write; standard output if not given."),
    ] = None,
    force: ForceOption = False,
    library: LibraryOption = None,
) -> None:
    """Write labels as CSV, which import reads back.

    \b
    Examples:
      midikin tags export -o labels.csv
      midikin tags export composer
    """
    from index import Library
    from ui.cli.output import write_output

    check_free([output], force)
    with Library.open(library, create=False) as opened:
        text = opened.tags.export_labels(tag or None)
    if output is None:
        print(text, end="")
    else:
        write_output(output, text)


@app.command("folders")
def folders(
    tag: TagArgument,
    root: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="Pieces below this folder; the one that all have in common if not given."
        ),
    ] = None,
    level: Annotated[
        int,
        typer.Option(
            "--level",
            metavar="DEPTH",
            min=1,
            help="1 for the folders directly below FOLDER, 2 for those in them.",
        ),
    ] = 1,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Label pieces with the name of the folder they lie in.

    \b
    Examples:
      midikin tags folders composer ~/Music/midi
      midikin tags folders album ~/Music/midi --level 2
    """
    from index import Library

    with Library.open(library, create=False) as opened:
        report = opened.tags.label_by_folder(tag, root, level=level)
    print_label_report(report, json=json)


@app.command("history")
def history(
    limit: Annotated[
        int, typer.Option("-k", "--limit", metavar="COUNT", min=1, help="List at most so many changes.")
    ] = 20,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """List the changes of labels, newest first.

    \b
    Examples:
      midikin tags history
      midikin tags history -k 100 --json
    """
    from index import Library
    from ui.cli.output import date, print_json, print_table

    with Library.open(library, create=False) as opened:
        changes = opened.tags.history(limit)
    if format is Format.JSON:
        print_json({"changes": [change.to_json() for change in changes]})
        return
    rows = [
        (
            str(change.number),
            date(change.done_s),
            change.source,
            change.what,
            str(change.labels),
            "" if change.undone_s is None else date(change.undone_s),
        )
        for change in changes
    ]
    columns = ("change", "date", "by", "what", "labels", "undone")
    print_table(columns, rows, right=("change", "labels"), format=format)


@app.command("undo")
def undo(
    number: Annotated[
        int | None, typer.Argument(metavar="NUMBER", help="Of the change; the last one if not given.")
    ] = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Take a change of labels back.

    \b
    Examples:
      midikin tags undo
      midikin tags undo 3
    """
    from index import Library
    from ui.cli.output import print_json

    with Library.open(library, create=False) as opened, usage_errors("NUMBER"):
        change = opened.tags.undo(number)
    if json:
        print_json(change.to_json())
    else:
        print(f"taken back: change {change.number}, {change.what}")


@app.command("rename")
def rename(
    tag: TagArgument,
    new: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    library: LibraryOption = None,
) -> None:
    """Give a tag another name; labels, probe and predictions stay with it.

    \b
    Examples:
      midikin tags rename lulaby lullaby
    """
    from embedder.core.files import printable
    from index import Library

    with Library.open(library, create=False) as opened:
        opened.tags.rename(tag, new)
    print(f"{printable(tag)} is now called {printable(new)}")
