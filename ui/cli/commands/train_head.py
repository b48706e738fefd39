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
        int,
        typer.Option(
            "--taught", min=0, help="Style numbers that are supervised by labels; 0 if there are none."
        ),
    ] = 48,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")] = 0,
) -> None:
    """Fit the hand-crafted part of an encoder on a corpus.

    Its identity map is learned by contrast over altered pieces, its style axes from versions of works and from
    the labels composer, artist, type and series. Minutes on one core; `midikin train assemble` joins the head
    with a trained model.

    \b
    Examples:
      midikin train head corpus --out head.safetensors
      midikin train head corpus --out head.safetensors --from older.safetensors --steps 300
    """
    from train.checkpoints import read_head, write_head
    from train.corpus import Corpus
    from train.features_head import count_corpus, fit_head
    from ui.cli.progress import progress_bar

    initial = None if start_from is None else read_head(start_from).state_dict()
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
            start_from=initial,
            on_progress=lambda step, loss, accuracy: bar.update(
                task, completed=step, rate=f"loss {loss:.3f}, in-batch accuracy {accuracy:.0%}"
            ),
        )
    write_head(fitted, out)
    print(f"head in {out}")
