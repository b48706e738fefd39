"""`midikin verify`, `repair`, `backup` and `reembed`: keeping a library sound."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.cli.options import FormatOption, JsonOption, LibraryOption, WaitOption
from ui.cli.output import Format

__all__ = ["backup", "reembed", "repair", "verify"]


def verify(library: LibraryOption = None, format: FormatOption = None) -> None:
    """Check every page, row and file of the library.

    Nothing is changed. The exit status is 1 if something is lost, or will go wrong.

    \b
    Examples:
      midikin verify
      midikin verify --library ~/other-library --json
    """
    from index import default_folder, verify_library
    from ui.cli.output import count, print_json, print_table, remark

    report = verify_library(library or default_folder())
    if format is Format.JSON:
        print_json(report.to_json())
    elif report.problems:
        rows = [
            (problem.what, problem.name, problem.reason, "repairs itself" if problem.harmless else "")
            for problem in report.problems
        ]
        print_table(("what", "name", "problem", "note"), rows, format=format)
        if not report.sound:
            remark("`midikin repair` keeps all that can be read; a backup keeps more")
    else:
        print(f"{report.folder}: sound, {count(report.pieces, 'piece')}")
    if not report.sound:
        raise typer.Exit(1)


def repair(library: LibraryOption = None, wait: WaitOption = True, json: JsonOption = False) -> None:
    """Repair a damaged library: all that can be read stays.

    The damaged database is kept beside the new one, under another name. The files of pieces that were lost
    are read again by the next `midikin add`.

    \b
    Examples:
      midikin repair
      midikin repair --library ~/other-library
    """
    from index import default_folder, repair_library
    from ui.cli.output import count, print_json, print_pairs

    report = repair_library(library or default_folder(), wait_s=None if wait else 0.0)
    if json:
        print_json(report.to_json())
        return
    if report.kept_as is None and not report.indexes:
        print("nothing to repair")
        return
    lines = {"pieces": f"{report.pieces:,} in {count(report.paths, 'file')} kept"}
    if report.lost_pieces or report.lost_rows:
        lines["lost"] = (
            f"{count(report.lost_pieces, 'piece')}; {count(report.lost_rows, 'row')} could not be read\n"
            "`midikin add` with your folders brings the pieces back"
        )
    if report.kept_as is not None:
        lines["damaged"] = f"kept as {report.kept_as}"
    if report.indexes:
        lines["indexes"] = f"{', '.join(report.indexes)}: rebuilt by the next search"
    print_pairs(lines)


def backup(
    target: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder for the copy.")],
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the library into another folder, while it is in use.

    The copy is a library itself. An earlier copy in that folder is replaced when the new one is complete.
    Search indexes are not copied, for they are built from the rest.

    \b
    Examples:
      midikin backup /mnt/disk/midikin-backup
      midikin search '#3' --library /mnt/disk/midikin-backup
    """
    from index import Library
    from ui.cli.output import count, print_json

    with Library.open(library, create=False) as opened:
        folder = opened.maintenance.backup(target)
    with Library.open(folder, create=False) as copy:
        pieces = copy.info().pieces
    if json:
        print_json({"folder": str(folder), "pieces": pieces})
    else:
        print(f"{count(pieces, 'piece')} copied to {folder}")


def reembed(
    library: LibraryOption = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="NAME", help="The new encoder: a name or a folder of weights."),
    ] = None,
    wait: WaitOption = True,
    json: JsonOption = False,
) -> None:
    """Embed all pieces again, with another encoder.

    Without --encoder: with the newest version of the one that the library was made with. Searches go on
    with the old vectors until all new ones are there. Ctrl-C is safe: the same command continues.

    \b
    Examples:
      midikin reembed
      midikin reembed --encoder ~/my-encoder --library ~/other-library
    """
    from index import Library, ReembedProgress
    from ui.cli.errors import KeptAndContinues
    from ui.cli.output import count, print_json
    from ui.cli.progress import progress_bar

    with Library.open(library, create=False) as opened, progress_bar() as progress:
        task = progress.add_task("embedding again", total=None, rate="pieces")

        def show(state: ReembedProgress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        report = opened.maintenance.reembed(encoder, show, wait_s=None if wait else 0.0)
    if json:
        print_json(report.to_json())
    elif report.switched:
        print(f"{count(report.embedded, 'piece')} embedded again; the encoder is now {report.encoder}")
        if report.from_notes:
            print(
                f"{report.from_notes:,} of them from their stored notes alone, as piano: their files are "
                "gone or changed, or this encoder cannot read them"
            )
    elif not report.interrupted:
        print(f"nothing to do: the vectors are those of {report.encoder} already")
    if report.interrupted:
        raise KeptAndContinues
