"""`midikin train head`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["head"]


def head(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="What `prepare` made.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the head goes (.safetensors).")],
    start_from: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A head whose identity map is trained on."),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=0, help="Steps of the identity map.")] = 1000,
    pairs: Annotated[int, typer.Option("--pairs", min=2, help="Positive pairs a step.")] = 384,
    taught: Annotated[
        int, typer.Option("--taught", min=0, help="Style numbers taught by labels; 0 if there are none.")
    ] = 48,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")] = 0,
) -> None:
    """Fit the hand-made parts of an encoder on a corpus.

    Identity is learned by contrast over altered pieces, style from versions of works and from the labels
    composer, artist, type and series. Minutes on one core; `midikin train assemble` joins the head with a
    trained model.

    \b
    Examples:
      midikin train head corpus --out head.safetensors
      midikin train head corpus --out head.safetensors --from older.safetensors --steps 300
    """
    from train.checkpoints import read_head, write_head
    from train.corpus import Corpus
    from train.features_head import count_corpus, fit_head
    from ui.cli.progress import progress_bar

    begin = None if start_from is None else read_head(start_from).state_dict()
    with progress_bar() as bar:
        task = bar.add_task("counting", total=None, rate="")
        counted = count_corpus(
            Corpus(corpus),
            "train",
            "validation",
            seed=seed,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        bar.update(task, description="fitting", completed=0, total=steps)
        fitted = fit_head(
            counted,
            steps=steps,
            pairs=pairs,
            taught=taught,
            seed=seed,
            start_from=begin,
            on_progress=lambda step, loss, right: bar.update(
                task, completed=step, rate=f"loss {loss:.3f}, {right:.0%} right"
            ),
        )
    write_head(fitted, out)
    print(f"head in {out}")
