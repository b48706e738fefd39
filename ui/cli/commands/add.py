"""`midikin add`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, WaitOption

if TYPE_CHECKING:
    from index import AddReport

__all__ = ["add", "print_report"]


def add(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders with all that is below them, or files.")
    ],
    library: LibraryOption = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="What makes the vectors of a new library: an encoder's folder, or Aria's weights.",
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget files inside these folders that no longer exist.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Read files again that failed before and have not changed.")
    ] = False,
    wait: WaitOption = True,
    json: JsonOption = False,
) -> None:
    """Add folders of MIDI files to the library.

    Only new and changed files are read; moved and renamed ones are recognised. Stop it with Ctrl-C whenever
    you like: the same command continues.

    \b
    Examples:
      midikin add ~/Music/midi
      midikin add ~/Music/midi ~/Downloads/song.mid --library ~/other-library
      midikin add ~/Music/midi --prune --json
      midikin add ~/Music/midi --library ~/by-aria --encoder loubb/aria-medium-embedding
    """
    from index import Library
    from ui.cli.errors import KeptAndContinues
    from ui.cli.output import print_json
    from ui.cli.progress import add_progress

    if encoder == "":
        raise typer.BadParameter("an empty name stands for no encoder", param_hint="'--encoder'")
    if not all(folders):
        raise typer.BadParameter("an empty name stands for no folder")
    with Library.open(library, encoder=encoder) as opened, add_progress() as progress:
        report = opened.add(
            folders, progress, prune=prune, retry_failures=retry, wait_s=None if wait else 0.0
        )
    if json:
        print_json(report.to_json())
    else:
        print_report(report)
    if report.interrupted:
        raise KeptAndContinues


def print_report(report: AddReport) -> None:
    """What an add did, in as many lines as there is something to say."""
    from ui.cli.output import clock, count

    took = f" in {clock(report.seconds)}" if report.seconds >= 1 else ""
    print(f"{count(report.added, 'piece')} added, {report.notes:,} notes{took}")
    others = (
        (report.unchanged, "unchanged"),
        (report.changed, "changed"),
        (report.moved, "moved"),
        (report.duplicates, "copies of pieces the library has"),
    )
    said = [f"{count:,} {what}" for count, what in others if count]
    if said:
        print(f"of {count(report.found, 'file')} found: {', '.join(said)}")
    if not report.found:
        print("no MIDI files there (*.mid, *.midi, *.kar, *.rmi, *.smf)")
    failed = report.failed + report.known_failures
    if failed:
        print(f"{count(failed, 'file')} could not be read; `midikin failures` lists them")
    if report.vanished:
        verb = "forgotten" if report.pruned else "still listed; `midikin add --prune` forgets them"
        print(f"{count(len(report.vanished), 'file')} no longer there, {verb}")
