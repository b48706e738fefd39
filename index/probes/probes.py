"""`library.probes`: probes that learn tags from labels, and what they predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row

from embedder.core.errors import TagError

from ..arguments import whole
from ..storage.database import Database
from ..tags.labels import give, tag_named
from ..tags.names import shown
from ..tags.queries import labelled_tags
from ..tags.records import LabelReport
from ..tags.targets import flatten, one_piece
from .active_learning import suggest
from .dataset import collect
from .explain import explain, timeline
from .gallery import Gallery, load_gallery
from .predict import apply_probes, apply_to_newer
from .records import Applied, Explanation, Prediction, Probe, Suggestions, Timeline, TrainReport
from .review import open_predictions, predictions_of, ranked, rows_of_pieces, wishes_of
from .scaling import Space
from .store import Predicted, Trained, load_trained, record_of, store_trained, tags_with_probes
from .train import gather, train

__all__ = ["Probes"]

Progress = Callable[[str, int, int], None]


class Probes:
    """The probes of a library; calling it lists them.

    Parameters
    ----------
    database : of the library
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def train_tag(self, tag: str, *, progress: Progress | None = None) -> Probe:
        """Train the probe of a tag on its labels, and score it by cross-validation.

        Raises
        ------
        TagError
            If there is no such tag, or its labels are too few: two classes need two works each.
        """
        report = self.train([tag], progress=progress)
        if report.problems:
            raise TagError(report.problems[0].reason)
        return report.trained[0]

    def train(self, tags: Iterable[str] | None = None, *, progress: Progress | None = None) -> TrainReport:
        """Train the probes of some tags, or of all that have labels, in one pass over the library.

        Returns
        -------
        TrainReport
            What was trained, and for which tags it could not be, and why.
        """
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

    def refresh(self, *, progress: Progress | None = None) -> TrainReport:
        """Train the probes anew that were made for another encoder; nothing to do is no error."""
        stale = [one.tag for one in self() if one.state == "stale"]
        return self.train(stale, progress=progress) if stale else TrainReport((), ())

    def show(self, tag: str) -> Probe:
        """The probe of a tag with its scores.

        Raises
        ------
        TagError
            If there is no such tag, or it has no probe.
        """
        with self._database.read() as connection:
            row = tag_named(connection, tag)
            encoder = self._database.encoder(connection)[0]
            return record_of(connection, row, load_trained(connection, row), encoder)

    def __call__(self) -> list[Probe]:
        """All probes, by the name of their tag."""
        with self._database.read() as connection:
            encoder = self._database.encoder(connection)[0]
            return [
                record_of(connection, row, load_trained(connection, row), encoder)
                for row in tags_with_probes(connection)
            ]

    def apply(self, tags: Iterable[str] | None = None, *, progress: Progress | None = None) -> list[Applied]:
        """Predict the tags of every piece without a label; probes of another encoder are trained anew first.

        Pieces that are added later are predicted when they are added.

        Raises
        ------
        TagError
            If a tag has no probe, or a stale one cannot be trained anew.
        """
        return apply_probes(self._database, tags, self.train, progress or _silent)

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
        limit, offset = whole(limit, "the limit", least=0), whole(offset, "the offset", least=0)
        with self._database.read() as connection:
            row, probe, said = self._open_predictions(connection, tag)
            rows = ranked(row, probe, said, value, least, outside=outside)
            return predictions_of(connection, row, probe, said, rows[offset : offset + limit])

    def accept(
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

    def reject(
        self, tag: str, pieces: Any = None, *, value: str | None = None, least: float | None = None
    ) -> LabelReport:
        """Say that predictions are wrong: "is not this value", or the opposite of a free tag's yes or no.

        See `accept`.
        """
        return self._review(tag, pieces, value, least, accepted=False)

    def _review(
        self, tag: str, pieces: Any, value: str | None, least: float | None, *, accepted: bool
    ) -> LabelReport:

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
        k = whole(k, "k", least=1)
        with self._database.read() as connection:
            return suggest(connection, tag, k, self._gallery(connection)[1])

    def explain(self, tag: str, piece: Any, k: int = 5) -> Explanation:
        """Why the probe of a tag says what it says of a piece, labelled or not.

        Raises
        ------
        PieceNotFound, TagError
        """
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
        with self._database.read() as connection:
            row = tag_named(connection, tag)
            probe = load_trained(connection, row)
            self._check_fresh(row, probe, self._database.encoder(connection)[0])
            number, sha256 = one_piece(connection, piece)
            dim = self._database.number(connection, "dim")
            return timeline(connection, row, probe, number, sha256, dim)

    # -- what the methods share -----------------------------------------------------------------

    def predict_newer(self) -> None:
        """Let probes that were applied judge the pieces that were added since; every add ends with it."""
        apply_to_newer(self._database)

    def _tag_rows(self, connection: Connection, tags: Iterable[str] | None) -> list[Row[Any]]:

        if tags is None:
            return labelled_tags(connection)
        return [tag_named(connection, name) for name in dict.fromkeys(tags)]

    def _gallery(self, connection: Connection) -> tuple[str, Gallery]:
        """Id of the encoder of the library's vectors, and the vectors."""
        encoder = self._database.encoder(connection)[0] or ""
        return encoder, load_gallery(connection, self._database.number(connection, "dim"))

    def _open_predictions(self, connection: Connection, tag: str) -> tuple[Row[Any], Trained, Predicted]:

        row = tag_named(connection, tag)
        probe = load_trained(connection, row)
        self._check_fresh(row, probe, self._database.encoder(connection)[0])
        return row, probe, open_predictions(connection, row, probe)

    def _check_encoder(self, connection: Connection, encoder: str) -> None:

        if (self._database.encoder(connection)[0] or "") != encoder:
            raise TagError("the library's encoder was changed meanwhile; train the probe again")

    def _check_fresh(self, tag: Row[Any], probe: Trained, encoder: str | None) -> None:
        """Refuse to judge vectors of one encoder with a probe that was trained on another's."""

        if probe.encoder != encoder:
            raise TagError(
                f"{shown(tag.name)}: its probe was trained for {probe.encoder}, the library now has "
                f"{encoder}; `midikin probe apply` trains it anew"
            )


def _silent(phase: str, done: int, total: int) -> None:
    """Progress that nobody follows."""


def _space_of(gallery: Gallery) -> tuple[Any, NDArray[np.float32]]:
    """The library's space, and some of its vectors in it."""
    space = Space.of(gallery.vectors)
    rows = np.random.default_rng(0).permutation(len(gallery.vectors))[:5_000]
    return space, space(gallery.vectors[np.sort(rows)])
