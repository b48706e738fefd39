"""`midikin info`."""

from __future__ import annotations

from ui.cli.options import JsonOption, LibraryOption


def info(library: LibraryOption = None, json: JsonOption = False) -> None:
    """Show what the library holds.

    \b
    Examples:
      midikin info
      midikin info --library ~/other-library --json
    """
    from index import Library
    from ui.cli.output import count, print_json, print_pairs

    with Library.open(library, create=False) as opened:
        found = opened.info()
    if json:
        print_json(found.to_json())
        return
    indexes = [
        f"{index.name}: {index.kind}, {count(index.vectors, 'vector')}, recall {index.recall:.3f}"
        + ("" if index.current else ", brought up to date by the next search")
        for index in found.indexes
    ]
    print_pairs(
        {
            "library": found.folder + (" (cannot be written)" if found.read_only else ""),
            "pieces": f"{found.pieces:,} in {count(found.paths, 'file')}, {found.hours:,.1f} hours",
            "notes": f"{found.notes:,} in {count(found.windows, 'window')}",
            "failures": f"{found.failures:,}" + (" (see `midikin failures`)" if found.failures else ""),
            "encoder": found.encoder or "none yet; the first `midikin add` decides",
            "on disk": f"{found.size_bytes / 1e6:,.1f} MB",
            "indexes": "\n".join(indexes) or "none yet; the first search makes them",
        }
    )
