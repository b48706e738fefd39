"""Colours of the map's points: by folder, composer, key, tag, or group of duplicates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .escaping import folder_of

if TYPE_CHECKING:
    from index import Duplicates, Label, Piece

__all__ = [
    "Colouring",
    "by_composer",
    "by_folder",
    "by_group",
    "by_key",
    "by_tag",
    "coloured",
    "composer_of",
]

# Part colours of the app first (frontend/tokens.css, light), then further ones that are seen on both themes.
_PALETTE = (
    "#2F9680", "#6A5BD0", "#CE6820", "#9D69DE", "#1D88A8", "#B2527F", "#8C8320", "#4C8FD6",
    "#C4556B", "#5FA35A", "#B98A2E", "#7D7F9E",
)  # fmt: skip
_OTHERS = "#8A9692"

# Names in titles and folders; of several spellings the first is shown.
_COMPOSERS = (
    "Albeniz|Albéniz Alkan Bach Balakirew|Balakirev Bartok|Bartók Beethoven Borodin Brahms Buxtehude "
    "Byrd Chopin Clementi Corelli Couperin Czerny Debussy Dvorak|Dvořák Elgar Faure|Fauré Field Franck "
    "Gershwin Glinka Godowsky Granados Grieg Haendel|Handel|Händel Haydn Hindemith Janacek|Janáček "
    "Joplin Kabalevsky Kapustin Ligeti Liszt Mahler Medtner Mendelssohn Messiaen Monteverdi Mozart "
    "Mussorgsky|Moussorgsky|Musorgsky Offenbach Paganini Palestrina Prokofiev Puccini Purcell "
    "Rachmaninoff|Rachmaninov Rameau Ravel Reger Rossini Satie Scarlatti Schoenberg|Schönberg Schubert "
    "Schumann Scriabin|Skryabin Shostakovich|Schostakowitsch Sibelius Smetana Sousa Strauss Stravinsky "
    "Tchaikovsky|Tschaikowsky Telemann Verdi Vivaldi Wagner Weber"
)
_CALLED = {name.lower(): names.split("|")[0] for names in _COMPOSERS.split() for name in names.split("|")}
_ANY_COMPOSER = re.compile(
    r"(?i)(?<![a-z])(" + "|".join(sorted(_CALLED, key=len, reverse=True)) + r")(?![a-z])"
)


@dataclass(frozen=True)
class Colouring:
    """A kind and a colour for every piece.

    Attributes
    ----------
    kind_of : uint8 [n], for each piece the index of its kind
    kinds, palette : names and colours of the kinds
    """

    kind_of: NDArray[np.uint8]
    kinds: tuple[str, ...]
    palette: tuple[str, ...]


def coloured(words: Sequence[str | None]) -> Colouring:
    """A colour for each of the most frequent words; the rest, and pieces without one, share a grey."""
    counts = Counter(word for word in words if word)
    common = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][
        : len(_PALETTE)
    ]
    index = {word: i for i, word in enumerate(common)}
    kind_of = np.array([index.get(word or "", len(common)) for word in words], np.uint8)
    return Colouring(
        kind_of, (*common, "others" if common else "pieces"), (*_PALETTE[: len(common)], _OTHERS)
    )


def by_folder(pieces: Sequence[Piece], root: str) -> list[str | None]:
    """The folder of each piece below the one that all share."""
    return [folder_of(piece.display, root).split("/")[0] for piece in pieces]


def by_composer(pieces: Sequence[Piece]) -> list[str | None]:
    """The composer of each piece, as `composer_of` knows it."""
    return [composer_of(piece) for piece in pieces]


def composer_of(piece: Piece) -> str | None:
    """The composer whose name stands in the title or path of a piece; None if none is known."""
    match = _ANY_COMPOSER.search(f"{piece.title or ''} {piece.display.replace('_', ' ')}")
    return _CALLED[match[1].lower()] if match else None


def by_key(pieces: Sequence[Piece]) -> list[str | None]:
    """The estimated key; None where its confidence is low."""
    return [p.descriptors.key if p.descriptors.key_confidence >= 0.5 else None for p in pieces]


def by_tag(pieces: Sequence[Piece], labels: Sequence[Label], predicted: dict[int, str]) -> list[str | None]:
    """The value that people gave each piece, else the predicted one."""
    value_of = dict(predicted)
    for label in labels:
        if label.piece_id is None or label.start_s is not None:
            continue
        if label.value is None:
            value_of[label.piece_id] = "yes" if label.holds else "no"
        elif label.holds:
            value_of[label.piece_id] = label.value
    return [value_of.get(piece.id) for piece in pieces]


def by_group(pieces: Sequence[Piece], duplicates: Duplicates) -> list[str | None]:
    """The relation of the group of duplicates that each piece is in."""
    kind = {m.piece_id: group.kind.value for group in duplicates.groups for m in group.members}
    return [kind.get(piece.id) for piece in pieces]
