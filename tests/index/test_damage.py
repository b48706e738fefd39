"""A database whose pages hold nonsense says so in plain words, whatever is asked of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from embedder.core.errors import LibraryError
from index import Library
from tests.support.fake_encoder import FakeEncoder

CALLS: dict[str, Callable[[Library], Any]] = {
    "search": lambda library: library.search(1),
    "passages": lambda library: library.search(1, passages=True),
    "pieces": lambda library: library.pieces(),
    "info": lambda library: library.info(),
    "notes": lambda library: library.notes(1),
}


@pytest.mark.parametrize(
    ("statement", "calls"),
    [
        ("UPDATE piece_vectors SET vector = CAST(zeroblob(62) || x'007c' AS BLOB)", "search"),
        ("UPDATE piece_vectors SET vector = x'00'", "search"),
        ("UPDATE windows SET vectors = x'007c'", "passages"),
        ("UPDATE meta SET value = 'x1' WHERE name = 'dim'", "search info"),
        ("UPDATE meta SET value = '0' WHERE name = 'dim'", "search passages"),
        ("UPDATE meta SET value = '-' WHERE name = 'commit'", "search info"),
        ("DELETE FROM paths", "search pieces"),
        ("UPDATE pieces SET duration_s = 'long'", "search pieces"),
        ("UPDATE pieces SET key = x'ff'", "search pieces"),
        ("UPDATE pieces SET title = CAST(x'ff' AS TEXT)", "search pieces"),
        ("UPDATE notes SET packed = x'01'", "notes"),
        ("UPDATE notes SET packed = 'text'", "notes"),
    ],
)
def test_nonsense_in_the_database(library: Library, encoder: FakeEncoder, statement: str, calls: str) -> None:
    library.close()
    with closing(sqlite3.connect(library.folder / "midikin.db")) as connection:
        connection.execute(statement)
        connection.commit()
    with Library.open(library.folder, encoder=encoder) as harmed:
        for call in calls.split():
            with pytest.raises(LibraryError) as caught:
                CALLS[call](harmed)
            assert len(str(caught.value).splitlines()) == 1


def test_names_of_tables_that_are_no_text(library: Library, encoder: FakeEncoder) -> None:
    library.close()
    file = library.folder / "midikin.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = file.read_bytes()
    assert b"piece_vectors" in whole
    file.write_bytes(whole.replace(b"piece_vectors", b"piece\xffvectors"))
    with pytest.raises(LibraryError, match=r"midikin\.db|damaged"):
        Library.open(library.folder, encoder=encoder)
