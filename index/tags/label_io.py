"""Labels from tables and folder names, and labels as a table.

Two layouts of tables are understood. The *long* one is what `format_labels` writes: a line per label, with
the columns `file` and `tag`. The *wide* one has a line per file, a column that names it (`file`,
`midi_filename`, ...) and columns that become tags: a column of nothing but yes and no is a free tag, any
other a facet.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from embedder.core.errors import TableError, TagError
from embedder.core.files import relative_path, shortened
from embedder.core.table_files import TableFile, TableFormat, format_table, read_table, unguarded
from embedder.core.text import count, iso_utc

from ..arguments import check_part
from ..storage import below, display, from_bytes, schema
from .labels import apply_edits
from .records import ImportReport, Label, LabelEdit, checked_name

__all__ = ["edits_from_folders", "format_labels", "import_table", "read_labels"]

COLUMNS = ("file", "tag", "value", "label", "start_s", "end_s", "sha256", "source", "set")
FILE_COLUMNS = ("file", "midi_filename", "filename", "path", "midi")
_DEFAULT_TAGS = {"canonical_composer": "composer"}  # of MAESTRO's metadata
_YES = frozenset(("yes", "y", "true", "1", "x"))
_NO = frozenset(("no", "n", "false", "0"))
_MAX_LISTED = 3


def format_labels(labels: Iterable[Label], kind: TableFormat = "csv", root: str | None = None) -> str:
    """Labels as a table with the columns COLUMNS, which `import_table` reads back.

    The hash identifies the content in another library; `file` is empty for contents not in this one.
    Paths are as seen from the folder `root` if it is given.
    """
    rows = [
        (
            relative_path(label.path, root) if root is not None and label.path else label.path,
            label.tag,
            label.value,
            "yes" if label.holds else "no",
            label.start_s,
            label.end_s,
            label.sha256,
            label.source,
            iso_utc(label.set_s),
        )
        for label in labels
    ]
    return format_table(COLUMNS, rows, kind)


def edits_from_folders(connection: Connection, tag: str, root: str | None, level: int) -> list[LabelEdit]:
    """An edit for each file that lies at least `level` folders below the root, with that folder's name.

    Raises
    ------
    TagError
        If there is no such file.
    """
    columns = schema.paths.c
    query = select(columns.path, columns.piece_id)
    if root is not None:
        first, last = below(root)
        query = query.where(columns.path >= first, columns.path < last)
    files = [(from_bytes(path), piece_id) for path, piece_id in connection.execute(query)]
    if not files:
        raise TagError(
            "the library holds no pieces; add some first"
            if root is None
            else f"{display(root)}: no piece of the library lies in this folder; add some first"
        )
    if root is None:
        root = os.path.commonpath([os.path.dirname(path) for path, _ in files])
    edits = []
    for path, piece_id in files:
        folders = os.path.relpath(path, root).split(os.sep)[:-1]
        if len(folders) >= level:
            name = display(folders[level - 1])  # the name of a folder need not be valid text
            edits.append(LabelEdit(piece_id, tag, name))
    if not edits:
        raise TagError(
            f"{display(root)}: no piece lies {count(level, 'folder')} below it; "
            f"give another folder or level for {shortened(tag)}"
        )
    return edits


def read_labels(path: str, encoding: str | None, name: str | None) -> TableFile:
    """Read a table of labels; see `read_table`.

    Raises
    ------
    TagError
    """
    try:
        return read_table(path, encoding, name)
    except TableError as error:
        raise TagError(str(error)) from None


@dataclass(frozen=True)
class _Entry:
    """A label of the table, with the file name as written there."""

    file: str
    sha256: str
    line: int
    tag: str
    value: str | None
    holds: bool
    start_s: float | None = None
    end_s: float | None = None


def import_table(
    connection: Connection,
    table: TableFile,
    folder: str,
    *,
    columns: Mapping[str, str] | None,
    tag: str | None,
    skip_unknown: bool,
) -> ImportReport:
    """Apply the labels of a table, all or none, inside the open transaction.

    Parameters
    ----------
    folder : base of relative file names that are not ends of paths in the library
    columns : columns to use, and the tags that they become; chosen from the table if None
    tag : a free tag for every file of the table, which then needs no other column
    skip_unknown : label the files that are in the library, and report the others

    Raises
    ------
    TagError
        If columns are missing, files are unknown, or labels contradict each other.
    """
    entries, used = _entries(table, columns, tag)
    _check_names(table.file, entries)
    files = _FileResolver(connection, folder)
    edits: list[LabelEdit] = []
    unknown: dict[str, str] = {}
    for entry in entries:
        piece_ids = files.find(entry.file, entry.sha256)
        if len(piece_ids) == 1:
            span = {"start_s": entry.start_s, "end_s": entry.end_s}
            edits.append(LabelEdit(piece_ids[0], entry.tag, entry.value, entry.holds, **span))
        else:
            unknown[entry.file] = f" ({len(piece_ids)} pieces have this ending)" if piece_ids else ""
    if unknown and (not skip_unknown or not edits):
        raise TagError(_unknown_files(table, unknown, can_skip=bool(edits)))
    report = apply_edits(connection, edits, source="file", what=f"labels of {table.file}")
    return ImportReport(
        **report.to_json(),
        file=table.file,
        encoding=table.encoding,
        delimiter=table.delimiter,
        rows=len(table.rows),
        columns=used,
        unknown=tuple(unknown),
    )


def _check_names(file: str, entries: Sequence[_Entry]) -> None:
    """Refuse invalid names, with the line where they occur."""
    checked: set[tuple[str, str | None]] = set()
    for entry in entries:
        if (entry.tag, entry.value) in checked:
            continue
        checked.add((entry.tag, entry.value))
        try:
            checked_name(entry.tag)
            if entry.value is not None:
                checked_name(entry.value, "value")
        except TagError as error:
            raise TagError(f"{file}: line {entry.line}: {error}; nothing was changed") from None


def _unknown_files(table: TableFile, unknown: Mapping[str, str], *, can_skip: bool) -> str:
    names = ", ".join(shortened(name) + why for name, why in list(unknown.items())[:_MAX_LISTED])
    more = ", ..." if len(unknown) > _MAX_LISTED else ""
    remedy = "add them first, or leave them out (--skip-unknown)" if can_skip else "add them first"
    files = f"{len(unknown):,} of its files are" if len(unknown) > 1 else "one of its files is"
    return f"{table.file}: {files} not in the library: {names}{more}; {remedy}, nothing was changed"


def _entries(
    table: TableFile, columns: Mapping[str, str] | None, tag: str | None
) -> tuple[list[_Entry], tuple[str, ...]]:
    """The labels of a table, and the columns that became tags."""
    index = {name.lower(): i for i, name in enumerate(table.columns)}
    file = next((index[name] for name in FILE_COLUMNS if name in index), None)
    if file is None:
        raise TagError(f"{table.file}: no column names the files; call it one of {', '.join(FILE_COLUMNS)}")
    if "tag" in index and columns is None and tag is None:
        return list(_long_entries(table, index, file)), ("tag",)
    if tag is not None:
        if columns:
            raise ValueError("give either columns or a tag for all files, not both")
        rows = zip(table.rows, table.line_numbers, strict=True)
        return [_Entry(row[file], "", line, tag, None, True) for row, line in rows if row[file]], (tag,)
    chosen = _chosen_columns(table, columns, file)
    return list(_wide_entries(table, chosen, file)), tuple(chosen.values())


def _long_entries(table: TableFile, index: Mapping[str, int], file: int) -> Iterator[_Entry]:
    for row, line in zip(table.rows, table.line_numbers, strict=True):
        cell = {name: row[i] for name, i in index.items()}
        if not cell["tag"]:
            raise TagError(f"{table.file}: line {line} names no tag; nothing was changed")
        label = cell.get("label", "") or "yes"
        if label.lower() not in _YES | _NO:
            raise TagError(f"{table.file}: line {line} has {shortened(label)} where yes or no is expected")
        try:
            start_s, end_s = (float(cell[name]) if cell.get(name) else None for name in ("start_s", "end_s"))
            check_part(start_s, end_s)
        except ValueError:
            raise TagError(
                f"{table.file}: line {line} has times that are not a time range in seconds; correct it, "
                "nothing was changed"
            ) from None
        yield _Entry(
            file=unguarded(row[file]),
            sha256=cell.get("sha256", ""),
            line=line,
            tag=unguarded(cell["tag"]),
            value=unguarded(cell.get("value", "")) or None,
            holds=label.lower() in _YES,
            start_s=start_s,
            end_s=end_s,
        )


def _chosen_columns(table: TableFile, columns: Mapping[str, str] | None, file: int) -> dict[str, str]:
    """Columns to use and the tags that they become."""
    others = [name for i, name in enumerate(table.columns) if i != file]
    if columns:
        for name in columns:
            if name not in others:
                raise TagError(f"{table.file}: no column {shortened(name)}; it has {_listed(others)}")
        return dict(columns)
    if known := {name: _DEFAULT_TAGS[name] for name in others if name in _DEFAULT_TAGS}:
        return known
    if len(others) == 1:
        return {others[0]: others[0]}
    if not others:
        raise TagError(f"{table.file}: has no column of labels; name the tag for all its files")
    raise TagError(f"{table.file}: name the columns that become tags, of {_listed(others)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shortened(name) for name in names) or "no other"


def _wide_entries(table: TableFile, chosen: Mapping[str, str], file: int) -> Iterator[_Entry]:
    for name, tag in chosen.items():
        column = table.columns.index(name)
        values = {row[column].lower() for row in table.rows} - {""}
        if not values:
            raise TagError(f"{table.file}: the column {shortened(name)} is empty")
        free = values <= _YES | _NO
        for row, line in zip(table.rows, table.line_numbers, strict=True):
            if not row[column]:
                continue
            if not row[file]:
                raise TagError(f"{table.file}: line {line} names no file; nothing was changed")
            holds = row[column].lower() in _YES if free else True
            yield _Entry(row[file], "", line, tag, None if free else row[column], holds)


class _FileResolver:
    """Pieces by the names in a table: by content, by path, or by the end of a path."""

    def __init__(self, connection: Connection, folder: str) -> None:
        self._folder = folder
        self._of_path: dict[str, int] = {}
        self._of_basename: dict[str, list[tuple[str, int]]] = defaultdict(list)
        columns = schema.paths.c
        for raw, piece_id in connection.execute(select(columns.path, columns.piece_id)):
            path = from_bytes(raw)
            self._of_path[path] = piece_id
            self._of_basename[os.path.basename(path)].append((path, piece_id))
        contents = select(schema.pieces.c.sha256, schema.pieces.c.id)
        self._of_content = {row.sha256: row.id for row in connection.execute(contents)}

    def find(self, name: str, sha256: str) -> list[int]:
        """Ids of the pieces that a name can refer to; exactly one if it is unambiguous."""
        if sha256 in self._of_content:
            return [self._of_content[sha256]]
        if not name:
            return []
        path = os.path.normpath(os.path.join(self._folder, os.path.expanduser(name)))
        if path in self._of_path:
            return [self._of_path[path]]
        ending = os.sep + os.path.normpath(name).lstrip(os.sep)
        candidates = self._of_basename.get(os.path.basename(ending), ())
        return sorted({piece_id for full, piece_id in candidates if full.endswith(ending)})
