"""What the library answers about tags and labels: immutable records with `to_json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..records import Named
from ..storage import display as printable

__all__ = [
    "FACET",
    "FREE",
    "NO",
    "YES",
    "ImportReport",
    "Label",
    "LabelAction",
    "LabelReport",
    "PieceTag",
    "Tag",
    "TagValue",
    "Wish",
]

FREE, FACET = "free", "facet"
YES, NO = "yes", "no"  # the values of a free tag, as classes of its probe


@dataclass(frozen=True)
class Wish:
    """A label that somebody wants to give.

    Attributes
    ----------
    target : a piece by number, or the path of a file or of a folder with pieces below it
    tag, value : value is None for a free tag
    holds : False says that the piece is not so; None takes the label away
    start_s, end_s : a part of the piece, in seconds; None for the whole
    """

    target: Any
    tag: str
    value: str | None = None
    holds: bool | None = True
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class TagValue(Named):
    """A value of a facet, or yes or no of a free tag: labels given, and pieces predicted so."""

    value: str
    labels: int
    predictions: int

    @property
    def display(self) -> str:
        return printable(self.value)


@dataclass(frozen=True)
class Tag(Named):
    """A tag of the library.

    Attributes
    ----------
    kind : "free" (yes or no for each piece) or "facet" (one of many values)
    values : what was labelled, most labels first
    labels : labels that stand, "is not" and parts of pieces included
    pieces : pieces of the library with a label
    probe : "none", "current", "labels changed" or "stale" (made for another encoder)
    """

    name: str
    kind: str
    values: tuple[TagValue, ...]
    labels: int
    pieces: int
    probe: str

    @property
    def display(self) -> str:
        return printable(self.name)

    def to_json(self) -> dict[str, Any]:
        values = [value.to_json() for value in self.values]
        return super().to_json() | {"values": values}


@dataclass(frozen=True)
class Label(Named):
    """What somebody said of a content.

    Attributes
    ----------
    piece_id, path : the piece that holds the content; None if it is not in the library now
    value : of a facet; None for a free tag
    source : "user", "search", "folder", "file", "classifier", "accepted" or "rejected"
    set_s : seconds since 1970
    action : number of the action that set it
    """

    piece_id: int | None
    path: str | None
    sha256: str
    tag: str
    value: str | None
    holds: bool
    start_s: float | None
    end_s: float | None
    source: str
    set_s: float
    action: int

    @property
    def display(self) -> str:
        return f"content {self.sha256[:12]}" if self.path is None else printable(self.path)


@dataclass(frozen=True)
class PieceTag:
    """A tag of a piece: what a person said, or what a probe predicts where nobody did.

    Attributes
    ----------
    value : of a facet, or "yes" or "no" of a free tag
    holds : False for "is not this value"
    source : "label" or "prediction"
    probability : of a prediction
    """

    tag: str
    value: str
    holds: bool
    source: str
    probability: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class LabelAction:
    """A change of labels.

    Attributes
    ----------
    what : in plain words
    labels : how many labels it set or took away
    done_s, undone_s : seconds since 1970; undone_s is None while it stands
    """

    number: int
    what: str
    source: str
    labels: int
    done_s: float
    undone_s: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class LabelReport:
    """What a labelling did.

    Attributes
    ----------
    action : its number, for undoing; None if nothing had to be changed
    set : labels that are new
    replaced : labels that took the place of another one of the same piece
    unchanged : labels that stood already
    removed : labels taken away
    """

    action: int | None
    set: int
    replaced: int
    unchanged: int
    removed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ImportReport(LabelReport):
    """What the import of a table of labels did.

    Attributes
    ----------
    file : the table
    encoding, delimiter : as they were found; delimiter is empty for JSON
    rows : rows of the table
    columns : columns that became tags
    unknown : files named in the table that the library does not hold
    """

    file: str
    encoding: str
    delimiter: str
    rows: int
    columns: tuple[str, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"columns": list(self.columns), "unknown": list(self.unknown)}
