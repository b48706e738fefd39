"""`midikin search`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, parse_time, piece_target

if TYPE_CHECKING:
    from embedder import Descriptors
    from index import Hit, SearchResult

__all__ = ["about", "print_result", "search"]


def search(
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="A MIDI file, or a piece of the library by its number: '#12'."),
    ],
    library: LibraryOption = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Start of the part to look for: 0:30, 90.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End of the part to look for: 1:00, 1:02:03.5.")
    ] = None,
    passages: Annotated[
        bool, typer.Option("--passages", help="Answer with passages and their times, not with whole pieces.")
    ] = False,
    limit: Annotated[int, typer.Option("-k", "--limit", min=1, help="How many answers at most.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FILTER", help="Only pieces like this; may be given several times."),
    ] = None,
    include_self: Annotated[
        bool, typer.Option("--include-self", help="Let the query itself be an answer.")
    ] = False,
    melody: Annotated[
        bool,
        typer.Option("--melody", help="Find the pieces in which the query's melody is sung, in any key."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Find what sounds like a piece, or like a part of one.

    Filters name what the library knows of a piece: duration, notes, density (notes a second), low, high and
    pitch (the mean), polyphony, velocity, key, confidence (of the key), tempo, title, path, name, and tag
    (what people gave it). Numbers take = != < <= > >= and ranges: 'density>5', 'notes=200..800',
    'duration<3:30'. Text takes = and != with the wildcards * and ?, and ~ and !~ for "holds" and "does not
    hold": 'key=C minor', 'path~bach', 'name=*.mid', 'title!~etude'. Tags take = and !=: 'tag=lullaby',
    'tag=composer: Chopin'. Several filters must all hold. Quote them for the shell.

    \b
    Examples:
      midikin search theme.mid
      midikin search theme.mid --from 0:30 --to 1:00 --passages
      midikin search '#12' -k 5 --where 'key=C minor' --where 'duration<3:30'
      midikin search hummed.mid --melody
      midikin search theme.mid --json
    """
    from index import Filters, Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json

    with usage_errors("--from"):
        start_s = None if start is None else parse_time(start)
    with usage_errors("--to"):
        end_s = None if end is None else parse_time(end)
        if start_s is not None and end_s is not None and start_s >= end_s:
            raise ValueError(f"the part ends at {end}, which is not after its start at {start}")
    with usage_errors("--where"):
        filters = Filters.parse(where or ())
    target = _target(query)
    if melody:
        from .melody import print_melody_search

        if passages or where:
            raise typer.BadParameter("a search by melody takes neither --passages nor --where")
        with Library.open(library, create=False) as opened:
            print_melody_search(opened, target, limit, start_s, end_s, include_self=include_self, json=json)
        return
    with Library.open(library, create=False) as opened:
        result = opened.search(
            target,
            limit,
            start_s=start_s,
            end_s=end_s,
            passages=passages,
            filters=filters,
            include_self=include_self,
        )
    if json:
        print_json(result.to_json())
    else:
        print_result(result)


def _target(query: str) -> str | int:
    """`12` is piece 12 too, if there is no such file: shells take an unquoted `#12` for a comment."""
    if query.isascii() and query.isdigit() and not os.path.lexists(query):
        return int(query)
    return piece_target(query)


def print_result(result: SearchResult) -> None:
    """Answers for a person, or as tab-separated lines if stdout is no terminal."""
    from ui.cli.output import clock, count, on_terminal, print_table, print_wrapped, remark

    query = result.query
    if not result.results:
        why = f"that meet {query.filters}" if query.filters else "to compare with"
        remark(f"no answers: the library holds no pieces {why}")
        return
    if not on_terminal():
        columns = ("rank", "score", "start_s", "end_s", "piece", "path", "title")
        columns += ("key", "tempo", "duration", "shared")
        print_table(columns, (_cells(hit) for hit in result.results))
        return
    span = f"{clock(query.start_s)} to {clock(query.end_s)}"
    print_wrapped(f"like {query.display}, {span} ({about(query.descriptors)})")
    print_wrapped(
        f"among {count(query.pieces, 'piece')}" + (f" with {query.filters}" if query.filters else "")
    )
    rows = [
        (
            str(hit.rank),
            f"{hit.score:.3f}",
            f"{clock(hit.start_s)}-{clock(hit.end_s)}",
            hit.display
            + (f"\n“{hit.title}”" if hit.title else "")
            + f"\n#{hit.piece_id}, {about(hit.descriptors)}"
            + (f"\nshared: {'; '.join(hit.shared)}" if hit.shared else ""),
        )
        for hit in result.results
    ]
    print_table(("", "score", "time", "piece"), rows, right=("", "score", "time"))


def about(descriptors: Descriptors) -> str:
    """Key, length and tempo in a few words."""
    from ui.cli.output import clock, count

    words = [descriptors.key, clock(descriptors.duration_s), count(descriptors.notes, "note")]
    if descriptors.tempo_bpm:
        words.append(f"{descriptors.tempo_bpm:.0f} beats a minute")
    return ", ".join(words)


def _cells(hit: Hit) -> tuple[str, ...]:
    tempo = hit.descriptors.tempo_bpm
    return (
        str(hit.rank),
        f"{hit.score:.4f}",
        f"{hit.start_s:.2f}",
        f"{hit.end_s:.2f}",
        f"#{hit.piece_id}",
        hit.display,
        hit.title or "",
        hit.descriptors.key,
        f"{tempo:.1f}" if tempo else "",
        f"{hit.descriptors.duration_s:.1f}",
        "; ".join(hit.shared),
    )
