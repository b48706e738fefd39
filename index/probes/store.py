"""Probes and their predictions in the database: arrays in the safetensors format, metadata as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, insert, select

from embedder.core.arrays import BoolArray, FloatRows, IntArray
from embedder.core.errors import TagError
from embedder.core.files import shortened

from ..storage import damaged, decoding
from ..tags import active_labels
from ..tags.schema import predictions, probes, tags
from .classifier import FeatureScaling, LinearClassifier, softmax
from .dataset import labels_digest
from .ood import OODDetector
from .records import Probe, ProbeScores, Trait

__all__ = [
    "CURRENT",
    "STALE",
    "PredictedPieces",
    "TrainedProbe",
    "check_unchanged",
    "has_predictions",
    "load_predictions",
    "load_probe",
    "probe_metadata",
    "probe_record",
    "probe_state",
    "save_predictions",
    "save_probe",
    "tags_with_probes",
]

NONE, CURRENT, CHANGED, STALE = "none", "current", "labels changed", "stale"


@dataclass(frozen=True)
class TrainedProbe:
    """A probe: feature scaling, classifier and out-of-distribution detector.

    Attributes
    ----------
    encoder : id of the encoder of its training vectors
    labels : digest of its training labels
    metadata : fields of the record `Probe` that are not arrays and do not change when labels do
    """

    classes: tuple[str, ...]
    scaling: FeatureScaling
    classifier: LinearClassifier
    detector: OODDetector
    encoder: str
    labels: str
    metadata: dict[str, Any]
    trained_s: float

    def predict_proba(self, vectors: NDArray[np.floating]) -> FloatRows:
        """Class probabilities of vectors [n, dim], float32 [n, classes]."""
        return self.classifier.predict_proba(self.scaling(vectors))

    def predict(self, vectors: FloatRows) -> tuple[FloatRows, BoolArray]:
        """Class probabilities [n, classes] of vectors [n, dim], and which are out of distribution, bool [n].

        One matrix product for both: the feature scaling is multiplied into the matrix.
        """
        classes = len(self.classes)
        matrix = np.concatenate([self.classifier.weights, self.detector.axes.T]) * self.scaling.factor
        projected = vectors @ matrix.T - matrix @ self.scaling.mean
        logits = self.classifier.calibrate(projected[:, :classes] + self.classifier.bias)
        return softmax(logits), self.detector.detect(projected[:, classes:])


@dataclass(frozen=True)
class PredictedPieces:
    """A probe's predictions.

    Attributes
    ----------
    piece_ids : int64 [n], ascending
    probabilities : float32 [n, classes]
    out_of_distribution : bool [n]
    """

    piece_ids: IntArray
    probabilities: FloatRows
    out_of_distribution: BoolArray


# -- probes -----------------------------------------------------------------------------------------


def save_probe(connection: Connection, tag_id: int, probe: TrainedProbe) -> None:
    """Replace the tag's probe; the predictions of the earlier one are deleted with it."""
    from safetensors.numpy import save

    arrays = {
        "mean": probe.scaling.mean,
        "factor": probe.scaling.factor,
        "weights": probe.classifier.weights,
        "bias": probe.classifier.bias,
        "offset": probe.classifier.log_prior,
        "axes": probe.detector.axes,
        "anchors": probe.detector.references,
    }
    metadata = {
        **probe.metadata,
        "classes": probe.classes,
        "strength": probe.classifier.C,
        "temperature": probe.classifier.temperature,
        "least": probe.detector.threshold,
    }
    values = {
        "encoder": probe.encoder,
        "labels": probe.labels,
        "facts": json.dumps(metadata),
        "arrays": save({name: np.ascontiguousarray(array) for name, array in arrays.items()}),
        "trained_s": probe.trained_s,
    }
    for table in (predictions, probes):
        connection.execute(delete(table).where(table.c.tag_id == tag_id))
    connection.execute(insert(probes).values(tag_id=tag_id, **values))


def load_probe(connection: Connection, tag: Row[Any]) -> TrainedProbe:
    """The probe of a tag.

    Raises
    ------
    TagError
        If it has none.
    LibraryDamaged
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    row = connection.execute(select(probes).where(probes.c.tag_id == tag.id)).first()
    if row is None:
        raise TagError(f"{shortened(tag.name)}: no probe yet; train it with `midikin probe train`")
    try:
        with decoding("a probe"):
            arrays = load(row.arrays)
            metadata = json.loads(row.facts)
            classes = tuple(metadata.pop("classes"))
            classifier = LinearClassifier(
                weights=arrays["weights"],
                bias=arrays["bias"],
                C=metadata.pop("strength"),
                temperature=metadata.pop("temperature"),
                log_prior=arrays["offset"],
            )
            detector = OODDetector(arrays["axes"], arrays["anchors"], metadata.pop("least"))
            scaling = FeatureScaling(arrays["mean"], arrays["factor"])
            if classifier.weights.shape != (len(classes), len(scaling.mean)):
                raise ValueError("arrays of different sizes")
    except SafetensorError as error:
        raise damaged("a probe cannot be read") from error
    return TrainedProbe(
        classes, scaling, classifier, detector, row.encoder, row.labels, metadata, row.trained_s
    )


def probe_state(connection: Connection, tag_id: int, encoder: str | None) -> str:
    """ "none", "current", "labels changed" or "stale", for a library with this encoder."""
    columns = probes.c
    row = connection.execute(select(columns.encoder, columns.labels).where(columns.tag_id == tag_id)).first()
    if row is None:
        return NONE
    if row.encoder != encoder:
        return STALE
    return CURRENT if labels_digest(active_labels(connection, tag_id)) == row.labels else CHANGED


def probe_record(connection: Connection, tag: Row[Any], probe: TrainedProbe, encoder: str | None) -> Probe:
    """A probe as the library answers it."""
    metadata = probe.metadata
    return Probe(
        tag=tag.name,
        kind=tag.kind,
        classes=probe.classes,
        labels=tuple(metadata["labels"]),
        pieces=metadata["pieces"],
        encoder=probe.encoder,
        features=metadata["features"],
        regularisation=probe.classifier.C,
        temperature=probe.classifier.temperature,
        trained_s=probe.trained_s,
        state=probe_state(connection, tag.id, encoder),
        scores=ProbeScores.from_json(metadata["scores"]),
        remarks=tuple(metadata["remarks"]),
        traits=tuple(Trait(**trait) for trait in metadata["traits"]),
    )


def probe_metadata(
    labels: Sequence[int], pieces: int, scores: ProbeScores, remarks: Sequence[str], traits: Sequence[Trait]
) -> dict[str, Any]:
    """What a probe's row holds beside its arrays."""
    return {
        "labels": list(labels),
        "pieces": pieces,
        "features": "vectors of the encoder, centred and half standardised over the library",
        "scores": asdict(scores),
        "remarks": list(remarks),
        "traits": [asdict(trait) for trait in traits],
    }


def check_unchanged(connection: Connection, tag: Row[Any], probe: TrainedProbe) -> None:
    """Refuse to store predictions of a probe that was replaced in the meantime.

    Raises
    ------
    TagError
    """
    stored = connection.execute(select(probes.c.trained_s).where(probes.c.tag_id == tag.id)).scalar()
    if stored != probe.trained_s:
        raise TagError(f"{shortened(tag.name)}: its probe was retrained meanwhile; apply it again")


def tags_with_probes(connection: Connection) -> list[Row[Any]]:
    """Tags that have a probe, by name."""
    joined = tags.join(probes, probes.c.tag_id == tags.c.id)
    return list(connection.execute(select(tags).select_from(joined).order_by(tags.c.name)).all())


# -- predictions ------------------------------------------------------------------------------------


def save_predictions(
    connection: Connection, tag_id: int, trained_s: float, predicted: PredictedPieces
) -> None:
    """Replace the tag's predictions."""
    values = {
        "trained_s": trained_s,
        "pieces": predicted.piece_ids.astype("<i8").tobytes(),
        "probabilities": predicted.probabilities.astype("<f2").tobytes(),
        "outside": predicted.out_of_distribution.astype("u1").tobytes(),
    }
    connection.execute(delete(predictions).where(predictions.c.tag_id == tag_id))
    connection.execute(insert(predictions).values(tag_id=tag_id, **values))


def load_predictions(connection: Connection, tag: Row[Any], classes: int) -> PredictedPieces:
    """The predictions of the tag's probe from when it was last applied.

    Raises
    ------
    TagError
        If it was not applied yet.
    LibraryDamaged
    """
    row = connection.execute(select(predictions).where(predictions.c.tag_id == tag.id)).first()
    if row is None:
        raise TagError(f"{shortened(tag.name)}: no predictions yet; make them with `midikin probe apply`")
    with decoding("predictions"):
        piece_ids = np.frombuffer(row.pieces, dtype="<i8").astype(np.int64)
        probabilities = np.frombuffer(row.probabilities, dtype="<f2").reshape(len(piece_ids), classes)
        out_of_distribution = np.frombuffer(row.outside, dtype="u1").astype(bool)
        if len(out_of_distribution) != len(piece_ids):
            raise ValueError("arrays of different sizes")
    return PredictedPieces(piece_ids, probabilities.astype(np.float32), out_of_distribution)


def has_predictions(connection: Connection, tag: Row[Any]) -> bool:
    """Whether the tag's probe was applied."""
    query = select(predictions.c.tag_id).where(predictions.c.tag_id == tag.id)
    return connection.execute(query).first() is not None
