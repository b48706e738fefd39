"""`midikin find` and `midikin compare`: by the notes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.errors import usage_errors
from ui.cli.options import (
    FilterOption,
    FormatOption,
    FromOption,
    IncludeSelfOption,
    LibraryOption,
    PieceArgument,
    ToOption,
    as_filters,
    as_range,
    numbered,
    piece_target,
    resolve_piece,
)
from ui.cli.output import Format

if TYPE_CHECKING:
    from index import Compared, FindResult

__all__ = ["compare", "find"]

_FEW_NOTES = 20  # a query of fewer gets a warning
_PLOT_WIDTH = 72


def find(
    piece: PieceArgument,
    start: FromOption = None,
    end: ToOption = None,
    limit: Annotated[
        int, typer.Option("-k", "--limit", metavar="COUNT", min=1, help="Give at most so many answers.")
    ] = 10,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            metavar="PROBABILITY",
            min=0,
            max=1,
            help="Leave out answers below this confidence; 0.75 if not given, 0.9 for fewer than 15 notes.",
        ),
    ] = None,
    own_key: Annotated[bool, typer.Option("--own-key", help="Do not look in other keys.")] = False,
    include_self: IncludeSelfOption = False,
    all_matches: Annotated[
        bool, typer.Option("--all-matches", help="Every match within a piece, not only the best one.")
    ] = False,
    where: FilterOption = None,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Find the piece that a passage is from, and where in it.

    A whole file, a part of it, or as few as 10 notes. Another tempo, another key, wrong and missing notes are
    all right. Prints nothing but a remark if the library does not hold the music.

    \b
    Examples:
      midikin find fragment.mid
      midikin find concert.mid --from 12:30 --to 13:00
      midikin find fragment.mid --where 'path~concerts' --json
    """
    from index import Library
    from ui.cli.output import print_json

    start_s, end_s = as_range(start, end)
    filters = as_filters(where)
    with Library.open(library, create=False) as opened, usage_errors("--from"):
        result = opened.find(
            resolve_piece(opened, piece),
            limit,
            start_s=start_s,
            end_s=end_s,
            transposed=not own_key,
            min_confidence=min_confidence,
            include_self=include_self,
            every_place=all_matches,
            filters=filters,
        )
    if format is Format.JSON:
        print_json(result.to_json())
    else:
        _print_matches(result, format, include_self=include_self)


def _print_matches(result: FindResult, format: Format | None, *, include_self: bool) -> None:
    from embedder.core.text import tempo_change
    from ui.cli.output import clock, count, print_table, remark

    query = result.query
    if query.notes < _FEW_NOTES:
        remark(f"{count(query.notes, 'note')} are few: many pieces may contain them by chance")
    if not result.results:
        itself = query.piece_id is not None and not include_self
        remark(
            f"not here: none of {count(query.pieces, 'piece')} contains it at confidence "
            f"{query.min_confidence:g} or more"
            + ("; the piece itself was left out, --include-self admits it" if itself else "")
        )
        return
    columns = ("rank", "confidence", "matched", "from", "to", "key", "tempo", "number", "piece")
    rows = [
        (
            str(match.rank),
            f"{match.confidence:.0%}",
            f"{match.matched:.0%}",
            clock(match.start_s),
            clock(match.end_s),
            f"{match.transposition:+d}" if match.transposition else "same",
            tempo_change(match.tempo_ratio) or "same",
            f"#{match.piece_id}",
            match.display,
        )
        for match in result.results
    ]
    print_table(columns, rows, right=columns[:-1], format=format)


def compare(
    one: PieceArgument,
    other: PieceArgument,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Compare the notes of two pieces: agreement and differences.

    Two files need no library.

    \b
    Examples:
      midikin compare mine.mid theirs.mid
      midikin compare '#12' '#40' --json
    """
    from ui.cli.output import count, is_drawn, print_json, print_pairs

    comparison = _comparison(one, other, library)
    if format is Format.JSON:
        print_json(comparison.to_json())
        return
    if format in (Format.CSV, Format.TSV):
        _print_passages(comparison, format)
        return
    summary = comparison.summary()
    pieces = ((comparison.one_id, comparison.one), (comparison.other_id, comparison.other))
    about = [_about(number, path, library) for number, path in pieces]
    print_pairs(
        {
            "A": numbered(comparison.one_id, comparison.one) + about[0],
            "B": numbered(comparison.other_id, comparison.other) + about[1],
            "they are": comparison.words,
            "because": comparison.says,
            "A is covered": f"{summary['covered']:.0%}, {summary['matched']:.0%} of its notes are in B",
            "B is covered": (
                f"{summary['other_covered']:.0%}, {summary['other_matched']:.0%} of its notes are in A"
            ),
            "A differs in": f"{count(len(comparison.only_one), 'note')} of the shared passages",
            "B differs in": f"{count(len(comparison.only_other), 'note')} of the shared passages",
        }
    )
    if comparison.comparison.one.passages:
        print()
        _print_passages(comparison, format)
        if is_drawn(format) or format is None:
            print()
            print("\n".join(comparison.plot(_PLOT_WIDTH)))


def _about(number: int | None, path: str, folder: str | None) -> str:
    """Key, length, tempo and instruments of a piece, on a line of its own; empty if it cannot be read now."""
    from embedder import MidiError, read_piece
    from embedder import describe as describe_notes
    from index import Library
    from ui.cli.commands.search import describe

    if number is not None:
        with Library.open(folder, create=False) as opened:
            return f"\n{describe(opened.piece(number).descriptors)}"
    try:
        piece = read_piece(path)
    except MidiError:
        return ""
    return f"\n{describe(describe_notes(piece.notes, piece.tempo_bpm))}"


def _print_passages(comparison: Compared, format: Format | None) -> None:
    from embedder.core.text import tempo_change
    from ui.cli.output import clock, print_table

    columns = ("A from", "A to", "B from", "B to", "offset s", "tempo of A", "notes", "matched")
    rows = [
        (
            clock(passage.start_s),
            clock(passage.end_s),
            clock(passage.other_start_s),
            clock(passage.other_end_s),
            f"{passage.other_start_s - passage.start_s:+.1f}",
            tempo_change(passage.tempo_ratio) or "same",
            str(passage.notes),
            f"{passage.matched / passage.notes:.0%}",
        )
        for passage in comparison.comparison.one.passages
    ]
    print_table(columns, rows, right=columns, format=format)


def _comparison(one: str, other: str, folder: str | None) -> Compared:
    """With the library if there is one: it knows the numbers of files, and the notes of files now gone."""
    from embedder.core.errors import LibraryError
    from index import Library, compare_files

    try:
        opened = Library.open(folder, create=False)
    except LibraryError:
        first, second = piece_target(one), piece_target(other)
        if isinstance(first, int) or isinstance(second, int):
            raise
        return compare_files(first, second)
    with opened:
        return opened.compare(resolve_piece(opened, one), resolve_piece(opened, other))
