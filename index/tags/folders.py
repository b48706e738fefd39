"""Labels from the names of folders."""

from __future__ import annotations

import os

from sqlalchemy import Connection, select

from embedder.core.errors import TagError

from ..storage import below, display, from_bytes, schema
from .names import shown
from .records import Wish

__all__ = ["folder_wishes"]


def folder_wishes(connection: Connection, tag: str, root: str | None, level: int) -> list[Wish]:
    """A label for each file below the root that lies deep enough.

    Raises
    ------
    TagError
        If there is none.
    """
    columns = schema.paths.c
    query = select(columns.path, columns.piece_id)
    if root is not None:
        first, last = below(root)
        query = query.where(columns.path >= first, columns.path < last)
    files = [(from_bytes(path), number) for path, number in connection.execute(query)]
    if not files:
        where = "the library" if root is None else display(root)
        raise TagError(f"{where}: holds no piece of the library; add some first")
    if root is None:
        root = os.path.commonpath([os.path.dirname(path) for path, _ in files])
    wishes = []
    for path, number in files:
        folders = os.path.relpath(path, root).split(os.sep)[:-1]
        if len(folders) >= level:
            name = display(folders[level - 1])  # a folder's name need not be text
            wishes.append(Wish(number, tag, name))
    if not wishes:
        raise TagError(
            f"{display(root)}: no piece lies {level} folders below it; "
            f"give another folder or level for {shown(tag)}"
        )
    return wishes
