"""Training probes: from a library's labels and vectors to classifiers with cross-validated scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from embedder.core.arrays import FloatArray, FloatRows, IntArray
from embedder.core.errors import TagError
from embedder.core.progress import OnProgress
from embedder.features.handcrafted import Layout, statistic_counts, statistics

from ..storage import chunks, schema, unpack_notes
from .classifier import FeatureScaling, LinearClassifier, fit_logistic_regression
from .crossval import cross_validate, fit_calibrated, score
from .dataset import GROUPING, Examples, PieceVectors, collect_examples, sample_rows, works_of
from .explain import class_traits, descriptors_of
from .ood import OODDetector
from .records import Problem
from .store import TrainedProbe, probe_metadata

__all__ = ["TrainingData", "gather", "scale_library", "standardise", "statistics_of", "train_probe"]

MAX_SCORED = 1_500  # examples in cross-validation and calibration
MAX_FITTED = 20_000  # examples in the final fit
_MAX_BACKGROUND = 5_000  # pieces of the library from which out-of-distribution detection learns its axes
_CLIP = 4.0  # standard deviations


@dataclass(frozen=True)
class TrainingData:
    """What the probe of one tag is trained on, read in one transaction.

    Attributes
    ----------
    examples : to be fitted
    scored : the subset of them for cross-validation; all unless there are very many
    work : int64 [len(scored)]
    statistics : float32 [len(scored), b], hand-crafted; None where time ranges are labelled
    descriptors : float64 [len(examples), d]
    """

    tag_id: int
    examples: Examples
    scored: Examples
    work: IntArray
    statistics: FloatRows | None
    descriptors: FloatArray


def gather(
    connection: Connection, tags: Sequence[Row[Any]], library: PieceVectors
) -> tuple[list[TrainingData], list[Problem]]:
    """The training data of some tags, and why other tags cannot have a probe."""
    problems: list[Problem] = []
    collected: list[tuple[Row[Any], Examples, Examples]] = []
    for tag in tags:
        try:
            examples = collect_examples(connection, tag, library)
        except TagError as error:
            problems.append(Problem(tag.name, str(error)))
        else:
            collected.append((tag, examples, examples.subset(sample_rows(examples.label, MAX_SCORED))))
    piece_ids = sorted({int(piece) for _, _, scored in collected for piece in scored.pieces})
    works = works_of(connection, piece_ids) if piece_ids else {}
    statistics = statistics_of(connection, piece_ids)
    data = []
    for tag, examples, scored in collected:
        work = np.array([works[int(piece)] for piece in scored.pieces], dtype=np.int64)
        try:
            scored, work = scored.with_enough_works(work)
        except TagError as error:
            problems.append(Problem(tag.name, str(error)))
            continue
        kept = examples.with_classes_of(scored)
        descriptors = descriptors_of(connection, kept.pieces.tolist())
        data.append(
            TrainingData(
                tag_id=tag.id,
                examples=kept,
                scored=scored,
                work=work,
                statistics=np.stack([statistics[int(piece)] for piece in scored.pieces])
                if scored.whole.all()
                else None,
                descriptors=np.stack([descriptors[int(piece)] for piece in kept.pieces]),
            )
        )
    return data, problems


def scale_library(library: PieceVectors) -> tuple[FeatureScaling, FloatRows]:
    """The feature scaling for a library, and a random sample of its scaled vectors."""
    scaling = FeatureScaling.fit(library.vectors)
    rows = np.random.default_rng(0).permutation(len(library))[:_MAX_BACKGROUND]
    return scaling, scaling(library.vectors[np.sort(rows)])


def train_probe(
    data: TrainingData,
    scaling: FeatureScaling,
    background: FloatRows,
    encoder: str,
    on_progress: OnProgress,
) -> TrainedProbe:
    """A probe with its scores.

    Parameters
    ----------
    scaling : of the library
    background : float32 [m, dim], scaled vectors of the library
    encoder : id of the encoder of the vectors
    """
    examples, scored, work = data.examples, data.scored, data.work
    classes = len(examples.classes)
    rows = scaling(scored.vectors)
    name = examples.tag
    probabilities, fold = cross_validate(
        rows, scored.label, work, classes, lambda done, total: on_progress(f"scoring {name}", done, total)
    )
    handmade = None
    if data.statistics is not None:
        handmade, _ = cross_validate(standardise(data.statistics), scored.label, work, classes)
    scores = score(probabilities, scored.label, fold, work, examples.classes, GROUPING, handmade)
    on_progress(f"fitting {name}", 0, 1)
    classifier = _fit_all(examples, scored, work, scaling)
    remarks = list(examples.remarks)
    if len(scored) < len(examples):
        remarks.append(f"scored on {len(scored):,} of {len(examples):,} labelled pieces, drawn at random")
    whole = examples.whole
    traits = class_traits(data.descriptors[whole], examples.label[whole], examples.classes)
    counts = np.bincount(examples.label, minlength=classes).tolist()
    return TrainedProbe(
        classes=examples.classes,
        scaling=scaling,
        classifier=classifier,
        detector=OODDetector.fit(background, rows, work),
        encoder=encoder,
        labels=examples.digest,
        metadata=probe_metadata(counts, len(examples), scores, remarks, traits),
        trained_s=time.time(),
    )


def _fit_all(
    examples: Examples, scored: Examples, work: IntArray, scaling: FeatureScaling
) -> LinearClassifier:
    """The fit on all labels, with C and the calibration from the scored ones."""
    classes = len(examples.classes)
    classifier = fit_calibrated(scaling(scored.vectors), scored.label, work, classes)
    if len(scored) == len(examples):
        return classifier
    fitted = examples.subset(sample_rows(examples.label, MAX_FITTED))
    weights, bias = fit_logistic_regression(scaling(fitted.vectors), fitted.label, classes, classifier.C)
    return replace(classifier, weights=weights, bias=bias)


# -- baseline ---------------------------------------------------------------------------------------


def statistics_of(connection: Connection, piece_ids: Sequence[int]) -> dict[int, FloatRows]:
    """Hand-crafted statistics of whole pieces by id, each float32 [sum(STATISTICS.values())]."""
    table = schema.notes
    by_piece = {}
    for chunk in chunks(sorted(set(piece_ids))):
        query = select(table.c.piece_id, table.c.packed).where(table.c.piece_id.in_(chunk))
        for row in connection.execute(query):
            notes = unpack_notes(row.packed).pitched_or_all()
            counts = statistic_counts(Layout.of([notes], [[(0, len(notes))]]))
            by_piece[row.piece_id] = statistics(counts)[0]
    return by_piece


def standardise(rows: NDArray[np.float32]) -> FloatRows:
    """Rows [n, b] in standard deviations, clipped, of mean square length 1."""
    spread = rows.std(0)
    scaled = np.where(spread > 1e-6, (rows - rows.mean(0)) / np.maximum(spread, 1e-6), 0.0)
    scaled = scaled.clip(-_CLIP, _CLIP)
    length = float(np.sqrt((scaled**2).sum(1).mean()))
    standardised: FloatRows = (scaled / max(length, 1e-6)).astype(np.float32)
    return standardised
