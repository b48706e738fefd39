"""Which pieces are meant: by number, file, folder, or as an answer of the library."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, select

from embedder.core.errors import PieceNotFound

from ..arguments import LARGEST, is_number
from ..records import Hit, Piece, SearchResult
from ..storage import absolute, below, display, schema, to_bytes
from ..storage.pieces import chunks

__all__ = ["Contents", "flatten", "one_piece"]

SINGLE = (str, os.PathLike, Piece, Hit)


def flatten(targets: Any) -> list[Any]:
    """What was given, as a list of numbers and paths."""
    if isinstance(targets, SearchResult):
        return [hit.piece_id for hit in targets.results]
    if isinstance(targets, SINGLE) or is_number(targets):
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
        wanted = sorted({number for number in numbers if abs(number) <= LARGEST} - set(self._known))
        columns = schema.pieces.c
        for some in chunks(wanted):
            query = select(columns.id, columns.sha256).where(columns.id.in_(some))
            self._known.update((row.id, row.sha256) for row in self._connection.execute(query))

    def of(self, target: Any) -> list[tuple[int, str]]:
        """Numbers and hashes of the pieces that a number, a file or a folder stands for.

        Raises
        ------
        PieceNotFound
            If the library holds none.
        """
        if is_number(target):
            number = int(target)
            self.load([number])
            if number not in self._known:
                raise PieceNotFound(f"no piece of the library has the number {number}; nothing was changed")
            return [(number, self._known[number])]
        found = list(self._of_path(absolute(target)))
        if not found:
            raise PieceNotFound(
                f"{display(os.fspath(target))}: not in the library; add it first, nothing was changed"
            )
        return found

    def _of_path(self, path: str) -> Iterator[tuple[int, str]]:
        paths, pieces = schema.paths.c, schema.pieces.c
        first, last = below(path)
        inside = (paths.path == to_bytes(path)) | ((paths.path >= first) & (paths.path < last))
        joined = schema.paths.join(schema.pieces, paths.piece_id == pieces.id)
        query = select(pieces.id, pieces.sha256).select_from(joined).where(inside).distinct()
        rows = self._connection.execute(query.order_by(pieces.id)).all()
        if not rows:
            rows = self._connection.execute(
                select(pieces.id, pieces.sha256).where(pieces.sha256 == _hash(path))
            ).all()
        return ((row.id, row.sha256) for row in rows)


def _hash(path: str) -> str:
    """SHA-256 of a file: its content may be in the library from elsewhere."""
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def one_piece(connection: Connection, target: Any) -> tuple[int, str]:
    """Number and hash of the one piece that is meant.

    Raises
    ------
    PieceNotFound
        If there is none, or the target is a folder with several.
    """
    (plain,) = flatten([target])
    found = Contents(connection).of(plain)
    if len(found) > 1:
        raise PieceNotFound(f"{display(os.fspath(plain))}: {len(found):,} pieces lie in it; name one of them")
    return found[0]
