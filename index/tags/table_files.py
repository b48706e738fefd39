"""Tables of labels as files: CSV in any common encoding and delimiter, and the JSON of MAESTRO.

The encoding is told by what the bytes say: a byte order mark, or UTF-8 if all of it is valid UTF-8, or
UTF-16 without a mark if every other byte is zero; what is none of these is read as Latin-1, or as Windows
reads it (cp1252) where its quotes and dashes occur, and the report says so.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from dataclasses import dataclass
from typing import Any

from embedder.core.errors import TagError

from ..storage import display
from .names import shown

__all__ = ["TableFile", "read_table"]

LARGEST_BYTES = 200 << 20
DELIMITERS = ",;\t|"
_MARKS = (  # the longer first: one begins with another
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(range(0x80, 0xA0))  # no letters in Latin-1; quotes and dashes in cp1252


@dataclass(frozen=True)
class TableFile:
    """A table that was read: names of its columns, and its rows with as many cells each."""

    file: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]  # where each row begins, from 1; in JSON, its number


def read_table(path: str, encoding: str | None = None, name: str | None = None) -> TableFile:
    """Read a table of labels.

    Parameters
    ----------
    encoding : name of the encoding if it is known
    name : what people know the table by, if not its path

    Raises
    ------
    TagError
        If the file cannot be read, or is no such table.
    """
    where = display(path if name is None else name)
    try:
        with open(path, "rb") as file:  # its size is not asked for: that of a pipe is unknown
            raw = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise TagError(f"{where}: cannot be read ({error.strerror}); check the name") from error
    if len(raw) > LARGEST_BYTES:
        raise TagError(f"{where}: larger than {LARGEST_BYTES >> 20} MB; a table of labels is smaller")
    text, found = _decoded(raw, encoding, where)
    if not text.strip():
        raise TagError(f"{where}: empty; a table of labels has a line of names, then a line a file")
    if text.lstrip()[0] in "[{":
        return _from_json(text, where, found)
    return _from_csv(text, where, found)


def _decoded(raw: bytes, encoding: str | None, where: str) -> tuple[str, str]:
    if encoding is not None:
        try:
            return raw.decode(encoding).removeprefix("\ufeff"), encoding
        except LookupError:
            raise TagError(f"{where}: {shown(encoding)} is no encoding; try utf-8 or latin-1") from None
        except UnicodeError as error:
            raise TagError(f"{where}: is not {shown(encoding)} ({error})") from None
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return _strictly(raw, name, where), name.removesuffix("-sig")
    if guessed := _wide(raw):
        return _strictly(raw, guessed, where), guessed
    if b"\0" in raw:
        raise TagError(f"{where}: holds zero bytes, so it is no text; save the table as CSV")
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        guessed = "cp1252" if raw.translate(None, _CONTROLS) != raw else "latin-1"
    try:
        return raw.decode(guessed), guessed
    except UnicodeDecodeError:
        raise TagError(f"{where}: is neither UTF-8 nor Latin; say which encoding it has") from None


def _wide(raw: bytes) -> str | None:
    """UTF-16 without a mark: mostly Latin text, so that every other byte is mostly zero."""
    head = raw[:2000]
    if len(head) < 4 or len(raw) % 2:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.6 * half and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and odd == 0 else None


def _strictly(raw: bytes, encoding: str, where: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise TagError(
            f"{where}: begins like {encoding} but is not ({error.reason} at byte {error.start}); "
            "save it as UTF-8"
        ) from None


def _from_csv(text: str, where: str, encoding: str) -> TableFile:
    text, delimiter = _delimited(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    header: tuple[str, ...] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if header is None:
                    header = _checked_header(cells, where)
                else:
                    rows.append(_row(cells, len(header), where, line))
                    lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise TagError(f"{where}: line {line} is no CSV ({error}); mend it, nothing was changed") from None
    if header is None or not rows:
        raise TagError(f"{where}: names no file; a table of labels has a line of names, then a line a file")
    return TableFile(where, encoding, delimiter, header, tuple(rows), tuple(lines))


def _delimited(text: str) -> tuple[str, str]:
    """A table's text and its delimiter, the one that splits the line of names into most cells, or a comma.

    Spreadsheets may say it in a first line of its own, `sep=;`, which is emptied.
    """
    first = next(line for line in text.splitlines() if line.strip())
    if first.startswith("sep=") and first[4:] in DELIMITERS and len(first) == 5:
        return text.replace(first, "", 1), first[4:]
    return text, max(
        DELIMITERS, key=lambda mark: (len(next(csv.reader([first], delimiter=mark))), mark == ",")
    )


def _checked_header(cells: list[str], where: str) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    while names and not names[-1]:
        names = names[:-1]
    for name in names:
        if not name:
            raise TagError(f"{where}: a column has no name in the first line; name it or take it out")
        if names.count(name) > 1:
            raise TagError(f"{where}: two columns are called {shown(name)}; rename one")
    return names


def _row(cells: list[str], columns: int, where: str, line: int) -> tuple[str, ...]:
    if any(cell.strip() for cell in cells[columns:]):
        raise TagError(
            f"{where}: line {line} has {len(cells)} cells where the first line names {columns}; "
            "mend it, nothing was changed"
        )
    return tuple(cell.strip() for cell in cells[:columns]) + ("",) * (columns - len(cells))


def _from_json(text: str, where: str, encoding: str) -> TableFile:
    """Columns of values by row number, as MAESTRO has them, or a list with an object a row."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TagError(f"{where}: is no JSON ({error}); mend it, nothing was changed") from None
    if isinstance(value, list):
        objects = dict(enumerate(value)) if all(isinstance(row, dict) for row in value) else {}
        names = dict.fromkeys(name for row in objects.values() for name in row)
        value = {name: {at: row.get(name) for at, row in objects.items()} for name in names}
    columns = tuple(name for name, cells in value.items() if isinstance(cells, dict))
    if not columns:
        raise TagError(f"{where}: holds no columns; expected the form of MAESTRO's JSON, or a CSV")
    keys = list(value[columns[0]])
    rows = tuple(tuple(_cell(value[name].get(key)) for name in columns) for key in keys)
    if not rows:
        raise TagError(f"{where}: names no file")
    return TableFile(where, encoding, "", columns, rows, tuple(range(1, len(rows) + 1)))


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()
