"""`midikin remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, WaitOption, piece_target


def remove(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="Files, folders, or numbers of pieces: '#12'."),
    ] = None,
    library: LibraryOption = None,
    vanished: Annotated[
        bool, typer.Option("--vanished", help="Also every file that no longer exists on disk.")
    ] = False,
    wait: WaitOption = True,
    json: JsonOption = False,
) -> None:
    """Take pieces out of the library; files are never touched.

    A piece goes when the last of its files is taken out. `midikin add` brings everything back.

    \b
    Examples:
      midikin remove ~/Music/midi/drafts
      midikin remove '#12' ~/Music/midi/song.mid
      midikin remove --vanished
    """
    from index import Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import count, print_json

    with usage_errors("TARGET"):
        if not targets and not vanished:
            raise ValueError("name files, folders or '#NUMBER', or give --vanished")
    wanted = [piece_target(target) for target in targets or ()]
    with Library.open(library, create=False) as opened:
        report = opened.remove(wanted, vanished=vanished, wait_s=None if wait else 0.0)
    if json:
        print_json(report.to_json())
    else:
        files, pieces = count(report.paths, "file"), count(report.pieces, "piece")
        print(f"{files} taken out of the library, and with them {pieces}")
