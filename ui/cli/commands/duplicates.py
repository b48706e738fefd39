"""`midikin duplicates`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from index import Duplicates


class _Kind(StrEnum):
    BYTES = "bytes"
    NOTES = "notes"
    EDITED = "edited"
    WORK = "work"
    CONTAINS = "contains"


def duplicates(
    loosest: Annotated[
        _Kind,
        typer.Option(
            "--loosest",
            help="Loosest kind of sameness to report.",
        ),
    ] = _Kind.CONTAINS,
    open_only: Annotated[bool, typer.Option("--open", help="Leave out groups that are resolved.")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table, a line a file.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with drawings.")
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option("--script", metavar="FILE", help="Write commands for you to review and run yourself."),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes that compare.")] = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Group the pieces that hold the same music; no file is ever touched.

    Kinds, strictest first: the same bytes; the same notes; the same performance edited (trimmed, stretched,
    transposed, quantised, notes lost); another performance or arrangement of the same work; one piece that
    contains another.

    \b
    Examples:
      midikin duplicates
      midikin duplicates --loosest edited --html report.html
      midikin duplicates --json
    """
    from index import Library
    from ui.cli.output import print_json
    from ui.cli.progress import progress_bar

    with Library.open(library, create=False) as opened, progress_bar() as bar:
        tasks = {
            name: bar.add_task(words, total=None, rate="")
            for name, words in (("candidates", "looking for candidates"), ("pairs", "comparing pairs"))
        }
        found = opened.duplicates(
            loosest=loosest.value,
            workers=workers,
            progress=lambda phase, done, total: bar.update(tasks[phase], completed=done, total=total),
        )
    if open_only:
        found = found.only_open()
    for path, content in (
        (csv, lambda: found.csv().encode()),
        (html, lambda: found.html().encode()),
        (script, found.script),
    ):
        if path is not None:
            _write(path, content())
    if json:
        print_json(found.to_json())
    elif csv is None and html is None and script is None:
        _print(found)


def _write(path: Path, content: bytes) -> None:
    from embedder.core.errors import MidikinError
    from index.storage.paths import display
    from ui.cli.output import remark

    try:
        path.write_bytes(content)
    except OSError as error:
        raise MidikinError(f"{display(str(path))}: cannot be written ({error.strerror})") from error
    remark(f"wrote {display(str(path))}")


def _print(found: Duplicates) -> None:
    from ui.cli.output import count, print_table, remark

    print_table(
        ("group", "kind", "piece", "notes", "what", "file"),
        (
            (
                str(group.number),
                group.kind.value,
                f"#{member.piece_id}",
                str(member.notes),
                "the same bytes" if further else group.describe(member),
                name,
            )
            for group in found.groups
            for member in group.members
            for further, name in enumerate(member.displays)
        ),
        right=("group", "piece", "notes"),
    )
    remark(
        f"{count(len(found.groups), 'group')} among {count(found.pieces, 'piece')}; "
        "`midikin decide` records what you decide"
    )
