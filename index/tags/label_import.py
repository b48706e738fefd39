"""Labels from a table: which columns say what, and which pieces the rows mean.

Two forms are understood. The *long* form is what `exporting` writes: a line a label, with the columns
`file` and `tag`. The *wide* form has a line a file, a column that names it (`file`, `midi_filename`, ...) and
columns that become tags: one whose cells are all yes or no is a free tag, any other a facet.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from embedder.core.errors import TagError

from ..arguments import check_part
from ..storage import from_bytes, schema
from .labels import give
from .names import checked_name, shown
from .records import ImportReport, Wish
from .table_files import TableFile

__all__ = ["give_table"]

FILE_COLUMNS = ("file", "midi_filename", "filename", "path", "midi")
_KNOWN = {"canonical_composer": "composer"}  # what everybody means in the metadata of MAESTRO
_YES = frozenset(("yes", "y", "true", "1", "x"))
_NO = frozenset(("no", "n", "false", "0"))
_LISTED = 3


@dataclass(frozen=True)
class _Meant:
    """A wish of the table with the name of the file as it was written there."""

    file: str
    sha256: str
    line: int
    tag: str
    value: str | None
    holds: bool
    start_s: float | None
    end_s: float | None


def give_table(
    connection: Connection,
    table: TableFile,
    folder: str,
    *,
    columns: Mapping[str, str] | None,
    tag: str | None,
    skip_unknown: bool,
) -> ImportReport:
    """Give the labels of a table, all or none, inside the transaction that is open.

    Parameters
    ----------
    folder : what relative names are relative to, if they are not ends of paths of the library
    columns : columns to use, and the tags they become; told from the table if None
    tag : the free tag that every file of the table gets, for a table without other columns
    skip_unknown : give the labels of files that the library holds, and report the others

    Raises
    ------
    TagError
        If columns are missing, files are unknown, or labels contradict each other.
    """
    meant, used = _meant(table, columns, tag)
    _check_names(table.file, meant)
    pieces = _Files(connection, folder)
    wishes: list[Wish] = []
    unknown: dict[str, str] = {}
    for one in meant:
        numbers = pieces.find(one.file, one.sha256)
        if len(numbers) == 1:
            part = {"start_s": one.start_s, "end_s": one.end_s}
            wishes.append(Wish(numbers[0], one.tag, one.value, one.holds, **part))
        else:
            unknown[one.file] = f" ({len(numbers)} pieces end so)" if numbers else ""
    if unknown and (not skip_unknown or not wishes):
        raise TagError(_unknown(table, unknown, len(meant), can_skip=bool(wishes)))
    report = give(connection, wishes, source="file", what=f"labels of {table.file}")
    return ImportReport(
        **report.to_json(),
        file=table.file,
        encoding=table.encoding,
        delimiter=table.delimiter,
        rows=len(table.rows),
        columns=used,
        unknown=tuple(unknown),
    )


def _check_names(file: str, meant: Sequence[_Meant]) -> None:
    """Names that cannot be, with the line where they stand."""
    checked: set[tuple[str, str | None]] = set()
    for one in meant:
        if (one.tag, one.value) in checked:
            continue
        checked.add((one.tag, one.value))
        try:
            checked_name(one.tag)
            if one.value is not None:
                checked_name(one.value, "value")
        except TagError as error:
            raise TagError(f"{file}: line {one.line}: {error}; nothing was changed") from None


def _unknown(table: TableFile, unknown: Mapping[str, str], total: int, *, can_skip: bool) -> str:
    names = ", ".join(shown(name) + why for name, why in list(unknown.items())[:_LISTED])
    more = ", ..." if len(unknown) > _LISTED else ""
    do = "add them first, or leave them out (--skip-unknown)" if can_skip else "add them first"
    count = f"{len(unknown):,} of its files are" if len(unknown) > 1 else "one of its files is"
    return f"{table.file}: {count} not in the library: {names}{more}; {do}, nothing was changed"


def _meant(
    table: TableFile, columns: Mapping[str, str] | None, tag: str | None
) -> tuple[list[_Meant], tuple[str, ...]]:
    place = {name.lower(): i for i, name in enumerate(table.columns)}
    file = next((place[name] for name in FILE_COLUMNS if name in place), None)
    if file is None:
        wanted = ", ".join(FILE_COLUMNS)
        raise TagError(f"{table.file}: no column names the files; call it one of {wanted}")
    if "tag" in place and columns is None and tag is None:
        return list(_long(table, place, file)), ("tag",)
    if tag is not None:
        if columns:
            raise ValueError("give either columns or a tag for all files, not both")
        rows = zip(table.rows, table.lines, strict=True)
        return [_Meant(row[file], "", at, tag, None, True, None, None) for row, at in rows if row[file]], (
            tag,
        )
    chosen = _chosen(table, columns, file)
    return list(_wide(table, chosen, file)), tuple(chosen.values())


def _long(table: TableFile, place: Mapping[str, int], file: int) -> Iterator[_Meant]:
    for row, line in zip(table.rows, table.lines, strict=True):
        cell = {name: row[at] for name, at in place.items()}
        if not cell["tag"]:
            raise TagError(f"{table.file}: line {line} names no tag; nothing was changed")
        holds = cell.get("label", "") or "yes"
        if holds.lower() not in _YES | _NO:
            raise TagError(f"{table.file}: line {line} says {shown(holds)} where yes or no is meant")
        try:
            part = [float(cell[name]) if cell.get(name) else None for name in ("start_s", "end_s")]
            check_part(part[0], part[1])
        except ValueError:
            raise TagError(
                f"{table.file}: line {line} has times that are no part of a piece, in seconds; mend it, "
                "nothing was changed"
            ) from None
        yes = holds.lower() in _YES
        value = cell.get("value") or None
        yield _Meant(row[file], cell.get("sha256", ""), line, cell["tag"], value, yes, part[0], part[1])


def _chosen(table: TableFile, columns: Mapping[str, str] | None, file: int) -> dict[str, str]:
    """Columns to use and the tags that they become."""
    others = [name for i, name in enumerate(table.columns) if i != file]
    if columns:
        for name in columns:
            if name not in others:
                raise TagError(f"{table.file}: no column {shown(name)}; it has {_listed(others)}")
        return dict(columns)
    if known := {name: _KNOWN[name] for name in others if name in _KNOWN}:
        return known
    if len(others) == 1:
        return {others[0]: others[0]}
    if not others:
        raise TagError(f"{table.file}: has no column of labels; name the tag that all its files get")
    raise TagError(f"{table.file}: name the columns that become tags, of {_listed(others)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names) or "no other"


def _wide(table: TableFile, chosen: Mapping[str, str], file: int) -> Iterator[_Meant]:
    for name, tag in chosen.items():
        at = table.columns.index(name)
        said = {row[at].lower() for row in table.rows} - {""}
        if not said:
            raise TagError(f"{table.file}: the column {shown(name)} is empty")
        free = said <= _YES | _NO
        for row, line in zip(table.rows, table.lines, strict=True):
            if not row[at]:
                continue
            if not row[file]:
                raise TagError(f"{table.file}: line {line} names no file; nothing was changed")
            holds = row[at].lower() in _YES if free else True
            yield _Meant(row[file], "", line, tag, None if free else row[at], holds, None, None)


class _Files:
    """The pieces that names in a table mean: by content, by path, or as the end of a path."""

    def __init__(self, connection: Connection, folder: str) -> None:
        self._folder = folder
        self._exact: dict[str, int] = {}
        self._by_name: dict[str, list[tuple[str, int]]] = defaultdict(list)
        columns = schema.paths.c
        for raw, number in connection.execute(select(columns.path, columns.piece_id)):
            path = from_bytes(raw)
            self._exact[path] = number
            self._by_name[os.path.basename(path)].append((path, number))
        contents = select(schema.pieces.c.sha256, schema.pieces.c.id)
        self._contents = {row.sha256: row.id for row in connection.execute(contents)}

    def find(self, name: str, sha256: str) -> list[int]:
        """Numbers of the pieces that may be meant: one, if it is clear."""
        if sha256 in self._contents:
            return [self._contents[sha256]]
        if not name:
            return []
        path = os.path.normpath(os.path.join(self._folder, os.path.expanduser(name)))
        if path in self._exact:
            return [self._exact[path]]
        end = os.sep + os.path.normpath(name).lstrip(os.sep)
        base = os.path.basename(end)
        return sorted({number for full, number in self._by_name.get(base, ()) if full.endswith(end)})
