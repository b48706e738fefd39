"""Options that several commands share, declared once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from embedder import Notes

__all__ = ["JsonOption", "LibraryOption", "WaitOption", "notes_of", "numbered", "parse_time", "piece_target"]


def _not_empty(value: str | None) -> str | None:
    """An unset variable of the shell must not come to mean the current folder."""
    if value == "":
        raise typer.BadParameter("an empty name")
    return value


LibraryOption = Annotated[
    str | None,
    typer.Option(
        "--library",
        metavar="DIR",
        envvar="MIDIKIN_LIBRARY",
        callback=_not_empty,
        help="Folder of the library; a folder of your own user data if not given.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
WaitOption = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Wait while another process writes to the library, or give up."),
]


def parse_time(text: str) -> float:
    """Seconds of "90", "1:30", "1:02:03.5".

    Raises
    ------
    ValueError
        If it is none of these.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    whole = all(part.isascii() and part.isdigit() for part in parts[:-1])
    fits = all(number < 60 for number in numbers[1:])
    if not numbers or len(parts) > 3 or not whole or not fits or not 0 <= numbers[-1] < float("inf"):
        raise ValueError(f"{text!r} is no time; write seconds like 90, or 1:30, or 1:02:03.5")
    seconds = 0.0
    for number in numbers:
        seconds = seconds * 60 + number
    return seconds


def piece_target(text: str) -> str | int:
    """What a user means by a piece: `#12` is the number of a piece of the library, all else a path."""
    if not text:
        raise typer.BadParameter("an empty name stands for no piece")
    digits = text.removeprefix("#")
    # Twenty digits are more than any library counts; Python refuses to read thousands.
    return int(digits[:20]) if digits != text and digits.isascii() and digits.isdigit() else text


def notes_of(pieces: Sequence[str], library: str | None) -> list[tuple[Notes, str]]:
    """Notes and file of pieces as `piece_target` names them; only a number opens the library."""
    from embedder import read_midi

    targets = [piece_target(piece) for piece in pieces]
    if not any(isinstance(target, int) for target in targets):
        return [(read_midi(piece, drums=False), piece) for piece in pieces]
    from index import Library

    with Library.open(library, create=False) as opened:
        return [
            (opened.notes(target), opened.piece(target).path)
            if isinstance(target, int)
            else (read_midi(target, drums=False), target)
            for target in targets
        ]


def numbered(number: int | None, name: str) -> str:
    """The name of a piece with the number that `piece_target` takes, if it has one."""
    return name if number is None else f"#{number}  {name}"
