"""Every query of the library finds its rows by an index: what is quick for twelve pieces is for a million."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from index import Library
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

# Whole tables are read only for these, and why that must be.
ALLOWED = {
    "SELECT count(*) AS count_1 FROM": "counting reads the smallest index there is",
    "SELECT pieces.id FROM pieces ORDER BY pieces.id": "the numbers of all pieces, in their own order",
    "SELECT pieces.id FROM pieces LIMIT": "whether there is a piece at all",
    "SELECT coalesce(sum(pieces.windows)": "how many windows there are, when an index is built",
    "SELECT count(*) AS count_1, coalesce(sum(": "statistics, once for each state of the library",
    "SELECT decisions.": "what people decided is short, and all of it counts",
    "SELECT tags.id, tags.name, tags.kind FROM tags JOIN probes": "tags are as few as somebody cares to name",
}


@contextmanager
def plans(library: Library) -> Iterator[dict[str, list[str]]]:
    """The query plan of every statement that is executed meanwhile."""
    found: dict[str, list[str]] = {}
    engine = library._database._engine

    def explain(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        words = " ".join(statement.split())
        if many or not words.startswith(("SELECT", "UPDATE", "DELETE")) or words in found:
            return
        other = connection.connection.cursor()
        other.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        found[words] = [row[3] for row in other.fetchall()]
        other.close()

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def scans(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Queries that read a whole table, or sort what they find, and may not."""
    bad = {}
    for query, plan in found.items():
        if any(query.startswith(start) for start in ALLOWED):
            continue
        # Sorting the few rows that were found by an index costs nothing.
        found_by_index = any(line.startswith("SEARCH") for line in plan)
        lines = [line for line in plan if re.match(r"SCAN (?!CONSTANT)", line)]
        lines += [line for line in plan if "TEMP B-TREE" in line and not found_by_index]
        if lines:
            bad[query] = lines
    return bad


def use_everything(library: Library, music: Path, tmp_path: Path) -> None:
    """What command line and pages ask of a library."""
    write_tunes(music / "more", 3, first_seed=70)
    library.add(music, workers=1)
    path = music / "part0" / "tune000.mid"
    path.write_bytes((music / "part1" / "tune001.mid").read_bytes())
    library.add(music, workers=1)
    for query in (2, str(music / "part1" / "tune001.mid"), tune(900)):
        library.search(query)
        library.search(query, passages=True, start_s=0, end_s=20)
        library.search(query, filters=["tempo=100..130"])
        library.search(query, filters=["key=C minor", "notes>5"])
    after = 0
    while page := library.pieces(limit=5, after=after):
        after = page[-1].id
    library.pieces(["density>1"], limit=5, after=3)
    library.piece(2)
    library.notes(2)
    library.info()
    library.info()
    library.failures(limit=5)
    library.failures(limit=5, after="/music")
    library.find(path)
    library.compare(2, 3)
    library.duplicates.decide(2, 3, "not-same")
    library.duplicates.decisions()
    library.maintenance.build_index("windows")
    library.maintenance.backup(tmp_path / "copy")
    library.remove([2])
    library.remove(music / "more")


def test_every_query_uses_an_index(library: Library, music: Path, tmp_path: Path) -> None:
    with plans(library) as found:
        use_everything(library, music, tmp_path)
    assert len(found) > 40
    bad = scans(found)
    assert not bad, "\n".join(f"{lines}  {query}" for query, lines in bad.items())


def test_a_scan_would_be_noticed(library: Library) -> None:
    with plans(library) as found, library._database.read() as connection:
        connection.exec_driver_sql("SELECT id FROM pieces WHERE size_bytes = 7")
    assert len(scans(found)) == 1


def test_statistics_are_computed_once_for_a_state(
    library: Library, music: Path, encoder: FakeEncoder
) -> None:
    first = library.info()
    with plans(library) as found:
        assert library.info() == first
    assert not [query for query in found if "sum(" in query]
    with Library.open(library.folder, encoder=encoder) as other, plans(other) as found:
        assert other.info() == first
        assert not [query for query in found if "sum(" in query]
        write_tunes(music / "more", 1, first_seed=70)
        library.add(music, workers=1)
        assert (other.info().pieces, other.info().notes) == (13, first.notes + 150)
        library.remove(music / "more")
        assert other.info().notes == first.notes


@pytest.mark.parametrize("content", ["", "{}", '{"state": 1}', "[]", '{"state": ["x", "1"], "sums": [1, 2]}'])
def test_statistics_that_cannot_be_read_are_computed_anew(
    content: str, library: Library, encoder: FakeEncoder
) -> None:
    first = library.info()
    (library.folder / "statistics.json").write_text(content)
    with Library.open(library.folder, encoder=encoder) as other:
        assert other.info() == first
