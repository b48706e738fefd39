"""The vectors of a library, ready to be searched: two stores kept in step with the database.

`pieces` holds one vector for each piece, `windows` one for each window; each is loaded when first needed.
Before a search the database's commit number is compared; if it moved, only the pieces that came or went are
read. What is on disk is a cache (`cache`): it is rewritten when enough has changed to be worth it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from . import cache, schema
from .database import Database
from .packing import unpack_vectors
from .records import IndexInfo
from .vectors import EXACT_LIMIT, TRAINING_VECTORS_PER_CELL, FaissStore, cells_for, keys_of

__all__ = ["INDEX_NAMES", "Catalogue"]

INDEX_NAMES = ("pieces", "windows")
_READ_PIECES = 500  # rows fetched at a time; stays below SQLite's limit on variables
_REBUILD_SHARE = 0.5  # of the vectors changed, or dead: building anew is cheaper than patching
_SAVE_SHARE = 0.05  # of the vectors not yet on disk: worth writing the file again

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


class _Held:
    """A store in memory with the commit it stands for and the number of vectors that are not on disk."""

    def __init__(self, store: FaissStore, commit: int, unsaved: int) -> None:
        self.store = store
        self.commit = commit
        self.unsaved = unsaved
        self.library = ""


class Catalogue:
    """The two stores of one library; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def store(self, name: str) -> FaissStore | None:
        """The store `name`, holding what is committed now; None while the library has no pieces yet."""
        with self._lock, self._database.read() as connection:
            encoder = self._database.get(connection, "encoder")
            if encoder is None:
                return None
            commit = self._database.commit_number(connection)
            dim = self._database.number(connection, "dim")
            library = self._database.library_id(connection)
            held = self._held.get(name)
            if held is None or (held.library, held.store.dim) != (library, dim):
                cached = cache.load(self._database.folder, name, library=library, encoder=encoder, dim=dim)
                held = _Held(*cached, unsaved=0) if cached else None
            if held is None or held.commit != commit:
                held = self._brought_up(connection, name, dim, held)
                held.commit = commit
            held.library = library
            self._held[name] = held
            if held.unsaved > _SAVE_SHARE * held.store.count:
                self._save(name, held, encoder)
            return held.store

    def _save(self, name: str, held: _Held, encoder: str) -> None:
        if self._database.read_only:
            return
        owner = {"library": held.library, "encoder": encoder}
        if cache.save(self._database.folder, name, held.store, **owner, commit=held.commit):
            held.unsaved = 0

    def _brought_up(self, connection: Connection, name: str, dim: int, held: _Held | None) -> _Held:
        """A store that holds exactly the pieces of the database."""
        rows = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id))
        wanted = np.fromiter(rows.scalars(), dtype=np.int64)
        total = _total(connection, name)
        if held is not None:
            have = held.store.pieces()
            missing = np.setdiff1d(wanted, have, assume_unique=True)
            gone = np.setdiff1d(have, wanted, assume_unique=True)
            approximate = bool(held.store.nprobe)
            fits = approximate == (total > EXACT_LIMIT)
            if fits and len(missing) + len(gone) <= _REBUILD_SHARE * len(wanted):
                before = held.store.count
                held.store.remove(gone)
                removed = before - held.store.count
                if held.store.wasted <= _REBUILD_SHARE:
                    for keys, vectors in _batches(connection, name, dim, missing):
                        held.store.add(keys, vectors)
                    held.unsaved += removed + held.store.count - (before - removed)
                    return held
        sample = None
        if total > EXACT_LIMIT:
            sample = _sample(connection, name, dim, wanted, total)
        store = FaissStore.build(dim, total, _batches(connection, name, dim, wanted), sample)
        return _Held(store, 0, unsaved=store.count)

    def vectors(self, after: int) -> tuple[IntArray, FloatArray]:
        """Numbers int64 [n] and vectors float32 [n, dim] of the pieces with greater numbers than `after`."""
        with self._database.read() as connection:
            dim = self._database.number(connection, "dim")
            column = schema.pieces.c.id
            rows = connection.execute(select(column).where(column > after).order_by(column))
            wanted = np.fromiter(rows.scalars(), dtype=np.int64)
            vectors = [vectors for _, vectors in _batches(connection, "pieces", dim, wanted)]
            return wanted, np.concatenate([np.empty((0, dim), np.float32), *vectors])

    def info(self, connection: Connection) -> tuple[IndexInfo, ...]:
        """What lies on disk, without loading it."""
        now = self._database.library_id(connection), self._database.commit_number(connection)
        found = []
        for name in INDEX_NAMES:
            manifest = cache.read_manifest(self._database.folder, name)
            if manifest is not None:
                current = (manifest.library, manifest.commit) == now
                found.append(
                    IndexInfo(name, manifest.kind, manifest.vectors, round(manifest.recall, 4), current)
                )
        return tuple(found)


def _total(connection: Connection, name: str) -> int:
    counted = func.count() if name == "pieces" else func.coalesce(func.sum(schema.pieces.c.windows), 0)
    return int(connection.execute(select(counted).select_from(schema.pieces)).scalar_one())


def _batches(
    connection: Connection, name: str, dim: int, wanted: IntArray
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Keys and vectors of the wanted pieces, some hundreds of pieces at a time."""
    table, column = (
        (schema.piece_vectors, schema.piece_vectors.c.vector)
        if name == "pieces"
        else (schema.windows, schema.windows.c.vectors)
    )
    for first in range(0, len(wanted), _READ_PIECES):
        ids = wanted[first : first + _READ_PIECES].tolist()
        query = select(table.c.piece_id, column).where(table.c.piece_id.in_(ids)).order_by(table.c.piece_id)
        keys, vectors = [], []
        for piece_id, blob in connection.execute(query):
            vectors.append(unpack_vectors(blob, dim))
            keys.append(keys_of(piece_id, len(vectors[-1])))
        if keys:
            yield np.concatenate(keys), np.concatenate(vectors)


def _sample(connection: Connection, name: str, dim: int, wanted: IntArray, total: int) -> FloatArray:
    """Vectors of pieces drawn at random, enough to learn the cells of an approximate index."""
    wish = TRAINING_VECTORS_PER_CELL * cells_for(total)
    rng = np.random.default_rng(0)  # the same library gives the same index
    share = min(1.0, 1.1 * wish / total)
    drawn = np.sort(rng.choice(wanted, max(1, int(share * len(wanted))), replace=False))
    vectors = np.concatenate([v for _, v in _batches(connection, name, dim, drawn)])
    return vectors[rng.permutation(len(vectors))[:wish]]
