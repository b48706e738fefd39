"""`midikin tag`."""

from __future__ import annotations

import json as json_format
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.label_output import print_report
from ui.cli.options import JsonOption, LibraryOption, numbered, parse_time, piece_target

if TYPE_CHECKING:
    from index import Library

__all__ = ["tag"]


def tag(
    name: Annotated[str, typer.Argument(metavar="TAG", help="A tag of your own; any words.")],
    pieces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PIECE]...",
            help="Numbers like '#12', files or folders; from standard input if none is named.",
        ),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="These pieces have the tag.")] = False,
    no: Annotated[bool, typer.Option("--not", help="These pieces do not have the tag.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the labels of these pieces away: nothing is said then.")
    ] = False,
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            metavar="VALUE",
            help="The tag is one of many values, like composer; this is the value.",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Label a part of one piece: its start.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End of the part.")] = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Label pieces with a tag of your own, or show what has it.

    A tag is free (a piece has it or not) or, with --value, one of many values. Pieces can come from a search:
    what `midikin search --json` prints is understood, and so are lines with numbers or files. A tag that
    begins with a dash is written after the options and two dashes.

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
    from ui.cli.errors import usage_errors

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
    acts = add or no or remove
    with Library.open(library, create=False) as opened:
        if not acts:
            _show(opened, name, value, json)
            return
        targets, source = _targets(pieces)
        with usage_errors("PIECE"):
            if remove:
                report = opened.tags.unlabel(name, targets, value=value)
            else:
                report = opened.tags.label(name, targets, value=value, holds=add, source=source, **part)
    print_report(report, json)


def _targets(pieces: list[str] | None) -> tuple[list[Any], str]:
    """What is meant, and where it was said."""
    from ui.cli.errors import usage_errors

    with usage_errors("PIECE"):
        if pieces:
            return [piece_target(piece) for piece in pieces], "user"
        text = "" if sys.stdin.isatty() else sys.stdin.read()
        targets = _read(text)
        if not targets:
            raise ValueError("name pieces, or send them on standard input")
    return targets, "search" if text.lstrip()[:1] in ("{", "[") else "user"


def _read(text: str) -> list[Any]:
    """Pieces in what another command printed: JSON with numbers of pieces, or a piece a line."""
    if text.lstrip()[:1] not in ("{", "["):
        return [piece_target(line) for line in text.splitlines() if line.strip()]
    try:
        value = json_format.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("what came on standard input begins like JSON and is none") from None
    rows = value
    if isinstance(value, dict):
        rows = next((value[key] for key in ("results", "pieces", "predictions") if key in value), [])
    found = [_number(row) for row in rows] if isinstance(rows, list) else []
    if not found or None in found:
        raise ValueError(
            "the JSON on standard input lists no pieces; send what `midikin search --json` prints"
        )
    return found


def _number(row: Any) -> int | None:
    if isinstance(row, dict):
        row = row.get("piece_id", row.get("id"))
    return row if isinstance(row, int) and not isinstance(row, bool) else None


def _show(library: Library, name: str, value: str | None, json: bool) -> None:
    """Pieces with the tag: labels first, then predictions."""
    from embedder.core.errors import TagError
    from ui.cli.output import print_json, print_table

    labels = [one for one in library.tags.labels(name) if value is None or one.value == value]
    try:
        predictions = library.probes.predictions(name, value=value, limit=1000)
    except TagError:  # no probe, or none that was applied
        predictions = []
    if json:
        print_json(
            {
                "labels": [one.to_json() for one in labels],
                "predictions": [one.to_json() for one in predictions],
            }
        )
        return
    rows = [
        (
            "label",
            _said(one.value, one.holds),
            "",
            _part(one.start_s, one.end_s),
            numbered(one.piece_id, one.display),
        )
        for one in labels
    ]
    rows += [
        ("prediction", one.value, f"{one.probability:.2f}", "", numbered(one.piece_id, one.display))
        for one in predictions
    ]
    print_table(("by", "value", "probability", "part", "piece"), rows, right=("probability",))


def _said(value: str | None, holds: bool) -> str:
    if value is None:
        return "yes" if holds else "no"
    return value if holds else f"not {value}"


def _part(start_s: float | None, end_s: float | None) -> str:
    from ui.cli.output import clock

    return "" if start_s is None or end_s is None else f"{clock(start_s)}-{clock(end_s)}"
