"""`midikin failures`."""

from __future__ import annotations

from ui.cli.options import JsonOption, LibraryOption


def failures(library: LibraryOption = None, json: JsonOption = False) -> None:
    """List the files that could not be read, and why.

    They are tried again when they change, or with `midikin add --retry`.

    \b
    Examples:
      midikin failures
      midikin failures --json
    """
    from index import Library
    from ui.cli.output import print_json, print_table, remark

    with Library.open(library, create=False) as opened:
        found = opened.failures()
    if json:
        print_json({"failures": [failure.to_json() for failure in found]})
    elif found:
        print_table(("file", "reason"), ((failure.display, failure.reason) for failure in found))
    else:
        remark("no failures: every file that was added could be read")
