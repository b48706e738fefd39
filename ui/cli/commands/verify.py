"""`midikin verify`."""

from __future__ import annotations

import typer

from ui.cli.options import JsonOption, LibraryOption


def verify(library: LibraryOption = None, json: JsonOption = False) -> None:
    """Check every page, row and file of the library.

    Nothing is changed. The exit status is 1 if something is lost, or will go wrong.

    \b
    Examples:
      midikin verify
      midikin verify --library ~/other-library --json
    """
    from index import default_folder, verify_library
    from ui.cli.output import print_json, print_table

    report = verify_library(library or default_folder())
    if json:
        print_json(report.to_json())
    elif report.problems:
        rows = [
            (problem.what, problem.name, problem.reason, "mends itself" if problem.harmless else "")
            for problem in report.problems
        ]
        print_table(("what", "name", "problem", ""), rows)
        if not report.sound:
            print("`midikin repair` keeps all that can be read; a backup keeps more")
    else:
        print(f"{report.folder}: sound, {report.pieces:,} pieces")
    if not report.sound:
        raise typer.Exit(1)
