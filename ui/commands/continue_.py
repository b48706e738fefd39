"""`midikin continue`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.errors import usage_errors
from ui.options import JsonOption, parse_time

if TYPE_CHECKING:
    from embedder import Notes

__all__ = ["continue_"]


def continue_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A MIDI file.")],
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Listen from here, like 1:30.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Go on from here; the end if not given.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=3600, help="Of new music.")] = 30.0,
    variations: Annotated[
        int, typer.Option("--variations", "-n", min=1, max=64, help="How many different ones.")
    ] = 1,
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder to write them to, made if there is none.")
    ] = ".",
    alone: Annotated[
        bool, typer.Option("--alone", help="Write the new music only, without what it continues.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="NAME",
            help="A model of your own, or Aria's weights; midikin's own model if not given.",
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, max=10, help="Lower is safer, higher is bolder.")
    ] = 0.95,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Keep the likeliest that have this probability together.")
    ] = 1.0,
    min_p: Annotated[
        float, typer.Option("--min-p", help="Leave out what is less likely than this share of the likeliest.")
    ] = 0.03,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another number, other music.")] = 0,
    json: JsonOption = False,
) -> None:
    """Continue a piece: write MIDI files that go on where it, or a part of it, stops.

    The files begin with what they continue. A model may end the piece before the time is up. Files that are
    there already are left alone.

    \b
    Examples:
      midikin continue theme.mid
      midikin continue theme.mid --from 0:00 --to 0:15 --seconds 30 --variations 3 --out more
      midikin continue theme.mid --to 0:15 --weights loubb/aria-medium-gen --temperature 1
    """
    from embedder import read_midi, write_midi
    from embedder.generation.continuing import Continuer
    from embedder.generation.sampling import Sampling
    from ui.output import clock, print_json, print_table

    with usage_errors("--from"):
        start_s = 0.0 if start is None else parse_time(start)
    with usage_errors("--to"):
        end_s = None if end is None else parse_time(end)
    with usage_errors("--top-p / --min-p"):
        sampling = Sampling(temperature, top_p, min_p)
    if not file or not out or weights == "":
        raise typer.BadParameter("an empty name stands for nothing")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{out} is a file, not a folder", param_hint="'--out'")
    read_midi(file, drums=False)  # what is no music is said at once, not after a model is loaded
    continuer = Continuer.load(weights)
    prompt = _part(read_midi(file, sustain=continuer.reads_pedal), start_s, end_s)
    found = continuer.continue_from(
        prompt, seconds, begin_s=end_s, variations=variations, sampling=sampling, seed=seed
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for one, path in zip(found, _free_names(folder, Path(file).stem), strict=False):
        notes = one.notes.from_zero() if alone else one.whole
        write_midi(notes, path)
        rows.append(
            {
                "path": str(path),
                "new_notes": len(one.notes),
                "continues_at_s": 0.0 if alone else round(one.notes.start_s - prompt.start_s, 3),
                "length_s": round(notes.end_s, 3),
                "ended": one.ended,
            }
        )
    if json:
        print_json({"model": continuer.name, "seed": seed, "continuations": rows})
        return
    print_table(
        ("file", "new notes", "from", "length", "ends"),
        (
            (
                str(row["path"]),
                f"{row['new_notes']:,}",
                clock(float(str(row["continues_at_s"]))),
                clock(float(str(row["length_s"]))),
                "itself" if row["ended"] else "cut",
            )
            for row in rows
        ),
        right=("new notes", "from", "length"),
    )


def _part(notes: Notes, start_s: float, end_s: float | None) -> Notes:
    part = notes.slice_time(start_s, end_s)
    if not len(part):
        raise typer.BadParameter(
            f"no note begins there; the piece lasts from {notes.start_s:.1f} to {notes.end_s:.1f} s",
            param_hint="'--from' / '--to'",
        )
    return part


def _free_names(folder: Path, stem: str) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        path = folder / f"{stem}-continued-{number}.mid"
        if not path.exists():
            yield path
