"""`Library.tags`: labels that people give, and what is known of a piece's tags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from embedder.core.table_files import TableFormat

from ..arguments import renamed_keywords, whole
from ..resolve import flatten, one_piece
from ..storage import Database, absolute
from .label_io import edits_from_folders, format_labels, import_table, read_labels
from .labels import apply_edits, list_actions, rename_tag, undo_action
from .queries import list_labels, list_tags, tags_of_piece
from .records import ImportReport, Label, LabelAction, LabelEdit, LabelReport, PieceTag, Tag

__all__ = ["Tags"]

Path = str | os.PathLike[str]


class Tags:
    """Tags of a library; calling it lists them.

    A tag is free (each piece has it or not) or a facet (one of many values). Every change of labels is one
    action that applies as a whole or not at all, and that can be undone.
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
        """Label pieces with a tag, or as not having it.

        Parameters
        ----------
        tag : its name; created if it is new
        pieces : a piece by number, a file, a folder, an answer of the library, or a list of these
        value : of a facet (one of many values); None for a free tag (yes or no)
        holds : False for "does not have the tag"
        start_s, end_s : only this time range of a single piece
        source : for the history: "user", "search", "folder", "file"

        Raises
        ------
        PieceNotFound
            If a target is not in the library.
        TagError
            If the name is invalid, the tag is of the other kind, or labels contradict each other.
        LibraryReadOnly
        """
        edits = [
            LabelEdit(target, tag, value, bool(holds), start_s=start_s, end_s=end_s)
            for target in flatten(pieces)
        ]
        return self.label_many(edits, source=source)

    def unlabel(self, tag: str, pieces: Any, *, value: str | None = None) -> LabelReport:
        """Remove the labels of a tag from pieces and their time ranges, positive and negative ones.

        Parameters
        ----------
        value : of a facet, to remove only this value

        Raises
        ------
        PieceNotFound, TagError
        """
        return self.label_many([LabelEdit(target, tag, value, None) for target in flatten(pieces)])

    @renamed_keywords(wishes="edits")
    def label_many(self, edits: Iterable[LabelEdit], *, source: str = "user", what: str = "") -> LabelReport:
        """Apply many label edits as one action; see `label` for the errors.

        Parameters
        ----------
        what : description for the history; made from the edits if empty
        """
        with self._database.write() as connection:
            return apply_edits(connection, edits, source=source, what=what)

    def label_by_folder(self, tag: str, root: Path | None = None, *, level: int = 1) -> LabelReport:
        """Label pieces with the name of a folder that they lie in.

        Parameters
        ----------
        tag : the facet
        root : pieces below this folder; the common folder of all files if not given
        level : 1 for the folders directly below the root, 2 for those below them

        Raises
        ------
        TagError
            If no piece lies so deep, or a piece lies in folders of different names.
        """
        level = whole(level, "the level", least=1)
        with self._database.write() as connection:
            edits = edits_from_folders(connection, tag, None if root is None else absolute(root), level)
            return apply_edits(connection, edits, source="folder", what=f"label by folder: {tag}")

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
        """Apply the labels of a table (CSV, TSV, or JSON such as MAESTRO's), all or none.

        Parameters
        ----------
        columns : columns that become tags, or tags by column; chosen from the table if not given
        tag : a free tag for every file of the table, for a table that only lists files
        encoding : of the table; detected if not given
        skip_unknown : label the files that are in the library and only report the others
        name : what to call the table in the history and in messages, if not by its path

        Raises
        ------
        TagError
            If the file is not such a table, names unknown files, or contradicts itself.
        """
        file = absolute(path)
        table = read_labels(file, encoding, name)
        if columns is not None and not isinstance(columns, Mapping):
            columns = {column: column for column in columns}
        with self._database.write() as connection:
            return import_table(
                connection,
                table,
                os.path.dirname(file),
                columns=columns,
                tag=tag,
                skip_unknown=skip_unknown,
            )

    def export_labels(
        self, tags: Iterable[str] | None = None, *, kind: TableFormat = "csv", root: str | None = None
    ) -> str:
        """Active labels as a table, which `import_labels` reads back.

        Parameters
        ----------
        tags : only these; all if not given
        kind : "csv", "tsv" or "json"
        root : a folder that paths are written as seen from; whole if not given

        Raises
        ------
        TagError
            If there is no tag of a name.
        """
        return format_labels(self._labels(None if tags is None else list(tags), None), kind, root)

    def rename(self, tag: str, new: str) -> None:
        """Rename a tag; its labels, probe and predictions stay with it.

        Raises
        ------
        TagError
            If there is no such tag, or another one has the new name.
        """
        with self._database.write() as connection:
            rename_tag(connection, tag, new)

    def labels(self, tag: str | None = None, *, piece: Any = None) -> list[Label]:
        """Active labels, oldest first: of all tags or of one, of all pieces or of one."""
        return self._labels(None if tag is None else [tag], piece)

    def _labels(self, tags: list[str] | None, piece: Any) -> list[Label]:
        with self._database.read() as connection:
            piece_id = None if piece is None else one_piece(connection, piece)[0]
            return list_labels(connection, tags, piece_id)

    def of(self, piece: Any) -> list[PieceTag]:
        """The tags of a piece: its labels, and predictions of probes for the tags without one."""
        with self._database.read() as connection:
            return tags_of_piece(connection, one_piece(connection, piece)[0])

    def history(self, limit: int = 50) -> list[LabelAction]:
        """Changes of labels, newest first."""
        with self._database.read() as connection:
            return list_actions(connection, limit)

    def undo(self, number: int | None = None) -> LabelAction:
        """Undo a change of labels: the last one that was not undone yet, or the one of a number.

        Raises
        ------
        TagError
            If there is none, or a later change of the same labels must be undone first.
        """
        with self._database.write() as connection:
            return undo_action(connection, number)
