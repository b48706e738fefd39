"""`midikin repair`."""

from __future__ import annotations

from ui.cli.options import JsonOption, LibraryOption, WaitOption


def repair(library: LibraryOption = None, wait: WaitOption = True, json: JsonOption = False) -> None:
    """Mend a damaged library: all that can be read stays.

    The damaged database is kept beside the new one, under another name. The files of pieces that were lost
    are read again by the next `midikin add`.

    \b
    Examples:
      midikin repair
      midikin repair --library ~/other-library
    """
    from index import default_folder, repair_library
    from ui.cli.output import print_json, print_pairs

    report = repair_library(library or default_folder(), wait_s=None if wait else 0.0)
    if json:
        print_json(report.to_json())
        return
    if report.kept_as is None and not report.indexes:
        print("nothing to repair")
        return
    said = {"pieces": f"{report.pieces:,} in {report.paths:,} files kept"}
    if report.lost_pieces or report.lost_rows:
        said["lost"] = (
            f"{report.lost_pieces:,} pieces; {report.lost_rows:,} rows could not be read\n"
            "`midikin add` with your folders brings the pieces back"
        )
    if report.kept_as is not None:
        said["damaged"] = f"kept as {report.kept_as}"
    if report.indexes:
        said["indexes"] = f"{', '.join(report.indexes)}: made anew by the next search"
    print_pairs(said)
