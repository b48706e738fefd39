"""`midikin train assemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["assemble"]


def assemble(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="Folder of finished weights, RUN/encoder.")
    ],
    head: Annotated[Path, typer.Option("--head", metavar="FILE", help="What `midikin train head` wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the encoder.")],
    name: Annotated[str, typer.Option("--name", help="What the encoder is called.")],
    card: Annotated[Path, typer.Option("--card", metavar="FILE", help="Its model card, Markdown.")],
    shares: Annotated[
        tuple[float, float, float],
        typer.Option("--shares", help="Shares of the learned, identity and style part in a vector."),
    ] = (0.1, 0.6, 0.3),
    window: Annotated[int, typer.Option("--window", help="Most notes in a window.")] = 256,
    context: Annotated[int, typer.Option("--context", help="Most notes that the model reads at once.")] = 128,
) -> None:
    """Put an encoder together from trained weights and a fitted head.

    \b
    Examples:
      midikin train assemble runs/small/encoder --head head.safetensors --out mine --name mine --card card.md
      midikin train assemble run/encoder --head h.safetensors --out o --name o --card c.md --shares .3 .5 .2
    """
    from embedder.core.errors import CorpusError
    from train.checkpoints import assemble as put_together
    from train.checkpoints import read_head

    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"model card {card} cannot be read: {error}") from None
    learned, identity, style = shares
    put_together(
        name,
        weights,
        read_head(head),
        out,
        card=text,
        weights={"learned": learned, "identity": identity, "style": style},
        window=window,
        context=context,
    )
    print(f"encoder in {out}")
