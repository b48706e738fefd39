"""`midikin compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, numbered, piece_target

if TYPE_CHECKING:
    from index import Compared

_WIDTH = 72


def compare(
    one: Annotated[str, typer.Argument(metavar="A", help="A MIDI file, or #12 for piece 12.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the notes of two pieces: where they agree, and what differs.

    Two files need no library.

    \b
    Examples:
      midikin compare mine.mid theirs.mid
      midikin compare '#12' '#40' --json
    """
    from ui.cli.output import clock, count, print_json, print_pairs, print_table

    found = _compared(piece_target(one), piece_target(other), library)
    if json:
        print_json(found.to_json())
        return
    says = found.summary()
    print_pairs(
        {
            "A": numbered(found.one_id, found.one),
            "B": numbered(found.other_id, found.other),
            "they are": found.words,
            "because": found.says,
            "A is covered": f"{says['covered']:.0%}, {says['matched']:.0%} of its notes are in B",
            "B is covered": f"{says['other_covered']:.0%}, {says['other_matched']:.0%} of its notes are in A",
            "A differs in": f"{count(len(found.only_one), 'note')} of the shared passages",
            "B differs in": f"{count(len(found.only_other), 'note')} of the shared passages",
        }
    )
    passages = found.comparison.one.passages
    if not passages:
        return
    print()
    print_table(
        ("A from", "to", "B from", "to ", "offset s", "tempo", "notes", "matched"),
        (
            (
                clock(p.start_s),
                clock(p.end_s),
                clock(p.other_start_s),
                clock(p.other_end_s),
                f"{p.other_start_s - p.start_s:+.1f}",
                f"x {p.tempo_ratio:.2f}",
                str(p.notes),
                f"{p.matched / p.notes:.0%}",
            )
            for p in passages
        ),
        right=("A from", "to", "B from", "to ", "offset s", "tempo", "notes", "matched"),
    )
    print()
    print("\n".join(found.plot(_WIDTH)))


def _compared(one: str | int, other: str | int, folder: str | None) -> Compared:
    """With the library if there is one: it knows the numbers of files, and the notes of files now gone."""
    from embedder.core.errors import LibraryError
    from index import Library, compare_files

    try:
        opened = Library.open(folder, create=False)
    except LibraryError:
        if isinstance(one, int) or isinstance(other, int):
            raise
        return compare_files(one, other)
    with opened:
        return opened.compare(one, other)
