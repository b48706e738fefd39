"""`Library`: the whole API of this package. Command line and pages use nothing below it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import func, select

from embedder.core.errors import LibraryError
from embedder.core.progress import OnProgress, no_progress

from .add import add_folders
from .arguments import check_part, is_number, whole
from .duplicates.duplicates import DuplicateSearch
from .filter_cache import Allowed
from .filters import Filters
from .library_encoder import EncoderLike, LibraryEncoder
from .maintenance import Maintenance
from .matching import Compared, FindResult, Matching
from .melody.search import MelodySearch
from .probes.probes import Probes
from .records import AddProgress, AddReport, Failure, LibraryInfo, Piece, RemoveReport, SearchResult
from .remove import remove
from .resolve import existing_piece
from .search import Asked, search
from .storage import (
    DATABASE_NAME,
    Database,
    absolute,
    below,
    display,
    from_bytes,
    schema,
    to_bytes,
    writer_lock,
)
from .storage.pieces import notes_of, pieces_of_rows
from .storage.statistics import Statistics
from .tags.tags import Tags
from .vectors import index_files
from .vectors.vector_indexes import INDEX_NAMES, Catalogue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedder.notes import Notes

    from .melody.search import MelodyResult

__all__ = ["Library", "default_folder"]

Target = str | os.PathLike[str]


def default_folder() -> Path:
    """Where the library lies if nothing else is said: MIDIKIN_LIBRARY, or a folder of the user's own."""
    named = os.environ.get("MIDIKIN_LIBRARY")
    if named:
        return Path(absolute(named))
    import platformdirs

    return Path(platformdirs.user_data_dir("midikin", appauthor=False)) / "library"


# Methods of a flat Library, and the object and method that answer for them now; an empty name is a call.
_MOVED = {
    "label": ("tags", "label"),
    "unlabel": ("tags", "unlabel"),
    "label_many": ("tags", "label_many"),
    "label_by_folder": ("tags", "label_by_folder"),
    "import_labels": ("tags", "import_labels"),
    "export_labels": ("tags", "export_labels"),
    "rename_tag": ("tags", "rename"),
    "labels": ("tags", "labels"),
    "tags_of": ("tags", "of"),
    "label_history": ("tags", "history"),
    "undo_labels": ("tags", "undo"),
    "train_probe": ("probes", "train_tag"),
    "train_probes": ("probes", "train"),
    "refresh_probes": ("probes", "refresh"),
    "probe": ("probes", "show"),
    "apply_probes": ("probes", "apply"),
    "predictions": ("probes", "predictions"),
    "accept_predictions": ("probes", "accept"),
    "reject_predictions": ("probes", "reject"),
    "suggest": ("probes", "suggest"),
    "explain": ("probes", "explain"),
    "timeline": ("probes", "timeline"),
    "decide": ("duplicates", "decide"),
    "undo_decision": ("duplicates", "undo"),
    "decisions": ("duplicates", "decisions"),
    "build_index": ("maintenance", "build_index"),
    "tune_index": ("maintenance", "tune_index"),
    "backup": ("maintenance", "backup"),
    "merge": ("maintenance", "merge"),
    "reembed": ("maintenance", "reembed"),
    "prepare": ("maintenance", "prepare"),
}


class Library:
    """Pieces of MIDI music in a folder on disk, that can be searched for what sounds alike.

    Open one with `Library.open`; use it as a context manager or call `close`. One Library may be used from
    several threads; several processes may have the same folder open, of which one at a time writes.

    Attributes
    ----------
    folder : the library's folder
    read_only : whether it can only be searched
    tags : labels that people give (`index.tags.tags.Tags`); called, it lists the tags
    probes : what learns tags from labels (`index.probes.probes.Probes`); called, it lists the probes
    duplicates : pieces that hold the same music (`index.duplicates.duplicates.DuplicateSearch`); called, it
        looks for them
    maintenance : indexes, soundness, copies, another encoder (`index.maintenance.Maintenance`)
    """

    def __init__(self, database: Database, encoder: EncoderLike | str | None) -> None:
        self.folder = database.folder
        self.read_only = database.read_only
        self._database = database
        self._encoder = LibraryEncoder(encoder, database.folder)
        self._catalogue = _catalogue(database)
        self._statistics = Statistics(database)
        self._allowed = Allowed(database)
        self._matching = Matching(database, self._allowed)
        self._melodies = MelodySearch(database)
        self.tags = Tags(database)
        self.probes = Probes(database)
        self.duplicates = DuplicateSearch(database, self._matching)
        self.maintenance = Maintenance(database, self._encoder, self._catalogue, self.probes.refresh)

    if not TYPE_CHECKING:  # a checker should not take every name for one that there is

        def __getattr__(self, name: str) -> Any:
            """The methods of before that are now those of `tags`, `probes`, `duplicates` or `maintenance`."""
            if name not in _MOVED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            room, method = _MOVED[name]
            message = f"Library.{name} is now Library.{room}.{method}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return getattr(getattr(self, room), method)

    @classmethod
    def open(
        cls, path: Target | None = None, *, create: bool = True, encoder: EncoderLike | str | None = None
    ) -> Self:
        """Open a library.

        Parameters
        ----------
        path : its folder; MIDIKIN_LIBRARY or the user's own data folder if not given
        create : make an empty one if there is none
        encoder : an encoder, or a name or folder that `Encoder.load` takes. If not given: the
            one that the library was made with, or the one that comes with midikin. It is loaded only when
            something must be embedded.

        Raises
        ------
        LibraryError
            If there is none and `create` is false, or what lies there cannot be used.
        LibraryReadOnly, DiskFull
            If a new one cannot be written there. One that exists opens where nothing can be written.
        EncoderMismatch
            If `encoder` is a loaded encoder and not the one that made the library's vectors.
        """
        folder = default_folder() if path is None else Path(absolute(path))
        library = cls(Database(folder, create=create), encoder)
        try:
            with library._database.read() as connection:
                library._encoder.check(library._database.encoder(connection)[0])
        except BaseException:
            library.close()
            raise
        return library

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing --------------------------------------------------------------------------------

    def add(
        self,
        folders: Target | Sequence[Target],
        progress: Callable[[AddProgress], None] | None = None,
        *,
        prune: bool = False,
        retry_failures: bool = False,
        reread: bool = False,
        workers: int | None = None,
        wait_s: float | None = None,
    ) -> AddReport:
        """Add MIDI files: folders with all that is below them, and single files.

        Only what is new or changed is read; a moved or renamed file is recognised by its content. What was
        committed stays, however the add ends, and the same call continues. The files are only ever read.

        Parameters
        ----------
        progress : called with the state of things now and then, in this thread
        prune : forget paths inside these folders that no longer exist; otherwise they are only listed
        retry_failures : read files again that failed before, even if they have not changed
        reread : read every file again, also those that have not changed; a piece keeps its number and tags.
            Pieces that an older midikin read are read again without that.
        workers : processes that read files; as many as there are cores, up to 8, if not given
        wait_s : how long to wait for another process that writes; None for as long as it takes

        Raises
        ------
        LibraryError
            If one of the folders does not exist and the library knows nothing inside it.
        LibraryBusy, LibraryReadOnly, DiskFull, EncoderMismatch
        """
        given = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
        roots = list(dict.fromkeys(absolute(folder) for folder in given))
        for root in roots:
            self._check_root(root)
        tell = progress or (lambda state: None)

        def waiting(pid: int | None) -> None:
            tell(AddProgress("waiting", holder_pid=pid))

        self._check_writable()
        with writer_lock(self.folder, wait_s, waiting):
            report = add_folders(
                self._database,
                self._encoder,
                roots,
                prune=prune,
                retry_failures=retry_failures,
                reread=reread,
                workers=workers,
                progress=tell,
            )
            if not report.interrupted:
                self._matching.store_fingerprints()
                self.probes.predict_newer()
                for name in INDEX_NAMES:
                    self._catalogue.settle(name)
            return report

    def _check_root(self, root: str) -> None:
        """A mistyped folder is an error; one that the library has known may have vanished."""
        if os.path.lexists(root):
            return
        first, last = below(root)
        column = schema.paths.c.path
        known = select(column).where((column == to_bytes(root)) | ((column >= first) & (column < last)))
        with self._database.read() as connection:
            if connection.execute(known.limit(1)).first() is None:
                raise LibraryError(f"{display(root)}: no such file or folder; check the name")

    def _check_writable(self) -> None:
        with self._database.write():
            pass  # begins and ends a transaction: says at once if nothing can be written

    def remove(
        self,
        targets: Target | int | Iterable[Target | int] = (),
        *,
        vanished: bool = False,
        wait_s: float | None = None,
    ) -> RemoveReport:
        """Take pieces out of the library, by number, file or folder. No file is touched.

        A piece goes when its last path goes. Failures on record inside the folders are forgotten too.

        Parameters
        ----------
        vanished : also every path whose file no longer exists
        wait_s : how long to wait for another process that writes; None for as long as it takes

        Raises
        ------
        PieceNotFound
            If a target is not in the library; nothing is removed then.
        LibraryBusy, LibraryReadOnly, DiskFull
        """
        single = isinstance(targets, str | os.PathLike) or is_number(targets)
        wanted = [targets] if single else list(targets)  # type: ignore[arg-type]
        self._check_writable()
        with writer_lock(self.folder, wait_s):
            return remove(self._database, wanted, vanished=vanished)  # type: ignore[arg-type]

    # -- asking ---------------------------------------------------------------------------------

    def search(
        self,
        query: Target | Notes | int,
        k: int = 10,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        passages: bool = False,
        filters: Filters | Iterable[str] | None = None,
        include_self: bool = False,
    ) -> SearchResult:
        """Find what sounds like a piece, or like a part of one.

        A whole query is compared with whole pieces; the score is the cosine of their vectors. A part
        (`start_s` or `end_s` given) is compared with every window, and a piece scores as its best window,
        whose times the answer gives. With `passages` the answers are passages: runs of windows, at most
        three a piece.

        Parameters
        ----------
        query : a MIDI file, notes, or a piece of the library by its number. A file that the library holds
            unchanged, or whose bytes it holds, is not read and needs no encoder unless a part is asked for.
        k : how many answers; fewer come only if fewer exist
        start_s, end_s : only the notes that begin in this part of the query
        filters : conditions that every answer meets, or strings for `Filters.parse`
        include_self : let the query itself be an answer: the piece with the same bytes (for notes given as a
            value, those with the same notes)

        Raises
        ------
        MidiError
            If the file cannot be read or the part holds no notes.
        PieceNotFound
            If there is no piece of that number.
        ValueError
            If k is not positive, or a filter or the part makes no sense.
        EncoderMismatch
        """
        k = whole(k, "k", least=1)
        check_part(start_s, end_s)
        if not isinstance(filters, Filters):
            filters = Filters.parse(filters or ())
        asked = Asked(query, k, start_s, end_s, passages, filters, include_self)
        return search(self._database, self._catalogue, self._encoder, self._allowed, asked)

    def find(
        self,
        query: Target | Notes | int,
        k: int = 10,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        transposed: bool = True,
        min_confidence: float | None = None,
        include_self: bool = True,
        every_place: bool = False,
        filters: Filters | Iterable[str] | None = None,
    ) -> FindResult:
        """Find the pieces that a passage is from, and where in them.

        Parameters
        ----------
        query : a MIDI file, notes, or a piece of the library by its number; 10 notes are enough if they are
            characteristic
        k : how many answers at most
        start_s, end_s : only the notes that begin in this part of the query
        transposed : look in other keys too, where nothing sure is found in the query's own
        min_confidence : leave out answers below it; 0.75 if not given, 0.9 of fewer than 15 notes: then about
            one fragment in a hundred that is not in the library gets a false answer
        include_self : let the very file that is asked about be an answer, if the library holds it
        every_place : every place of a piece that holds the passage, not only the best one
        filters : conditions that every answer meets, or strings for `Filters.parse`

        Raises
        ------
        MidiError
            If the file cannot be read or the part holds too few notes.
        PieceNotFound
            If there is no piece of that number.
        ValueError
            If k, a filter or the part makes no sense.
        """
        return self._matching.find(
            query,
            k,
            start_s=start_s,
            end_s=end_s,
            transposed=transposed,
            min_confidence=min_confidence,
            include_self=include_self,
            every_place=every_place,
            filters=filters,
        )

    def compare(
        self, one: Target | Notes | int, other: Target | Notes | int, *, transposition: int | None = None
    ) -> Compared:
        """Compare the notes of two pieces: where they agree, how much of each is covered, what differs.

        Parameters
        ----------
        one, other : MIDI files, notes, or pieces of the library by their numbers
        transposition : by how many semitones the one sounds higher; the likeliest is looked for if not given

        Raises
        ------
        MidiError
            If a file cannot be read or holds no notes.
        PieceNotFound
            If there is no piece of a number.
        """
        return self._matching.compare(one, other, transposition=transposition)

    def search_melody(
        self,
        query: Target | Notes | int,
        k: int = 10,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        include_self: bool = False,
        on_progress: OnProgress = no_progress,
    ) -> MelodyResult:
        """Find the pieces in which a melody is sung.

        The first search extracts the melody of every piece, which takes a while for large libraries.

        Parameters
        ----------
        query : a MIDI file, notes, or a piece of the library by its number; 15 notes are often enough
        k : how many answers at most
        start_s, end_s : only the notes that begin in this part of the query
        include_self : let the very file that is asked about be an answer
        on_progress : gets how many melodies have been extracted, of how many

        Raises
        ------
        MidiError
            If the file cannot be read or its melody has too few notes.
        PieceNotFound
            If there is no piece of that number.
        EncoderError
            If the melody model cannot be used.
        """
        return self._melodies.search(
            query, k, start_s=start_s, end_s=end_s, include_self=include_self, on_progress=on_progress
        )

    def piece(self, number: int) -> Piece:
        """The piece of this number.

        Raises
        ------
        PieceNotFound
        """
        number = int(number) if is_number(number) else whole(number, "the number of a piece")
        with self._database.read() as connection:
            return existing_piece(connection, number)

    def notes(self, number: int) -> Notes:
        """The notes of a piece as they were when it was added; its file need not exist any more."""
        piece = self.piece(number)
        with self._database.read() as connection:
            return notes_of(connection, piece.id)

    def pieces(
        self, filters: Filters | Iterable[str] | None = None, *, limit: int = 100, after: int = 0
    ) -> list[Piece]:
        """Pieces that meet the filters, by number: at most `limit`, with numbers greater than `after`.

        The next page begins after the last piece's `id`.
        """
        if not isinstance(filters, Filters):
            filters = Filters.parse(filters or ())
        limit, after = whole(limit, "the limit"), whole(after, "after")
        query = select(schema.pieces).where(schema.pieces.c.id > after, filters.clause())
        with self._database.read() as connection:
            found = connection.execute(query.order_by(schema.pieces.c.id).limit(limit)).all()
            return pieces_of_rows(connection, found, filters)

    def vectors(self, *, after: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What the encoder made of the pieces whose numbers are greater than `after`, by number.

        Returns
        -------
        numbers : int64 [n]
        vectors : float32 [n, dim], unit rows up to the rounding of how they are stored
        """
        return self._catalogue.vectors(whole(after, "after"))

    def failures(self, *, limit: int | None = None, after: str = "") -> list[Failure]:
        """Files and folders that could not be read, by path: at most `limit`, with paths beyond `after`."""
        table = schema.failures
        limit = None if limit is None else whole(limit, "the limit")
        query = select(table).where(table.c.path > to_bytes(after)).order_by(table.c.path).limit(limit)
        with self._database.read() as connection:
            return [
                Failure(from_bytes(row.path), row.reason, row.size_bytes, row.failed_s)
                for row in connection.execute(query)
            ]

    def info(self) -> LibraryInfo:
        """What the library holds; nothing is loaded for it."""
        with self._database.read() as connection:
            sums = self._statistics.sums(connection)
            paths, failures = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (schema.paths, schema.failures)
            )
            dim = self._database.number(connection, "dim")
            column = schema.pieces.c
            partly_read, with_drums = (
                connection.execute(select(func.count()).select_from(schema.pieces).where(those)).scalar_one()
                for those in (column.partly_read.is_not(None), column.drum_notes > 0)
            )
            return LibraryInfo(
                folder=str(self.folder),
                pieces=sums.pieces,
                paths=paths,
                windows=sums.windows,
                notes=sums.notes,
                hours=sums.seconds / 3600,
                failures=failures,
                partly_read=partly_read,
                with_drums=with_drums,
                encoder=self._database.encoder(connection)[0],
                dim=dim or None,
                size_bytes=_size_bytes(self.folder) + self._matching.fingerprints.size_bytes(),
                schema_version=self._database.number(connection, "schema"),
                commit=self._database.commit_number(connection),
                read_only=self.read_only,
                indexes=self._catalogue.info(connection),
            )


def _catalogue(database: Database) -> Catalogue:
    """The vectors: beside the database, or on the Milvus server that MIDIKIN_VECTORS names."""
    address = os.environ.get("MIDIKIN_VECTORS")
    if not address:
        return Catalogue(database)
    try:
        from .vectors.milvus import SharedCatalogue

        return SharedCatalogue(database, address)
    except ImportError as error:
        raise LibraryError('Milvus needs the extra: pip install "midikin[cluster]"') from error


def _size_bytes(folder: Path) -> int:
    """Size of the library's own files; others may lie in the same folder."""
    own = [folder / (DATABASE_NAME + end) for end in ("", "-wal", "-shm")]
    caches = sum(index_files.size_bytes(folder, name) for name in INDEX_NAMES)
    return caches + sum(path.stat().st_size for path in own if path.exists())
