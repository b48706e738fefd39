"""`midikin train finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption

if TYPE_CHECKING:
    from train.finetune import Finetuned, Labelled

__all__ = ["finetune"]


def finetune(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="A CSV file with a column `file` and one of labels.")
    ],
    out: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the classifier goes.")],
    column: Annotated[
        str, typer.Option("--column", metavar="COLUMN", help="The column of labels.")
    ] = "label",
    work: Annotated[
        str | None,
        typer.Option("--work", metavar="COLUMN", help="A column that is the same for all files of a work."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Where the files are; beside LABELS if not given."),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="A pretrained model or Aria's weights; midikin's if not given."
        ),
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(
            "--pooling", metavar="HOW", help="mean: over the notes of a window; last: its end token."
        ),
    ] = "mean",
    statistics: Annotated[
        bool,
        typer.Option(
            "--statistics/--no-statistics",
            help="Whether hand-crafted statistics of whole pieces are used beside the transformer.",
        ),
    ] = True,
    epochs: Annotated[int, typer.Option("--epochs", metavar="NUMBER", min=1, help="Epochs at most.")] = 12,
    windows: Annotated[
        int, typer.Option("--windows", metavar="NUMBER", min=1, help="Drawn from each piece in an epoch.")
    ] = 4,
    rate: Annotated[
        float, typer.Option("--rate", metavar="NUMBER", help="Learning rate of the transformer.")
    ] = 2e-4,
    dropout: Annotated[
        float, typer.Option("--dropout", metavar="NUMBER", help="Of the last block; less before.")
    ] = 0.2,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="A torch device.")] = "cpu",
    seed: Annotated[
        int, typer.Option("--seed", metavar="NUMBER", min=0, help="Of everything that is drawn.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Finetune a classifier on your own labels.

    A fifth of the works of each label is held out for early stopping. The classifier is a folder;
    `embedder.classifier.Classifier` reads it and gives the probability of each label for a piece.

    \b
    Examples:
      midikin train finetune labels.csv --column composer --work title -o by-composer
      midikin train finetune labels.csv -o mood --from loubb/aria-medium-base --pooling last --device cuda
    """
    from embedder.classifier import new_folder
    from train.finetune import FinetuneSettings, pretrained, read_labelled, split_by_work
    from train.finetune import finetune as tune
    from ui.cli.output import print_json, print_pairs, remark
    from ui.cli.progress import progress_bar

    settings = FinetuneSettings(
        epochs=epochs,
        windows=windows,
        learning_rate=rate,
        dropout=dropout,
        pooling=pooling,
        statistics=statistics,
        seed=seed,
    )
    new_folder(out)  # before hours of work that would have nowhere to go
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None, rate="")
        pieces, left_out = read_labelled(
            labels,
            column,
            folder=folder,
            work=work,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        for reason in left_out:
            remark(f"left out: {reason}")
        learn, validate = split_by_work(pieces, seed=seed)
        bar.update(task, description="finetuning", completed=0, total=epochs)
        finetuned = tune(
            pretrained(start_from, device),
            learn,
            validate,
            settings,
            lambda epoch: bar.update(
                task,
                completed=epoch.number,
                rate=f"epochs, validation accuracy {epoch.held_out_accuracy:.0%}",
            ),
        )
    finetuned.classifier.save(out, _card(finetuned, labels.name, column, learn, validate, start_from))
    facts = {
        "folder": str(out),
        "labels": len(finetuned.classifier.classes),
        "learned_from": len(learn),
        "validated_on": len(validate),
        "best_epoch": finetuned.best.number,
        "epochs": finetuned.epochs[-1].number,
        "validation_accuracy": round(finetuned.best.held_out_accuracy, 4),
        **_of_statistics(finetuned),
        "left_out": len(left_out),
    }
    if json:
        print_json(facts)
    else:
        print_pairs({name.replace("_", " "): str(value) for name, value in facts.items()})


def _of_statistics(finetuned: Finetuned) -> dict[str, float]:
    """Validation accuracy of the statistics without the transformer, where they are used."""
    first = finetuned.epochs[0]
    return {} if first.number else {"by_statistics_alone": round(first.held_out_accuracy, 4)}


def _card(
    finetuned: Finetuned,
    labels: str,
    column: str,
    learn: list[Labelled],
    validate: list[Labelled],
    start_from: str | None,
) -> str:
    best, classifier = finetuned.best, finetuned.classifier
    origin = start_from or "its own language model of notes"
    beside = (
        "\n- uses hand-crafted statistics of the whole piece beside the windows" if classifier.beside else ""
    )
    works, others = (len({piece.work for piece in some}) for some in (learn, validate))
    return f"""# Classifier of {column}

Finetuned by midikin from {origin}
on the column `{column}` of {labels}.

- labels: {", ".join(classifier.classes)}
- learned from {len(learn)} pieces of {works} works
- validated on {len(validate)} pieces of {others} other works, which chose the epoch:
  accuracy {best.held_out_accuracy:.1%} in epoch {best.number} of {finetuned.epochs[-1].number}. This is not a
  test: on works that had no part in it the accuracy will be somewhat lower.
- pooling: {classifier.pooling}, windows of {classifier.body.window} notes{beside}

It inherits the licence of the weights that it began with, and the terms of the pieces that it learned from.
"""
