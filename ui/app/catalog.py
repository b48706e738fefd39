"""The names of all pieces, read once for each commit of the library, and search by name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from embedder.core.files import relative_path

from . import state
from .escaping import clock, file_name, folder_of, key_name
from .map_colors import composer_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from index import Piece

__all__ = ["Catalog", "catalog", "facts_of", "fold", "title_of"]

# Track names that say what plays and not what is played, folded.
_INSTRUMENT = re.compile(
    r"(piano|elec(tric)?\.? piano( \(classic\))?|acoustic( grand)?( piano)?|grand( piano)?|strings?( "
    r"\w+)?|drums?|"
    r"bass|guitars?|melody|track ?\d*|untitled|new song|unknown|(right|left|r|l)\.?( hand| h)?|up|down|"
    r"violin( [i1]+)?|flute|voice|vocals?|organ|harpsichord|midi ?\d*|sequence ?\d*|part ?\d*|tempo( track)?|"
    r"control track|staff ?\d*|conductor|lead|chords?|main|seq-?\d+)"
)
_SHARED = 3  # a title that so many files have names none of them


def fold(text: str) -> str:
    """Text for comparing: without accents, case and Unicode form."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).replace("_", " ")


@dataclass(frozen=True)
class Catalog:
    """All pieces of a library, in order of their numbers.

    Attributes
    ----------
    root : the folder that all files share
    titles : what each piece is called on the pages
    """

    pieces: list[Piece]
    root: str
    titles: list[str]

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        return np.array([piece.id for piece in self.pieces], dtype=np.int64)

    @cached_property
    def _by_number(self) -> dict[int, int]:
        return {piece.id: row for row, piece in enumerate(self.pieces)}

    @cached_property
    def composers(self) -> list[str | None]:
        return [composer_of(piece) for piece in self.pieces]

    @cached_property
    def folders(self) -> list[str]:
        """The folder of each piece, relative to the root."""
        return [folder_of(piece.display, self.root) for piece in self.pieces]

    @cached_property
    def _fields(self) -> list[tuple[str, str]]:
        """Folded title, and folded title, composer and path, of each piece."""
        fields = []
        for piece, title, composer in zip(self.pieces, self.titles, self.composers, strict=True):
            folded = fold(title)
            fields.append((folded, f"{folded} {fold(composer or '')} {fold(self.path(piece))}"))
        return fields

    def row_of(self, number: int) -> int | None:
        """The row of a piece."""
        return self._by_number.get(number)

    def title(self, number: int) -> str:
        """What a piece is called; empty if there is none of this number."""
        row = self._by_number.get(number)
        return "" if row is None else self.titles[row]

    def path(self, piece: Piece) -> str:
        """The path of a piece, relative to the folder that all files share."""
        return self.relative(piece.display)

    def relative(self, display: str) -> str:
        """Any path, as seen from the folder that all files share."""
        return relative_path(display, self.root)

    def find(self, text: str, limit: int) -> list[int]:
        """Rows of pieces that contain all words of a text, titles that contain them first.

        `#12` and `12` also find the piece of that number.
        """
        words = fold(text).split()
        if not words:
            return []
        digits = words[0].removeprefix("#")
        by_number = self._by_number.get(int(digits[:18])) if digits.isascii() and digits.isdigit() else None
        if words[0].startswith("#") and len(words) == 1:
            return [] if by_number is None else [by_number]
        first, then = [], []
        for row, (title, everything) in enumerate(self._fields):
            if not all(word in everything for word in words):
                continue
            if all(word in title for word in words):
                first.append((not title.startswith(words[0]), len(title), row))
            else:
                then.append(row)
        ranked = [row for _, _, row in sorted(first)] + then
        if by_number is not None:
            ranked = [by_number, *(row for row in ranked if row != by_number)]
        return ranked[:limit]


def catalog() -> Catalog:
    """The catalog of the library as it is now."""
    library = state.library()
    return _catalog(str(library.folder), library.info().commit)


@st.cache_resource(max_entries=2, show_spinner=False)
def _catalog(folder: str, commit: int) -> Catalog:
    pieces = state.library().pieces(limit=10**9)
    folders = {os.path.dirname(piece.display) for piece in pieces}
    root = os.path.commonpath(folders) if folders and all(map(os.path.isabs, folders)) else ""
    return Catalog(pieces, root, _titles(pieces))


def _titles(pieces: Sequence[Piece]) -> list[str]:
    """The title inside the file, or the file's name where that is an instrument or shared by many."""
    counts: dict[str, int] = {}
    for piece in pieces:
        if piece.title:
            counts[piece.title] = counts.get(piece.title, 0) + 1
    return [
        title_of(piece) if counts.get(piece.title or "", 0) < _SHARED else _name(piece.display)
        for piece in pieces
    ]


def title_of(piece: Piece) -> str:
    """What a piece is called by itself: its title unless that names an instrument, else its file's name."""
    if piece.title and not _INSTRUMENT.fullmatch(fold(piece.title).strip()):
        return piece.title
    return _name(piece.display)


def _name(display: str) -> str:
    """The name of a file without its suffix."""
    name = file_name(display)
    stem, suffix = os.path.splitext(name)
    short = stem if stem and suffix.lower() in (".mid", ".midi", ".smf", ".kar", ".rmi") else name
    folder = os.path.basename(os.path.dirname(display))
    return (
        f"{folder} {short}" if short.isdigit() and folder not in ("", short) else short
    )  # a number alone says nothing


def facts_of(piece: Piece) -> list[str]:
    """Key, tempo and length of a piece, for a line below its title."""
    about = piece.descriptors
    facts = [key_name(about.key)] if about.key_confidence >= 0.5 else []
    if about.tempo_bpm:
        facts.append(f"{about.tempo_bpm:.0f} BPM")
    return [*facts, clock(about.duration_s)]
