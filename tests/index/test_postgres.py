"""Metadata in PostgreSQL: the same tables, the same answers, and several machines that write at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from embedder.core.errors import LibraryError
from index import Library
from index.storage import migrations, schema
from tests.support import servers
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server that ends with the tests."""
    with servers.postgres() as address:
        yield address


@pytest.fixture
def address(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place on the server, and libraries opened from now on are there."""
    place = servers.empty_place(server)
    monkeypatch.setenv("MIDIKIN_DATABASE", place)
    return place


def test_migrations_give_the_same_tables(address: str) -> None:
    engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        assert migrations.upgrade(connection, 0) == schema.SCHEMA_VERSION
        assert compare_metadata(MigrationContext.configure(connection), schema.tables()) == []
    engine.dispose()


def test_it_answers_like_an_embedded_library(
    library: Library, address: str, music: Path, tmp_path: Path, encoder: FakeEncoder
) -> None:
    (music / "broken.mid").write_bytes(b"broken")
    (music / "copy.mid").write_bytes((music / "part0" / "tune000.mid").read_bytes())
    library.add(music, workers=1)  # it was opened before and is in a file
    with Library.open(tmp_path / "here", encoder=encoder) as shared:
        report = shared.add(music, workers=1)
        assert (report.added, report.duplicates, report.failed) == (12, 1, 1)
        for filters in ((), ("path~PART0",), ("name=tune00?.mid", "notes>5"), ("duration<1:00",)):
            for passages in (False, True):
                mine, theirs = (
                    one.search(tune(900), k=50, passages=passages, filters=filters).results
                    for one in (shared, library)
                )
                assert [(hit.path, hit.score) for hit in mine] == [(hit.path, hit.score) for hit in theirs]
        assert [piece.paths for piece in shared.pieces()] == [piece.paths for piece in library.pieces()]
        assert [failure.path for failure in shared.failures()] == [str(music / "broken.mid")]
        assert shared.find(music / "copy.mid").results
        shared.duplicates.decide(1, 2, "not-same")
        shared.duplicates.decide(1, 2, "keep")
        assert [str(decision.verdict) for decision in shared.duplicates.decisions()] == ["keep"]
        assert shared.remove(music / "part1").pieces == 4
        assert shared.info().pieces == 8
        with pytest.raises(LibraryError, match="pg_dump"):
            shared.maintenance.backup(tmp_path / "copy")
    assert not (tmp_path / "here" / "midikin.db").exists()


def test_two_machines_add_at_once(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.add.BATCH_FILES", 3)
    write_tunes(tmp_path / "one", 15)
    write_tunes(tmp_path / "two", 15, first_seed=10)  # five are the same
    failed: list[BaseException] = []

    def add(name: str) -> None:
        try:
            with Library.open(tmp_path / f"cache-{name}", encoder=FakeEncoder()) as library:
                library.add(tmp_path / name, workers=1)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Library.open(tmp_path / "cache-one", encoder=FakeEncoder()) as library:
        info = library.info()
        assert (info.pieces, info.paths) == (25, 30)
        assert len(library.search(tune(900), k=50).results) == 25


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the extra `cluster` is not installed")
    for wrong in ("postgresql://nobody@127.0.0.1:1/none", "not an address"):
        monkeypatch.setenv("MIDIKIN_DATABASE", wrong)
        with pytest.raises(LibraryError) as caught:
            Library.open(tmp_path / "library")
        assert "\n" not in str(caught.value)
