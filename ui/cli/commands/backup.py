"""`midikin backup`."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption


def backup(
    target: Annotated[str, typer.Argument(metavar="FOLDER", help="Where the copy is to lie.")],
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the library into another folder, while it is in use.

    The copy is a library itself. An earlier copy in that folder is replaced when the new one is complete.
    Search indexes are not copied, for they are made from the rest.

    \b
    Examples:
      midikin backup /mnt/disk/midikin-backup
      midikin search '#3' --library /mnt/disk/midikin-backup
    """
    from index import Library
    from ui.cli.output import print_json

    with Library.open(library, create=False) as opened:
        folder = opened.maintenance.backup(target)
    with Library.open(folder, create=False) as copy:
        pieces = copy.info().pieces
    if json:
        print_json({"folder": str(folder), "pieces": pieces})
    else:
        print(f"{pieces:,} pieces copied to {folder}")
