"""`midikin train evaluate`, its older form `midikin train tasks`, and `midikin train voices`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ui.cli.options import FormatOption, JsonOption
from ui.cli.output import Format

if TYPE_CHECKING:
    from train.evaluation import Evaluation, EvaluationSettings

__all__ = ["evaluate", "tasks", "voices"]

DataOption = Annotated[
    list[str],
    typer.Option("--data", metavar="DIR", help="Folder of MIDI files with labels.csv; may be repeated."),
]
PiecesOption = Annotated[
    int | None,
    typer.Option("--pieces", metavar="NUMBER", min=10, help="Read about so many files of each set, not all."),
]
MarkdownOption = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write the table as Markdown too.")
]
PlotsOption = Annotated[
    Path | None, typer.Option("--plots", metavar="DIR", help="Draw figures into this folder (SVG).")
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Of everything that is drawn.")]

EncodersArgument = Annotated[
    list[str],
    typer.Argument(metavar="ENCODER...", help="Encoders, or finished weights of a run like RUN/encoder."),
]
VoicesOption = Annotated[
    str | None,
    typer.Option(
        "--voices", metavar="CORPUS", help="What `train voices` made, for the tasks about single notes."
    ),
]
HeldOutOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--held-out",
        metavar="FILE",
        help="Table of columns set, file, split: of the sets that it names only test files are used. "
        "A shipped encoder brings its own.",
    ),
]
LayersOption = Annotated[
    bool, typer.Option("--layers", help="Each layer of finished weights as a system of its own.")
]


def evaluate(
    encoders: EncodersArgument,
    data: DataOption,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            metavar="NAME,...",
            help="Tasks, or groups of them: retrieval, alterations, labels, notes. All if not given.",
        ),
    ] = None,
    voices: VoicesOption = None,
    held_out: HeldOutOption = None,
    everything: Annotated[
        bool,
        typer.Option("--everything", help="Use every file, even of works that an encoder was trained on."),
    ] = False,
    queries: Annotated[
        int, typer.Option("--queries", metavar="NUMBER", min=1, help="Altered pieces of each kind, at most.")
    ] = 100,
    pieces: PiecesOption = None,
    gallery: Annotated[
        int, typer.Option("--gallery", metavar="NUMBER", min=2, help="Pieces searched for these.")
    ] = 1500,
    draws: Annotated[
        int,
        typer.Option(
            "--draws",
            metavar="NUMBER",
            min=1,
            help="Ways to split works into folds; scores with all labels are their mean.",
        ),
    ] = 1,
    shares: Annotated[
        bool, typer.Option("--shares", help="Probes with 1 % and 10 % of the labels, too.")
    ] = False,
    standardise: Annotated[
        bool,
        typer.Option(
            "--standardise",
            help="Bring every column of all vectors to mean 0 and deviation 1, as is always done for "
            "finished weights.",
        ),
    ] = False,
    layers: LayersOption = False,
    markdown: MarkdownOption = None,
    plots: PlotsOption = None,
    seed: SeedOption = 0,
    format: FormatOption = None,
) -> None:
    """Measure encoders task by task, hand-crafted baselines in the same table.

    Searches look for scores, performances, takes, continuations and altered copies; linear probes predict
    composer, pianist, genre, tune type, key, mode, metre, tempo, era and more from one vector a piece; linear
    heads predict the voice and the loudness of single notes (--voices). Which tasks there are depends on the
    columns of labels.csv: kind (score, performance) with composition or work, song, composer, artist, type,
    genre, emotion, form, period, part, console. Of finished weights the states are measured, without any
    head, with random weights beside them. Pieces of one work stay on one side of every split.

    \b
    Examples:
      midikin train evaluate midikin-small --data ~/sets
      midikin train evaluate midikin-small runs/mine --data asap --data pop909 --held-out corpus/held-out.csv
      midikin train evaluate midikin-small --data ~/sets --tasks composer,era,alterations --plots plots --json
    """
    from train.evaluation import SHARES, TASKS, EvaluationSettings
    from train.evaluation.datasets import shipped_splits
    from train.evaluation.tasks import select_tasks
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, remark

    with usage_errors("--tasks"):
        names = select_tasks(TASKS if tasks is None else tasks.split(","))
        _check_note_tasks(names if tasks is not None else [], voices)
    lists = [*(held_out or []), *(path for name in encoders if (path := shipped_splits(name)) is not None)]
    evaluation, drawn = _measure(
        encoders,
        data,
        [] if everything else lists,
        names,
        EvaluationSettings(
            queries=queries,
            gallery=gallery,
            fold_draws=draws,
            shares=SHARES if shares else (),
            standardise=standardise,
            seed=seed,
        ),
        voices=voices,
        pieces=pieces,
        layers=layers,
        markdown=markdown,
        plots=plots,
        warn=""
        if lists or everything
        else "no list of held-out works is known: every file is used, also those trained on",
    )
    if format is Format.JSON:
        print_json(evaluation.to_json() | {"plots": [str(path) for path in drawn]})
        return
    collection = evaluation.collection
    remark(
        f"{len(collection.pieces):,} pieces of {len(set(collection.works.tolist())):,} works of"
        f" {', '.join(collection.sets)}; {collection.seen:,} files left out as seen in training"
    )
    _print_table(evaluation, format)


def tasks(
    encoders: EncodersArgument,
    data: DataOption,
    voices: VoicesOption = None,
    held_out: HeldOutOption = None,
    layers: LayersOption = False,
    pieces: PiecesOption = None,
    queries: Annotated[
        int, typer.Option("--queries", metavar="NUMBER", min=1, help="Queries of a search at most.")
    ] = 100,
    markdown: MarkdownOption = None,
    plots: PlotsOption = None,
    seed: SeedOption = 0,
    format: FormatOption = None,
) -> None:
    """Measure what systems know of music; an older form of `midikin train evaluate`.

    The same as `midikin train evaluate --everything --standardise --shares` without altered copies, or with
    --held-out instead of --everything, but for the fields of its JSON.

    \b
    Examples:
      midikin train tasks runs/masked/encoder runs/hubert/encoder --data ~/sets --held-out held-out.csv
      midikin train tasks runs/hubert/encoder --layers --data ~/sets --markdown layers.md
      midikin train tasks midikin-small --data ~/sets --voices corpus-voices --json
    """
    from train.evaluation import SHARES, TASKS, EvaluationSettings
    from ui.cli.output import print_json, remark

    newer = ("30 s of it -> score", "altered copies", "genre", "form", "period")
    evaluation, _ = _measure(
        encoders,
        data,
        held_out or [],
        [name for name in TASKS if name not in newer],
        EvaluationSettings(queries=queries, shares=SHARES, standardise=True, seed=seed),
        voices=voices,
        pieces=pieces,
        layers=layers,
        markdown=markdown,
        plots=plots,
    )
    collection = evaluation.collection
    if format is Format.JSON:
        print_json(
            _with_older_names(evaluation.by_task())
            | {"pieces": len(collection.pieces), "sets": list(collection.sets)}
        )
        return
    remark(f"{len(collection.pieces):,} pieces of {len(set(collection.works.tolist())):,} works")
    _print_table(evaluation, format)


def _measure(
    encoders: Sequence[str],
    data: Sequence[str],
    held_out: Sequence[Path],
    tasks: Sequence[str],
    settings: EvaluationSettings,
    *,
    voices: str | None,
    pieces: int | None,
    layers: bool,
    markdown: Path | None,
    plots: Path | None,
    warn: str = "",
) -> tuple[Evaluation, list[Path]]:
    """Evaluate, write the table and the plots; returns the files of the plots."""
    from embedder import Encoder
    from train.corpus import Corpus
    from train.evaluation import collect
    from train.evaluation import evaluate as measure
    from train.evaluation.plots import draw
    from train.evaluation.systems import is_run, load_systems
    from ui.cli.errors import usage_errors
    from ui.cli.output import remark, write_output
    from ui.cli.progress import progress_bar

    loaded = {name: Encoder.load(name) for name in encoders if not is_run(name)}
    songs = None if voices is None else Corpus(voices)
    if warn:
        remark(warn)
    with usage_errors("--data"), progress_bar() as bar:
        task = bar.add_task("starting", total=None, rate="")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        collection = collect(
            data,
            held_out,
            max_per_set=pieces,
            preprocessor=next((e.front for e in loaded.values() if e.front is not None), None),
            on_progress=show,
        )
        systems = load_systems(encoders, loaded, collection.preprocessed, every_layer=layers)
        evaluation = measure(systems, collection, settings, tasks=tasks, voices=songs, on_progress=show)
    if markdown is not None:
        write_output(markdown, evaluation.markdown())
    return evaluation, draw(evaluation, plots) if plots is not None else []


def _check_note_tasks(names: Sequence[str], voices: str | None) -> None:
    from embedder.core.errors import CorpusError
    from train.evaluation import TASKS

    if voices is None and names and all(TASKS[name].group == "notes" for name in names):
        raise CorpusError("tasks about single notes need --voices, a corpus that `midikin train voices` made")


def _with_older_names(by_task: dict[str, Any]) -> dict[str, Any]:
    """Scores with the name that the task "genre by set" had first."""

    def renamed(rows: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("genre by set", "genre"): row for name, row in rows.items()}

    return by_task | {"tasks": renamed(by_task["tasks"]), "few": renamed(by_task["few"])}


def _print_table(evaluation: Evaluation, format: Format | None) -> None:
    from ui.cli.output import print_table

    names = list(evaluation.systems)
    print_table(
        ("measure", *names),
        [(row.measure, *row.values.values()) for row in evaluation.rows()],
        right=names,
        format=format,
    )


def voices(
    songs: Annotated[
        str, typer.Argument(metavar="POP909", help="Folder of songs whose tracks are named after voices.")
    ],
    out: Annotated[str, typer.Option("-o", "--output", metavar="CORPUS", help="Folder for the corpus.")],
    takes: Annotated[
        bool, typer.Option("--takes", help="Other takes of the training songs, SONG/versions/*.mid, too.")
    ] = False,
    sixteenths: Annotated[
        Literal["voice", "pitch"] | None,
        typer.Option(
            "--sixteenths",
            metavar="ORDER",
            help="Round times to sixteenths as MIDIBERT-Piano does; notes of one onset in the order of "
            "their voice, as there, which gives it away, or of their pitch.",
        ),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="A finished run of the recipe melody or velocity, to be measured; several of velocity are "
            "averaged.",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Make that run's melody model here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a corpus of songs with a voice for every note, and measure a melody model on its test songs.

    SONG/SONG.mid holds the tracks MELODY, BRIDGE and PIANO, as in POP909. Songs are split by their names.
    Without --run the melody model that comes with midikin is measured, and the skyline beside it. Of a run of
    the recipe velocity it is measured how many notes get the right one of six degrees of loudness, where it
    is known which notes share a track.

    \b
    Examples:
      midikin train voices POP909 -o corpus-voices
      midikin train run melody --corpus corpus-voices -o runs/melody
      midikin train voices POP909 -o corpus-voices --run runs/melody --model melody-model --json
    """
    from embedder.core.errors import CorpusError
    from embedder.melody import SHIPPED_MELODY, melody_model
    from train.corpus import Corpus
    from train.evaluation.melody import (
        assemble,
        learned_loudness,
        measure,
        measure_loudness,
        skyline_scores,
    )
    from train.voices import prepare_voices, voices_of
    from ui.cli.output import print_json, print_table
    from ui.cli.progress import progress_bar

    runs = run or []
    loud = any(learned_loudness(folder) for folder in runs)
    if model is not None and (loud or len(runs) != 1):
        raise CorpusError("--model makes a melody model of one --run that learned voices")
    if len(runs) > 1 and not loud:
        raise CorpusError("several runs are averaged only where they learned loudness; give one --run")
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None, rate="")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        if (Path(out) / "pieces.jsonl").exists():
            corpus = Corpus(out)
            voices_of(corpus)
            asked = {"takes": takes or None, "sixteenths": sixteenths}
            if any(value is not None and corpus.counts.get(name) != value for name, value in asked.items()):
                raise CorpusError(f"{out} holds a corpus made with other options; name another folder")
        else:
            corpus = prepare_voices(
                songs,
                out,
                lambda done, total: show("reading", done, total),
                takes=takes,
                sixteenths=sixteenths,
            )
        if loud:
            right = measure_loudness(runs, corpus, lambda done, total: show("measuring", done, total))
            if json:
                print_json({"corpus": str(corpus.folder), **corpus.counts, "loudness": right})
            else:
                print(f"{100 * right:.1f} % of the notes get the right degree of loudness")
            return
        made = assemble(runs[0], model or runs[0] / "model") if runs else melody_model(SHIPPED_MELODY)
        scores = measure(made, corpus, lambda done, total: show("measuring", done, total))
        highest = skyline_scores(corpus)
    result: dict[str, Any] = {"corpus": str(corpus.folder), **corpus.counts, "model": scores.to_json()}
    result["skyline"] = {"precision": highest[0], "recall": highest[1]}
    if json:
        print_json(result)
        return
    print(f"{len(corpus):,} songs; {len(scores.by_song):,} of them for testing")
    headings = (
        "accuracy",
        "of songs",
        "tracks kept apart",
        "even velocities",
        "melody precision",
        "melody recall",
    )
    print_table(
        ("", *headings),
        [
            ("model", *(f"{100 * value:.1f}" for value in scores.shown())),
            ("skyline", "", "", "", "", *(f"{100 * value:.1f}" for value in highest)),
        ],
        right=headings,
    )
