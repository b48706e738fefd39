"""What a user asks about: a file, some notes or a piece of the library, as notes with the piece they are."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from sqlalchemy import Connection, select

from embedder.core.errors import MidiError, PieceNotFound
from embedder.notes import Notes

from ..arguments import is_number
from ..records import Named
from ..storage import absolute, schema, to_bytes
from ..storage.pieces import notes_of, pieces_by_id

__all__ = ["Source", "Target", "of_file", "resolve"]

Target = str | os.PathLike[str] | Notes | int


@dataclass(frozen=True)
class Source(Named):
    """Notes and where they are from.

    Attributes
    ----------
    path : the file, or None for notes given as a value
    piece_id : the piece of the library with the same bytes, or None
    """

    notes: Notes
    path: str | None
    piece_id: int | None


def resolve(connection: Connection, target: Target) -> Source:
    """Notes of a file, of a piece by its number, or as given.

    A file that is gone but on record stands for the piece it held.

    Raises
    ------
    MidiError
        If the file cannot be read or holds no notes.
    PieceNotFound
        If there is no piece of that number.
    """
    if isinstance(target, Notes):
        source = Source(target, None, None)
    elif is_number(target):
        number = int(target)  # type: ignore[arg-type]
        piece = pieces_by_id(connection, [number]).get(number)
        if piece is None:
            raise PieceNotFound(f"no piece of the library has the number {number}")
        source = Source(notes_of(connection, number), piece.path, number)
    else:
        source = _of_file(connection, absolute(target))  # type: ignore[arg-type]
    return _with_notes(source)


def of_file(path: str | os.PathLike[str]) -> Source:
    """Notes of a file, whatever the library knows.

    Raises
    ------
    MidiError
        If the file cannot be read or holds no notes.
    """
    from embedder.midi.reading import read_midi

    place = absolute(path)
    return _with_notes(Source(read_midi(place), place, None))


def _with_notes(source: Source) -> Source:
    if not len(source.notes):
        raise MidiError("no notes to look for", source.display if source.path else None)
    return source


def _of_file(connection: Connection, path: str) -> Source:
    recorded = select(schema.paths.c.piece_id).where(schema.paths.c.path == to_bytes(path))
    if not os.path.lexists(path):
        number = connection.execute(recorded).scalar()
        if number is not None:
            return Source(notes_of(connection, number), path, number)
    from embedder.midi.reading import read_midi

    notes = read_midi(path)
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    same = select(schema.pieces.c.id).where(schema.pieces.c.sha256 == sha256)
    return Source(notes, path, connection.execute(same).scalar())
