"""Tables as files: CSV, TSV and JSON, written for spreadsheets and read in any common encoding.

Reading detects the encoding from the bytes: a byte order mark, or UTF-8 if all of it is valid UTF-8, or
UTF-16 without a mark if every other byte is zero; anything else is read as Latin-1, or as Windows code page
1252 where that encoding's quotes and dashes occur.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula, even
one that came out of somebody's file name (CSV injection; OWASP). Writing puts an apostrophe before such text,
and `unguarded` removes it.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .errors import TableError
from .files import printable, shortened

__all__ = ["TableFile", "TableFormat", "format_table", "guarded", "read_table", "unguarded"]

TableFormat = Literal["csv", "tsv", "json"]
Cell = str | int | float | bool | None

MAX_BYTES = 200 << 20
DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = (  # longest first: the UTF-32 mark begins with the UTF-16 one
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_C1_CONTROLS = bytes(range(0x80, 0xA0))  # control characters in Latin-1, quotes and dashes in cp1252
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # with the apostrophes, so that guarding can be undone
_NUMBER = re.compile(r"[+-]?[\d.,:]+([eE][+-]?\d+)? ?%?")


@dataclass(frozen=True)
class TableFile:
    """A table that was read.

    Attributes
    ----------
    file : its printable name
    encoding, delimiter : as detected; the delimiter of JSON is empty
    columns : names of the columns
    rows : as many cells each as there are columns, stripped of white space
    line_numbers : the line where each row begins, from 1; in JSON, the number of the row
    """

    file: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line_numbers: tuple[int, ...]


def format_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], kind: TableFormat = "csv") -> str:
    """A table as text: CSV or TSV with a header line, or a JSON list with an object per row.

    None is an empty cell, and null in JSON. Text that a spreadsheet would run as a formula is guarded in CSV
    and TSV; numbers are not. Bytes of file names that are not UTF-8 are escaped.
    """
    if kind == "json":
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        return _encodable(json.dumps(objects, ensure_ascii=False, indent=2)) + "\n"
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    writer.writerow([_written(name) for name in columns])
    writer.writerows([_written(cell) for cell in row] for row in rows)
    return out.getvalue()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return str(cell)
    return guarded(_encodable(cell))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def guarded(text: str) -> str:
    """The text of a cell, after an apostrophe if a spreadsheet would run it as a formula; numbers stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(cell: str) -> str:
    """The text of a cell that `guarded` returned."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_table(path: str, encoding: str | None = None, name: str | None = None) -> TableFile:
    """Read a table with a header.

    Parameters
    ----------
    encoding : name of the encoding if it is known
    name : what to call the table in messages, if not by its path

    Raises
    ------
    TableError
        If the file cannot be read or is not a table.
    """
    where = printable(path if name is None else name)
    try:
        with open(path, "rb") as file:  # a pipe has no size to look at first
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TableError(f"{where}: cannot be read ({error.strerror}); check the name") from error
    if len(raw) > MAX_BYTES:
        raise TableError(f"{where}: larger than {MAX_BYTES >> 20} MB; tables may not be larger")
    text, encoding = _decoded(raw, encoding, where)
    if not text.strip():
        raise TableError(f"{where}: empty; a table has a line of column names, then its rows")
    if text.lstrip()[0] in "[{":
        return _from_json(text, where, encoding)
    return _from_csv(text, where, encoding)


def _decoded(raw: bytes, encoding: str | None, where: str) -> tuple[str, str]:
    if encoding is not None:
        try:
            return raw.decode(encoding).removeprefix("\ufeff"), encoding
        except LookupError:
            raise TableError(
                f"{where}: unknown encoding {shortened(encoding)}; try utf-8 or latin-1"
            ) from None
        except UnicodeError as error:
            raise TableError(f"{where}: is not {shortened(encoding)} ({error})") from None
    for mark, name in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return _decode_strictly(raw, name, where), name.removesuffix("-sig")
    if guessed := _utf16_without_mark(raw):
        return _decode_strictly(raw, guessed, where), guessed
    if b"\0" in raw:
        raise TableError(f"{where}: holds zero bytes, so it is not text; save the table as CSV")
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        guessed = "cp1252" if raw.translate(None, _C1_CONTROLS) != raw else "latin-1"
    try:
        return raw.decode(guessed), guessed
    except UnicodeDecodeError:
        raise TableError(f"{where}: is neither UTF-8 nor Latin-1; give its encoding") from None


def _utf16_without_mark(raw: bytes) -> str | None:
    """UTF-16 without a mark: mostly Latin text, so that every other byte is mostly zero."""
    head = raw[:2000]
    if len(head) < 4 or len(raw) % 2:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.6 * half and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and odd == 0 else None


def _decode_strictly(raw: bytes, encoding: str, where: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise TableError(
            f"{where}: begins like {encoding} but is not valid ({error.reason} at byte {error.start}); "
            "save it as UTF-8"
        ) from None


def _from_csv(text: str, where: str, encoding: str) -> TableFile:
    text, delimiter = _delimited(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[str, ...]] = []
    line_numbers: list[int] = []
    header: tuple[str, ...] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if header is None:
                    header = _header_of(cells, where)
                else:
                    rows.append(_padded(cells, len(header), where, line))
                    line_numbers.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(
            f"{where}: line {line} is not valid CSV ({error}); correct it, nothing was changed"
        ) from None
    if header is None or not rows:
        raise TableError(f"{where}: has no rows; a table has a line of column names, then its rows")
    return TableFile(where, encoding, delimiter, header, tuple(rows), tuple(line_numbers))


def _delimited(text: str) -> tuple[str, str]:
    """A table's text and its delimiter: the one that splits the header into most cells, or a comma.

    Spreadsheets may declare it in a first line of its own, `sep=;`, which is blanked.
    """
    first = next(line for line in text.splitlines() if line.strip())
    if first.startswith("sep=") and first[4:] in DELIMITERS and len(first) == 5:
        return text.replace(first, "", 1), first[4:]
    return text, max(
        DELIMITERS, key=lambda mark: (len(next(csv.reader([first], delimiter=mark))), mark == ",")
    )


def _header_of(cells: list[str], where: str) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    while names and not names[-1]:
        names = names[:-1]
    for name in names:
        if not name:
            raise TableError(f"{where}: a column has no name in the first line; name it or remove it")
        if names.count(name) > 1:
            raise TableError(f"{where}: two columns are called {shortened(name)}; rename one")
    return names


def _padded(cells: list[str], columns: int, where: str, line: int) -> tuple[str, ...]:
    if any(cell.strip() for cell in cells[columns:]):
        raise TableError(
            f"{where}: line {line} has {len(cells)} cells where the first line names {columns}; "
            "correct it, nothing was changed"
        )
    return tuple(cell.strip() for cell in cells[:columns]) + ("",) * (columns - len(cells))


def _from_json(text: str, where: str, encoding: str) -> TableFile:
    """Columns of values by row number, as MAESTRO has them, or a list with an object a row."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"{where}: is not valid JSON ({error}); correct it, nothing was changed") from None
    if isinstance(value, list):
        objects = dict(enumerate(value)) if all(isinstance(row, dict) for row in value) else {}
        names = dict.fromkeys(name for row in objects.values() for name in row)
        value = {name: {at: row.get(name) for at, row in objects.items()} for name in names}
    columns = tuple(name for name, cells in value.items() if isinstance(cells, dict))
    if not columns:
        raise TableError(f"{where}: holds no columns; expected the form of MAESTRO's JSON, or a CSV")
    keys = list(value[columns[0]])
    rows = tuple(tuple(_cell(value[name].get(key)) for name in columns) for key in keys)
    if not rows:
        raise TableError(f"{where}: has no rows")
    return TableFile(where, encoding, "", columns, rows, tuple(range(1, len(rows) + 1)))


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()
