"""`midikin decide` and `midikin decisions`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.errors import usage_errors
from ui.cli.options import JsonOption, LibraryOption, numbered, piece_target

if TYPE_CHECKING:
    from index import Decision


class _Verdict(StrEnum):
    KEEP = "keep"
    DUPLICATE = "duplicate"
    NOT_SAME = "not-same"


def decide(
    one: Annotated[str, typer.Argument(metavar="#A", help="Number of a piece, like #12.")],
    other: Annotated[str, typer.Argument(metavar="#B", help="Number of another.")],
    verdict: Annotated[
        _Verdict,
        typer.Argument(
            help="keep: both stay; duplicate: A stays, B is not needed; not-same: never link them."
        ),
    ],
    library: LibraryOption = None,
) -> None:
    """Record what you decide about two pieces of the library.

    The decision is kept with its date and evidence until you undo it; no file is touched.

    \b
    Examples:
      midikin decide '#12' '#40' duplicate
      midikin decide '#12' '#41' not-same
    """
    from index import Library

    with usage_errors("#A #B"):
        numbers = [_number(text) for text in (one, other)]
    with Library.open(library, create=False) as opened, usage_errors("verdict"):
        keeper = numbers[0] if verdict is _Verdict.DUPLICATE else None
        number = opened.duplicates.decide(numbers[0], numbers[1], verdict.value, keeper=keeper)
    print(f"decision {number} recorded; `midikin decisions --undo {number}` takes it back")


def decisions(
    undo: Annotated[
        int | None, typer.Option("--undo", metavar="NUMBER", help="Take a decision back.")
    ] = None,
    undone: Annotated[bool, typer.Option("--all", help="List those taken back too.")] = False,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """List the decisions about duplicates, or take one back.

    \b
    Examples:
      midikin decisions
      midikin decisions --undo 3
    """
    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened:
        if undo is not None:
            opened.duplicates.undo(undo)
        found = opened.duplicates.decisions(undone=undone)
    if json:
        print_json({"decisions": [one.to_json() for one in found]})
        return
    print_table(
        ("number", "decided", "verdict", "A", "B", "evidence", "undone"),
        (
            (
                str(one.id),
                _date(one.decided_s),
                one.verdict.value,
                *_pair(one),
                str(one.evidence.get("says", "")),
                "" if one.undone_s is None else _date(one.undone_s),
            )
            for one in found
        ),
        right=("number",),
    )


def _pair(one: Decision) -> list[str]:
    """The two pieces of a decision, the one to keep first."""
    from index.storage.paths import display

    told = [
        f"(no longer here: {content[:12]})" if path is None else numbered(number, display(path))
        for content, number, path in zip((one.one, one.other), one.pieces, one.paths, strict=True)
    ]
    return told[::-1] if one.keeper == one.other else told


def _number(text: str) -> int:
    target = piece_target(text if text.startswith("#") else f"#{text}")
    if not isinstance(target, int):
        raise ValueError(f"{text!r} is no number of a piece; write it like #12")
    return target


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
