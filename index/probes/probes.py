"""`Library.probes`: classifiers that learn tags from labels, and their predictions."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row

from embedder.core.errors import TagError
from embedder.core.files import shortened
from embedder.core.progress import OnProgress, no_progress
from embedder.core.text import count

from ..arguments import renamed_keywords, whole
from ..resolve import flatten, one_piece
from ..storage import Database
from ..tags import LabelReport, apply_edits, find_tag, labelled_tags
from .active_learning import suggest
from .dataset import PieceVectors, collect_examples, count_vectors, load_vectors
from .explain import explain_piece, predict_windows
from .predict import (
    append_predictions,
    edits_from_predictions,
    predict_pieces,
    prediction_records,
    rank_rows,
    rows_of_targets,
    summarise,
    unlabelled_predictions,
)
from .records import Applied, Explanation, Prediction, Probe, Suggestions, Timeline, TrainReport
from .store import (
    STALE,
    PredictedPieces,
    TrainedProbe,
    check_unchanged,
    has_predictions,
    load_predictions,
    load_probe,
    probe_record,
    save_predictions,
    save_probe,
    tags_with_probes,
)
from .train import gather, scale_library, train_probe

__all__ = ["Probes"]


class Probes:
    """The probes of a library; calling it lists them.

    A probe is a linear classifier on the vectors of the library's encoder, one per tag. It is scored by
    cross-validation, its predictions are stored beside the labels, and it leaves pieces untagged that are
    unlike every labelled one.

    Parameters
    ----------
    database : of the library
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self) -> list[Probe]:
        """All probes, by the name of their tag."""
        with self._database.read() as connection:
            encoder = self._database.encoder(connection)[0]
            return [
                probe_record(connection, tag, load_probe(connection, tag), encoder)
                for tag in tags_with_probes(connection)
            ]

    def show(self, tag: str) -> Probe:
        """The probe of a tag with its scores.

        Raises
        ------
        TagError
            If there is no such tag, or it has no probe.
        """
        with self._database.read() as connection:
            row = find_tag(connection, tag)
            encoder = self._database.encoder(connection)[0]
            return probe_record(connection, row, load_probe(connection, row), encoder)

    # -- training -------------------------------------------------------------------------------

    def train_tag(self, tag: str, *, progress: OnProgress | None = None) -> Probe:
        """Train the probe of a tag on its labels, and score it by cross-validation.

        Raises
        ------
        TagError
            If there is no such tag, or there are too few labels: two classes need two works each.
        """
        report = self.train([tag], progress=progress)
        if report.problems:
            raise TagError(report.problems[0].reason)
        return report.trained[0]

    def train(
        self, tags: str | Iterable[str] | None = None, *, progress: OnProgress | None = None
    ) -> TrainReport:
        """Train the probes of some tags, or of all that have labels, reading the library's vectors once.

        Returns
        -------
        TrainReport
            The trained probes, and why the others could not be trained.
        """
        on_progress = progress or no_progress
        with self._database.read() as connection:
            rows = labelled_tags(connection) if tags is None else _find_tags(connection, tags)
            encoder, library = self._vectors(connection)
            on_progress("reading labels", 0, 1)
            data, problems = gather(connection, rows, library)
        scaling, background = scale_library(library)
        trained = [
            (of_tag.tag_id, train_probe(of_tag, scaling, background, encoder, on_progress)) for of_tag in data
        ]
        by_id = {row.id: row for row in rows}
        with self._database.write() as connection:
            if (self._database.encoder(connection)[0] or "") != encoder:
                raise TagError("the library's encoder was changed meanwhile; train the probe again")
            for tag_id, probe in trained:
                save_probe(connection, tag_id, probe)
            records = [probe_record(connection, by_id[tag_id], probe, encoder) for tag_id, probe in trained]
        return TrainReport(tuple(records), tuple(problems))

    def refresh(self, *, progress: OnProgress | None = None) -> TrainReport:
        """Retrain the probes that were trained for another encoder; it is no error if there are none."""
        stale = [probe.tag for probe in self() if probe.state == STALE]
        return self.train(stale, progress=progress) if stale else TrainReport((), ())

    # -- predictions ----------------------------------------------------------------------------

    def apply(
        self, tags: str | Iterable[str] | None = None, *, progress: OnProgress | None = None
    ) -> list[Applied]:
        """Predict the tags of every piece without a label; probes of another encoder are retrained first.

        Pieces that are added later are predicted when they are added.

        Raises
        ------
        TagError
            If a tag has no probe, or a stale one cannot be retrained.
        """
        on_progress = progress or no_progress
        started = time.monotonic()
        with self._database.read() as connection:
            rows = tags_with_probes(connection) if tags is None else _find_tags(connection, tags)
            encoder = self._database.encoder(connection)[0]
            stale = [row.name for row in rows if load_probe(connection, row).encoder != encoder]
        if not rows:
            raise TagError("no probe yet; train some with `midikin probe train`")
        if stale:
            report = self.train(stale, progress=on_progress)
            if report.problems:
                raise TagError(f"a stale probe cannot be retrained: {report.problems[0].reason}")
        with self._database.read() as connection:
            probes = [load_probe(connection, row) for row in rows]
            library = load_vectors(connection, self._database.number(connection, "dim"))
        predicted = predict_pieces(probes, library, lambda done, total: on_progress("applying", done, total))
        with self._database.write() as connection:
            for row, probe, pieces in zip(rows, probes, predicted, strict=True):
                check_unchanged(connection, row, probe)
                save_predictions(connection, row.id, probe.trained_s, pieces)
            seconds = time.monotonic() - started
            return [
                summarise(
                    connection,
                    row,
                    probe,
                    pieces=len(library),
                    retrained=row.name in stale,
                    seconds=seconds,
                )
                for row, probe in zip(rows, probes, strict=True)
            ]

    def predict_newer(self) -> None:
        """Predict the pieces that were added since the probes were applied; every add ends with this."""
        with self._database.read() as connection:
            encoder, dim = self._database.encoder(connection)[0], self._database.number(connection, "dim")
            applied: list[tuple[Row[Any], TrainedProbe, PredictedPieces]] = []
            for row in tags_with_probes(connection):
                probe = load_probe(connection, row)
                if probe.encoder == encoder and has_predictions(connection, row):
                    applied.append((row, probe, load_predictions(connection, row, len(probe.classes))))
            newest = min(
                (int(known.piece_ids[-1]) if len(known.piece_ids) else 0 for _, _, known in applied),
                default=0,
            )
            if not applied or not count_vectors(connection, newest):
                return
            new_pieces = load_vectors(connection, dim, after=newest)
        predicted = predict_pieces([probe for _, probe, _ in applied], new_pieces, lambda done, total: None)
        with self._database.write() as connection:
            for (row, probe, known), pieces in zip(applied, predicted, strict=True):
                check_unchanged(connection, row, probe)
                save_predictions(connection, row.id, probe.trained_s, append_predictions(known, pieces))

    @renamed_keywords(least="min_probability", outside="out_of_distribution")
    def predictions(
        self,
        tag: str,
        *,
        value: str | None = None,
        min_probability: float = 0.0,
        limit: int = 100,
        offset: int = 0,
        out_of_distribution: bool = False,
    ) -> list[Prediction]:
        """Predictions for pieces without a label, likeliest first.

        Parameters
        ----------
        value : only pieces whose likeliest value this is; "yes" or "no" of a free tag
        out_of_distribution : the pieces that were left untagged instead, unlike every labelled one

        Raises
        ------
        TagError
            If the tag has no probe, or it was not applied yet.
        """
        limit, offset = whole(limit, "the limit", least=0), whole(offset, "the offset", least=0)
        with self._database.read() as connection:
            row, probe, predicted = self._predicted(connection, tag)
            rows = rank_rows(
                row, probe, predicted, value, min_probability, out_of_distribution=out_of_distribution
            )
            return prediction_records(connection, row, probe, predicted, rows[offset : offset + limit])

    @renamed_keywords(least="min_probability")
    def accept(
        self, tag: str, pieces: Any = None, *, value: str | None = None, min_probability: float | None = None
    ) -> LabelReport:
        """Make labels of predictions: of some pieces, or of all with at least a probability.

        Parameters
        ----------
        pieces : as for `Library.tags.label`; None for all, and then `min_probability` must be given
        value : only predictions of this value

        Raises
        ------
        TagError
            If a piece has no such prediction.
        """
        return self._review(tag, pieces, value, min_probability, accepted=True)

    @renamed_keywords(least="min_probability")
    def reject(
        self, tag: str, pieces: Any = None, *, value: str | None = None, min_probability: float | None = None
    ) -> LabelReport:
        """Label predictions as wrong: "is not this value", or the opposite of a free tag's yes or no.

        See `accept`.
        """
        return self._review(tag, pieces, value, min_probability, accepted=False)

    def _review(
        self, tag: str, pieces: Any, value: str | None, min_probability: float | None, *, accepted: bool
    ) -> LabelReport:
        if pieces is None and min_probability is None:
            raise ValueError("name pieces, or the minimum probability of the predictions")
        with self._database.write() as connection:
            row, probe, predicted = self._predicted(connection, tag)
            rows = rank_rows(row, probe, predicted, value, min_probability or 0.0, out_of_distribution=False)
            if pieces is not None:
                rows = rows_of_targets(connection, row, predicted, rows, flatten(pieces))
            edits = edits_from_predictions(row, probe, predicted, rows, accepted=accepted)
            verb = "accepted" if accepted else "rejected"
            what = f"{verb} {count(len(rows), 'prediction')} of {row.name}"
            return apply_edits(connection, edits, source=verb, what=what)

    # -- questions ------------------------------------------------------------------------------

    def suggest(self, tag: str, k: int = 10) -> Suggestions:
        """Pieces worth labelling next, with the learning curve so far and its extrapolation.

        Works from the first label on, and before: then the pieces are simply varied and typical.
        """
        k = whole(k, "k", least=1)
        with self._database.read() as connection:
            return suggest(connection, tag, k, self._vectors(connection)[1])

    def explain(self, tag: str, piece: Any, k: int = 5) -> Explanation:
        """Evidence for the prediction of a piece, labelled or not.

        Parameters
        ----------
        k : number of nearest labelled pieces

        Raises
        ------
        PieceNotFound, TagError
        """
        k = whole(k, "k", least=1)
        with self._database.read() as connection:
            row = find_tag(connection, tag)
            probe = load_probe(connection, row)
            encoder, library = self._vectors(connection)
            _check_encoder(row, probe, encoder)
            resolved = one_piece(connection, piece)
            examples = collect_examples(connection, row, library)
            vector = library.of([resolved[0]])[0]
            return explain_piece(connection, row, probe, examples, resolved, vector, k)

    def timeline(self, tag: str, piece: Any) -> Timeline:
        """Predictions for each window of a piece, in time order.

        Raises
        ------
        PieceNotFound, TagError
        """
        with self._database.read() as connection:
            row = find_tag(connection, tag)
            probe = load_probe(connection, row)
            _check_encoder(row, probe, self._database.encoder(connection)[0])
            piece_id, sha256 = one_piece(connection, piece)
            dim = self._database.number(connection, "dim")
            return predict_windows(connection, row, probe, piece_id, sha256, dim)

    def _vectors(self, connection: Connection) -> tuple[str, PieceVectors]:
        """Id of the encoder of the library's vectors, and the vectors."""
        encoder = self._database.encoder(connection)[0] or ""
        return encoder, load_vectors(connection, self._database.number(connection, "dim"))

    def _predicted(self, connection: Connection, tag: str) -> tuple[Row[Any], TrainedProbe, PredictedPieces]:
        """A tag, its probe, and the predictions for pieces without a label."""
        row = find_tag(connection, tag)
        probe = load_probe(connection, row)
        _check_encoder(row, probe, self._database.encoder(connection)[0])
        return row, probe, unlabelled_predictions(connection, row, probe)


def _find_tags(connection: Connection, names: str | Iterable[str]) -> list[Row[Any]]:
    names = [names] if isinstance(names, str) else names
    return [find_tag(connection, name) for name in dict.fromkeys(names)]


def _check_encoder(tag: Row[Any], probe: TrainedProbe, encoder: str | None) -> None:
    """Refuse to apply a probe to vectors of another encoder than the one it was trained on."""
    if probe.encoder != encoder:
        raise TagError(
            f"{shortened(tag.name)}: its probe was trained for {probe.encoder}, the library now has "
            f"{encoder}; `midikin probe apply` retrains it"
        )
