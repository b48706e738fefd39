"""`library.tags`: labels that people give to pieces."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..arguments import whole
from ..storage.database import Database
from ..storage.paths import absolute
from .folders import folder_wishes
from .label_export import to_csv
from .label_import import give_table
from .labels import actions, give, rename, undo
from .queries import labels_of, list_tags, tags_of_piece
from .records import ImportReport, Label, LabelAction, LabelReport, PieceTag, Tag, Wish
from .table_files import read_table
from .targets import flatten, one_piece

__all__ = ["Tags"]

Path = str | os.PathLike[str]


class Tags:
    """The labels of a library; calling it lists the tags.

    Parameters
    ----------
    database : of the library
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self) -> list[Tag]:
        """The tags of the library, by name."""
        with self._database.read() as connection:
            return list_tags(connection, self._database.encoder(connection)[0])

    def label(
        self,
        tag: str,
        pieces: Any,
        *,
        value: str | None = None,
        holds: bool = True,
        start_s: float | None = None,
        end_s: float | None = None,
        source: str = "user",
    ) -> LabelReport:
        """Say that pieces have a tag, or that they do not; one action, whole or not at all.

        Parameters
        ----------
        tag : its name; made if it is new
        pieces : a piece by number, a file, a folder, an answer of the library, or a list of these
        value : of a facet (one of many values); None for a free tag (yes or no)
        holds : False to say "is not"
        start_s, end_s : only this part of a single piece
        source : for the history: "user", "search", "folder", "file"

        Raises
        ------
        PieceNotFound
            If a target is not in the library.
        TagError
            If the name cannot be, the tag is of the other kind, or labels contradict each other.
        LibraryReadOnly
        """
        part = {"start_s": start_s, "end_s": end_s}
        wishes = [Wish(target, tag, value, bool(holds), **part) for target in flatten(pieces)]
        return self.label_many(wishes, source=source)

    def unlabel(self, tag: str, pieces: Any, *, value: str | None = None) -> LabelReport:
        """Take the labels of a tag away from pieces and their parts: neither yes nor no is said then.

        Parameters
        ----------
        value : of a facet, to take away only this value

        Raises
        ------
        PieceNotFound, TagError
        """
        return self.label_many([Wish(target, tag, value, None) for target in flatten(pieces)])

    def label_many(self, wishes: Iterable[Wish], *, source: str = "user", what: str = "") -> LabelReport:
        """Do many labellings as one action, whole or not at all; see `label` for what is refused."""
        with self._database.write() as connection:
            return give(connection, wishes, source=source, what=what)

    def label_by_folder(self, tag: str, root: Path | None = None, *, level: int = 1) -> LabelReport:
        """Label pieces with the name of a folder that they lie in.

        Parameters
        ----------
        tag : the facet
        root : pieces below this folder; the folder that all files have in common if not given
        level : 1 for the folders directly below the root, 2 for those below them

        Raises
        ------
        TagError
            If no piece lies so deep, or a piece lies in folders of different names.
        """
        level = whole(level, "the level", least=1)
        with self._database.write() as connection:
            wishes = folder_wishes(connection, tag, None if root is None else absolute(root), level)
            return give(connection, wishes, source="folder", what=f"label by folder: {tag}")

    def import_labels(
        self,
        path: Path,
        *,
        columns: Mapping[str, str] | Sequence[str] | None = None,
        tag: str | None = None,
        encoding: str | None = None,
        skip_unknown: bool = False,
        name: str | None = None,
    ) -> ImportReport:
        """Give the labels of a table (CSV, or the JSON of MAESTRO), all or none.

        Parameters
        ----------
        columns : columns that become tags, or tags by column; told from the table if not given
        tag : a free tag that every file of the table gets, for a table that only lists files
        encoding : of the table; told from its bytes if not given
        skip_unknown : label the files that the library holds and only report the others
        name : what the table is called in the history and in messages, if not by its path

        Raises
        ------
        TagError
            If the file is no such table, names unknown files, or contradicts itself.
        """
        file = absolute(path)
        table = read_table(file, encoding, name)
        if columns is not None and not isinstance(columns, Mapping):
            columns = {name: name for name in columns}
        with self._database.write() as connection:
            return give_table(
                connection,
                table,
                os.path.dirname(file),
                columns=columns,
                tag=tag,
                skip_unknown=skip_unknown,
            )

    def export_labels(self, tags: Iterable[str] | None = None) -> str:
        """Labels that stand as CSV, which `import_labels` reads back.

        Raises
        ------
        TagError
            If there is no tag of a name.
        """
        with self._database.read() as connection:
            return to_csv(labels_of(connection, None if tags is None else list(tags), None))

    def rename(self, tag: str, new: str) -> None:
        """Give a tag another name; its labels, probe and predictions stay with it.

        Raises
        ------
        TagError
            If there is no such tag, or another one bears the new name.
        """
        with self._database.write() as connection:
            rename(connection, tag, new)

    def labels(self, tag: str | None = None, *, piece: Any = None) -> list[Label]:
        """Labels that stand, oldest first: of all tags or of one, of all pieces or of one."""
        with self._database.read() as connection:
            number = None if piece is None else one_piece(connection, piece)[0]
            return labels_of(connection, None if tag is None else [tag], number)

    def of(self, piece: Any) -> list[PieceTag]:
        """All that is known of a piece: what people said, and what probes predict where nobody did."""
        with self._database.read() as connection:
            return tags_of_piece(connection, one_piece(connection, piece)[0])

    def history(self, limit: int = 50) -> list[LabelAction]:
        """Changes of labels, newest first."""
        with self._database.read() as connection:
            return actions(connection, limit)

    def undo(self, number: int | None = None) -> LabelAction:
        """Take a change of labels back: the last one that stands, or the one of a number.

        Raises
        ------
        TagError
            If there is none, or a later change built upon it.
        """
        with self._database.write() as connection:
            return undo(connection, number)
