"""What the points of the map are coloured by: folder, composer, key, tag, or group of duplicates."""

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

__all__ = ["Colouring", "by_composer", "by_folder", "by_group", "by_key", "by_tag", "coloured"]

# After P. Tol, "Colour schemes", 2021 (muted and bright), the darkest made lighter: they must be seen on
# black as on white.
_PALETTE = (
    "#7a5cd6", "#88ccee", "#44aa99", "#2f9e57", "#999933", "#ddcc77", "#cc6677", "#b8417f", "#aa4499",
    "#4f8fd0", "#ee6677", "#ccbb44", "#66ccee", "#d06fb0", "#ee8866",
)  # fmt: skip
_OTHERS = "#9a9a9a"

# Names as they stand in titles and folders, and what they are called here.
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
    kind_of : uint8 [n], for each piece the place of its kind
    kinds, palette : names and colours of the kinds
    """

    kind_of: NDArray[np.uint8]
    kinds: tuple[str, ...]
    palette: tuple[str, ...]


def coloured(words: Sequence[str | None]) -> Colouring:
    """A colour for each of the commonest words; all others, and pieces with none, share a grey."""
    counts = Counter(word for word in words if word)
    common = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][
        : len(_PALETTE)
    ]
    place = {word: i for i, word in enumerate(common)}
    kind_of = np.array([place.get(word or "", len(common)) for word in words], np.uint8)
    return Colouring(
        kind_of, (*common, "others" if common else "pieces"), (*_PALETTE[: len(common)], _OTHERS)
    )


def by_folder(pieces: Sequence[Piece], root: str) -> list[str | None]:
    """The folder of each piece below the one that all share."""
    return [folder_of(piece.display, root).split("/")[0] for piece in pieces]


def by_composer(pieces: Sequence[Piece]) -> list[str | None]:
    """The composer whose name stands in the title or path; None if none is known."""
    words = []
    for piece in pieces:
        found = _ANY_COMPOSER.search(f"{piece.title or ''} {piece.display.replace('_', ' ')}")
        words.append(_CALLED[found[1].lower()] if found else None)
    return words


def by_key(pieces: Sequence[Piece]) -> list[str | None]:
    """The estimated key; None where it is not sure."""
    return [p.descriptors.key if p.descriptors.key_confidence >= 0.5 else None for p in pieces]


def by_tag(pieces: Sequence[Piece], labels: Sequence[Label], predicted: dict[int, str]) -> list[str | None]:
    """What people said of each piece, and where they said nothing, what the probe says."""
    said = dict(predicted)
    for label in labels:
        if label.piece_id is None or label.start_s is not None:
            continue
        if label.value is None:
            said[label.piece_id] = "yes" if label.holds else "no"
        elif label.holds:
            said[label.piece_id] = label.value
    return [said.get(piece.id) for piece in pieces]


def by_group(pieces: Sequence[Piece], found: Duplicates) -> list[str | None]:
    """The kind of sameness of the group that a piece is in."""
    kind = {m.piece_id: group.kind.value for group in found.groups for m in group.members}
    return [kind.get(piece.id) for piece in pieces]
