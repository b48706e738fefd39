"""Embedding a library anew with another encoder, while the old vectors go on serving.

    next_piece_vectors, next_windows   tables like those without `next_`, filled piece by piece
    meta: next_encoder, next_source, next_dim   what they are being made with

The database holds the notes, so no file need be there. Only an encoder that hears more in files than their
notes (`Encoder.front`) reads them again, as far as they are as they were; the rest it hears as notes.

Each batch is a short transaction of its own, so that adding, deciding and searching go on, and whoever stops
it (Ctrl-C, kill, power) loses seconds of work. When every piece has its new vectors, one transaction puts the
new tables in the place of the old ones; until then nothing of the library's answers changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, delete, func, insert, inspect, select, text, update

from embedder.core.errors import LibraryBusy

from .library_encoder import EncoderLike, LibraryEncoder, front_of
from .storage import SPAN, Database, chunks, disk_errors, display, from_bytes, schema, writer_lock
from .storage.pieces import Vectors, notes_of, vector_blobs, vectors_of

__all__ = ["ReembedProgress", "ReembedReport", "forget_next_vectors", "reembed"]

BATCH_NOTES = 131_072
_LOOK_AHEAD = 256  # pieces of which a batch is chosen
_FACTS = ("next_encoder", "next_source", "next_dim")


@dataclass(frozen=True)
class ReembedProgress:
    """How far it has come: pieces that have new vectors, of all."""

    done: int
    total: int


@dataclass(frozen=True)
class ReembedReport:
    """What was done.

    Attributes
    ----------
    encoder, before : ids of the new encoder and of the one whose vectors served until now
    embedded : pieces that got new vectors this time
    from_notes : those of them that the encoder would rather have heard from their files, which are gone or
        changed
    switched : whether the new vectors serve now; if not, the same call continues
    """

    encoder: str
    before: str | None
    embedded: int
    switched: bool
    interrupted: bool
    seconds: float
    from_notes: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def reembed(
    database: Database,
    encoder: EncoderLike,
    source: str | None,
    progress: Callable[[ReembedProgress], None],
    wait_s: float | None,
) -> ReembedReport:
    """Give every piece vectors of another encoder; see `Library.reembed`."""
    from filelock import FileLock, Timeout

    begun = time.monotonic()
    run = _Run(database, encoder, source, progress)
    lock = FileLock(database.folder / "reembed.lock", timeout=0, thread_local=False)
    with disk_errors(database.folder), suppress(Timeout):
        lock.acquire()
    if not lock.is_locked:
        where = display(str(database.folder))
        raise LibraryBusy(f"{where}: another process is embedding this library anew; it will be done")
    interrupted = switched = False
    try:
        before = run.begin()
        if before != encoder.id:
            run.embed_missing()
            with writer_lock(database.folder, wait_s):
                run.embed_missing()  # what was added meanwhile
                run.switch()
            switched = True
    except KeyboardInterrupt:
        interrupted = True
        before = run.before
    finally:
        lock.release()
    seconds = time.monotonic() - begun
    return ReembedReport(encoder.id, before, run.embedded, switched, interrupted, seconds, run.from_notes)


class _Run:
    """One call, and what it has done so far."""

    def __init__(
        self,
        database: Database,
        encoder: EncoderLike,
        source: str | None,
        progress: Callable[[ReembedProgress], None],
    ) -> None:
        self._database = database
        self._encoder = encoder
        self._source = source
        self._progress = progress
        self._checked = LibraryEncoder(encoder, Path(database.folder))
        self._vectors, self._windows = _next_tables()
        self.before: str | None = None
        self.embedded = self.from_notes = 0

    def begin(self) -> str | None:
        """Make the new tables, or go on with those that are there; the encoder whose vectors serve."""
        with self._database.write() as connection:
            self.before = self._database.encoder(connection)[0]
            if self.before == self._encoder.id:
                _drop(connection)
                connection.execute(delete(schema.meta).where(schema.meta.c.name.in_(_FACTS)))
                return self.before
            if self._database.get(connection, "next_encoder") != self._encoder.id:
                _drop(connection)
            self._vectors.metadata.create_all(connection, tables=[self._vectors, self._windows])
            facts = {"next_encoder": self._encoder.id, "next_dim": str(self._encoder.dim)}
            self._database.set(connection, **facts, next_source=self._source or "")
        return self.before

    def embed_missing(self) -> None:
        """Embed all pieces that have no new vectors yet."""
        after = 0
        while True:
            with self._database.read() as connection:
                numbers = self._missing(connection, after)
                if not numbers:
                    return
                pieces: list[Any] = []
                taken = 0
                for number in numbers:
                    pieces.append(notes_of(connection, number))
                    taken += len(pieces[-1])
                    if taken >= BATCH_NOTES:
                        break
                numbers = numbers[: len(pieces)]
                before = self._versions(connection, numbers)
                files = self._files(connection, numbers)
            heard = self._heard(files)
            pieces = [heard.get(number, notes) for number, notes in zip(numbers, pieces, strict=True)]
            embedded = self._checked.embed(self._encoder, pieces)
            with self._database.write() as connection:
                # Removed, or read again, a moment ago: the latter are missing still, and met once more.
                there = {number for number, _ in before & self._versions(connection, numbers)}
                for number, vectors in zip(numbers, vectors_of(embedded), strict=True):
                    if number in there:
                        self._insert(connection, number, vectors)
                done, total = (
                    connection.execute(select(func.count()).select_from(table)).scalar_one()
                    for table in (self._vectors, schema.pieces)
                )
            self.embedded += len(there)
            if front_of(self._encoder) is not None:
                self.from_notes += len(there - set(heard))
            after = numbers[-1]
            self._progress(ReembedProgress(done, total))

    @staticmethod
    def _versions(connection: Connection, numbers: list[int]) -> set[tuple[int, int | None]]:
        """Pieces with the checksums of their notes."""
        notes = schema.notes.c
        found = connection.execute(select(notes.piece_id, notes.crc).where(notes.piece_id.in_(numbers)))
        return {(number, crc) for number, crc in found}

    def _files(self, connection: Connection, numbers: list[int]) -> list[tuple[int, str, str]]:
        """Number, SHA-256 and path of all files of pieces, if the encoder reads files."""
        if front_of(self._encoder) is None:
            return []
        pieces, paths = schema.pieces.c, schema.paths.c
        query = select(pieces.id, pieces.sha256, paths.path).join(schema.paths, paths.piece_id == pieces.id)
        found = connection.execute(query.where(pieces.id.in_(numbers)).order_by(pieces.id, paths.path))
        return [(number, sha256, from_bytes(path)) for number, sha256, path in found]

    def _heard(self, files: list[tuple[int, str, str]]) -> dict[int, Any]:
        """What the front of the encoder makes of files, by piece; without those that are gone or changed."""
        from embedder.midi.pool import FileRead, read_many

        heard: dict[int, Any] = {}
        if files:
            answers = read_many([path for *_, path in files], workers=1, front=front_of(self._encoder))
            for (number, sha256, _), (_, answer) in zip(files, answers, strict=True):
                if isinstance(answer, FileRead) and answer.sha256 == sha256:
                    heard[number] = answer.prepared
        return heard

    def _missing(self, connection: Connection, after: int) -> list[int]:
        pieces, done = schema.pieces.c.id, self._vectors.c.piece_id
        query = select(pieces).outerjoin_from(schema.pieces, self._vectors, pieces == done)
        query = query.where(done.is_(None), pieces > after).order_by(pieces).limit(_LOOK_AHEAD)
        return list(connection.execute(query).scalars())

    def _insert(self, connection: Connection, number: int, vectors: Vectors) -> None:
        for table, blobs in zip((self._vectors, self._windows), vector_blobs(vectors), strict=True):
            connection.execute(insert(table), {"piece_id": number, **blobs})

    def switch(self) -> None:
        """From now on the new vectors serve; the writer's lock must be held."""
        with self._database.write() as connection:
            counted = func.length(schema.windows.c.spans) / SPAN.itemsize
            for old, new in ((schema.piece_vectors, self._vectors), (schema.windows, self._windows)):
                connection.execute(text(f"DROP TABLE {old.name}"))
                connection.execute(text(f"ALTER TABLE {new.name} RENAME TO {old.name}"))
            windows = select(counted).where(schema.windows.c.piece_id == schema.pieces.c.id).scalar_subquery()
            changed = update(schema.pieces).where(schema.pieces.c.windows != windows)
            connection.execute(changed.values(windows=windows))
            facts = {"encoder": self._encoder.id, "dim": str(self._encoder.dim)}
            self._database.set(connection, **facts, encoder_source=self._source or "")
            if not self._source:
                connection.execute(delete(schema.meta).where(schema.meta.c.name == "encoder_source"))
            connection.execute(delete(schema.meta).where(schema.meta.c.name.in_(_FACTS)))
            self._database.count_commit(connection)


def forget_next_vectors(connection: Connection, numbers: Sequence[int]) -> None:
    """Have pieces whose notes changed embedded anew, if a change to another encoder is under way."""
    if not numbers:
        return
    there = set(inspect(connection).get_table_names())
    for table in _next_tables():
        if table.name in there:
            for some in chunks(list(numbers)):
                connection.execute(delete(table).where(table.c.piece_id.in_(some)))


def _next_tables() -> tuple[Table, Table]:
    """The tables that are being filled, like those that serve."""
    metadata = MetaData()
    schema.pieces.to_metadata(metadata)
    vectors = schema.piece_vectors.to_metadata(metadata, name="next_piece_vectors")
    return vectors, schema.windows.to_metadata(metadata, name="next_windows")


def _drop(connection: Connection) -> None:
    for name in {"next_piece_vectors", "next_windows"}.intersection(inspect(connection).get_table_names()):
        connection.execute(text(f"DROP TABLE {name}"))
