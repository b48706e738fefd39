"""`midikin find`."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.cli.errors import usage_errors
from ui.cli.options import JsonOption, LibraryOption, parse_time, piece_target

_FEW_NOTES = 20


def find(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A MIDI file, or #12 for piece 12.")],
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Look only for what begins here, like 1:30.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Look only for what begins before.")
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="At most so many answers.")] = 10,
    confidence: Annotated[
        float | None,
        typer.Option(
            "--confidence",
            min=0,
            max=1,
            help="Leave out answers that are less sure; if not given 0.75, of fewer than 15 notes 0.9.",
        ),
    ] = None,
    own_key: Annotated[bool, typer.Option("--own-key", help="Do not look in other keys.")] = False,
    others: Annotated[
        bool, typer.Option("--others", help="Leave out the file itself if the library holds it.")
    ] = False,
    every_place: Annotated[
        bool, typer.Option("--every-place", help="Every place of a piece, not only the best one.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FILTER", help="Only in pieces like this, as in `midikin search`."),
    ] = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Find the piece that a passage is from, and where in it.

    A whole file, a part of it, or as few as 10 notes. Another tempo, another key, wrong and missing notes are
    all right. Prints nothing but a remark if the music is not here.

    \b
    Examples:
      midikin find fragment.mid
      midikin find concert.mid --from 12:30 --to 13:00
      midikin find fragment.mid --where 'path~concerts' --json
    """
    from index import Filters, Library
    from ui.cli.output import clock, count, print_json, print_table, remark

    with usage_errors("--from"):
        start_s = None if start is None else parse_time(start)
    with usage_errors("--to"):
        end_s = None if end is None else parse_time(end)
    with usage_errors("--where"):
        filters = Filters.parse(where or ())
    with Library.open(library, create=False) as opened, usage_errors("--from"):
        found = opened.find(
            piece_target(file),
            number,
            start_s=start_s,
            end_s=end_s,
            transposed=not own_key,
            min_confidence=confidence,
            include_self=not others,
            every_place=every_place,
            filters=filters,
        )
    if json:
        print_json(found.to_json())
        return
    if found.query.notes < _FEW_NOTES:
        remark(f"{count(found.query.notes, 'note')} say little: many pieces may hold them by chance")
    if not found.results:
        remark(
            f"not here: among {count(found.query.pieces, 'piece')} none holds it, "
            f"at confidence {found.query.min_confidence:g}"
        )
        return
    print_table(
        ("rank", "sure", "matched", "from", "to", "key", "tempo", "number", "piece"),
        (
            (
                str(one.rank),
                f"{one.confidence:.2f}",
                f"{one.matched:.0%}",
                clock(one.start_s),
                clock(one.end_s),
                f"{one.transposition:+d}" if one.transposition else "same",
                f"x {one.tempo_ratio:.2f}",
                f"#{one.piece_id}",
                one.display,
            )
            for one in found.results
        ),
        right=("rank", "sure", "matched", "from", "to", "key", "tempo", "number"),
    )
