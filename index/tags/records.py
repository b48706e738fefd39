"""Records of tags and labels, immutable and with `to_json`, and the rules for names of tags and values."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from embedder.core.errors import TagError
from embedder.core.files import printable, shortened

from ..records import Named

__all__ = [
    "FACET",
    "FREE",
    "NO",
    "YES",
    "ImportReport",
    "Label",
    "LabelAction",
    "LabelEdit",
    "LabelReport",
    "PieceTag",
    "Tag",
    "TagValue",
    "checked_name",
]

FREE, FACET = "free", "facet"
YES, NO = "yes", "no"  # the values of a free tag, as classes of its probe
MAX_NAME_LENGTH = 500  # characters


@dataclass(frozen=True)
class LabelEdit:
    """A label to set or to remove.

    Attributes
    ----------
    target : a piece by number, or the path of a file or of a folder with pieces below it
    tag, value : value is None for a free tag
    holds : True for "has the tag", False for "does not have it", None to remove the label
    start_s, end_s : a time range of the piece, in seconds; None for the whole piece
    """

    target: Any
    tag: str
    value: str | None = None
    holds: bool | None = True
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class TagValue(Named):
    """A value of a facet, or yes or no of a free tag, with its numbers of labels and of predicted pieces."""

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
    values : by number of labels, the most frequent first
    labels : active labels, negative ones and those of time ranges included
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
    """A label of a content.

    Attributes
    ----------
    piece_id, path : the piece with that content; None if it is not in the library now
    sha256 : of the file's bytes, which identifies the content
    value : of a facet; None for a free tag
    holds : False for "is not"
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
    """A tag of a piece: a label, or a probe's prediction where there is no label.

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
    """A change of labels, as it is listed in the history.

    Attributes
    ----------
    what : description
    labels : how many labels it set or removed
    done_s, undone_s : seconds since 1970; undone_s is None unless the change was undone
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
    """What applying label edits did.

    Attributes
    ----------
    action : number of the change, for undoing it; None if nothing had to be changed
    set : new labels
    replaced : new labels that replaced another one of the same piece
    unchanged : labels that existed already
    removed : labels removed
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
    encoding, delimiter : as detected; delimiter is empty for JSON
    rows : rows of the table
    columns : columns that became tags
    unknown : files named in the table that are not in the library
    """

    file: str
    encoding: str
    delimiter: str
    rows: int
    columns: tuple[str, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"columns": list(self.columns), "unknown": list(self.unknown)}


def checked_name(text: object, what: str = "tag") -> str:
    """The name of a tag or value as it is stored: composed (NFC), without surrounding white space.

    Any characters are allowed that can be stored as UTF-8.

    Parameters
    ----------
    what : "tag" or "value", for the message

    Raises
    ------
    TagError
        If it is empty, too long, or not valid Unicode text.
    TypeError
        If it is not text.
    """
    if not isinstance(text, str):
        raise TypeError(f"the name of a {what} must be text, not {text!r}")
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise TagError(f"the name of a {what} must not be empty")
    if len(name) > MAX_NAME_LENGTH:
        raise TagError(
            f"the name of a {what} has {len(name):,} characters; at most {MAX_NAME_LENGTH} are allowed"
        )
    if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in name):
        raise TagError(f"{shortened(name)}: the name of a {what} must be valid UTF-8 without NUL characters")
    return name
