"""`midikin train tasks`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.evaluation_options import DataOption, MarkdownOption, PiecesOption, PlotsOption, SeedOption
from ui.cli.options import JsonOption

if TYPE_CHECKING:
    from train.evaluation.systems import Maker
    from train.tasks.notewise import Describe

__all__ = ["tasks"]


def tasks(
    systems: Annotated[
        list[str],
        typer.Argument(metavar="SYSTEM...", help="Encoders, or finished weights like RUN/encoder."),
    ],
    data: DataOption,
    voices: Annotated[
        str | None,
        typer.Option("--voices", metavar="CORPUS", help="What `voices` made, for the tasks about notes."),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            "--held-out", metavar="FILE", help="Table of columns set, file, split: only test files are used."
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Each layer of finished weights as a system of its own.")
    ] = False,
    pieces: PiecesOption = None,
    queries: Annotated[int, typer.Option("--queries", min=1, help="Queries of a search at most.")] = 100,
    markdown: MarkdownOption = None,
    plots: PlotsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what systems know of music, task by task, hand-made numbers and random weights beside them.

    Linear probes tell composer, pianist, genre, tune type, key, mode, metre, tempo, era and more from one
    vector a piece; searches look for scores, performances and takes; linear heads tell the voice and the
    loudness of single notes. Which tasks there are depends on the labels. Of finished weights the states
    are measured, without any head. Pieces of one work stay on one side of every split.

    \b
    Examples:
      midikin train tasks runs/masked/encoder runs/hubert/encoder --data ~/sets --held-out held-out.csv
      midikin train tasks runs/hubert/encoder --layers --data ~/sets --markdown layers.md
      midikin train tasks midikin-small --data ~/sets --voices corpus-voices --json
    """
    from train.corpus import Corpus
    from train.evaluation import collect
    from train.evaluation.systems import baseline_maker
    from train.prepare import find_sources
    from train.tasks import run_tasks
    from train.tasks.headers import read_header
    from train.tasks.notewise import plain_numbers
    from train.tasks.plots import draw
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, print_table, remark
    from ui.cli.progress import progress_bar

    described: dict[str, Describe] = {}
    makers = list(_makers(systems, layers, described))
    corpus = None if voices is None else Corpus(voices)
    with usage_errors("--data"), progress_bar() as bar:
        task = bar.add_task("starting", total=None, rate="")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        collection = collect(data, held_out or [], most=pieces, on_progress=show)
        kept = {(piece.set, piece.file) for piece in collection.pieces}
        headers = {
            (source.set, source.file): read_header(source.found.path)
            for source in find_sources(data)
            if (source.set, source.file) in kept
        }
        makers.append(baseline_maker([piece.notes for piece in collection.pieces]))
        table = run_tasks(
            makers,
            collection,
            headers,
            voices=corpus,
            describers={**described, "features": plain_numbers},
            queries=queries,
            seed=seed,
            on_progress=show,
        )
    if markdown is not None:
        markdown.write_text(table.markdown(), encoding="utf-8")
    if plots is not None:
        draw(table, plots)
    if json:
        print_json(table.to_json() | {"pieces": len(collection.pieces), "sets": list(collection.sets)})
        return
    remark(f"{len(collection.pieces):,} pieces of {len(set(collection.works.tolist())):,} works")
    print_table(("task", *table.systems), table.rows(), right=table.systems)


def _makers(systems: list[str], layers: bool, described: dict[str, Describe]) -> Iterator[Maker]:
    """Makers of all systems; what describes single notes is noted in `described`."""
    from embedder import Encoder
    from train.evaluation.systems import encoder_maker
    from train.tasks.states import is_run, reader_of, states_maker, states_of

    shapes = set()
    for name in systems:
        if not is_run(name):
            yield encoder_maker(name, Encoder.load(name))
            continue
        reader = reader_of(name)
        named = [(name, reader)]
        if reader.config not in shapes:
            shapes.add(reader.config)
            hears = "one direction" if reader.config.causal else "both directions"
            named.append((f"random weights, {hears}", reader_of(name, random=True)))
        for label, one in named:
            yield states_maker(label, one, every_layer=layers)
            described[label] = lambda notes, one=one: states_of(one, notes)[-1]
