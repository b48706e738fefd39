"""`midikin train`: the commands that prepare corpora, train encoders and measure them."""

from __future__ import annotations

import typer

from .train_assemble import assemble
from .train_evaluate import evaluate, tasks
from .train_finetune import finetune
from .train_head import head
from .train_prepare import prepare
from .train_run import run
from .train_voices import voices

__all__ = ["train"]

train = typer.Typer(
    help="Prepare a corpus, train an encoder on it, measure encoders.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
train.command("prepare")(prepare)
train.command("run")(run)
train.command("head")(head)
train.command("assemble")(assemble)
train.command("evaluate")(evaluate)
train.command("finetune")(finetune)
train.command("tasks")(tasks)
train.command("voices")(voices)
