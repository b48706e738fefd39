"""The vectors of a library in Milvus: collections that several machines share, in step with the database."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from embedder.core.errors import LibraryError

from ..records import IndexInfo
from ..storage import Database
from .autotune import Trial
from .faiss_store import VectorStore
from .keys import IntArray
from .milvus import MilvusStore
from .vector_indexes import Catalogue, Owner, batches, changes

__all__ = ["SharedCatalogue"]


@dataclass
class _Shared:
    """A collection, the commit it stands for as far as this process knows, and the pieces in it."""

    store: MilvusStore
    owner: Owner
    commit: int
    numbers: IntArray


class SharedCatalogue(Catalogue):
    """Stores of one library in a Milvus server; safe to use from several threads and machines.

    Whoever searches first brings a collection up to date. Doing so twice changes nothing, so that machines
    need not agree on who does it.
    """

    def __init__(self, database: Database, address: str) -> None:
        super().__init__(database)
        self._address = address
        self._shared: dict[str, _Shared] = {}
        self._sharing = threading.Lock()

    def store(self, name: str) -> VectorStore | None:
        with self._sharing, self._database.read() as connection:
            owner = self._owner(connection)
            if owner is None:
                return None
            commit = self._database.commit_number(connection)
            held = self._shared.get(name)
            if held is None or held.owner != owner:
                store = MilvusStore(self._address, _collection(owner, name), owner[2])
                held = _Shared(store, owner, -1, store.pieces())
            if held.commit != commit:
                missing, gone = changes(connection, held.numbers)
                if len(gone):
                    held.store.remove(gone)
                for keys, vectors in batches(connection, name, owner[2], missing):
                    held.store.add(keys, vectors)
                kept = np.setdiff1d(held.numbers, gone, assume_unique=True)
                held.numbers, held.commit = np.union1d(kept, missing), commit
            self._shared[name] = held
            return held.store

    def serves(self, connection: Connection, name: str) -> bool:
        held = self._shared.get(name)
        return held is None or held.owner == self._owner(connection)

    def settle(self, name: str) -> None:
        """Milvus does this by itself."""

    def rebuild(self, name: str, settings: Sequence[str] | None = None) -> list[Trial]:
        raise LibraryError("the vectors of this library are in Milvus, which keeps its own indexes")

    def info(self, connection: Connection) -> tuple[IndexInfo, ...]:
        commit = self._database.commit_number(connection)
        return tuple(
            IndexInfo(name, held.store.kind, held.store.count, 1.0, held.commit == commit, "milvus", 0)
            for name, held in self._shared.items()
        )


def _collection(owner: Owner, name: str) -> str:
    """One for each library, encoder and store; Milvus takes letters, digits and underscores."""
    library, encoder, _ = owner
    words = "".join(c if c.isascii() and c.isalnum() else "_" for c in encoder)
    return f"midikin_{library}_{words}_{name}"[:255]
