"""The vectors of a library, ready to be searched: two stores kept in step with the database.

`pieces` holds one vector for each piece, `windows` one for each window; each is loaded when first needed.
Before a search the database's commit number is compared; if it moved, only the pieces that came or went are
read. What is on disk is a cache (`cache`): it is rewritten when enough has changed to be worth it.

A search never waits for an index to be built anew while there is one that can be brought up to date. `settle`
does what is due for a large one, at the end of an add or when asked: it makes one part of base and tail, or
builds a new base of another kind. All this happens beside the store that is there, which serves meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, func, select

from ..records import IndexInfo
from ..storage import Database, schema, unpack_vectors
from . import autotune, index_files
from .autotune import Trial
from .faiss_store import FaissStore, VectorStore
from .keys import FloatArray, IntArray, keys_of, union

__all__ = ["INDEX_NAMES", "Catalogue", "Owner", "batches", "changes"]

INDEX_NAMES = ("pieces", "windows")
_READ_PIECES = 500  # rows fetched at a time; stays below SQLite's limit on variables
_REBUILD_SHARE = 0.5  # of the vectors changed: building anew is cheaper than patching
_COMPACT_SHARE = 0.2  # of the rows outside the base, or dead
_SAVE_SHARE = 0.05  # of the vectors not yet on disk: worth writing the file again
_OUTGROWN = 4  # times as many vectors as when the cells were learned

Owner = tuple[str, str, int]  # library, encoder, dimension


class _Held:
    """A store in memory.

    Attributes
    ----------
    commit : of the database, that it stands for
    numbers : of the pieces in it, sorted
    unsaved : vectors that came or went since it was written to the disk
    """

    def __init__(self, store: FaissStore, owner: Owner, commit: int, *, unsaved: int = 0) -> None:
        self.store = store
        self.owner = owner
        self.commit = commit
        self.numbers = store.pieces()
        self.unsaved = unsaved


class Catalogue:
    """The two stores of one library; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._building = threading.Lock()

    def store(self, name: str) -> VectorStore | None:
        """The store `name`, holding what is committed now; None while the library has no pieces yet."""
        with self._lock, self._database.read() as connection:
            owner = self._owner(connection)
            if owner is None:
                return None
            commit = self._database.commit_number(connection)
            held = self._held.get(name)
            if held is None or held.owner != owner:
                held = self._from_disk(name, owner)
            if held is None or held.commit != commit:
                if held is None or not self._bring_up(connection, name, held):
                    trial = self._built(connection, name, owner[2])
                    store = FaissStore.of(trial)
                    held = _Held(store, owner, commit, unsaved=store.count)
                held.commit = commit
            self._held[name] = held
            if held.unsaved > _SAVE_SHARE * held.store.count:
                self._save(name, held)
            return held.store

    def serves(self, connection: Connection, name: str) -> bool:
        """Whether the store that was given last holds vectors of the encoder that a connection sees."""
        held = self._held.get(name)
        return held is None or held.owner == self._owner(connection)

    def settle(self, name: str) -> None:
        """Do now what would make searches of a large store slower if it were put off for ever."""
        manifest = index_files.read_manifest(self._database.folder, name)
        if manifest is None or self._database.read_only:  # nobody has searched yet
            return
        with self._database.read() as connection:
            total = _total(connection, name)
        if total <= autotune.EXACT_LIMIT or self.store(name) is None:
            return
        store = self._held[name].store
        grown = max(store.count, 1) / max(store.trained_on, 1)
        if store.setting == "exact" or not 1 / _OUTGROWN < grown < _OUTGROWN:
            self.rebuild(name)
        elif max(store.loose, store.wasted) > _COMPACT_SHARE:
            self._compact(name)

    def extent(self, name: str) -> tuple[int, int]:
        """How many vectors of how many numbers the database has for a store."""
        with self._database.read() as connection:
            return _total(connection, name), self._database.number(connection, "dim")

    def rebuild(self, name: str, settings: Sequence[str] | None = None) -> list[Trial]:
        """Build a store anew while the old one serves; what was tried, the chosen one first.

        Parameters
        ----------
        settings : kinds to build side by side, of tuning.SETTINGS; what suits the size if not given
        """
        with self._building:
            with self._database.read() as connection:
                owner = self._owner(connection)
                if owner is None:
                    return []
                commit = self._database.commit_number(connection)
                if settings is None:
                    trials = [self._built(connection, name, owner[2])]
                else:
                    trials = _trials(connection, name, owner[2], settings)
            best = autotune.choose(trials)
            held = _Held(FaissStore.of(best), owner, commit)
            self._replace(name, held)
            return sorted(trials, key=lambda trial: trial is not best)

    def _compact(self, name: str) -> None:
        """Make one part of base and tail, in a copy that is read from the disk."""
        with self._building:
            with self._lock:
                held = self._held[name]
                if held.store.setting == "hnsw" or not self._save(name, held):
                    return
            fresh = self._from_disk(name, held.owner, mapped=False)
            if fresh is not None:
                fresh.store.compact()
                self._replace(name, fresh)

    def _replace(self, name: str, held: _Held) -> None:
        """Save a new store and let it serve; a large one is then read where it lies."""
        with self._lock:
            self._save(name, held)
            if held.store.stored is not None and held.store.setting != "exact":
                held = self._from_disk(name, held.owner) or held
            self._held[name] = held

    def _owner(self, connection: Connection) -> Owner | None:
        encoder = self._database.get(connection, "encoder")
        if encoder is None:
            return None
        return self._database.library_id(connection), encoder, self._database.number(connection, "dim")

    def _from_disk(self, name: str, owner: Owner, *, mapped: bool = True) -> _Held | None:
        library, encoder, dim = owner
        folder = self._database.folder
        cached = index_files.load(folder, name, library=library, encoder=encoder, dim=dim, mapped=mapped)
        return _Held(cached[0], owner, cached[1]) if cached else None

    def _save(self, name: str, held: _Held) -> bool:
        if self._database.read_only:
            return False
        library, encoder, _ = held.owner
        owner = {"library": library, "encoder": encoder}
        if index_files.save(self._database.folder, name, held.store, **owner, commit=held.commit):
            held.unsaved = 0
            return True
        return False

    # -- in step with the database --------------------------------------------------------------

    def _bring_up(self, connection: Connection, name: str, held: _Held) -> bool:
        """Add and remove what came and went; False if so much did that building anew is cheaper."""
        missing, gone = changes(connection, held.numbers)
        store = held.store
        wanted = len(held.numbers) + len(missing) - len(gone)
        if len(missing) + len(gone) > _REBUILD_SHARE * wanted:
            return False
        before = store.count
        store.remove(gone)
        removed = before - store.count
        for keys, vectors in batches(connection, name, store.dim, missing):
            store.add(keys, vectors)
        held.unsaved += removed + store.count - (before - removed)
        held.numbers = union(np.setdiff1d(held.numbers, gone, assume_unique=True), missing)
        if max(store.loose, store.wasted) > _COMPACT_SHARE and store.count <= autotune.EXACT_LIMIT:
            if store.mapped or store.setting == "hnsw":
                return False
            store.compact()
        return True

    def _built(self, connection: Connection, name: str, dim: int) -> Trial:
        """The usual kind for the size, or the next best if that finds too little."""
        total = _total(connection, name)
        best: list[Trial] = []
        for setting in autotune.usual(total, dim):
            best += _trials(connection, name, dim, [setting])
            if best[-1].recall >= autotune.RECALL_PROMISED:
                break
        return autotune.choose(best)

    def vectors(self, after: int) -> tuple[IntArray, FloatArray]:
        """Numbers int64 [n] and vectors float32 [n, dim] of the pieces with greater numbers than `after`."""
        with self._database.read() as connection:
            dim = self._database.number(connection, "dim")
            column = schema.pieces.c.id
            rows = connection.execute(select(column).where(column > after).order_by(column))
            wanted = np.fromiter(rows.scalars(), dtype=np.int64)
            vectors = [vectors for _, vectors in batches(connection, "pieces", dim, wanted)]
            return wanted, np.concatenate([np.empty((0, dim), np.float32), *vectors])

    def info(self, connection: Connection) -> tuple[IndexInfo, ...]:
        """What lies on disk, without loading it."""
        now = self._database.library_id(connection), self._database.commit_number(connection)
        found = []
        for name in INDEX_NAMES:
            manifest = index_files.read_manifest(self._database.folder, name)
            if manifest is not None:
                found.append(
                    IndexInfo(
                        name=name,
                        kind=manifest.kind,
                        vectors=manifest.vectors,
                        recall=round(manifest.recall, 4),
                        current=(manifest.library, manifest.commit) == now,
                        setting=manifest.setting,
                        size_bytes=index_files.size_bytes(self._database.folder, name),
                    )
                )
        return tuple(found)


def changes(connection: Connection, held: IntArray) -> tuple[IntArray, IntArray]:
    """Pieces that the database has and the store has not, and the other way round.

    Numbers only grow, so that what is new is found at the end; all numbers are compared only if their count
    says that some must have gone.
    """
    column = schema.pieces.c.id
    newest = int(held[-1]) if len(held) else 0
    later = select(column).where(column > newest).order_by(column)
    missing = np.fromiter(connection.execute(later).scalars(), dtype=np.int64)
    count = connection.execute(select(func.count()).select_from(schema.pieces)).scalar_one()
    if count == len(held) + len(missing):
        return missing, held[:0]
    wanted = _numbers(connection)
    missing = np.setdiff1d(wanted, held, assume_unique=True)
    return missing, np.setdiff1d(held, wanted, assume_unique=True)


def _numbers(connection: Connection) -> IntArray:
    """Numbers of all pieces, rising."""
    rows = connection.execute(select(schema.pieces.c.id).order_by(schema.pieces.c.id))
    return np.fromiter(rows.scalars(), dtype=np.int64)


def _total(connection: Connection, name: str) -> int:
    counted = func.count() if name == "pieces" else func.coalesce(func.sum(schema.pieces.c.windows), 0)
    return int(connection.execute(select(counted).select_from(schema.pieces)).scalar_one())


def _trials(connection: Connection, name: str, dim: int, settings: Sequence[str]) -> list[Trial]:
    """Indexes of all vectors, one for each setting."""
    wanted, total = _numbers(connection), _total(connection, name)
    sample = _sample(connection, name, dim, wanted, total)
    return autotune.build(settings, dim, total, batches(connection, name, dim, wanted), sample)


def batches(
    connection: Connection, name: str, dim: int, wanted: IntArray
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Keys and vectors of the wanted pieces, some hundreds of pieces at a time, keys rising."""
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


def _sample(
    connection: Connection, name: str, dim: int, wanted: IntArray, total: int
) -> tuple[IntArray, FloatArray]:
    """Keys and vectors of pieces drawn at random, enough to learn the cells of an approximate index."""
    wish = autotune.training_size(total)
    rng = np.random.default_rng(0)  # the same library gives the same index
    share = min(1.0, 1.1 * wish / max(1, total))
    drawn = np.sort(rng.choice(wanted, min(len(wanted), 1 + int(share * len(wanted))), replace=False))
    found = list(batches(connection, name, dim, drawn))
    if not found:
        return np.empty(0, dtype=np.int64), np.empty((0, dim), dtype=np.float32)
    keys, vectors = (np.concatenate(column) for column in zip(*found, strict=True))
    order = rng.permutation(len(keys))[:wish]
    return keys[order], vectors[order]
