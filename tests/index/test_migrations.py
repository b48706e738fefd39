"""Libraries of older midikins: they are brought up to date in one step or left exactly as they were."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from embedder.core.errors import LibraryBusy, LibraryError, LibraryReadOnly
from index import Library
from index.storage import migrations, schema
from index.storage.database import Database
from index.storage.locks import writer_lock
from tests.support.fake_encoder import FakeEncoder, tune

OLDEST = Path(__file__).parent / "library_v1.sql"
NEXT = schema.SCHEMA_VERSION + 1


@pytest.fixture
def oldest(tmp_path: Path) -> Path:
    """A library as the first version of the schema had it."""
    folder = tmp_path / "oldest"
    folder.mkdir()
    with sqlite3.connect(folder / "midikin.db") as connection:
        connection.executescript(OLDEST.read_text(encoding="utf-8"))
    connection.close()
    return folder


def dump(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "midikin.db")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def tables_of(connection: sa.Connection) -> dict[str, Any]:
    """What a database's tables are: the text of each with its spaces taken out, and the indexes."""
    query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    return {name: "".join(sql.split()) for name, sql in connection.exec_driver_sql(query)}


def test_the_newest_revision_is_the_version_of_the_code() -> None:
    assert migrations.latest() == schema.SCHEMA_VERSION


def test_migrated_and_new_libraries_have_the_same_tables(oldest: Path, tmp_path: Path) -> None:
    whole = schema.tables()
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        assert migrations.upgrade(connection, 0) == schema.SCHEMA_VERSION
        assert compare_metadata(MigrationContext.configure(connection), whole) == []
    engine.dispose()
    engines = [sa.create_engine(f"sqlite:///{folder / 'midikin.db'}") for folder in (oldest, tmp_path)]
    Library.open(oldest).close()
    Library.open(tmp_path).close()
    found = []
    for engine in engines:
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), whole) == []
            found.append(set(tables_of(connection)))
            text = tables_of(connection)
            assert all("AUTOINCREMENT" in text[name] for name in ("pieces", "decisions"))
        engine.dispose()
    assert found[0] == found[1]


def test_the_oldest_library_opens_and_goes_on(oldest: Path, music: Path, encoder: FakeEncoder) -> None:
    with Library.open(oldest, encoder=encoder) as library:
        info = library.info()
        assert (info.pieces, info.paths, info.failures) == (2, 3, 1)
        assert info.schema_version == schema.SCHEMA_VERSION
        assert library.notes(1) == tune(0, 40)
        best = library.search(tune(1, 80), 1, include_self=True).results[0]
        assert (best.piece_id, best.path) == (2, "/music/two.mid")
        assert [str(decision.verdict) for decision in library.duplicates.decisions()] == ["not-same"]
        assert library.add(music, workers=1).added == 12
    with sqlite3.connect(oldest / "midikin.db") as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def another_revision(monkeypatch: pytest.MonkeyPatch, upgrade: Callable[[Any], None]) -> None:
    """From now on the code knows one version more."""
    scripts = [*migrations._scripts(), SimpleNamespace(revision=str(NEXT), module=SimpleNamespace())]
    scripts[-1].module.upgrade = upgrade
    monkeypatch.setattr(migrations, "_scripts", lambda: scripts)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NEXT)


def remake_pieces(op: Any) -> None:
    """What SQLite needs for most changes: the table anew under its old name."""
    with op.batch_alter_table("pieces", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("mood", sa.Text, nullable=False, server_default="none"))


def test_a_table_made_anew_loses_nothing(
    library: Library, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = library.search(1, k=20)
    library.close()
    another_revision(monkeypatch, remake_pieces)
    with Library.open(library.folder, encoder=encoder) as opened:
        assert opened.search(1, k=20) == before
        assert opened.info().schema_version == NEXT
        with pytest.raises(sa.exc.IntegrityError), opened._database._engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO notes (piece_id, packed) VALUES (999, x'00')")
    with sqlite3.connect(library.folder / "midikin.db") as connection:
        assert {row[0] for row in connection.execute("SELECT mood FROM pieces")} == {"none"}
    connection.close()


def test_a_step_that_fails_changes_nothing(oldest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(op: Any) -> None:
        remake_pieces(op)
        raise sa.exc.OperationalError("", None, sqlite3.OperationalError("database or disk is full"))

    before = dump(oldest)
    another_revision(monkeypatch, full)
    with pytest.raises(LibraryError, match="no space left"):
        Library.open(oldest)
    assert dump(oldest) == before


def test_rows_without_their_piece_stop_a_migration(oldest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_revision(monkeypatch, lambda op: op.execute("DELETE FROM pieces WHERE id = 1"))
    before = dump(oldest)
    with pytest.raises(LibraryError, match="pieces that do not exist"):
        Library.open(oldest)
    assert dump(oldest) == before


def test_of_several_that_open_one_migrates(oldest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def once(op: Any) -> None:
        calls.append(1)
        remake_pieces(op)

    another_revision(monkeypatch, once)
    failed: list[BaseException] = []

    def opening() -> None:
        try:
            Library.open(oldest).close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=opening) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, calls) == ([], [1])


def test_no_migration_under_a_running_add(oldest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_revision(monkeypatch, remake_pieces)
    monkeypatch.setattr("index.storage.database.MIGRATION_WAIT_S", 0.1)
    with writer_lock(oldest, 0), pytest.raises(LibraryBusy):
        Library.open(oldest)


def test_where_nothing_can_be_written_it_says_so(oldest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_revision(monkeypatch, remake_pieces)
    before = dump(oldest)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(LibraryReadOnly, match="older midikin") as caught:
        Library.open(oldest)
    assert "copy the folder" in str(caught.value)
    assert dump(oldest) == before


def test_newer_libraries_are_left_alone(library: Library, encoder: FakeEncoder, music: Path) -> None:
    other = Database(library.folder, create=False)
    with other.write() as connection:
        other.set(connection, schema=str(NEXT))
    other.close()
    with pytest.raises(LibraryError, match=f"newer midikin .format {NEXT}, this one knows {NEXT - 1}"):
        Library.open(library.folder, encoder=encoder)
    # One that was open before goes on answering and writes no more.
    assert library.search(1).results
    with pytest.raises(LibraryError, match="newer midikin"):
        library.remove(1)
    assert library.info().pieces == 12


def test_opening_a_current_library_does_not_load_alembic(library: Library) -> None:
    script = f"import sys; from index import Library; Library.open({str(library.folder)!r}).close()\n"
    script += "sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
