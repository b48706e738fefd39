"""What an add has to do: folders compared with what the library knows, at the price of a stat a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, or_, select

from .resolve import unchanged
from .scan import FileStatus, Unreadable, scan
from .storage import Database, below, from_bytes, schema, to_bytes
from .storage.pieces import READING

__all__ = ["Plan", "is_gone", "make_plan"]

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
