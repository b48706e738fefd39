"""The database of a library: opening it, transactions, and errors in plain words.

It is a SQLite file in the library's folder; or, if the environment variable MIDIKIN_DATABASE holds the
address of a PostgreSQL server, that, and several machines may write to it, each with a folder of its own
for caches.

WAL lets searches read while an add writes. A killed process loses at most its open transaction;
`synchronous=FULL` extends that to a power cut, at the price of one flush for each batch of files, which
takes seconds to embed anyway.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    Connection,
    Engine,
    Integer,
    Table,
    Text,
    cast,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from embedder.core.errors import LibraryError, LibraryReadOnly

from . import schema
from .errors import DATABASE_NAME, damaged, disk_errors, library_error
from .locks import Claim, on_network, writer_lock
from .migrations import upgrade
from .paths import display

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["Database", "chunks", "upsert"]

T = TypeVar("T")

BUSY_TIMEOUT_S = 60.0  # a writer holds the database for one batch's inserts, well below a second
CACHE_KB = 32_768
_MAX_VARIABLES = 500  # values in one IN (...), well below SQLite's limit
LOG_PAGES = 8192  # of 8 kB
MIGRATION_WAIT_S = 10.0  # for a process of an older midikin that is just adding
# PostgreSQL: what `_begin` and the filters need there.
_ONE_STATE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_ONE_WRITER = "SELECT pg_advisory_xact_lock(hashtext('midikin.' || current_schema()))"
_CASEFOLD = """CREATE OR REPLACE FUNCTION casefold(text) RETURNS text
    LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'"""


class Database:
    """Connections to one library's database.

    Attributes
    ----------
    folder : the library's folder
    read_only : True where nothing can be written and searches run on the file as it is
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.folder = folder
        self.path = folder / DATABASE_NAME
        self.read_only = False
        self.shared = _address_of(folder)
        with disk_errors(folder):
            exists = bool(self.shared) or self.path.exists()
        if not exists and not create:
            raise _no_library(folder)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._identity: tuple[int, int] | None = None
        self._claim: Claim | None = None
        self._engine = self._open(exists)
        try:
            if not self.shared and not self.read_only and on_network(folder):
                self._claim = Claim(folder)
            self._check_or_create(create)
            self._identity = _identity(self.path)
        except BaseException:
            self.close()
            raise

    # -- opening --------------------------------------------------------------------------------

    def _open(self, exists: bool) -> Engine:
        if self.shared:
            return _shared_engine(self.shared)
        if not exists or (os.access(self.folder, os.W_OK) and os.access(self.path, os.W_OK)):
            return self._engine_of("rwc" if not exists else "rw")
        self.read_only = True
        engine = self._engine_of("ro")
        try:
            with engine.connect() as connection:
                inspect(connection).get_table_names()
        except DBAPIError as error:
            engine.dispose()
            log = self.folder / f"{DATABASE_NAME}-wal"
            if log.exists() and log.stat().st_size:
                raise LibraryReadOnly(
                    f"{display(str(self.folder))}: the library was not closed properly and nothing "
                    "can be written here; copy the folder to a place of your own and use it there"
                ) from error
            # Nothing is pending and nobody can write: the file may be read as a constant.
            return self._engine_of("ro&immutable=1")
        return engine

    def _engine_of(self, mode: str) -> Engine:
        # Percent-encoded bytes: folder names need not be UTF-8.
        address = f"file:{quote(os.fsencode(self.path.absolute()))}?mode={mode}"

        def connect() -> sqlite3.Connection:
            # A pooled connection serves one thread at a time, not always the same one.
            return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)

        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def _prepare(self, connection: Any, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun by `_begin`, not by the driver
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        connection.execute("PRAGMA foreign_keys=ON")
        if not self.read_only:
            # The page size holds for a new file only: vectors are blobs of several kilobytes.
            connection.execute("PRAGMA page_size=8192")
            _keep_a_log(connection)
            connection.execute("PRAGMA synchronous=FULL")
            # A new piece touches a page of every index, all over the file: kept in memory, and copied from
            # the log once for many batches, these cost a large library hardly more than a small one.
            connection.execute(f"PRAGMA cache_size=-{CACHE_KB}")
            connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")

    def _check_or_create(self, create: bool) -> None:
        with self.read() as connection:
            tables = set(inspect(connection).get_table_names())
            version = self.get(connection, "schema") if "meta" in tables else None
        if not tables and create and not self.read_only:
            with self.write() as connection:
                # Another process may have been first; `checkfirst` and OR IGNORE make it a no-op then.
                schema.tables().create_all(connection)
                if self.shared:
                    connection.exec_driver_sql(_CASEFOLD)
                start = {"schema": str(schema.SCHEMA_VERSION), "commit": "0", "library": uuid.uuid4().hex}
                rows = [{"name": name, "value": value} for name, value in start.items()]
                connection.execute(upsert(connection, schema.meta).on_conflict_do_nothing(), rows)
            return
        if not tables:  # someone was killed before the first table was made
            raise _no_library(self.folder)
        if version is None or not version.isdecimal():
            raise _not_ours(self.path)
        if int(version) > schema.SCHEMA_VERSION:
            raise _newer(self.path, version)
        if int(version) < schema.SCHEMA_VERSION:
            tables = self._migrate(version)
        if not set(schema.tables().tables) <= tables:
            raise _not_ours(self.path)

    def _migrate(self, version: str) -> set[str]:
        """Bring the tables of an older midikin up to date, in one transaction; the names of all tables."""
        if self.read_only:
            raise LibraryReadOnly(
                f"{display(str(self.folder))}: made by an older midikin (format {version}) and cannot be "
                "written here; copy the folder to a place of your own and open it there"
            )
        with writer_lock(self.folder, MIGRATION_WAIT_S), self._write("migrate") as connection:
            now = self.number(connection, "schema")  # another process may have been first
            if now > schema.SCHEMA_VERSION:
                raise _newer(self.path, str(now))
            self.set(connection, schema=str(upgrade(connection, now)))
            if not self.shared and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise damaged("rows belong to pieces that do not exist")
            names = set(inspect(connection).get_table_names())
        self._engine.dispose()  # this connection does not enforce foreign keys
        return names

    # -- transactions ---------------------------------------------------------------------------

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one unchanging state of the library."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds SQLite's write lock from its start; an exception undoes all of it."""
        if self.read_only:
            raise LibraryReadOnly(
                f"{display(str(self.folder))}: the library cannot be written; it can only be searched"
            )
        with self._write("write") as connection:
            if self._identity is not None:  # it is made, or checked, before anything is written
                self._check_in_place()
                self._check_version(connection)
                row = {"name": "library", "value": uuid.uuid4().hex}
                connection.execute(upsert(connection, schema.meta).on_conflict_do_nothing(), row)
            yield connection

    @contextmanager
    def _write(self, purpose: str) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(midikin_purpose=purpose)
            with connection.begin():
                yield connection

    def _check_version(self, connection: Connection) -> None:
        """Refuse to write what a newer midikin, which has changed the tables meanwhile, would not expect."""
        version = self.number(connection, "schema")
        if version > schema.SCHEMA_VERSION:
            raise _newer(self.path, str(version))

    def _check_in_place(self) -> None:
        """Refuse to write into a file that is no longer the one at the library's path."""
        if not self.shared and _identity(self.path) != self._identity:
            raise LibraryError(
                f"{display(str(self.path))}: the library's file is gone or is another one; open it anew"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise library_error(str(error.orig), self.folder) from error
        except sqlite3.Error as error:
            raise library_error(str(error), self.folder) from error
        except UnicodeDecodeError as error:  # the driver's, from a page that holds nonsense
            raise damaged("its text cannot be read") from error

    def reconnect(self) -> None:
        """Drop idle connections and take the file that is at the library's path now as this library's."""
        self._engine.dispose()
        self._identity = _identity(self.path)

    def close(self) -> None:
        self._engine.dispose()
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    # -- the small table of facts ---------------------------------------------------------------

    def get(self, connection: Connection, name: str) -> str | None:
        return connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).scalar()

    def encoder(self, connection: Connection) -> tuple[str | None, str | None]:
        """Id of the encoder that made the vectors, and what loads it again; None while there are none."""
        if connection.execute(select(schema.pieces.c.id).limit(1)).first() is None:
            return None, None  # a library without pieces may change its encoder
        return self.get(connection, "encoder"), self.get(connection, "encoder_source")

    def set(self, connection: Connection, **facts: str) -> None:
        for name, value in facts.items():
            row = upsert(connection, schema.meta).values(name=name, value=value)
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    def count_commit(self, connection: Connection) -> None:
        """Raise the commit number: every transaction that adds or removes vectors calls this."""
        column = schema.meta.c.value
        after = update(schema.meta).where(schema.meta.c.name == "commit")
        connection.execute(after.values(value=cast(cast(column, Integer) + 1, Text)))

    def library_id(self, connection: Connection) -> str:
        """What tells this library from every other; empty in an old one that was not written since.

        It changes when pieces were read again and may hold other notes under their numbers, so that whatever
        was derived from the old ones is made anew.
        """
        rereads = self.number(connection, "rereads")
        return (self.get(connection, "library") or "") + (f"-{rereads}" if rereads else "")

    def count_reread(self, connection: Connection) -> None:
        """Let everything derived from the pieces' notes and vectors be made anew."""
        self.set(connection, rereads=str(self.number(connection, "rereads") + 1))

    def commit_number(self, connection: Connection) -> int:
        return self.number(connection, "commit")

    def number(self, connection: Connection, name: str) -> int:
        """A fact that is a whole number, 0 if it is not there."""
        value = self.get(connection, name) or "0"
        if not isinstance(value, str) or not value.isdecimal() or len(value) > 18:
            raise damaged(f"its {name} is no number")
        return int(value)


def _keep_a_log(connection: Any) -> None:
    """Switch a database to write-ahead logging; where several open it for the first time, SQLite refuses all
    but one of them at once, whatever time they were given to wait."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of a sequence short enough for one IN (...)."""
    for first in range(0, len(values), _MAX_VARIABLES):
        yield values[first : first + _MAX_VARIABLES]


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what happens to a row that is there already, in the words of the database."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def _no_library(folder: Path) -> LibraryError:
    return LibraryError(f"{display(str(folder))}: no library here; make one with `midikin add FOLDER`")


def _not_ours(path: Path) -> LibraryError:
    return LibraryError(f"{display(str(path))}: not a midikin library; give another folder")


def _newer(path: Path, version: str) -> LibraryError:
    return LibraryError(
        f"{display(str(path))}: made by a newer midikin (format {version}, this one knows "
        f"{schema.SCHEMA_VERSION}); upgrade to use it"
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _begin(connection: Connection) -> None:
    purpose = connection.get_execution_options().get("midikin_purpose", "read")
    if connection.dialect.name != "sqlite":
        # The same promises: readers see one state, and writers come one after the other.
        connection.exec_driver_sql(_ONE_STATE if purpose == "read" else _ONE_WRITER)
        return
    if (
        purpose == "migrate"
    ):  # tables are made anew under their old names; inside a transaction it is too late
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # says nothing inside a transaction
    connection.exec_driver_sql("BEGIN" if purpose == "read" else "BEGIN IMMEDIATE")


def _address_of(folder: Path) -> str:
    """The server that holds what belongs to a library's folder; empty if that is a file in it."""
    return os.environ.get("MIDIKIN_DATABASE", "")


def _shared_engine(address: str) -> Engine:
    """Connections to a PostgreSQL server, which several machines may write to."""
    try:
        engine = create_engine(make_url(address).set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ImportError as error:
        raise LibraryError('PostgreSQL needs the extra: pip install "midikin[cluster]"') from error
    except ArgumentError as error:
        raise LibraryError("MIDIKIN_DATABASE is no address; write postgresql://USER@HOST/NAME") from error
    event.listen(engine, "begin", _begin)
    return engine


def _casefold(text: str | None) -> str | None:
    return None if text is None else text.casefold()
