"""`midikin train evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.evaluation_options import DataOption, MarkdownOption, PiecesOption, PlotsOption, SeedOption
from ui.cli.options import JsonOption

if TYPE_CHECKING:
    from train.evaluation import Evaluation

__all__ = ["evaluate"]


def evaluate(
    encoders: Annotated[
        list[str], typer.Argument(metavar="ENCODER...", help="Names or folders of encoders.")
    ],
    data: DataOption,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            "--held-out",
            metavar="FILE",
            help="Table of columns set, file, split: of the sets that it names only test files are used. "
            "A shipped encoder brings its own.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--everything", help="Use every file, even of works that an encoder was trained on."),
    ] = False,
    queries: Annotated[
        int, typer.Option("--queries", min=1, help="Altered pieces of each kind, at most.")
    ] = 100,
    pieces: PiecesOption = None,
    gallery: Annotated[int, typer.Option("--gallery", min=2, help="Pieces searched for these.")] = 1500,
    draws: Annotated[
        int,
        typer.Option(
            "--draws", min=1, help="Ways to part works into folds; figures with all labels are their mean."
        ),
    ] = 1,
    markdown: MarkdownOption = None,
    plots: PlotsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure encoders, with hand-made features beside them.

    What is measured depends on the columns of labels.csv: kind (score, performance) with composition or
    work, song, composer, artist, type, genre, emotion, form, period. Altered copies need no labels.

    \b
    Examples:
      midikin train evaluate midikin-small --data ~/sets
      midikin train evaluate midikin-small runs/mine --data asap --data pop909 --held-out corpus/held-out.csv
      midikin train evaluate midikin-small --data ~/sets --markdown table.md --plots figures --json
    """
    from embedder import Encoder
    from train.evaluation import EvaluationSettings, collect
    from train.evaluation import evaluate as measure
    from train.evaluation.datasets import shipped_splits
    from train.evaluation.plots import draw
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, remark
    from ui.cli.progress import progress_bar

    loaded = {name: Encoder.load(name) for name in encoders}
    lists = [*(held_out or []), *(path for name in encoders if (path := shipped_splits(name)) is not None)]
    if not lists and not everything:
        remark("no list of held-out works is known: every file is used, also those trained on")
    with usage_errors("--data"), progress_bar() as bar:
        task = bar.add_task("starting", total=None, rate="")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        collection = collect(
            data,
            [] if everything else lists,
            most=pieces,
            front=next((one.front for one in loaded.values() if one.front is not None), None),
            on_progress=show,
        )
        settings = EvaluationSettings(queries=queries, gallery=gallery, fold_draws=draws, seed=seed)
        evaluation = measure(loaded, collection, settings, on_progress=show)
    if markdown is not None:
        markdown.write_text(evaluation.markdown(), encoding="utf-8")
    drawn = draw(evaluation, plots) if plots is not None else []
    if json:
        print_json(evaluation.to_json() | {"plots": [str(path) for path in drawn]})
    else:
        _print(evaluation)


def _print(evaluation: Evaluation) -> None:
    from ui.cli.output import print_table, remark

    collection = evaluation.collection
    remark(
        f"{len(collection.pieces):,} pieces of {len(set(collection.works.tolist())):,} works of"
        f" {', '.join(collection.sets)}; {collection.seen:,} files left out as seen in training"
    )
    names = list(evaluation.systems)
    print_table(
        ("measure", *names),
        [(line.measure, *line.values.values()) for line in evaluation.lines()],
        right=names,
    )
