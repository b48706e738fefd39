"""Adding folders: worker processes read, this process embeds, and each batch is one transaction.

A batch is bounded by its notes and by time, so memory stays the same whatever the folder holds, and whoever
stops an add (Ctrl-C, kill, power) loses seconds of work. The transaction of a batch holds pieces, vectors,
notes, paths and failures together: the library never knows a file by half.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, or_, select

from embedder.core.errors import EncoderError, MidiError
from embedder.core.memory import release_memory
from embedder.midi.files import load_bytes

from .library_encoder import EncoderLike, LibraryEncoder
from .records import AddProgress, AddReport
from .reembed import forget_next_vectors
from .resolve import unchanged
from .scan import FileStatus, Unreadable, scan
from .storage import Database, below, chunks, from_bytes, schema, to_bytes
from .storage.pieces import (
    READING,
    Vectors,
    clear_failures,
    delete_paths,
    delete_unfiled,
    insert_piece,
    known_contents,
    outdated,
    put_failure,
    put_path,
    update_piece,
    vectors_of,
)

if TYPE_CHECKING:
    from embedder.midi.pool import FileRead

__all__ = ["Plan", "add_folders", "is_gone", "make_plan"]

_AT_ONCE = 500


@dataclass
class Plan:
    """Result of comparing folders with the library.

    Attributes
    ----------
    to_read : files that are new or changed, in the order of the walk
    unreadable : folders and files that could not even be looked at, and are not on record yet
    vanished : paths of the library inside the folders that no longer exist
    settled : failures on record that no longer hold, as path bytes
    """

    found: int = 0
    unchanged: int = 0
    known_failures: int = 0
    to_read: list[FileStatus] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    vanished: list[bytes] = field(default_factory=list)
    settled: list[bytes] = field(default_factory=list)


def make_plan(
    database: Database,
    roots: Sequence[str],
    *,
    retry_failures: bool,
    reread: bool = False,
    seen: Callable[[int], None],
) -> Plan:
    """Walk the roots (absolute paths) and decide what must be read.

    Parameters
    ----------
    retry_failures : read files again that failed before and have not changed
    reread : read every file again
    seen : called now and then with the number of files met so far
    """
    plan = Plan()
    met_paths: set[int] = set()
    met_failures: set[int] = set()
    with database.read() as connection:
        for items in _batched(scan(roots)):
            _compare(connection, items, plan, met_paths, met_failures, retry_failures, reread)
            seen(plan.found)
        for root in roots:
            _look_for_lost(connection, root, plan, met_paths, met_failures)
    plan.vanished = sorted(set(plan.vanished))
    plan.settled = sorted(set(plan.settled))
    return plan


def _compare(
    connection: Connection,
    items: Sequence[FileStatus | Unreadable],
    plan: Plan,
    met_paths: set[int],
    met_failures: set[int],
    retry_failures: bool,
    reread: bool,
) -> None:
    keys = [to_bytes(item.path) for item in items]
    paths, failures = schema.paths.c, schema.failures.c
    pieces = schema.pieces.c
    rows = select(
        paths.path, paths.id, paths.size_bytes, paths.mtime_ns, paths.changed_ns, paths.inode, pieces.reading
    )
    rows = rows.join(schema.pieces, pieces.id == paths.piece_id).where(paths.path.in_(keys))
    known = {row.path: row for row in connection.execute(rows)}
    failed = {
        path: (number, size, changed, reason)
        for path, number, size, changed, reason in connection.execute(
            select(
                failures.path, failures.id, failures.size_bytes, failures.changed_ns, failures.reason
            ).where(failures.path.in_(keys))
        )
    }
    for key, item in zip(keys, items, strict=True):
        file = known.get(key)
        failure, *trouble = failed.get(key, (None,))
        if file is not None:
            met_paths.add(file.id)
        if failure is not None:
            met_failures.add(failure)
        if isinstance(item, Unreadable):
            if trouble == [None, None, item.reason]:
                plan.known_failures += 1
            else:
                plan.unreadable.append(item)
            continue
        plan.found += 1
        if file is not None and not reread and file.reading >= READING and unchanged(file, item):
            plan.unchanged += 1
            if failure is not None:  # of a time when it could not be looked at
                plan.settled.append(key)
        elif trouble[:2] == [item.size_bytes, item.changed_ns] and not retry_failures:
            plan.known_failures += 1
        else:
            plan.to_read.append(item)


def _look_for_lost(
    connection: Connection, root: str, plan: Plan, met_paths: set[int], met_failures: set[int]
) -> None:
    """Paths and failures on record inside a root that the walk did not meet."""
    first, last = below(root)
    for table, met, lost in (
        (schema.paths, met_paths, plan.vanished),
        (schema.failures, met_failures, plan.settled),
    ):
        inside = or_((table.c.path >= first) & (table.c.path < last), table.c.path == to_bytes(root))
        for number, path in connection.execute(select(table.c.id, table.c.path).where(inside)):
            # Not met is not gone: a folder above it may be locked, or its name may have been given
            # explicitly.
            if number not in met and is_gone(path):
                lost.append(path)
    # A folder that failed is met only if it fails again.
    locked = schema.failures.c.size_bytes.is_(None) & (schema.failures.c.path >= first)
    locked &= schema.failures.c.path < last
    for number, path in connection.execute(
        select(schema.failures.c.id, schema.failures.c.path).where(locked)
    ):
        if number not in met_failures:
            plan.settled.append(path)


def is_gone(path: bytes) -> bool:
    """Whether a file certainly no longer exists: a locked folder or a disk in trouble proves nothing."""
    try:
        os.stat(from_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _batched(items: Iterator[FileStatus | Unreadable]) -> Iterator[list[FileStatus | Unreadable]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    yield batch


BATCH_NOTES = 131_072
BATCH_FILES = 512
BATCH_SECONDS = 10.0

Progress = Callable[[AddProgress], None]


def add_folders(
    database: Database,
    encoder: LibraryEncoder,
    roots: list[str],
    *,
    prune: bool,
    retry_failures: bool,
    reread: bool,
    workers: int | None,
    progress: Progress,
) -> AddReport:
    """Bring the library up to date with what lies under the roots; the writer's lock must be held.

    Ctrl-C ends it after what is committed; the report then says `interrupted`.
    """
    run = _Run(database, encoder, progress)
    begun = time.monotonic()
    try:
        run.go(roots, prune=prune, retry_failures=retry_failures, reread=reread, workers=workers)
    except KeyboardInterrupt:
        run.report = replace(run.report, interrupted=True)
    return replace(run.report, seconds=time.monotonic() - begun)


@dataclass
class _Batch:
    """Files read since the last commit."""

    files: list[FileRead] = field(default_factory=list)
    failed: list[tuple[FileStatus, str]] = field(default_factory=list)
    notes: int = 0
    begun: float = field(default_factory=time.monotonic)

    @property
    def full(self) -> bool:
        return (
            self.notes >= BATCH_NOTES
            or len(self.files) + len(self.failed) >= BATCH_FILES
            or time.monotonic() - self.begun >= BATCH_SECONDS
        )


class _Run:
    """One add, and what it has done so far."""

    def __init__(self, database: Database, encoder: LibraryEncoder, progress: Progress) -> None:
        self._database = database
        self._encoder = encoder
        self._progress = progress
        self._done = 0
        self._total = 0
        self._found: dict[str, FileStatus] = {}
        self._used: EncoderLike | None = None
        self._reread = False
        self.report = AddReport()

    def go(
        self, roots: list[str], *, prune: bool, retry_failures: bool, reread: bool, workers: int | None
    ) -> None:
        self._reread = reread
        plan = make_plan(
            self._database,
            roots,
            retry_failures=retry_failures,
            reread=reread,
            seen=lambda files: self._progress(AddProgress("scanning", files_done=files)),
        )
        self.report = replace(
            self.report, found=plan.found, unchanged=plan.unchanged, known_failures=plan.known_failures
        )
        self._record_plan(plan)
        self._total = len(plan.to_read)
        self._tell()
        if plan.to_read:
            self._read_and_store(plan.to_read, workers or max(1, min(8, os.cpu_count() or 1)))
        self._finish_reread()
        self._finish_vanished(plan.vanished, prune)

    def _tell(self) -> None:
        report = self.report
        self._progress(AddProgress("adding", self._done, self._total, report.notes, report.failed))

    def _record_plan(self, plan: Plan) -> None:
        if not plan.unreadable and not plan.settled:
            return
        with self._database.write() as connection:
            clear_failures(connection, plan.settled)
            for item in plan.unreadable:
                put_failure(connection, item.path, item.reason, None, None)
        self.report = replace(self.report, failed=self.report.failed + len(plan.unreadable))

    def _read_and_store(self, files: list[FileStatus], workers: int) -> None:
        from embedder.midi.pool import read_many

        self._found = found = {file.path: file for file in files}
        batch = _Batch()
        answers = read_many([file.path for file in files], workers=workers, front=self._front())
        with closing(answers):  # type: ignore[type-var]
            for path, answer in answers:
                if isinstance(answer, MidiError):
                    batch.failed.append((found[path], answer.reason))
                elif not len(answer.midi.notes):
                    batch.failed.append((found[path], "it holds no notes"))
                else:
                    batch.files.append(answer)
                    batch.notes += len(answer.midi.notes)
                if batch.full:
                    self._store(batch)
                    batch = _Batch()
        self._store(batch)

    # -- one batch ------------------------------------------------------------------------------

    def _store(self, batch: _Batch) -> None:
        """Embed what is new in a batch and commit all of it."""
        with self._database.read() as connection:
            known = known_contents(connection, {file.sha256 for file in batch.files})
            left = self._paths_left_behind(connection, known.values())
            again = set(known.values()) if self._reread else outdated(connection, known.values())
        kept = {sha256 for sha256, number in known.items() if number not in again}
        new = list({file.sha256: file for file in reversed(batch.files) if file.sha256 not in kept}.values())
        vectors = self._embed(new[::-1], batch)
        with self._database.write() as connection:
            report = self._write(connection, batch, known, left, again, vectors)
        # Only what is committed is counted.
        self.report = report
        self._done += len(batch.files) + len(batch.failed)
        self._tell()
        release_memory()

    def _embed(self, files: list[FileRead], batch: _Batch) -> dict[str, Vectors]:
        """Vectors by content; a piece of which the encoder makes nothing usable joins the failures."""
        if not files:
            return {}
        encoder = self._loaded()
        try:
            pieces = [file.midi.notes if file.prepared is None else file.prepared for file in files]
            embedded = self._encoder.embed(encoder, pieces)
        except EncoderError as error:
            if len(files) > 1:  # find the culprit, spare its neighbours
                each = [self._embed([file], batch) for file in files]
                return {key: value for some in each for key, value in some.items()}
            for file in [f for f in batch.files if f.sha256 == files[0].sha256]:
                batch.files.remove(file)
                batch.failed.append((self._found[file.path], str(error)))
            return {}
        hashes = (file.sha256 for file in files)
        return dict(zip(hashes, vectors_of(embedded), strict=True))

    def _loaded(self) -> EncoderLike:
        """The encoder, checked against the one that made the vectors that are there."""
        if self._used is None:
            with self._database.read() as connection:
                known = self._database.encoder(connection)
            self._used = self._encoder.get(*known)
        return self._used

    def _front(self) -> str | None:
        with self._database.read() as connection:
            known = self._database.encoder(connection)
        return self._encoder.front(*known)

    def _paths_left_behind(self, connection: Connection, pieces: Iterable[int]) -> dict[int, list[bytes]]:
        """Of known pieces met again: the paths on record that no longer exist."""
        left: dict[int, list[bytes]] = {}
        for some in chunks(sorted(pieces)):
            rows = select(schema.paths.c.piece_id, schema.paths.c.path).where(
                schema.paths.c.piece_id.in_(some)
            )
            for piece_id, path in connection.execute(rows):
                if is_gone(path):
                    left.setdefault(piece_id, []).append(path)
        return left

    def _write(
        self,
        connection: Connection,
        batch: _Batch,
        known: dict[str, int],
        left: dict[int, list[bytes]],
        again: set[int],
        vectors: dict[str, Vectors],
    ) -> AddReport:
        """All rows of a batch; the report as it stands once they are committed."""
        report = self.report
        # Where several machines add at once, another may have been first with some of these.
        unsure = [file.sha256 for file in batch.files if file.sha256 not in known]
        numbers = known | known_contents(connection, unsure)
        before = dict(_pieces_at(connection, [to_bytes(file.path) for file in batch.files]))
        loose: set[int] = set()
        updated: list[int] = []
        for file in batch.files:
            number, old = numbers.get(file.sha256), before.get(to_bytes(file.path))
            gone = left.pop(number, []) if number is not None and old is None else []
            if number is None:
                number = numbers[file.sha256] = insert_piece(connection, file, vectors[file.sha256])
                report = replace(report, added=report.added + 1, notes=report.notes + file.descriptors.notes)
            elif number in again:
                again.remove(number)  # other files of this batch may hold the same bytes
                update_piece(connection, number, file, vectors[file.sha256])
                updated.append(number)
                self._database.set(connection, rereading="1")
                report = replace(report, reread=report.reread + 1)
            elif old is None and gone:
                report = replace(report, moved=report.moved + 1)
            elif old is None:
                report = replace(report, duplicates=report.duplicates + 1)
            elif old == number:
                report = replace(report, unchanged=report.unchanged + 1)
            if old is not None and old != number:
                report = replace(report, changed=report.changed + 1)
                loose.add(old)
            delete_paths(connection, gone)
            stamps = file.mtime_ns, file.changed_ns, file.inode
            put_path(connection, file.path, number, file.size_bytes, *stamps)
        forget_next_vectors(connection, updated)
        for found, reason in batch.failed:
            put_failure(connection, found.path, reason, found.size_bytes, found.changed_ns)
        loose |= delete_paths(connection, _other_contents(connection, [found for found, _ in batch.failed]))
        delete_unfiled(connection, loose)
        clear_failures(connection, [to_bytes(file.path) for file in batch.files])
        if self._used is not None and vectors:
            facts = {"encoder": self._used.id, "dim": str(self._used.dim)}
            if self._encoder.source is not None:
                facts["encoder_source"] = self._encoder.source
            self._database.set(connection, **facts)
        if vectors or loose:
            self._database.count_commit(connection)
        return replace(report, failed=report.failed + len(batch.failed))

    def _finish_reread(self) -> None:
        """Once pieces were read again, by this add or one that was stopped: what stands on them is old."""
        with self._database.read() as connection:
            if not self._database.number(connection, "rereading"):
                return
        with self._database.write() as connection:
            self._database.count_reread(connection)
            self._database.count_commit(connection)
            self._database.set(connection, rereading="0")

    # -- what is no longer there ------------------------------------------------------------------

    def _finish_vanished(self, vanished: list[bytes], prune: bool) -> None:
        """List, or on request forget, paths that vanished; those recognised elsewhere are off the list."""
        with self._database.read() as connection:
            still = [path for path, _ in _pieces_at(connection, vanished)]
        if prune and still:
            with self._database.write() as connection:
                delete_unfiled(connection, delete_paths(connection, still))
                self._database.count_commit(connection)
        names = tuple(from_bytes(path) for path in sorted(still))
        self.report = replace(self.report, vanished=names, pruned=prune)


def _other_contents(connection: Connection, failed: list[FileStatus]) -> list[bytes]:
    """Paths of those failed files whose contents are not those on record.

    A file that cannot be read at the moment, or with the same bytes failed in this reader or encoder, still
    is the piece that it was, with its tags; the failure stands beside it.
    """
    by_path = {to_bytes(found.path): found for found in failed}
    others = []
    for some in chunks(list(by_path)):
        columns = schema.paths.c.path, schema.paths.c.size_bytes, schema.pieces.c.sha256
        rows = select(*columns).join(schema.pieces, schema.pieces.c.id == schema.paths.c.piece_id)
        for path, size_bytes, sha256 in connection.execute(rows.where(schema.paths.c.path.in_(some))):
            if by_path[path].size_bytes != size_bytes:
                others.append(path)
                continue
            with suppress(MidiError):  # what it holds now is not known
                data, _ = load_bytes(from_bytes(path), size_bytes)
                if hashlib.sha256(data).hexdigest() != sha256:
                    others.append(path)
    return others


def _pieces_at(connection: Connection, paths: list[bytes]) -> list[tuple[bytes, int]]:
    """(path, number of its piece) of those paths that are on record."""
    found = []
    for some in chunks(paths):
        rows = select(schema.paths.c.path, schema.paths.c.piece_id).where(schema.paths.c.path.in_(some))
        found += [(path, number) for path, number in connection.execute(rows)]
    return found
