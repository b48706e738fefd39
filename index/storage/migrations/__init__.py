"""Migrations: the steps from the database of an older midikin to that of this one.

Every change of the tables is a revision, a file under `versions` with one function `upgrade(op)`, in the
manner of alembic; its number is the version of the schema that it leads to. Version 1 is the baseline. The
library's own table `meta` holds the version, and nothing else does: a library made by an older midikin needs
no preparation, and opening one that is current reads one row and does not import alembic.

A new library is made from the tables of the code in one go; a test holds that both ways give the same
tables. Revisions never import the tables of the code, which go on changing: they say what they make in full.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.script import Script
    from sqlalchemy import Connection

__all__ = ["latest", "upgrade"]


def upgrade(connection: Connection, version: int, target: int | None = None) -> int:
    """Take a database from one version to a later one, inside the transaction that is open.

    Parameters
    ----------
    connection : holds the database's write lock; foreign keys must not be enforced on it, because a table
        may have to be made anew under its old name
    version : the version that the database has now; 0 for an empty one
    target : the version wanted, the newest if not given

    Returns
    -------
    int
        The version that the database has now; the caller records it in the same transaction.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    for script in _scripts():
        number = int(script.revision)
        if version < number and (target is None or number <= target):
            script.module.upgrade(operations)
            version = number
    return version


def latest() -> int:
    """The version that the newest revision leads to."""
    return int(_scripts()[-1].revision)


def _scripts() -> list[Script]:
    """The revisions, oldest first; alembic refuses a chain that branches or has a gap."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    return list(scripts.walk_revisions("base", "head"))[::-1]
