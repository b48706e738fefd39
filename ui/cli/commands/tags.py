"""`midikin tags`, and its commands import, export, folders, history, undo and rename."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ui.cli.label_output import print_report
from ui.cli.options import JsonOption, LibraryOption

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def tags(ctx: typer.Context, library: LibraryOption = None, json: JsonOption = False) -> None:
    """List the tags of the library; import, export, and take labels back.

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
        found = opened.tags()
    if json:
        print_json({"tags": [one.to_json() for one in found]})
    elif found:
        rows = [
            (tag.display, tag.kind, value.display, str(value.labels), str(value.predictions), tag.probe)
            for tag in found
            for value in tag.values
        ]
        columns = ("tag", "kind", "value", "labels", "predictions", "probe")
        print_table(columns, rows, right=("labels", "predictions"))
    else:
        remark("no tags yet; label pieces with `midikin tag TAG --add PIECE ...`")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV with a column of files, or MAESTRO's JSON.")
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="NAME", help="A column that becomes a tag; may be given several times."
        ),
    ] = None,
    called: Annotated[
        str | None, typer.Option("--as", metavar="TAG", help="What the tag of the one column is called.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="Every file of the table gets this tag.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="NAME", help="Of the table; told from it if not given."),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Label what the library holds and only report the rest.")
    ] = False,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Give the labels of a table, all or none.

    The table is what `midikin tags export` writes, or has a line a file: a column that names it (file,
    midi_filename, filename, path or midi) and columns that become tags. Names may be ends of paths.

    \b
    Examples:
      midikin tags import labels.csv --column composer
      midikin tags import maestro-v3.0.0.csv --skip-unknown
      midikin tags import ballads.txt --tag ballad
    """
    from index import Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import count, remark

    with usage_errors("--as"):
        if called is not None and len(column or ()) != 1:
            raise ValueError("--as goes with exactly one --column")
    columns = {name: called or name for name in column} if column else None
    with Library.open(library, create=False) as opened, usage_errors("--column"):
        report = opened.tags.import_labels(
            file, columns=columns, tag=tag, encoding=encoding, skip_unknown=skip_unknown
        )
    print_report(report, json)
    if not json:
        remark(f"{report.rows:,} rows, read as {report.encoding}")
        if report.unknown:
            remark(f"{count(len(report.unknown), 'file')} not in the library, skipped")


@app.command("export")
def export(
    tag: Annotated[
        list[str] | None, typer.Argument(metavar="[TAG]...", help="Tags to export; all if none is named.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write; standard output if not given."),
    ] = None,
    library: LibraryOption = None,
) -> None:
    """Write labels as CSV, which import reads back.

    \b
    Examples:
      midikin tags export -o labels.csv
      midikin tags export composer
    """
    from embedder.core.errors import MidikinError
    from index import Library
    from index.storage.paths import display
    from ui.cli.output import remark

    with Library.open(library, create=False) as opened:
        text = opened.tags.export_labels(tag or None)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise MidikinError(f"{display(str(output))}: cannot be written ({error.strerror})") from error
    remark(f"wrote {display(str(output))}")


@app.command("folders")
def folders(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The tag whose values the names of folders are.")],
    root: Annotated[
        Path | None,
        typer.Argument(
            metavar="[ROOT]", help="Pieces below this folder; the one that all have in common if not given."
        ),
    ] = None,
    level: Annotated[
        int,
        typer.Option("--level", min=1, help="1 for the folders directly below ROOT, 2 for those in them."),
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
    print_report(report, json)


@app.command("history")
def history(
    limit: Annotated[int, typer.Option("-k", "--limit", min=1, help="How many changes at most.")] = 20,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """List the changes of labels, newest first.

    \b
    Examples:
      midikin tags history
      midikin tags history -k 100 --json
    """
    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened:
        found = opened.tags.history(limit)
    if json:
        print_json({"changes": [one.to_json() for one in found]})
        return
    rows = [
        (
            str(one.number),
            _date(one.done_s),
            one.source,
            one.what,
            str(one.labels),
            "" if one.undone_s is None else _date(one.undone_s),
        )
        for one in found
    ]
    print_table(("change", "date", "by", "what", "labels", "undone"), rows, right=("change", "labels"))


@app.command("undo")
def undo(
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="Of the change; the last one if not given.")
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
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json

    with Library.open(library, create=False) as opened, usage_errors("NUMBER"):
        action = opened.tags.undo(number)
    if json:
        print_json(action.to_json())
    else:
        print(f"taken back: change {action.number}, {action.what}")


@app.command("rename")
def rename(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The tag.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    library: LibraryOption = None,
) -> None:
    """Give a tag another name; labels, probe and predictions stay with it.

    \b
    Examples:
      midikin tags rename lulaby lullaby
    """
    from index import Library
    from index.storage.paths import display

    with Library.open(library, create=False) as opened:
        opened.tags.rename(tag, new)
    print(f"{display(tag)} is now called {display(new)}")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
