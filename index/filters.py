"""Filters on what the library knows of a piece: numbers, key, title, path, name, and the tags people gave it.

`FIELDS` is the one table of what can be filtered; parser, help and documentation read it. A filter is written
`density>5`, `notes=200..800`, `duration<3:30`, `key=C minor`, `path~bach`, `name=*.mid`; several must all
hold. Text is compared without regard to case; `=` takes the wildcards `*` and `?`, `~` looks anywhere inside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .storage import display

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

__all__ = ["FIELDS", "FilterField", "Filters", "Term"]


@dataclass(frozen=True)
class FilterField:
    """One thing that can be filtered on.

    Attributes
    ----------
    name : what the user writes
    column : column of the table of pieces, or of paths for `path` and `name`; of labels for `tag`
    kind : "number", "time" (a number that may be written 1:30), "yes" (yes or no: whether the column is above
        0), "words" (text, looked for in the whole column), "meter", "key", "text", "path" or "tag"
    help : meaning and unit
    example : a filter that works
    """

    name: str
    column: str
    kind: str
    help: str
    example: str


FIELDS: tuple[FilterField, ...] = (
    FilterField("duration", "duration_s", "time", "length in seconds or m:ss", "duration<3:30"),
    FilterField("notes", "notes", "number", "number of notes", "notes=200..800"),
    FilterField("density", "density", "number", "notes a second", "density>5"),
    FilterField("low", "pitch_low", "number", "lowest pitch, 60 is middle C", "low>=36"),
    FilterField("high", "pitch_high", "number", "highest pitch", "high<=84"),
    FilterField("pitch", "pitch_mean", "number", "mean pitch", "pitch=55..65"),
    FilterField("polyphony", "polyphony", "number", "mean number of notes sounding at once", "polyphony<1.2"),
    FilterField("velocity", "velocity_mean", "number", "mean velocity, 1 to 127", "velocity<50"),
    FilterField("key", "key", "key", "estimated key", "key=C minor"),
    FilterField("confidence", "key_confidence", "number", "confidence of the key, 0 to 1", "confidence>0.8"),
    FilterField("bpm", "tempo_bpm", "number", "BPM as notated, or else as estimated", "bpm=118..124"),
    FilterField("meter", "meter", "meter", "time signature", "meter=3/4"),
    FilterField(
        "instrument", "instruments", "words", "instrument or family of instruments", "instrument=guitar"
    ),
    FilterField("parts", "parts", "number", "number of parts", "parts>=4"),
    FilterField("drums", "drum_notes", "yes", "whether it has drums", "drums=yes"),
    FilterField("composer", "composer", "text", "composer that the file names", "composer~bach"),
    FilterField("title", "title", "text", "title that the file gives itself", "title~nocturne"),
    FilterField("path", "display", "path", "whole path of a file", "path~bach"),
    FilterField("name", "name", "path", "name of a file without its folder", "name=*.mid"),
    FilterField("tag", "tag", "tag", "tag that people gave it", "tag=composer: Chopin"),
)

_BY_NAME = {field.name: field for field in FIELDS} | {field.column: field for field in FIELDS[:-3]}
_BY_NAME["tempo"] = _BY_NAME["bpm"]  # as earlier versions called it
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_WRITTEN = re.compile(r"\s*([A-Za-z_]+)\s*(>=|<=|!=|!~|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_WILDCARDS = str.maketrans({"*": "%", "?": "_", "%": "/%", "_": "/_", "/": "//"})
_TONICS = ("C B#", "C# Db", "D", "D# Eb", "E Fb", "F E#", "F# Gb", "G", "G# Ab", "A", "A# Bb", "B Cb")


@dataclass(frozen=True)
class Term:
    """One condition: a field, an operator and a value (a number, a closed range or text).

    Raises
    ------
    ValueError
        If the field does not exist or the operator or value does not fit it.
    """

    field: str
    operator: str
    value: float | tuple[float, float] | str

    def __post_init__(self) -> None:
        field = _BY_NAME.get(self.field)
        if field is None:
            names = ", ".join(f.name for f in FIELDS)
            raise ValueError(f"no filter is called {self.field!r}; there are {names}")
        numeric = field.kind in ("number", "time")
        numbers, words = ("=", "!=", ">", ">=", "<", "<="), ("=", "!=", "~", "!~")
        allowed: tuple[str, ...] = numbers if numeric else words
        if field.kind in ("tag", "yes", "meter"):
            allowed = allowed[:2]
        if self.operator not in allowed:
            raise ValueError(
                f"{self.field} takes {' '.join(allowed)}, not {self.operator}; try {field.example!r}"
            )
        if numeric == isinstance(self.value, str):
            kind = "a number" if numeric else "text"
            raise ValueError(f"{self.field} is compared with {kind}; try {field.example!r}")
        if field.kind == "key" and isinstance(self.value, str) and self.operator in ("=", "!="):
            _spellings(self.value)  # a name that is no key is refused here and not in the middle of a search
        if field.kind == "yes" and str(self.value).lower() not in _YES_NO:
            raise ValueError(f"{self.field} is yes or no, not {self.value!r}; try {field.example!r}")
        if field.kind == "meter" and not re.fullmatch(r"\d{1,3}/\d{1,3}", str(self.value)):
            raise ValueError(f"{self.value!r} is no time signature; try {field.example!r}")
        if isinstance(self.value, tuple) and self.operator not in ("=", "!="):
            raise ValueError(f"a range goes with = or !=; try {field.example!r}")
        if isinstance(self.value, tuple) and not self.value[0] <= self.value[1]:
            low, high = self.value
            raise ValueError(f"{self.field}={low:g}..{high:g} begins above its end; write {high:g}..{low:g}")
        if isinstance(self.value, float) and math.isnan(self.value):
            raise ValueError(f"{self.field} is compared with a number; try {field.example!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one condition as a user writes it."""
        match = _WRITTEN.fullmatch(text)
        if match is None or not match[3]:
            raise ValueError(f"cannot read the filter {text!r}; write one like {FIELDS[2].example!r}")
        name, operator, value = match.groups()
        field = _BY_NAME.get(name.lower())
        if field is None or field.kind not in ("number", "time"):
            return cls(name.lower(), operator, value)
        low, between, high = value.partition("..")
        if between:
            return cls(name.lower(), operator, (_number(low, text), _number(high, text)))
        return cls(name.lower(), operator, _number(value, text))

    def __str__(self) -> str:
        if isinstance(self.value, tuple):
            return f"{self.field}{self.operator}{self.value[0]:.12g}..{self.value[1]:.12g}"
        value = f"{self.value:.12g}" if isinstance(self.value, float | int) else self.value
        return f"{self.field}{self.operator}{value}"


@dataclass(frozen=True)
class Filters:
    """Conditions that must all hold; no terms let everything through."""

    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, texts: str | Iterable[str]) -> Self:
        """Read conditions as a user writes them; a plain string is one condition.

        Raises
        ------
        ValueError
            If one cannot be read; the message says what can be written.
        """
        return cls(tuple(Term.parse(text) for text in ([texts] if isinstance(texts, str) else texts)))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return ", ".join(map(str, self.terms))

    def clause(self) -> ColumnElement[bool]:
        """SQL condition on the table of pieces."""
        from sqlalchemy import and_, select, true

        from .storage import schema

        parts = [_condition(term, schema.pieces) for term in self.terms if _kind(term) not in ("path", "tag")]
        parts += [_tagged(term) for term in self.terms if _kind(term) == "tag"]
        located = self.path_clause()
        if located is not None:
            # One and the same file must meet all conditions on paths.
            parts.append(schema.pieces.c.id.in_(select(schema.paths.c.piece_id).where(located)))
        return and_(true(), *parts)

    def lookups(self) -> list[ColumnElement[bool]]:
        """Conditions that must all hold and are quick one by one; all in one where some have no index."""
        if any(_kind(term) not in ("number", "time", "key") for term in self.terms):
            return [self.clause()]
        return [Filters((term,)).clause() for term in self.terms] or [self.clause()]

    @property
    def lasting(self) -> bool:
        """Whether a piece that meets them does so as long as it is in the library."""
        return not any(_kind(term) in ("path", "tag") for term in self.terms)

    def path_clause(self) -> ColumnElement[bool] | None:
        """SQL condition on the table of paths; None if no term concerns paths."""
        from sqlalchemy import and_

        from .storage import schema

        parts = [_condition(term, schema.paths) for term in self.terms if _kind(term) == "path"]
        return and_(*parts) if parts else None


def _kind(term: Term) -> str:
    return _BY_NAME[term.field].kind


def _number(text: str, whole: str) -> float:
    parts = text.strip().split(":")
    try:
        value = 0.0
        for part in parts:  # 1:02:03 counts hours, minutes, seconds
            value = value * 60 + float(part)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or len(parts) > 3:
        raise ValueError(f"{text.strip()!r} in the filter {whole!r} is not a number")
    return value


def _condition(term: Term, table: object) -> ColumnElement[bool]:
    from sqlalchemy import Table, func, not_

    assert isinstance(table, Table)
    field = _BY_NAME[term.field]
    column = table.c[field.column]
    value, plain = term.value, term.operator.lstrip("!")
    found: ColumnElement[bool]
    if isinstance(value, str):
        # The database holds names in their display form, where no byte is left undecoded.
        value = "".join(display(c) if "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, tuple):
        found = column.between(*value)
    elif isinstance(value, float | int):
        compare = {">": column > value, ">=": column >= value, "<": column < value, "<=": column <= value}
        found = column == value if plain == "=" else compare[plain]
    elif field.kind == "yes":
        found = column > 0 if _YES_NO[value.lower()] else column == 0
    elif field.kind == "meter":
        found = column == value
    elif plain == "~" or field.kind == "words":
        found = func.casefold(column).contains(value.casefold(), autoescape=True)
    elif field.kind == "key":
        found = column.in_(_spellings(value))
    else:
        found = func.casefold(column).like(value.casefold().translate(_WILDCARDS), escape="/")
    return not_(found) if term.operator.startswith("!") else found


def _tagged(term: Term) -> ColumnElement[bool]:
    """Pieces that somebody said have a tag; a facet may be named with one of its values or without."""
    from sqlalchemy import func, not_, or_, select

    from .storage import schema
    from .tags.schema import labels, tags

    wanted = str(term.value).casefold().translate(_WILDCARDS)
    valued = tags.c.name + ": " + labels.c.value
    named = [func.casefold(name).like(wanted, escape="/") for name in (tags.c.name, valued)]
    stands = labels.c.ended_by.is_(None) & (labels.c.holds == 1) & labels.c.start_s.is_(None)
    query = select(labels.c.sha256).join(tags, labels.c.tag_id == tags.c.id).where(stands, or_(*named))
    found: ColumnElement[bool] = schema.pieces.c.sha256.in_(query)
    return not_(found) if term.operator == "!=" else found


def _spellings(key: str) -> list[str]:
    """Every way to write a key's name: "Bb major" is also "A# major"; "Am" is "A minor"."""
    match = re.fullmatch(r"([A-Ga-g][#b♯♭]?)\s*(m|min|minor|maj|major)?", key.strip())
    if match is None:
        raise ValueError(f"{key!r} is no key; write one like 'C minor' or 'F# major'")
    tonic = (match[1][0].upper() + match[1][1:]).replace("♯", "#").replace("♭", "b")
    names = next(group.split() for group in _TONICS if tonic in group.split())
    mode = "minor" if (match[2] or "").startswith("m") and not (match[2] or "").startswith("maj") else "major"
    return [f"{name} {mode}" for name in names]
