"""What a library answers: immutable records, each with `to_json` where a command prints it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from embedder.core.files import printable

if TYPE_CHECKING:
    from embedder.descriptors import Descriptors

__all__ = [
    "AddProgress",
    "AddReport",
    "Failure",
    "Hit",
    "IndexInfo",
    "IndexTrial",
    "LibraryInfo",
    "Named",
    "Piece",
    "Query",
    "RemoveReport",
    "SearchResult",
]


class Named:
    """Mixin of a dataclass about a file, or with a `display` of its own.

    Paths and names may hold bytes that no terminal and no JSON takes.
    """

    if TYPE_CHECKING:

        @property
        def path(self) -> str | None: ...

    @property
    def display(self) -> str:
        """The path with all that cannot be printed escaped."""
        return "(notes)" if self.path is None else printable(self.path)

    def to_json(self) -> dict[str, Any]:
        """All fields, and `display`."""
        return asdict(self) | {"display": self.display}  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Piece(Named):
    """A piece of the library: one content, in one or more files.

    Attributes
    ----------
    paths : every file that holds these bytes, sorted; as the operating system takes them
    composer : where the file plainly names one
    partly_read : what of the file could not be read; None if all of it was
    """

    id: int
    paths: tuple[str, ...]
    title: str | None
    size_bytes: int
    start_s: float
    end_s: float
    windows: int
    descriptors: Descriptors
    composer: str | None = None
    partly_read: str | None = None

    @property
    def path(self) -> str:
        return self.paths[0]

    @property
    def name(self) -> str:
        """What the piece is called: its title, or else its file's name without suffix."""
        return self.title or os.path.splitext(os.path.basename(self.display))[0]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "path": self.path,
            "display": self.display,
            "paths": list(self.paths),
            "title": self.title,
            "composer": self.composer,
            "partly_read": self.partly_read,
            "size_bytes": self.size_bytes,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "windows": self.windows,
            "descriptors": asdict(self.descriptors),
        }


@dataclass(frozen=True)
class Query(Named):
    """What was searched for.

    Attributes
    ----------
    path : the file, or None for notes given as a value
    piece_id : its number if it is a piece of the library
    start_s, end_s : the part that was compared
    passages : whether passages were asked for
    filters : the filters as text, "" for none
    pieces : number of pieces that were compared
    """

    path: str | None
    piece_id: int | None
    title: str | None
    start_s: float
    end_s: float
    descriptors: Descriptors
    passages: bool
    filters: str
    pieces: int

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "display": self.display,
            "piece_id": self.piece_id,
            "title": self.title,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "passages": self.passages,
            "filters": self.filters,
            "pieces": self.pieces,
            "descriptors": asdict(self.descriptors),
        }


@dataclass(frozen=True)
class Hit(Named):
    """One answer: a piece, or a passage of one.

    Attributes
    ----------
    rank : 1 for the best
    path : the piece's file (the first that meets the filters, if several hold it)
    paths : all its files
    score : cosine with the query, -1 to 1
    start_s, end_s : what was compared: the whole piece, its best window, or the passage
    shared : what it has in common with the query, in plain words
    """

    rank: int
    piece_id: int
    path: str
    paths: tuple[str, ...]
    score: float
    start_s: float
    end_s: float
    title: str | None
    descriptors: Descriptors
    shared: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "rank": self.rank,
            "path": self.path,
            "display": self.display,
            "score": self.score,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "piece_id": self.piece_id,
            "title": self.title,
            "paths": list(self.paths),
            "shared": list(self.shared),
            "descriptors": asdict(self.descriptors),
        }


@dataclass(frozen=True)
class SearchResult:
    """A query and its answers, best first."""

    query: Query
    results: tuple[Hit, ...]

    def to_json(self) -> dict[str, Any]:
        return {"query": self.query.to_json(), "results": [hit.to_json() for hit in self.results]}


@dataclass(frozen=True)
class AddProgress:
    """How far an add has come.

    Attributes
    ----------
    phase : "waiting" (for the process `holder_pid`), "scanning", "adding"
    files_done, files_total : of the files that must be read; while scanning, files seen so far and 0
    notes_done : notes embedded and stored so far
    failed : files given up so far
    """

    phase: str
    files_done: int = 0
    files_total: int = 0
    notes_done: int = 0
    failed: int = 0
    holder_pid: int | None = None


@dataclass(frozen=True)
class AddReport:
    """What an add did. Counts are files unless they say otherwise.

    Attributes
    ----------
    found : MIDI files met in the folders
    unchanged : known and not touched since
    added : pieces that are new to the library
    duplicates : files whose bytes the library already held elsewhere
    moved : known pieces found at a new path while the old path is gone
    reread : pieces that were in the library and were read again
    changed : files whose content is no longer what it was
    failed : files or folders that could not be read this time, newly recorded
    known_failures : files that failed before and have not changed since
    vanished : paths of the library inside these folders that no longer exist (removed only if `pruned`)
    notes : notes of the added pieces
    interrupted : True if the add was stopped; the same command continues
    """

    found: int = 0
    unchanged: int = 0
    added: int = 0
    duplicates: int = 0
    moved: int = 0
    reread: int = 0
    changed: int = 0
    failed: int = 0
    known_failures: int = 0
    vanished: tuple[str, ...] = ()
    pruned: bool = False
    notes: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "vanished": list(self.vanished)
        }


@dataclass(frozen=True)
class RemoveReport:
    """What was taken out of the library; files are never touched."""

    paths: int
    pieces: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Failure(Named):
    """A file or folder that could not be read, and why."""

    path: str
    reason: str
    size_bytes: int | None
    failed_s: float


@dataclass(frozen=True)
class IndexInfo:
    """A cache of vectors on disk.

    Attributes
    ----------
    name : "pieces" or "windows"
    kind : "exact", or the kind of approximate index
    vectors : how many it holds
    recall : share of the ten true nearest that it finds, measured when it was built; 1 if exact
    current : whether it holds the last commit; if not, the next search brings it up to date
    setting : the kind in one word, as `midikin index build --kind` takes it
    size_bytes : on disk
    """

    name: str
    kind: str
    vectors: int
    recall: float
    current: bool
    setting: str
    size_bytes: int


@dataclass(frozen=True)
class IndexTrial:
    """An index that was built, and what was measured of it.

    Attributes
    ----------
    setting : its kind in one word
    kind : its kind in words, with how much of it is searched
    recall : share of the ten true nearest that it finds
    p50_ms, p99_ms : of one query
    bytes_per_vector, size_bytes : in memory and on disk
    chosen : whether it is the one that the library uses from now on
    """

    setting: str
    kind: str
    recall: float
    p50_ms: float
    p99_ms: float
    bytes_per_vector: float
    size_bytes: int
    chosen: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class LibraryInfo:
    """A library at a glance.

    Attributes
    ----------
    partly_read : pieces of whose files a damaged part could not be read
    with_drums : pieces that have drums
    """

    folder: str
    pieces: int
    paths: int
    windows: int
    notes: int
    hours: float
    failures: int
    partly_read: int
    with_drums: int
    encoder: str | None
    dim: int | None
    size_bytes: int
    schema_version: int
    commit: int
    read_only: bool
    indexes: tuple[IndexInfo, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"indexes": [asdict(index) for index in self.indexes]}
