"""The part of `Library` that looks after it: its search indexes, its soundness, its copies, its encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from embedder.errors import LibraryReadOnly

from . import tuning
from .catalogue import INDEX_NAMES, Catalogue
from .paths import display
from .records import IndexTrial
from .vectors import FaissStore

if TYPE_CHECKING:
    from .database import Database
    from .encoding import LibraryEncoder
    from .tuning import Trial

__all__ = ["Care"]


class Care:
    """What a library offers for its own upkeep; `Library` has all of it."""

    folder: Path
    read_only: bool
    _database: Database
    _catalogue: Catalogue
    _encoder: LibraryEncoder

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
        if kind is not None and kind not in tuning.SETTINGS:
            raise ValueError(f"no kind of index is called {kind!r}; there are {', '.join(tuning.SETTINGS)}")
        return self._rebuilt(name, None if kind is None else [kind])

    def tune_index(self, name: str = "pieces") -> list[IndexTrial]:
        """Build every kind of index that is worth it for the library's size, and keep the best.

        The best is the one with fewest bytes a vector among those that find 95 % of the ten true nearest
        within 10 ms; while the library is so small that comparing every vector is as quick, that.

        See `build_index` for what is given and raised.
        """
        return self._rebuilt(name, "all")

    def _rebuilt(self, name: str, settings: list[str] | str | None) -> list[IndexTrial]:
        if name not in INDEX_NAMES:
            raise ValueError(f"no index is called {name!r}; there are {' and '.join(INDEX_NAMES)}")
        if self.read_only:
            raise LibraryReadOnly(
                f"{display(str(self.folder))}: the library cannot be written; it can only be searched"
            )
        if settings == "all":
            settings = list(tuning.candidates(*self._catalogue.extent(name)))
        assert not isinstance(settings, str)
        trials = self._catalogue.rebuild(name, settings)
        return [_record(trial, chosen=not place) for place, trial in enumerate(trials)]


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
