"""`midikin list`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from index import Filters, Library, Piece

__all__ = ["list_pieces"]

_PAGE = 500  # pieces fetched at a time


def list_pieces(
    library: LibraryOption = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FILTER", help="Only pieces like this; may be given several times."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("-k", "--limit", min=1, help="How many pieces at most; all if not given.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the pieces of the library, by number.

    Filters are those of `midikin search`; `midikin search --help` explains them.

    \b
    Examples:
      midikin list -k 20
      midikin list --where 'title~nocturne' --where 'duration<3:30'
      midikin list --json
    """
    from index import Filters, Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, remark

    with usage_errors("--where"):
        filters = Filters.parse(where or ())
    with Library.open(library, create=False) as opened:
        found = list(_pages(opened, filters, limit))
    if json:
        print_json({"pieces": [piece.to_json() for piece in found]})
    elif found:
        _print(found)
    else:
        remark(f"no pieces that meet {filters}" if filters else "the library holds no pieces yet")


def _pages(library: Library, filters: Filters, limit: int | None) -> Iterator[Piece]:
    after, left = 0, limit
    while left is None or left > 0:
        page = library.pieces(filters, limit=_PAGE if left is None else min(_PAGE, left), after=after)
        yield from page
        if not page:
            return
        after = page[-1].id
        left = None if left is None else left - len(page)


def _print(found: list[Piece]) -> None:
    from ui.cli.output import clock, on_terminal, print_table

    if on_terminal():
        rows = [
            (
                f"#{piece.id}",
                piece.display + (f"\n“{piece.title}”" if piece.title else ""),
                clock(piece.descriptors.duration_s),
                f"{piece.descriptors.notes:,}",
                piece.descriptors.key,
            )
            for piece in found
        ]
        print_table(("piece", "file", "length", "notes", "key"), rows, right=("piece", "length", "notes"))
        return
    columns = ("piece", "path", "title", "duration", "notes", "key")
    print_table(
        columns,
        (
            (
                f"#{piece.id}",
                piece.display,
                piece.title or "",
                f"{piece.descriptors.duration_s:.1f}",
                str(piece.descriptors.notes),
                piece.descriptors.key,
            )
            for piece in found
        ),
    )
