"""`midikin melody`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.options import JsonOption, LibraryOption, notes_of

if TYPE_CHECKING:
    from embedder import Notes
    from index import Library

__all__ = ["melody", "print_melody_search"]


def melody(
    piece: Annotated[
        str,
        typer.Argument(metavar="PIECE", help="A MIDI file, or a piece of the library by number, as '#12'."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.mid", help="Write the melody as a MIDI file.")
    ] = None,
    bridge: Annotated[
        bool, typer.Option("--bridge", help="Take the lines that answer the singer as well.")
    ] = False,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Extract the melody of a piece: the notes that a singer would sing.

    A small model names the voice of every note: melody, bridge (lines that answer it) or piano (what
    accompanies). It learned from pop songs. Where a file has several tracks or channels, what it hears of
    each counts for all its notes. Beside it stands the skyline, the highest note of every chord.

    \b
    Examples:
      midikin melody song.mid
      midikin melody song.mid --out melody.mid
      midikin melody '#12' --bridge --json
    """
    from embedder import write_midi
    from embedder.melody import melody_model, skyline
    from embedder.midi.reading import parts_of
    from embedder.voices import VOICES
    from ui.cli.output import print_json, print_table, remark

    ((notes, path),) = notes_of([piece], library)
    parts = parts_of(notes, path)
    voices = melody_model().voices(notes, parts)
    chosen = voices <= VOICES.index("bridge") if bridge else voices == VOICES.index("melody")
    highest = skyline(notes)
    found = notes.select(chosen)
    if out is not None and len(found):
        write_midi(found, out)
    rows = {"melody": found, "skyline": notes.select(highest)}
    shared = int((chosen & highest).sum())
    if json:
        print_json(
            {
                "path": piece,
                "notes": len(notes),
                "parts": None if parts is None else len(set(parts.tolist())),
                "voices": {name: int((voices == number).sum()) for number, name in enumerate(VOICES)},
                "shared": shared,
                **{name: _json(row) for name, row in rows.items()},
                "out": str(out) if out is not None and len(found) else None,
            }
        )
        return
    print_table(
        ("", "notes", "of all", "from", "to", "lowest", "highest"),
        [(name, *_cells(row, notes)) for name, row in rows.items()],
        right=("notes", "of all", "from", "to", "lowest", "highest"),
    )
    if not len(found):
        remark(f"no note of {piece} sounds like a sung melody; --bridge takes other leading lines too")
    elif out is not None:
        remark(f"wrote {len(found):,} notes to {out}")


def print_melody_search(
    library: Library,
    target: str | int,
    limit: int,
    start_s: float | None,
    end_s: float | None,
    *,
    include_self: bool,
    json: bool,
) -> None:
    """Search by melody and print the answers; the first search extracts the melodies of the library."""
    from ui.cli.errors import usage_errors
    from ui.cli.output import clock, print_json, print_table, remark
    from ui.cli.progress import progress_bar

    with usage_errors("--from"), progress_bar() as bar:
        task = bar.add_task("extracting melodies", total=None, rate="")
        found = library.search_melody(
            target,
            limit,
            start_s=start_s,
            end_s=end_s,
            include_self=include_self,
            on_progress=lambda stage, done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        print_json(found.to_json())
        return
    if not found.results:
        remark(f"no answers: none of {found.pieces:,} pieces shares a turn of this melody")
        return
    print_table(
        ("rank", "matched", "from", "to", "key", "number", "piece"),
        (
            (
                str(hit.rank),
                f"{hit.matched:.0%}",
                clock(hit.start_s),
                clock(hit.end_s),
                f"{hit.transposition:+d}" if hit.transposition else "same",
                f"#{hit.piece_id}",
                hit.display,
            )
            for hit in found.results
        ),
        right=("rank", "matched", "from", "to", "key", "number"),
    )


def _json(notes: Notes) -> dict[str, Any]:
    return {
        "onset_s": [round(float(x), 5) for x in notes.onset],
        "duration_s": [round(float(x), 5) for x in notes.duration],
        "pitch": notes.pitch.tolist(),
        "velocity": notes.velocity.tolist(),
    }


def _cells(row: Notes, notes: Notes) -> tuple[str, ...]:
    from ui.cli.output import clock

    if not len(row):
        return ("0", "0%", "", "", "", "")
    share = f"{len(row) / len(notes):.0%}"
    low, high = (_name(int(pitch)) for pitch in (row.pitch.min(), row.pitch.max()))
    return (f"{len(row):,}", share, clock(row.start_s), clock(row.end_s), low, high)


def _name(pitch: int) -> str:
    """Scientific pitch: 60 is C4."""
    return ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")[pitch % 12] + str(
        pitch // 12 - 1
    )
