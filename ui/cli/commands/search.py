"""`midikin search`: by sound, or by melody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
    piece_target,
    resolve_piece,
)
from ui.cli.output import Format

if TYPE_CHECKING:
    from embedder import Descriptors
    from index import Hit, MelodyResult, SearchResult

__all__ = ["describe", "search"]


def search(
    piece: PieceArgument,
    library: LibraryOption = None,
    start: FromOption = None,
    end: ToOption = None,
    passages: Annotated[
        bool, typer.Option("--passages", help="Answer with passages and their times, not with whole pieces.")
    ] = False,
    limit: Annotated[
        int, typer.Option("-k", "--limit", metavar="COUNT", min=1, help="Give at most so many answers.")
    ] = 10,
    where: FilterOption = None,
    include_self: IncludeSelfOption = False,
    melody: Annotated[
        bool,
        typer.Option("--melody", help="Find the pieces in which the query's melody is sung, in any key."),
    ] = False,
    format: FormatOption = None,
) -> None:
    """Find what sounds like a piece, or like a part of one.

    Filters name what the library knows of a piece: duration, notes, density (notes per second), low, high and
    pitch (the mean), polyphony, velocity, key, confidence (of the key), bpm, meter, instrument, parts, drums
    (yes or no), composer, title, path, name, and tag (what people gave it). Numbers take = != < <= > >= and
    ranges: 'density>5', 'bpm=118..124', 'duration<3:30'. Text takes = and != with the wildcards * and ?, and
    ~ and !~ for "contains" and "does not contain": 'key=C minor', 'path~bach', 'name=*.mid', 'title!~etude'.
    Tags take = and !=: 'tag=lullaby', 'tag=composer: Chopin'. Several filters must all match. Quote them for
    the shell.

    \b
    Examples:
      midikin search theme.mid
      midikin search theme.mid --from 0:30 --to 1:00 --passages
      midikin search '#12' -k 5 --where 'key=C minor' --where 'duration<3:30'
      midikin search hummed.mid --melody
      midikin search theme.mid --json
    """
    from index import Library
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json
    from ui.cli.progress import progress_bar

    start_s, end_s = as_range(start, end)
    filters = as_filters(where)
    if melody and (passages or where):
        raise typer.BadParameter("takes neither --passages nor --where", param_hint="'--melody'")
    piece_target(piece)  # an empty name is refused before a library is opened
    with Library.open(library, create=False) as opened:
        query = resolve_piece(opened, piece)
        if melody:
            with usage_errors("--from"), progress_bar() as bar:
                task = bar.add_task("extracting melodies", total=None, rate="")
                melodies = opened.search_melody(
                    query,
                    limit,
                    start_s=start_s,
                    end_s=end_s,
                    include_self=include_self,
                    on_progress=lambda stage, done, total: bar.update(task, completed=done, total=total),
                )
            _print_melodies(melodies, format)
            return
        result = opened.search(
            query,
            limit,
            start_s=start_s,
            end_s=end_s,
            passages=passages,
            filters=filters,
            include_self=include_self,
        )
    if format is Format.JSON:
        print_json(result.to_json())
    else:
        _print_result(result, format)


def _print_result(result: SearchResult, format: Format | None) -> None:
    from embedder.core.text import percent
    from ui.cli.output import clock, count, is_drawn, print_table, print_wrapped, remark

    query = result.query
    if not result.results:
        missing = f"that meet {query.filters}" if query.filters else "to compare with"
        remark(f"no answers: the library holds no pieces {missing}")
        return
    if not is_drawn(format):
        columns = ("rank", "score", "start_s", "end_s", "piece", "path", "title")
        columns += ("key", "tempo", "duration", "shared")  # type: ignore[assignment]
        print_table(columns, (_cells(hit) for hit in result.results), format=format)
        return
    span = f"{clock(query.start_s)} to {clock(query.end_s)}"
    print_wrapped(f"like {query.display}, {span} ({describe(query.descriptors)})")
    print_wrapped(
        f"among {count(query.pieces, 'piece')}" + (f" with {query.filters}" if query.filters else "")
    )
    rows = [
        (
            str(hit.rank),
            percent(hit.score),
            f"{clock(hit.start_s)}-{clock(hit.end_s)}",
            hit.display
            + (f"\n“{hit.title}”" if hit.title else "")
            + f"\n#{hit.piece_id}, {describe(hit.descriptors)}"
            + (f"\nshared: {'; '.join(hit.shared)}" if hit.shared else ""),
        )
        for hit in result.results
    ]
    print_table(("", "similarity", "time", "piece"), rows, right=("", "similarity", "time"), format=format)


def describe(descriptors: Descriptors) -> str:
    """Key, length, number of notes, tempo, metre and instruments in a line."""
    from ui.cli.output import clock, count

    facts = [descriptors.key, clock(descriptors.duration_s), count(descriptors.notes, "note")]
    if descriptors.tempo_bpm:
        facts.append(f"{'about ' * descriptors.tempo_estimated}{descriptors.tempo_bpm:.0f} BPM")
    if descriptors.meter:
        facts.append(descriptors.meter)
    played = [*descriptors.families, *(["drums"] if descriptors.drum_notes else [])]
    if played != ["piano"]:
        facts += played
    if descriptors.doubled_parts:
        facts.append(f"{count(descriptors.doubled_parts, 'part')} doubled")
    return ", ".join(facts)


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


def _print_melodies(result: MelodyResult, format: Format | None) -> None:
    from ui.cli.output import clock, count, print_json, print_table, remark

    if format is Format.JSON:
        print_json(result.to_json())
        return
    if not result.results:
        remark(f"no answers: none of {count(result.pieces, 'piece')} shares a phrase of this melody")
        return
    columns = ("rank", "matched", "from", "to", "key", "number", "piece")
    rows = [
        (
            str(hit.rank),
            f"{hit.matched:.0%}",
            clock(hit.start_s),
            clock(hit.end_s),
            f"{hit.transposition:+d}" if hit.transposition else "same",
            f"#{hit.piece_id}",
            hit.display,
        )
        for hit in result.results
    ]
    print_table(columns, rows, right=columns[:-1], format=format)
