"""`midikin add`, `list`, `info`, `failures` and `remove`: what is in the library."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.options import (
    FilterOption,
    FormatOption,
    JsonOption,
    LibraryOption,
    PiecesArgument,
    WaitOption,
    as_filters,
    resolve_pieces,
)
from ui.cli.output import Format

if TYPE_CHECKING:
    from index import AddReport, Filters, Library, Piece

__all__ = ["add", "failures", "info", "list_pieces", "print_add_report", "remove"]

_PAGE_SIZE = 500  # pieces fetched at a time


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
    reread: Annotated[
        bool, typer.Option("--reread", help="Read every file again; pieces keep their numbers and tags.")
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
        raise typer.BadParameter("an empty name stands for no folder", param_hint="'FOLDER'")
    with Library.open(library, encoder=encoder) as opened, add_progress() as progress:
        report = opened.add(
            folders,
            progress,
            prune=prune,
            retry_failures=retry,
            reread=reread,
            wait_s=None if wait else 0.0,
        )
    if json:
        print_json(report.to_json())
    else:
        print_add_report(report)
    if report.interrupted:
        raise KeptAndContinues


def print_add_report(report: AddReport) -> None:
    """What was added, in as many lines as there is something to report."""
    from ui.cli.output import clock, count

    duration = f" in {clock(report.seconds)}" if report.seconds >= 1 else ""
    print(f"{count(report.added, 'piece')} added, {count(report.notes, 'note')}{duration}")
    others = [
        f"{number:,} {outcome}"
        for number, outcome in (
            (report.unchanged, "unchanged"),
            (report.reread, "read again"),
            (report.changed, "changed"),
            (report.moved, "moved"),
            (report.duplicates, "with the same bytes as a piece of the library"),
        )
        if number
    ]
    if others:
        print(f"of {count(report.found, 'file')}: {', '.join(others)}")
    if not report.found:
        print("no MIDI files there (*.mid, *.midi, *.kar, *.rmi, *.smf)")
    failed = report.failed + report.known_failures
    if failed:
        print(f"{count(failed, 'file')} could not be read; `midikin failures` lists them")
    if report.vanished:
        state = "forgotten" if report.pruned else "still listed; `midikin add --prune` forgets them"
        print(f"{count(len(report.vanished), 'file')} no longer there, {state}")


# -- list ---------------------------------------------------------------------------------------------


def list_pieces(
    library: LibraryOption = None,
    where: FilterOption = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="FIELD",
            help="Sort by a filter's field, like duration, tempo or title, or by tags; a dash before it "
            "('-tempo') puts the largest first. By number if not given.",
            autocompletion=lambda: sorted(_SORT_KEYS),
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("-k", "--limit", metavar="COUNT", min=1, help="List at most so many; all if not given."),
    ] = None,
    format: FormatOption = None,
) -> None:
    """List the pieces of the library.

    By number, with length, notes, key, tempo and tags, or sorted by any of these.

    \b
    Examples:
      midikin list -k 20
      midikin list --where 'title~nocturne' --where 'duration<3:30'
      midikin list --sort=-duration -k 10
      midikin list --csv > pieces.csv
    """
    from index import Library
    from ui.cli.output import print_json, remark

    filters = as_filters(where)
    key, descending = _sort_key(sort)
    with Library.open(library, create=False) as opened:
        tags = _tags_by_piece(opened)
        pages = _pages(opened, filters, limit if key is None else None)
        pieces = list(pages) if key is None else _sorted(pages, key, tags, limit, descending=descending)
    if format is Format.JSON:
        print_json({"pieces": [piece.to_json() | {"tags": tags.get(piece.id, [])} for piece in pieces]})
    elif pieces:
        _print_pieces(pieces, tags, format)
    else:
        remark(f"no pieces that meet {filters}" if filters else "the library holds no pieces yet")


def _sort_key(field: str | None) -> tuple[str | None, bool]:
    """Key of `_SORT_KEYS` and whether the largest comes first."""
    if field is None:
        return None, False
    name = field.removeprefix("-")
    if name not in _SORT_KEYS:
        raise typer.BadParameter(
            f"{name!r} is no field; there are {', '.join(sorted(_SORT_KEYS))}", param_hint="'--sort'"
        )
    return name, field != name


# Of a piece and its tags; None for what a piece does not have, which goes last in either direction.
_SORT_KEYS: dict[str, Any] = {
    "number": lambda piece, tags: piece.id,
    "duration": lambda piece, tags: piece.descriptors.duration_s,
    "notes": lambda piece, tags: piece.descriptors.notes,
    "density": lambda piece, tags: piece.descriptors.density,
    "low": lambda piece, tags: piece.descriptors.pitch_low,
    "high": lambda piece, tags: piece.descriptors.pitch_high,
    "pitch": lambda piece, tags: piece.descriptors.pitch_mean,
    "polyphony": lambda piece, tags: piece.descriptors.polyphony,
    "velocity": lambda piece, tags: piece.descriptors.velocity_mean,
    "key": lambda piece, tags: piece.descriptors.key,
    "confidence": lambda piece, tags: piece.descriptors.key_confidence,
    "bpm": lambda piece, tags: piece.descriptors.tempo_bpm,
    "tempo": lambda piece, tags: piece.descriptors.tempo_bpm,
    "meter": lambda piece, tags: piece.descriptors.meter,
    "instrument": lambda piece, tags: "; ".join(piece.descriptors.instruments).casefold() or None,
    "parts": lambda piece, tags: piece.descriptors.parts,
    "drums": lambda piece, tags: piece.descriptors.drum_notes,
    "composer": lambda piece, tags: piece.composer.casefold() if piece.composer else None,
    "title": lambda piece, tags: piece.title.casefold() if piece.title else None,
    "path": lambda piece, tags: piece.display,
    "name": lambda piece, tags: piece.display.rpartition("/")[2].casefold(),
    "tags": lambda piece, tags: "; ".join(tags).casefold() or None,
}


def _sorted(
    pieces: Iterator[Piece], key: str, tags: dict[int, list[str]], limit: int | None, *, descending: bool
) -> list[Piece]:
    value_of = _SORT_KEYS[key]
    with_value: list[tuple[Any, int, Piece]] = []
    without: list[Piece] = []
    for piece in pieces:
        value = value_of(piece, tags.get(piece.id, []))
        if value is None:
            without.append(piece)
        else:
            with_value.append((value, -piece.id if descending else piece.id, piece))
    select = heapq.nlargest if descending else heapq.nsmallest
    ordered = [piece for _, _, piece in select(limit or len(with_value), with_value)]
    return (ordered + without)[:limit]


def _pages(library: Library, filters: Filters, limit: int | None) -> Iterator[Piece]:
    after, remaining = 0, limit
    while remaining is None or remaining > 0:
        size = _PAGE_SIZE if remaining is None else min(_PAGE_SIZE, remaining)
        page = library.pieces(filters, limit=size, after=after)
        yield from page
        if not page:
            return
        after = page[-1].id
        remaining = None if remaining is None else remaining - len(page)


def _tags_by_piece(library: Library) -> dict[int, list[str]]:
    """Tags that people gave whole pieces, as they are shown: "lullaby", "composer: Chopin"."""
    from embedder.core.files import printable

    tags: dict[int, list[str]] = {}
    for label in library.tags.labels():
        if label.piece_id is not None and label.holds and label.start_s is None:
            name = label.tag if label.value is None else f"{label.tag}: {label.value}"
            tags.setdefault(label.piece_id, []).append(printable(name))
    return tags


_MORE_COLUMNS = (
    "tempo_estimated",
    "meter",
    "parts",
    "doubled_parts",
    "drums",
    "instruments",
    "composer",
    "partly_read",
)


def _more_cells(piece: Piece) -> tuple[str, ...]:
    known = piece.descriptors
    return (
        "yes" if known.tempo_estimated else "",
        known.meter or "",
        str(known.parts),
        str(known.doubled_parts),
        "yes" if known.drum_notes else "no",
        "; ".join(known.instruments),
        piece.composer or "",
        piece.partly_read or "",
    )


def _bpm(piece: Piece) -> str:
    """Tempo, about the estimate of one where none is notated."""
    known = piece.descriptors
    return "" if not known.tempo_bpm else f"{'about ' * known.tempo_estimated}{known.tempo_bpm:.0f}"


def _instruments(piece: Piece) -> str:
    """Families of instruments in a few words."""
    families = [*piece.descriptors.families, *(["drums"] if piece.descriptors.drum_notes else [])]
    more = len(families) - 4
    return ", ".join(families[:4]) + (f" and {more} more" if more > 0 else "")


def _print_pieces(pieces: list[Piece], tags: dict[int, list[str]], format: Format | None) -> None:
    from ui.cli.output import clock, is_drawn, print_table

    if is_drawn(format):
        rows = [
            (
                f"#{piece.id}",
                piece.display + (f"\n“{piece.title}”" if piece.title else ""),
                clock(piece.descriptors.duration_s),
                f"{piece.descriptors.notes:,}",
                piece.descriptors.key,
                _bpm(piece),
                _instruments(piece),
                "\n".join(tags.get(piece.id, [])),
            )
            for piece in pieces
        ]
        columns = ("piece", "file", "length", "notes", "key", "BPM", "instruments", "tags")
        print_table(columns, rows, right=("piece", "length", "notes", "BPM"), format=format)
        return
    print_table(
        ("piece", "path", "title", "duration", "notes", "key", "tempo", "tags", *_MORE_COLUMNS),
        (
            (
                f"#{piece.id}",
                piece.display,
                piece.title or "",
                f"{piece.descriptors.duration_s:.1f}",
                str(piece.descriptors.notes),
                piece.descriptors.key,
                f"{piece.descriptors.tempo_bpm:.1f}" if piece.descriptors.tempo_bpm else "",
                "; ".join(tags.get(piece.id, [])),
                *_more_cells(piece),
            )
            for piece in pieces
        ),
        format=format,
    )


# -- info, failures, remove ---------------------------------------------------------------------------


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
        summary = opened.info()
    if json:
        print_json(summary.to_json())
        return
    indexes = [
        f"{index.name}: {index.kind}, {count(index.vectors, 'vector')}, recall {index.recall:.3f}"
        + ("" if index.current else ", brought up to date by the next search")
        for index in summary.indexes
    ]
    print_pairs(
        {
            "library": summary.folder + (" (cannot be written)" if summary.read_only else ""),
            "pieces": f"{summary.pieces:,} in {count(summary.paths, 'file')}, {summary.hours:,.1f} hours",
            "notes": f"{summary.notes:,} in {count(summary.windows, 'window')}",
            "failures": f"{summary.failures:,}" + (" (see `midikin failures`)" if summary.failures else ""),
            "with drums": f"{summary.with_drums:,}",
            "partly read": f"{summary.partly_read:,} (damaged files, of which what is whole was read)",
            "encoder": summary.encoder or "none yet; the first `midikin add` decides",
            "on disk": f"{summary.size_bytes / 1e6:,.1f} MB",
            "indexes": "\n".join(indexes) or "none yet; the first search makes them",
        }
    )


def failures(
    limit: Annotated[
        int | None,
        typer.Option("-k", "--limit", metavar="COUNT", min=1, help="List at most so many; all if not given."),
    ] = None,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """List the files that could not be read, and why.

    They are tried again when they change, or with `midikin add --retry`.

    \b
    Examples:
      midikin failures
      midikin failures --csv > failures.csv
    """
    from index import Library
    from ui.cli.output import print_json, print_table, remark

    with Library.open(library, create=False) as opened:
        failed = opened.failures(limit=limit)
    if format is Format.JSON:
        print_json({"failures": [failure.to_json() for failure in failed]})
    elif failed:
        rows = ((failure.display, failure.reason) for failure in failed)
        print_table(("file", "reason"), rows, format=format)
    else:
        remark("no failures: every file that was added could be read")


def remove(
    pieces: PiecesArgument = None,
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

    with usage_errors("PIECE"):
        if not pieces and not vanished:
            raise ValueError("name files, folders or '#NUMBER', or give --vanished")
        if not all(pieces or ()):
            raise ValueError("an empty name stands for no piece")
    with Library.open(library, create=False) as opened:
        targets = resolve_pieces(opened, pieces or ())
        report = opened.remove(targets, vanished=vanished, wait_s=None if wait else 0.0)
    if json:
        print_json(report.to_json())
    else:
        removed = count(report.paths, "file"), count(report.pieces, "piece")
        print(f"{removed[0]} taken out of the library, and with them {removed[1]}")
