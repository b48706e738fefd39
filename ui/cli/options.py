"""Arguments and options that several commands share, declared once, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .completion import complete_filter, complete_piece, complete_tag
from .errors import usage_errors
from .output import Format

if TYPE_CHECKING:
    from embedder import Notes
    from index import Filters, Library

__all__ = [
    "FilterOption",
    "ForceOption",
    "FormatOption",
    "FromOption",
    "IncludeSelfOption",
    "JsonOption",
    "LibraryOption",
    "OutputFolderOption",
    "PieceArgument",
    "PiecesArgument",
    "TagArgument",
    "TagsArgument",
    "ToOption",
    "WaitOption",
    "as_filters",
    "as_range",
    "check_free",
    "notes_of",
    "numbered",
    "parse_time",
    "piece_number",
    "piece_target",
    "resolve_piece",
    "resolve_pieces",
]

_PIECE = "A MIDI file, a piece of the library by its number ('#12'), or the end of its path"


def _not_empty(value: str | None) -> str | None:
    """An unset variable of the shell must not come to mean the current folder."""
    if value == "":
        raise typer.BadParameter("an empty name; give the name of a folder or file")
    return value


LibraryOption = Annotated[
    str | None,
    typer.Option(
        "--library",
        metavar="FOLDER",
        envvar="MIDIKIN_LIBRARY",
        callback=_not_empty,
        help="Folder of the library; a folder of your own user data if not given.",
    ),
]
PieceArgument = Annotated[
    str, typer.Argument(metavar="PIECE", help=f"{_PIECE}.", autocompletion=complete_piece)
]
PiecesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PIECE...", help=f"{_PIECE}; or a folder.", autocompletion=complete_piece),
]
TagArgument = Annotated[str, typer.Argument(metavar="TAG", help="The tag.", autocompletion=complete_tag)]
TagsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="TAG...", help="Tags; all if none is named.", autocompletion=complete_tag),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="table, tsv, csv or json; a table on a terminal and TSV into a pipe if not given.",
        autocompletion=lambda: list(Format),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        help="Only pieces like this; may be repeated. `--where help` lists the filters.",
        autocompletion=complete_filter,
    ),
]
IncludeSelfOption = Annotated[
    bool,
    typer.Option("--include-self/--exclude-self", help="Whether the piece itself can be an answer."),
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Start of the part that is meant: 0:30, 90.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="End of the part that is meant: 1:00, 1:02:03.5.")
]
WaitOption = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Wait while another process writes to the library, or give up."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]
OutputFolderOption = Annotated[
    str, typer.Option("-o", "--output", metavar="FOLDER", help="Folder for what is made.")
]


def check_free(paths: Iterable[str | os.PathLike[str] | None], force: bool) -> None:
    """Refuse to replace files, before any work is done; pipes and devices are no files.

    Raises
    ------
    typer.BadParameter
        Naming the first that exists.
    """
    from embedder.core.files import printable

    for path in paths:
        if path is not None and not force and os.path.isfile(path):
            raise typer.BadParameter(
                f"{printable(path)} exists already; --force replaces it", param_hint="'--output'"
            )


def parse_time(text: str) -> float:
    """Seconds of "90", "1:30", "1:02:03.5".

    Raises
    ------
    ValueError
        If it is none of these.
    """
    fields = text.split(":")
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = []
    whole = all(field.isascii() and field.isdigit() for field in fields[:-1])
    fits = all(number < 60 for number in numbers[1:])
    if not numbers or len(fields) > 3 or not whole or not fits or not 0 <= numbers[-1] < float("inf"):
        raise ValueError(f"{text!r} is no time; write seconds like 90, or 1:30, or 1:02:03.5")
    seconds = 0.0
    for number in numbers:
        seconds = seconds * 60 + number
    return seconds


def as_range(start: str | None, end: str | None) -> tuple[float | None, float | None]:
    """Seconds of `--from` and `--to`; None where one is not given."""
    with usage_errors("--from"):
        start_s = None if start is None else parse_time(start)
    with usage_errors("--to"):
        end_s = None if end is None else parse_time(end)
        if start_s is not None and end_s is not None and start_s >= end_s:
            raise ValueError(f"the part ends at {end}, which is not after its start at {start}")
    return start_s, end_s


def as_filters(where: Sequence[str] | None) -> Filters:
    """Filters of `--where`; "help" prints what can be filtered on, and ends the command."""
    from index import Filters

    if where and "help" in where:
        _print_filters()
        raise typer.Exit
    with usage_errors("--where"):
        return Filters.parse(where or ())


def _print_filters() -> None:
    from index import FIELDS
    from ui.cli.output import print_table

    rows = [(field.name, field.help, field.example) for field in FIELDS]
    print_table(("filter", "what it compares", "example"), rows)


def piece_target(text: str) -> str | int:
    """What the name of a piece means without a look into the library: a number or a path.

    `#12` is a number. So is `12` where no such file exists: shells take an unquoted `#12` for a comment.
    """
    if not text:
        raise typer.BadParameter("an empty name stands for no piece; give a file or a number like '#12'")
    digits = text.removeprefix("#")
    if not (digits.isascii() and digits.isdigit()) or (digits == text and os.path.lexists(text)):
        return text
    return int(digits[:20])  # more than any library counts; Python refuses to read thousands


def resolve_piece(library: Library, text: str) -> str | int:
    """The piece that is meant: `piece_target`, or the only one of the library with this end of a path.

    Raises
    ------
    PieceNotFound
        If several pieces of the library have a path with this end.
    """
    target = piece_target(text)
    if isinstance(target, int) or os.path.lexists(os.path.expanduser(target)):
        return target
    matches = _by_path_end(library, target)
    if os.path.abspath(os.path.expanduser(target)) in {path for _, paths in matches for path in paths}:
        return target  # a file that is gone, and on record
    if len(matches) > 1:
        from embedder.core.errors import PieceNotFound
        from embedder.core.files import printable

        some = ", ".join(f"#{number}" for number, _ in matches[:3]) + (", ..." if len(matches) > 3 else "")
        raise PieceNotFound(
            f"{printable(target)}: {len(matches):,} pieces of the library have this name; give one of {some}"
        )
    return matches[0][0] if matches else target


def resolve_pieces(library: Library, texts: Sequence[str]) -> list[str | int]:
    """What `resolve_piece` says of each; folders stay folders, which stand for all pieces in them."""
    return [resolve_piece(library, text) for text in texts]


def piece_number(library: Library, text: str) -> int:
    """The number of a piece of the library, however it is named.

    Raises
    ------
    PieceNotFound
        If the library does not hold it.
    """
    target = resolve_piece(library, text)
    if isinstance(target, int):
        return target
    path = os.path.abspath(os.path.expanduser(target))
    matches = [number for number, paths in _with_path_like(library, path) if path in paths]
    if not matches:
        from embedder.core.errors import PieceNotFound
        from embedder.core.files import printable

        raise PieceNotFound(f"{printable(target)}: not in the library; add it first with `midikin add`")
    return matches[0]


def _by_path_end(library: Library, name: str) -> list[tuple[int, tuple[str, ...]]]:
    end = os.sep + os.path.normpath(name).lstrip(os.sep)
    return [
        (number, paths)
        for number, paths in _with_path_like(library, end)
        if any(path.endswith(end) for path in paths)
    ]


def _with_path_like(library: Library, text: str) -> list[tuple[int, tuple[str, ...]]]:
    from index import Filters, Term

    filters = Filters((Term("path", "~", text),))
    return [(piece.id, piece.paths) for piece in library.pieces(filters, limit=1000)]


def notes_of(pieces: Sequence[str], library: str | None) -> list[tuple[Notes, str]]:
    """Notes and file of pieces; the library is opened only for one that is no file."""
    from embedder import read_midi

    targets = [piece_target(piece) for piece in pieces]
    if all(isinstance(target, str) and os.path.lexists(target) for target in targets):
        return [(read_midi(piece), piece) for piece in pieces]
    from embedder.core.errors import LibraryError
    from index import Library

    try:
        opened = Library.open(library, create=False)
    except LibraryError:
        if any(isinstance(target, int) for target in targets):
            raise
        return [(read_midi(piece), piece) for piece in pieces]
    with opened:
        resolved = resolve_pieces(opened, pieces)
        return [
            (opened.notes(target), opened.piece(target).path)
            if isinstance(target, int)
            else (read_midi(target), target)
            for target in resolved
        ]


def numbered(number: int | None, name: str) -> str:
    """The name of a piece with the number that `piece_target` takes, if it has one."""
    return name if number is None else f"#{number}  {name}"
