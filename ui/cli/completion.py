"""What the shell offers after Tab: numbers and files of pieces, tags, and filters. Nothing here may fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from index import Library

__all__ = ["complete_filter", "complete_piece", "complete_tag"]

_MAX_PIECES = 50
Offer = tuple[str, str]  # what would be typed, and what it means


def complete_piece(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Pieces of the library after `#`, with their files; otherwise MIDI files and folders."""
    if not incomplete.startswith("#"):
        return list(_files(incomplete))
    offers: list[Offer] = []
    with suppress(Exception), _library(ctx) as library:
        digits = incomplete[1:]
        for number in _numbers(digits) if digits else ():
            with suppress(Exception):
                offers.append((f"#{number}", library.piece(number).display))
        if not digits:
            offers = [(f"#{piece.id}", piece.display) for piece in library.pieces(limit=_MAX_PIECES)]
    return offers[:_MAX_PIECES]


def complete_tag(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Tags of the library."""
    with suppress(Exception), _library(ctx) as library:
        names = ((tag.name, _pieces(tag.pieces)) for tag in library.tags())
        return [(name, about) for name, about in names if name.startswith(incomplete)]
    return []


def complete_filter(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Names of filters with the operator that is used most; after `tag=`, the tags of the library."""
    with suppress(Exception):
        from index import FIELDS

        if incomplete.startswith("tag="):
            tags = complete_tag(ctx, incomplete.removeprefix("tag="))
            return [(f"tag={name}", about) for name, about in tags]
        signs = {"number": "<", "time": "<", "text": "~", "path": "~"}
        return [
            (field.name + signs.get(field.kind, "="), f"{field.help}, as in {field.example}")
            for field in FIELDS
            if field.name.startswith(incomplete)
        ]
    return []


def _numbers(digits: str) -> Iterator[int]:
    """12, then 120 to 129, for "12"."""
    if digits.isascii() and digits.isdigit():
        first = int(digits[:18])
        yield from (first, *range(10 * first, 10 * first + 10))


def _pieces(number: int) -> str:
    return "1 piece" if number == 1 else f"{number:,} pieces"


def _files(incomplete: str) -> Iterator[Offer]:
    from index import is_midi_name

    folder, _, start = incomplete.rpartition("/")
    root = f"{folder}/" if folder or incomplete.startswith("/") else ""
    with suppress(OSError):
        for entry in sorted(os.scandir(os.path.expanduser(root or ".")), key=lambda entry: entry.name):
            hidden = entry.name.startswith(".") and not start.startswith(".")
            if not entry.name.startswith(start) or hidden:
                continue
            if entry.is_dir():
                yield f"{root}{entry.name}/", "folder"
            elif is_midi_name(entry.name):
                yield f"{root}{entry.name}", "MIDI file"


@contextmanager
def _library(ctx: typer.Context) -> Iterator[Library]:
    from index import Library

    with Library.open(ctx.params.get("library"), create=False) as library:
        yield library
