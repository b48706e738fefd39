"""Tables of labels: encodings, delimiters and forms that are understood, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedder.core.errors import TableError, TagError
from embedder.core.table_files import read_table
from index import Library
from tests.support.fake_encoder import FakeEncoder, write_tunes

TABLE = "file,composer\npart0/tune000.mid,Frédéric Chopin\npart1/tune001.mid,Antonín Dvořák\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six tunes, and a library of them."""
    folder = tmp_path_factory.mktemp("tables")
    write_tunes(folder / "music", 6)
    with Library.open(folder / "library", encoder=FakeEncoder()) as library:
        library.add(folder / "music", workers=1)
    return folder


@pytest.fixture
def music(made: Path) -> Path:
    return made / "music"


@pytest.fixture
def library(made: Path, tmp_path: Path) -> Iterator[Library]:
    """A copy of that library, to be changed."""
    shutil.copytree(made / "library", tmp_path / "library")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        yield library


def written(folder: Path, raw: bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("encoding", "detected"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_encodings_are_detected_from_the_bytes(
    library: Library, tmp_path: Path, encoding: str, detected: str
) -> None:
    report = library.tags.import_labels(written(tmp_path, TABLE.encode(encoding)))
    assert (report.encoding, report.set, report.columns) == (detected, 2, ("composer",))
    assert {one.value for one in library.tags.labels("composer")} == {"Frédéric Chopin", "Antonín Dvořák"}


def test_bytes_of_no_other_encoding_are_latin_1(library: Library, tmp_path: Path) -> None:
    raw = "file;composer\r\npart0/tune000.mid;Frédéric Chopin\r\n".encode("latin-1")
    report = library.tags.import_labels(written(tmp_path, raw))
    assert (report.encoding, report.delimiter) == ("latin-1", ";")
    assert library.tags.labels("composer")[0].value == "Frédéric Chopin"
    other = "file;composer\r\npart0/tune000.mid;Дебюсси\r\n".encode("cp1251")
    assert library.tags.import_labels(written(tmp_path, other), encoding="cp1251").replaced == 1
    assert library.tags.labels("composer")[0].value == "Дебюсси"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters_and_quotes(library: Library, tmp_path: Path, mark: str) -> None:
    text = f'file{mark}tempo\n"part0/tune000.mid"{mark}"slow{mark} ""very"" slow"\n\n'
    report = library.tags.import_labels(written(tmp_path, text.encode()))
    assert (report.delimiter, report.rows) == (mark, 1)
    assert library.tags.labels("tempo")[0].value == f'slow{mark} "very" slow'


def test_the_metadata_of_maestro_as_csv_and_as_json(library: Library, tmp_path: Path) -> None:
    names = ["canonical_composer", "canonical_title", "split", "year", "midi_filename"]
    rows = [
        ["Bach", "Prelude", "train", "2004", "part0/tune000.mid"],
        ["Ravel", "Jeux, d'eau", "test", "2006", "part1/tune001.mid"],
    ]
    lines = [",".join(names), *(",".join(f'"{cell}"' for cell in row) for row in rows)]
    report = library.tags.import_labels(written(tmp_path, "\n".join(lines).encode()))
    assert (report.columns, report.set) == (("composer",), 2)
    columns = {name: {str(i): row[at] for i, row in enumerate(rows)} for at, name in enumerate(names)}
    columns["year"] = {"0": 2004, "1": 2006}
    table = tmp_path / "maestro.json"
    table.write_text(json.dumps(columns), encoding="utf-8")
    report = library.tags.import_labels(table, columns={"canonical_composer": "composer", "year": "year"})
    assert (report.set, report.unchanged, report.encoding) == (2, 2, "utf-8")
    assert {one.value for one in library.tags.labels("year")} == {"2004", "2006"}


def test_columns_of_yes_and_no_are_free_tags(library: Library, tmp_path: Path) -> None:
    text = (
        "file,ragtime,mood\npart0/tune000.mid,yes,sad\npart1/tune001.mid,no,glad\npart2/tune002.mid,,glad\n"
    )
    report = library.tags.import_labels(written(tmp_path, text.encode()), columns=["ragtime", "mood"])
    assert report.set == 5
    kinds = {tag.name: (tag.kind, tag.labels) for tag in library.tags()}
    assert kinds == {"ragtime": ("free", 2), "mood": ("facet", 3)}


def test_a_list_of_files_gets_one_tag(library: Library, tmp_path: Path) -> None:
    path = written(tmp_path, b"file\npart0/tune000.mid\ntune001.mid\n")
    assert library.tags.import_labels(path, tag="ballad").set == 2
    with pytest.raises(TagError, match="name the tag"):
        library.tags.import_labels(path)


def test_names_are_paths_or_ends_of_paths(library: Library, music: Path, tmp_path: Path) -> None:
    text = f"file,x\n{music}/part0/tune000.mid,a\nmusic/part1/tune001.mid,a\ntune002.mid,a\nune004.mid,a\n"
    report = library.tags.import_labels(written(tmp_path, text.encode()), skip_unknown=True)
    assert (report.set, report.unknown) == (3, ("une004.mid",))  # not the end of a name


def test_unknown_files_are_refused_or_reported(library: Library, tmp_path: Path) -> None:
    path = written(tmp_path, b"file,x\npart0/tune000.mid,a\nmissing.mid,b\nlost.mid,b\n")
    with pytest.raises(TagError, match=r"2 of its files are not in the library: missing\.mid, lost\.mid"):
        library.tags.import_labels(path)
    assert library.tags.labels() == []
    report = library.tags.import_labels(path, skip_unknown=True)
    assert (report.set, report.unknown) == (1, ("missing.mid", "lost.mid"))
    with pytest.raises(TagError, match="add them first, nothing"):
        library.tags.import_labels(written(tmp_path, b"file,x\nlost.mid,b\n"), skip_unknown=True)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"file,x\n", "has no rows"),
        (b"name,x\ntune000.mid,a\n", "no column names the files"),
        (b"file,x,x\ntune000.mid,a,b\n", "two columns are called x"),
        (b"file,,x\ntune000.mid,a,b\n", "has no name"),
        (b"file,a,b\ntune000.mid,1,2\n", "name the columns"),
        (b"file,x\ntune000.mid,a,b\n", "line 2 has 3 cells"),
        (b'file,x\n"tune000.mid,a\n', "line 2 is not valid CSV"),
        (b"file,x\ntune000.mid,a\ntune000.mid,b\n", "labelled both x: a and x: b"),
        (b"file,x\ntune000.mid,\n", "is empty"),
        (b"file,x\n,a\n", "line 2 names no file"),
        (b"file,tag\ntune000.mid,\n", "line 2 names no tag"),
        (b"file,tag,label\ntune000.mid,x,maybe\n", "maybe where yes or no is expected"),
        (b"file,tag,start_s,end_s\ntune000.mid,x,soon,2\n", "line 2 has times that are not a time range"),
        (b"file,tag,start_s,end_s\ntune000.mid,x,nan,2\n", "line 2 has times that are not a time range"),
        (b"file,tag,start_s,end_s\ntune000.mid,x,5,2\n", "line 2 has times that are not a time range"),
        (b"\x00\x01\x02\x03" * 100, "zero bytes"),
        (b"\xff\xfef\x00\x00\xd8x\x00", "begins like utf-16 but is not valid"),
        (b'{"file": 3}', "holds no columns"),
        (b'{"file": ', "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[1, 2]", "holds no columns"),
        (b'[{"file": "tune000.mid"}]', "has no column of labels"),
        (b"file,x\ntune000.mid," + b"y" * 600, "line 2: .* at most 500 are allowed"),
        ("file,x\ntune000.mid,\x81\n".encode("latin-1"), "neither UTF-8 nor Latin"),
    ],
)
def test_bad_tables_are_refused_in_a_line(library: Library, tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(TagError, match=message) as raised:
        library.tags.import_labels(written(tmp_path, raw))
    assert str(raised.value).isprintable()
    assert library.tags.labels() == []
    assert library.tags.history() == []


def test_files_that_cannot_be_read(library: Library, tmp_path: Path) -> None:
    with pytest.raises(TagError, match="cannot be read"):
        library.tags.import_labels(tmp_path / "none.csv")
    with pytest.raises(TagError, match="cannot be read"):
        library.tags.import_labels(tmp_path)
    path = written(tmp_path, TABLE.encode())
    with pytest.raises(TagError, match="unknown encoding klingon"):
        library.tags.import_labels(path, encoding="klingon")
    with pytest.raises(TagError, match="is not ascii"):
        library.tags.import_labels(path, encoding="ascii")
    with pytest.raises(TagError, match="no column nothing"):
        library.tags.import_labels(path, columns=["nothing"])
    with pytest.raises(ValueError, match="not both"):
        library.tags.import_labels(path, columns=["composer"], tag="x")


def test_quotes_of_windows_code_page_1252(library: Library, tmp_path: Path) -> None:
    raw = "file;mood\r\npart0/tune000.mid;\u201csad\u201d \u2013 très\r\n".encode("cp1252")
    assert library.tags.import_labels(written(tmp_path, raw)).encoding == "cp1252"
    assert library.tags.labels("mood")[0].value == "\u201csad\u201d \u2013 très"


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_first_line_that_names_the_delimiter(tmp_path: Path, mark: str) -> None:
    table = read_table(str(written(tmp_path, f"sep={mark}\r\nfile{mark}x,y\r\na.mid{mark}1,5\r\n".encode())))
    assert (table.columns, table.rows, table.line_numbers) == (("file", "x,y"), (("a.mid", "1,5"),), (3,))


def test_a_list_of_objects(tmp_path: Path) -> None:
    text = json.dumps([{"file": "a.mid", "x": 1}, {"file": "b.mid", "y": None}])
    table = read_table(str(written(tmp_path, text.encode())))
    assert (table.columns, table.rows) == (("file", "x", "y"), (("a.mid", "1", ""), ("b.mid", "", "")))


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedder.core.table_files.MAX_BYTES", 1 << 20)
    with pytest.raises(TableError, match="larger than 1 MB"):
        read_table("/dev/zero")


def test_short_rows_are_filled_and_lines_counted(tmp_path: Path) -> None:
    table = read_table(str(written(tmp_path, b'file,x,y\n\n"two\nlines.mid",a\nlast.mid,b,c\n')))
    assert table.rows == (("two\nlines.mid", "a", ""), ("last.mid", "b", "c"))
    assert table.line_numbers == (3, 5)
