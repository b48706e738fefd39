"""`library.maintenance`: search indexes, soundness, copies, another encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from embedder.core.errors import LibraryDamaged, LibraryError, LibraryReadOnly

from .library_encoder import EncoderLike, LibraryEncoder
from .records import IndexTrial
from .reembed import ReembedProgress, ReembedReport, reembed
from .storage import DATABASE_NAME, Database, absolute, display, writer_lock
from .storage.backup import backup
from .storage.repair import RepairReport, repair
from .storage.verify import VerifyReport, verify
from .vectors import autotune, index_files
from .vectors.faiss_store import FaissStore
from .vectors.vector_indexes import INDEX_NAMES, Catalogue

if TYPE_CHECKING:
    from .distributed.merge import Merged
    from .vectors.autotune import Trial

__all__ = ["Maintenance", "repair_library", "verify_library"]


class Maintenance:
    """The upkeep of a library.

    Parameters
    ----------
    database, encoder, catalogue : of the library; `encoder` becomes the new one when all is embedded anew
    refresh_probes : trains the probes anew that were made for another encoder
    """

    def __init__(
        self,
        database: Database,
        encoder: LibraryEncoder,
        catalogue: Catalogue,
        refresh_probes: Callable[[], object],
    ) -> None:
        self._database = database
        self._encoder = encoder
        self._catalogue = catalogue
        self._refresh_probes = refresh_probes

    def verify(self) -> VerifyReport:
        """Check every page, row and file of the library; nothing is changed.

        Damage is not raised but reported. `verify_library` does the same for a library that does not open.
        """
        return verify_library(self._database.folder)

    def repair(self, *, wait_s: float | None = None) -> RepairReport:
        """Mend the library: what is damaged in its database goes, all that can be read stays.

        `repair_library` does the same for a library that does not open, and says what is raised.
        """
        self._database.reconnect()  # an open connection would go on reading the damaged file
        try:
            return repair_library(self._database.folder, wait_s=wait_s)
        finally:
            self._database.reconnect()

    def build_index(self, name: str = "pieces", kind: str | None = None) -> list[IndexTrial]:
        """Build a search index anew, beside the one that is there, which serves until it is done.

        Parameters
        ----------
        name : "pieces" or "windows"
        kind : one of "exact", "hnsw", "fp16", "sq8", "sq6", "sq4", "pq"; what suits the size if not given

        Returns
        -------
        list of IndexTrial
            What was built and measured, the one in use first; empty while the library has no pieces.

        Raises
        ------
        ValueError
            If there is no such index or kind.
        LibraryReadOnly
        """
        if kind is not None and kind not in autotune.SETTINGS:
            raise ValueError(f"no kind of index is called {kind!r}; there are {', '.join(autotune.SETTINGS)}")
        return self._rebuilt(name, None if kind is None else [kind])

    def tune_index(self, name: str = "pieces") -> list[IndexTrial]:
        """Build every kind of index that is worth it for the library's size, and keep the best.

        The best is the one with fewest bytes a vector among those that find 95 % of the ten true nearest
        within 10 ms; while the library is so small that comparing every vector is as quick, that.

        See `build_index` for what is given and raised.
        """
        return self._rebuilt(name, "all")

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Copy the library into another folder, while it is in use; the copy is a library itself.

        It holds what was committed when the copying began. An earlier copy in that folder is replaced when
        the new one is complete.

        Raises
        ------
        LibraryError
            If the folder holds another library.
        DiskFull, LibraryReadOnly
        """
        _only_files("backup")
        return backup(self._database.folder / DATABASE_NAME, Path(absolute(target))).parent

    def merge(self, results: str | os.PathLike[str], *, wait_s: float | None = None) -> Merged:
        """Take in what shards have given (`index.distributed.shards`): every result in a folder that is done.

        Nothing is read or embedded again. Taking in the same folder once more changes nothing.

        Raises
        ------
        LibraryError
            If there is no result, or one is not what was written.
        EncoderMismatch
            If one was made by another encoder than the library.
        """
        from .distributed.merge import merge_all

        with writer_lock(self._database.folder, wait_s):
            merged = merge_all(self._database, Path(absolute(results)))
            for name in INDEX_NAMES:
                self._catalogue.settle(name)
            return merged

    def reembed(
        self,
        encoder: EncoderLike | str | None = None,
        progress: Callable[[ReembedProgress], None] | None = None,
        *,
        wait_s: float | None = None,
    ) -> ReembedReport:
        """Embed all pieces anew with another encoder, from the notes that the library holds.

        Aria's hears more in files than their notes: it reads those that are as they were, and the report says
        how many pieces it had to take from their notes.

        The old vectors go on serving until the last piece is done; then all change at once. Ctrl-C, or
        whatever else stops it, loses seconds of work: the same call continues.

        Parameters
        ----------
        encoder : an encoder, or a name or folder that `Encoder.load` takes; if not given, the one that the
            library names, as it is now
        progress : called now and then
        wait_s : how long to wait at the end for another process that writes; None for as long as it takes

        Raises
        ------
        LibraryBusy
            If another process does the same.
        LibraryReadOnly, DiskFull, EncoderError
        """
        with self._database.read() as connection:
            source = self._database.get(connection, "encoder_source")
        new = LibraryEncoder(encoder, self._database.folder)
        loaded = new.get(None, source)
        report = reembed(self._database, loaded, new.source, progress or (lambda state: None), wait_s)
        if report.switched:
            self._encoder.replace(encoder)
            self.prepare()
            self._refresh_probes()
        return report

    def prepare(self) -> None:
        """Make the search indexes now and not at the first search: worth it beyond 100,000 pieces."""
        for name in INDEX_NAMES:
            self._catalogue.store(name)

    def _rebuilt(self, name: str, settings: list[str] | str | None) -> list[IndexTrial]:
        if name not in INDEX_NAMES:
            raise ValueError(f"no index is called {name!r}; there are {' and '.join(INDEX_NAMES)}")
        if self._database.read_only:
            folder = display(str(self._database.folder))
            raise LibraryReadOnly(f"{folder}: the library cannot be written; it can only be searched")
        if settings == "all":
            settings = list(autotune.candidates(*self._catalogue.extent(name)))
        assert not isinstance(settings, str)
        trials = self._catalogue.rebuild(name, settings)
        return [_record(trial, chosen=not place) for place, trial in enumerate(trials)]


def verify_library(path: str | os.PathLike[str]) -> VerifyReport:
    """Check every page, row and file of a library; nothing is changed.

    Raises
    ------
    LibraryError
        If there is no library; damage is not raised but reported.
    """
    _only_files("verify")
    folder = Path(absolute(path))
    with suppress(LibraryDamaged):
        Database(folder, create=False).close()  # an older one is brought up to date first
    return verify(folder, folder / DATABASE_NAME, _damaged_indexes(folder))


def repair_library(path: str | os.PathLike[str], *, wait_s: float | None = None) -> RepairReport:
    """Mend a library: what is damaged in its database goes, all that can be read stays.

    Parameters
    ----------
    wait_s : how long to wait for another process that writes; None for as long as it takes

    Raises
    ------
    LibraryError
        If there is no library, or nothing of it can be read.
    LibraryBusy, LibraryReadOnly, DiskFull
    """
    folder = Path(absolute(path))
    report = verify_library(folder)
    if not os.access(folder, os.W_OK):
        raise LibraryReadOnly(f"{display(str(folder))}: cannot be written; copy it to a place of your own")
    with writer_lock(folder, wait_s):
        damaged = _damaged_indexes(folder)
        repaired = repair(folder, damaged, _facts_of_indexes(folder, damaged), sound=report.sound)
    again = verify(folder, folder / DATABASE_NAME, _damaged_indexes(folder))
    if not again.sound:
        raise LibraryError(
            f"{display(str(folder))}: could not be repaired ({again.problems[0].reason}); use a backup"
        )
    return repaired


def _damaged_indexes(folder: Path) -> dict[str, str]:
    """What is wrong with the files of search indexes, by name."""
    reasons = {name: index_files.check_files(folder, name) for name in INDEX_NAMES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _facts_of_indexes(folder: Path, damaged: Collection[str]) -> dict[str, str]:
    """What the manifests of sound search indexes say of the database that they were built from."""
    facts: dict[str, str] = {}
    for name in INDEX_NAMES:
        manifest = None if name in damaged else index_files.read_manifest(folder, name)
        if manifest is not None:
            known = {"encoder": manifest.encoder, "dim": str(manifest.dim), "library": manifest.library}
            facts = known | {"commit": str(manifest.commit)} | facts
    return facts


def _only_files(what: str) -> None:
    if os.environ.get("MIDIKIN_DATABASE"):
        raise LibraryError(f"{what} is for a library in a file; PostgreSQL has its own tools, like pg_dump")


def _record(trial: Trial, *, chosen: bool) -> IndexTrial:
    return IndexTrial(
        setting=trial.setting,
        kind=FaissStore.of(trial).kind,
        recall=trial.recall,
        p50_ms=trial.p50_ms,
        p99_ms=trial.p99_ms,
        bytes_per_vector=trial.bytes_per_vector,
        size_bytes=round(trial.bytes_per_vector * trial.part.count),
        chosen=chosen,
    )
