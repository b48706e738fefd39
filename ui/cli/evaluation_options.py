"""Options that the commands which measure share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DataOption", "MarkdownOption", "PiecesOption", "PlotsOption", "SeedOption"]

DataOption = Annotated[
    list[str],
    typer.Option("--data", metavar="DIR", help="Folder of MIDI files with labels.csv; may be repeated."),
]
PiecesOption = Annotated[
    int | None, typer.Option("--pieces", min=10, help="Read about so many files of each set, not all.")
]
MarkdownOption = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write the table as Markdown too.")
]
PlotsOption = Annotated[
    Path | None, typer.Option("--plots", metavar="DIR", help="Draw figures into this folder (SVG).")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")]
