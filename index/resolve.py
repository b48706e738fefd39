"""Which piece a user means: a number, "#12", a file, notes, an answer of the library, or a list of these.

One rule says whether a file is still the one on record (`unchanged`), and one message what is not there.
A file that is gone stands for the piece that it held; one that has changed is looked for by its content.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, select

from embedder.core.errors import MidiError, PieceNotFound
from embedder.core.files import sha256_of
from embedder.notes import Notes

from .arguments import LARGEST, is_number
from .records import Hit, Named, Piece, SearchResult
from .scan import FileStatus, file_status
from .storage import absolute, below, chunks, display, schema, to_bytes
from .storage.pieces import notes_of, pieces_by_id

__all__ = [
    "Contents",
    "Source",
    "Target",
    "existing_piece",
    "flatten",
    "no_such_piece",
    "not_in_library",
    "of_file",
    "one_piece",
    "resolve",
    "unchanged",
]

Target = str | os.PathLike[str] | Notes | int
_SINGLE = (str, os.PathLike, Piece, Hit)
_NUMBER = re.compile(r"#\d+")


def no_such_piece(number: int) -> PieceNotFound:
    return PieceNotFound(f"no piece of the library has the number {number}; `midikin list` names them all")


def not_in_library(path: str | os.PathLike[str]) -> PieceNotFound:
    return PieceNotFound(f"{display(os.fspath(path))}: not in the library; add it first with `midikin add`")


def unchanged(recorded: Row[*tuple[Any, ...]], now: FileStatus) -> bool:
    """Whether a file is the one on record: its size and times of change, and the inode where it is known.

    Parameters
    ----------
    recorded : a row with the columns size_bytes, mtime_ns, changed_ns and inode of the table of paths; the
        last two are None in rows that an older midikin or another machine wrote
    """
    if (recorded.size_bytes, recorded.mtime_ns) != (now.size_bytes, now.mtime_ns):
        return False
    return recorded.changed_ns is None or (recorded.changed_ns, recorded.inode) == (now.changed_ns, now.inode)


# -- one piece, file or notes --------------------------------------------------------------------------


@dataclass(frozen=True)
class Source(Named):
    """Music that a user names, and where it is from.

    Attributes
    ----------
    path : the file, or None for notes given as a value
    piece : the piece of the library with the same bytes, or None
    load : reads the notes, within the transaction that resolved it; see `notes`
    """

    path: str | None
    piece: Piece | None
    title: str | None
    tempo_bpm: float | None
    load: Callable[[], Notes]

    @property
    def piece_id(self) -> int | None:
        return None if self.piece is None else self.piece.id

    @cached_property
    def notes(self) -> Notes:
        """The notes, read at the first use.

        Raises
        ------
        MidiError
            If there are none.
        """
        notes = self.load()
        if not len(notes):
            raise MidiError("no notes to look for", self.display if self.path else None)
        return notes


def resolve(connection: Connection, target: Target) -> Source:
    """What a user means by a file, notes, or the number of a piece.

    A file that the library holds unchanged, or whose bytes it holds, is not read.

    Raises
    ------
    MidiError
        If a file must be read and cannot be.
    PieceNotFound
        If there is no piece of that number.
    """
    if isinstance(target, Notes):
        return Source(None, None, None, None, lambda: target)
    number = _number(target)
    if number is not None:
        piece = existing_piece(connection, number)
        return _stored(connection, piece, piece.path)
    path = absolute(target)  # type: ignore[arg-type]
    piece_id = _recorded(connection, path) or _of_content(connection, path)
    if piece_id is not None:
        return _stored(connection, pieces_by_id(connection, [piece_id])[piece_id], path)
    return of_file(path)


def of_file(path: str | os.PathLike[str]) -> Source:
    """A file as it is, whatever the library knows.

    Raises
    ------
    MidiError
        If the file cannot be read.
    """
    from embedder.midi.reading import read_piece

    file = absolute(path)
    midi = read_piece(file)
    return Source(file, None, midi.title, midi.tempo_bpm, lambda: midi.notes)


def existing_piece(connection: Connection, number: int) -> Piece:
    """The piece of a number.

    Raises
    ------
    PieceNotFound
    """
    piece = pieces_by_id(connection, [number]).get(number)
    if piece is None:
        raise no_such_piece(number)
    return piece


def _number(target: object) -> int | None:
    """The number that a target is; "#12" is one unless there is a file of that name."""
    if is_number(target):
        return int(target)  # type: ignore[call-overload,no-any-return]
    if isinstance(target, str) and _NUMBER.fullmatch(target) and not os.path.lexists(target):
        return int(target[1:])
    return None


def _stored(connection: Connection, piece: Piece, path: str) -> Source:
    tempo_bpm = piece.descriptors.tempo_bpm
    return Source(path, piece, piece.title, tempo_bpm, lambda: notes_of(connection, piece.id))


def _recorded(connection: Connection, path: str) -> int | None:
    """The piece on record for a path, if the file is as it was, or is no longer there at all."""
    paths = schema.paths.c
    columns = (paths.piece_id, paths.size_bytes, paths.mtime_ns, paths.changed_ns, paths.inode)
    row = connection.execute(select(*columns).where(paths.path == to_bytes(path))).first()
    if row is None:
        return None
    status = file_status(path)
    if status is None:  # gone, or in a folder that cannot be entered
        return None if os.path.exists(path) else int(row.piece_id)
    return int(row.piece_id) if unchanged(row, status) else None


def _of_content(connection: Connection, path: str) -> int | None:
    """The piece with the content of a file, if the library has it from elsewhere."""
    pieces = schema.pieces.c
    status = file_status(path)
    if status is None or not os.path.isfile(path):
        return None
    same_size = select(pieces.id).where(pieces.size_bytes == status.size_bytes).limit(1)
    if connection.execute(same_size).first() is None:
        return None
    try:
        sha256 = sha256_of(path)
    except OSError:
        return None  # reading it will say what is wrong
    number = connection.execute(select(pieces.id).where(pieces.sha256 == sha256)).scalar()
    return None if number is None else int(number)


# -- several pieces ------------------------------------------------------------------------------------


def flatten(targets: Any) -> list[Any]:
    """What was given, as a list of numbers and paths."""
    if isinstance(targets, SearchResult):
        return [hit.piece_id for hit in targets.results]
    if isinstance(targets, _SINGLE) or is_number(targets):
        return [_plain(targets)]
    if not isinstance(targets, Iterable):
        raise TypeError(f"{targets!r} is no piece; give its number, its file, or a list of them")
    return [_plain(target) for target in targets]


def _plain(target: Any) -> Any:
    if isinstance(target, Piece):
        return target.id
    if isinstance(target, Hit):
        return target.piece_id
    if isinstance(target, str | os.PathLike) or is_number(target):
        return target
    raise TypeError(f"{target!r} is no piece; give its number or its file")


class Contents:
    """Finds the contents that targets name, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[int, str] = {}

    def load(self, numbers: Iterable[int]) -> None:
        """Look many numbers up at once."""
        missing = sorted({number for number in numbers if abs(number) <= LARGEST} - set(self._known))
        columns = schema.pieces.c
        for batch in chunks(missing):
            query = select(columns.id, columns.sha256).where(columns.id.in_(batch))
            self._known.update((row.id, row.sha256) for row in self._connection.execute(query))

    def of(self, target: Any) -> list[tuple[int, str]]:
        """Numbers and hashes of the pieces that a number, a file or a folder stands for.

        Raises
        ------
        PieceNotFound
            If the library holds none.
        """
        number = _number(target)
        if number is None:
            path = absolute(target)
            number = _recorded(self._connection, path) or _of_content(self._connection, path)
            if number is None:
                pieces = self._inside(path)
                if not pieces:
                    raise not_in_library(target)
                return pieces
        self.load([number])
        if number not in self._known:
            raise no_such_piece(number)
        return [(number, self._known[number])]

    def _inside(self, folder: str) -> list[tuple[int, str]]:
        paths, pieces = schema.paths.c, schema.pieces.c
        first, last = below(folder)
        joined = schema.paths.join(schema.pieces, paths.piece_id == pieces.id)
        query = select(pieces.id, pieces.sha256).select_from(joined).distinct()
        rows = self._connection.execute(
            query.where(paths.path >= first, paths.path < last).order_by(pieces.id)
        )
        return [(row.id, row.sha256) for row in rows]


def one_piece(connection: Connection, target: Any) -> tuple[int, str]:
    """Number and hash of the one piece that is meant.

    Raises
    ------
    PieceNotFound
        If there is none, or the target is a folder with several.
    """
    (plain,) = flatten([target])
    pieces = Contents(connection).of(plain)
    if len(pieces) > 1:
        raise PieceNotFound(
            f"{display(os.fspath(plain))}: {len(pieces):,} pieces lie in it; name one of them"
        )
    return pieces[0]
