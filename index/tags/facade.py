"""The part of `Library` that knows tags: labels that people give, and probes that learn from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..arguments import whole
from ..storage.database import Database
from ..storage.paths import absolute

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection, Row

    from ..probes.gallery import Gallery
    from ..probes.records import Applied, Explanation, Prediction, Probe, Suggestions, Timeline, TrainReport
    from ..probes.store import Predicted, Trained
    from .records import ImportReport, Label, LabelAction, LabelReport, PieceTag, Tag, Wish

__all__ = ["Tags"]

Progress = Callable[[str, int, int], None]
Path = str | os.PathLike[str]


class Tags:
    """What `Library` inherits to answer for tags; it brings the database."""

    _database: Database

    # -- labels ---------------------------------------------------------------------------------

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
        from .records import Wish
        from .targets import flatten

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
        from .records import Wish
        from .targets import flatten

        return self.label_many([Wish(target, tag, value, None) for target in flatten(pieces)])

    def label_many(self, wishes: Iterable[Wish], *, source: str = "user", what: str = "") -> LabelReport:
        """Do many labellings as one action, whole or not at all; see `label` for what is refused."""
        from .labels import give

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
        from .folders import folder_wishes
        from .labels import give

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
        from .label_import import give_table
        from .table_files import read_table

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
        from .label_export import to_csv
        from .queries import labels_of

        with self._database.read() as connection:
            return to_csv(labels_of(connection, None if tags is None else list(tags), None))

    def tags(self) -> list[Tag]:
        """The tags of the library, by name."""
        from .queries import list_tags

        with self._database.read() as connection:
            return list_tags(connection, self._database.encoder(connection)[0])

    def rename_tag(self, tag: str, new: str) -> None:
        """Give a tag another name; its labels, probe and predictions stay with it.

        Raises
        ------
        TagError
            If there is no such tag, or another one bears the new name.
        """
        from .labels import rename

        with self._database.write() as connection:
            rename(connection, tag, new)

    def labels(self, tag: str | None = None, *, piece: Any = None) -> list[Label]:
        """Labels that stand, oldest first: of all tags or of one, of all pieces or of one."""
        from .queries import labels_of
        from .targets import one_piece

        with self._database.read() as connection:
            number = None if piece is None else one_piece(connection, piece)[0]
            return labels_of(connection, None if tag is None else [tag], number)

    def tags_of(self, piece: Any) -> list[PieceTag]:
        """All that is known of a piece: what people said, and what probes predict where nobody did."""
        from .queries import tags_of_piece
        from .targets import one_piece

        with self._database.read() as connection:
            return tags_of_piece(connection, one_piece(connection, piece)[0])

    def label_history(self, limit: int = 50) -> list[LabelAction]:
        """Changes of labels, newest first."""
        from .labels import actions

        with self._database.read() as connection:
            return actions(connection, limit)

    def undo_labels(self, number: int | None = None) -> LabelAction:
        """Take a change of labels back: the last one that stands, or the one of a number.

        Raises
        ------
        TagError
            If there is none, or a later change built upon it.
        """
        from .labels import undo

        with self._database.write() as connection:
            return undo(connection, number)

    # -- probes ---------------------------------------------------------------------------------

    def train_probe(self, tag: str, *, progress: Progress | None = None) -> Probe:
        """Train the probe of a tag on its labels, and score it by cross-validation.

        Raises
        ------
        TagError
            If there is no such tag, or its labels are too few: two classes need two works each.
        """
        from embedder.core.errors import TagError

        report = self.train_probes([tag], progress=progress)
        if report.problems:
            raise TagError(report.problems[0].reason)
        return report.trained[0]

    def train_probes(
        self, tags: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> TrainReport:
        """Train the probes of some tags, or of all that have labels, in one pass over the library.

        Returns
        -------
        TrainReport
            What was trained, and for which tags it could not be, and why.
        """
        from ..probes.records import TrainReport
        from ..probes.store import record_of, store_trained
        from ..probes.train import gather, train

        told = progress or _silent
        with self._database.read() as connection:
            rows = self._tag_rows(connection, tags)
            encoder, gallery = self._gallery(connection)
            told("reading labels", 0, 1)
            materials, problems = gather(connection, rows, gallery, gallery.vectors.shape[1])
        space, library = _space_of(gallery)
        trained = [(m.tag_id, train(m, space, library, encoder, told)) for m in materials]
        by_id = {row.id: row for row in rows}
        with self._database.write() as connection:
            self._check_encoder(connection, encoder)
            for tag_id, probe in trained:
                store_trained(connection, tag_id, probe)
            records = [record_of(connection, by_id[tag_id], probe, encoder) for tag_id, probe in trained]
        return TrainReport(tuple(records), tuple(problems))

    def refresh_probes(self, *, progress: Progress | None = None) -> TrainReport:
        """Train the probes anew that were made for another encoder; nothing to do is no error."""
        from ..probes.records import TrainReport

        stale = [one.tag for one in self.probes() if one.state == "stale"]
        return self.train_probes(stale, progress=progress) if stale else TrainReport((), ())

    def probe(self, tag: str) -> Probe:
        """The probe of a tag with its scores.

        Raises
        ------
        TagError
            If there is no such tag, or it has no probe.
        """
        from ..probes.store import load_trained, record_of
        from .labels import tag_named

        with self._database.read() as connection:
            row = tag_named(connection, tag)
            encoder = self._database.encoder(connection)[0]
            return record_of(connection, row, load_trained(connection, row), encoder)

    def probes(self) -> list[Probe]:
        """All probes, by the name of their tag."""
        from ..probes.store import load_trained, record_of, tags_with_probes

        with self._database.read() as connection:
            encoder = self._database.encoder(connection)[0]
            return [
                record_of(connection, row, load_trained(connection, row), encoder)
                for row in tags_with_probes(connection)
            ]

    def apply_probes(
        self, tags: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> list[Applied]:
        """Predict the tags of every piece without a label; probes of another encoder are trained anew first.

        Pieces that are added later are predicted when they are added.

        Raises
        ------
        TagError
            If a tag has no probe, or a stale one cannot be trained anew.
        """
        from ..probes.predict import apply_probes

        return apply_probes(self, self._database, tags, progress or _silent)

    def predictions(
        self,
        tag: str,
        *,
        value: str | None = None,
        least: float = 0.0,
        limit: int = 100,
        offset: int = 0,
        outside: bool = False,
    ) -> list[Prediction]:
        """What the probe of a tag says of pieces without a label, likeliest first.

        Parameters
        ----------
        value : only pieces that are likeliest to be so; "yes" or "no" of a free tag
        least : the least probability
        outside : the pieces that were left untagged instead, being like none that was labelled

        Raises
        ------
        TagError
            If the tag has no probe, or it was not applied yet.
        """
        from ..probes.review import predictions_of, ranked

        limit, offset = whole(limit, "the limit", least=0), whole(offset, "the offset", least=0)
        with self._database.read() as connection:
            row, probe, said = self._open_predictions(connection, tag)
            rows = ranked(row, probe, said, value, least, outside=outside)
            return predictions_of(connection, row, probe, said, rows[offset : offset + limit])

    def accept_predictions(
        self, tag: str, pieces: Any = None, *, value: str | None = None, least: float | None = None
    ) -> LabelReport:
        """Make labels of predictions: of some pieces, or of all that are at least so probable.

        Parameters
        ----------
        pieces : as for `label`; None for all, and then `least` must be given
        value : only predictions of this value

        Raises
        ------
        TagError
            If a piece has no prediction to be accepted.
        """
        return self._review(tag, pieces, value, least, accepted=True)

    def reject_predictions(
        self, tag: str, pieces: Any = None, *, value: str | None = None, least: float | None = None
    ) -> LabelReport:
        """Say that predictions are wrong: "is not this value", or the opposite of a free tag's yes or no.

        See `accept_predictions`.
        """
        return self._review(tag, pieces, value, least, accepted=False)

    def _review(
        self, tag: str, pieces: Any, value: str | None, least: float | None, *, accepted: bool
    ) -> LabelReport:
        from ..probes.review import ranked, rows_of_pieces, wishes_of
        from .labels import give
        from .targets import flatten

        if pieces is None and least is None:
            raise ValueError("name pieces, or the least probability of the predictions that are meant")
        with self._database.write() as connection:
            row, probe, said = self._open_predictions(connection, tag)
            rows = ranked(row, probe, said, value, least or 0.0, outside=False)
            if pieces is not None:
                rows = rows_of_pieces(connection, row, said, rows, flatten(pieces))
            wishes = wishes_of(row, probe, said, rows, accepted=accepted)
            word = "accepted" if accepted else "rejected"
            what = f"{word} {len(rows):,} predictions of {row.name}"
            return give(connection, wishes, source=word, what=what)

    def suggest(self, tag: str, k: int = 10) -> Suggestions:
        """Pieces worth labelling next, and what labels brought so far and would bring.

        It works from the first label on, and before: then the pieces are simply varied.
        """
        from ..probes.active_learning import suggest

        k = whole(k, "k", least=1)
        with self._database.read() as connection:
            return suggest(connection, tag, k, self._gallery(connection)[1])

    def explain(self, tag: str, piece: Any, k: int = 5) -> Explanation:
        """Why the probe of a tag says what it says of a piece, labelled or not.

        Raises
        ------
        PieceNotFound, TagError
        """
        from ..probes.dataset import collect
        from ..probes.explain import explain
        from ..probes.store import load_trained
        from .labels import tag_named
        from .targets import one_piece

        k = whole(k, "k", least=1)
        with self._database.read() as connection:
            row = tag_named(connection, tag)
            probe = load_trained(connection, row)
            encoder, gallery = self._gallery(connection)
            self._check_fresh(row, probe, encoder)
            found = one_piece(connection, piece)
            dim = gallery.vectors.shape[1]
            examples = collect(connection, row, gallery, dim)
            vector = gallery.vectors_of([found[0]])[0]
            return explain(connection, row, probe, examples, found, vector, k, dim)

    def timeline(self, tag: str, piece: Any) -> Timeline:
        """What the probe of a tag says of each window of a piece, in time order.

        Raises
        ------
        PieceNotFound, TagError
        """
        from ..probes.explain import timeline
        from ..probes.store import load_trained
        from .labels import tag_named
        from .targets import one_piece

        with self._database.read() as connection:
            row = tag_named(connection, tag)
            probe = load_trained(connection, row)
            self._check_fresh(row, probe, self._database.encoder(connection)[0])
            number, sha256 = one_piece(connection, piece)
            dim = self._database.number(connection, "dim")
            return timeline(connection, row, probe, number, sha256, dim)

    # -- what the methods share -----------------------------------------------------------------

    def _predict_newer(self) -> None:
        """Let probes that were applied judge the pieces that were added since; every add ends with it."""
        from ..probes.predict import apply_to_newer

        apply_to_newer(self._database)

    def _tag_rows(self, connection: Connection, tags: Iterable[str] | None) -> list[Row[Any]]:
        from .labels import tag_named
        from .queries import labelled_tags

        if tags is None:
            return labelled_tags(connection)
        return [tag_named(connection, name) for name in dict.fromkeys(tags)]

    def _gallery(self, connection: Connection) -> tuple[str, Gallery]:
        """Id of the encoder of the library's vectors, and the vectors."""
        from ..probes.gallery import load_gallery

        encoder = self._database.encoder(connection)[0] or ""
        return encoder, load_gallery(connection, self._database.number(connection, "dim"))

    def _open_predictions(self, connection: Connection, tag: str) -> tuple[Row[Any], Trained, Predicted]:
        from ..probes.review import open_predictions
        from ..probes.store import load_trained
        from .labels import tag_named

        row = tag_named(connection, tag)
        probe = load_trained(connection, row)
        self._check_fresh(row, probe, self._database.encoder(connection)[0])
        return row, probe, open_predictions(connection, row, probe)

    def _check_encoder(self, connection: Connection, encoder: str) -> None:
        from embedder.core.errors import TagError

        if (self._database.encoder(connection)[0] or "") != encoder:
            raise TagError("the library's encoder was changed meanwhile; train the probe again")

    def _check_fresh(self, tag: Row[Any], probe: Trained, encoder: str | None) -> None:
        """Refuse to judge vectors of one encoder with a probe that was trained on another's."""
        from embedder.core.errors import TagError

        from .names import shown

        if probe.encoder != encoder:
            raise TagError(
                f"{shown(tag.name)}: its probe was trained for {probe.encoder}, the library now has "
                f"{encoder}; `midikin probe apply` trains it anew"
            )


def _silent(phase: str, done: int, total: int) -> None:
    """Progress that nobody follows."""


def _space_of(gallery: Gallery) -> tuple[Any, NDArray[np.float32]]:
    """The library's space, and some of its vectors in it."""
    import numpy as np

    from ..probes.scaling import Space

    space = Space.of(gallery.vectors)
    rows = np.random.default_rng(0).permutation(len(gallery.vectors))[:5_000]
    return space, space(gallery.vectors[np.sort(rows)])
