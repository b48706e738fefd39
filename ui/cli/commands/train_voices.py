"""`midikin train voices`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ui.cli.options import JsonOption

__all__ = ["voices"]


def voices(
    songs: Annotated[
        str, typer.Argument(metavar="POP909", help="Folder of songs whose tracks are named after voices.")
    ],
    out: Annotated[str, typer.Option("--out", metavar="CORPUS", help="Folder for the corpus.")],
    takes: Annotated[
        bool, typer.Option("--takes", help="Other takes of the training songs, SONG/versions/*.mid, too.")
    ] = False,
    sixteenths: Annotated[
        Literal["voice", "pitch"] | None,
        typer.Option(
            "--sixteenths",
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
      midikin train voices POP909 --out corpus-voices
      midikin train run melody --corpus corpus-voices --out runs/melody
      midikin train voices POP909 --out corpus-voices --run runs/melody --model melody-model --json
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
