"""Probes and predictions as rows of the database: arrays in the safetensors format, facts as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, insert, select

from embedder.core.errors import TagError

from ..storage import damaged, decoding
from ..tags.labels import standing
from ..tags.names import shown
from ..tags.schema import predictions, probes, tags
from .classifier import Linear, softmax
from .dataset import labels_digest
from .ood import Boundary
from .records import Probe, ProbeScores, Trait
from .scaling import Space

__all__ = [
    "CURRENT",
    "STALE",
    "Predicted",
    "Trained",
    "has_predictions",
    "load_predicted",
    "load_trained",
    "probe_state",
    "record_of",
    "store_predicted",
    "store_trained",
    "tags_with_probes",
]

NONE, CURRENT, CHANGED, STALE = "none", "current", "labels changed", "stale"


@dataclass(frozen=True)
class Trained:
    """A probe with its arrays.

    Attributes
    ----------
    facts : fields of `Probe` that are not arrays and do not change when labels do
    """

    classes: tuple[str, ...]
    space: Space
    linear: Linear
    boundary: Boundary
    encoder: str
    labels: str
    facts: dict[str, Any]
    trained_s: float

    def probabilities(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities of the classes for vectors [n, dim], float32 [n, classes]."""
        return self.linear.probabilities(self.space(vectors))

    def judge(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Probabilities [n, classes] of vectors [n, dim], and whether each is outside, bool [n].

        One matrix product for both: the way into the probe's space is multiplied into the matrix.
        """
        classes = len(self.classes)
        both = np.concatenate([self.linear.weights, self.boundary.axes.T]) * self.space.factor
        said = vectors @ both.T - both @ self.space.mean
        probabilities = softmax(self.linear.calibrated(said[:, :classes] + self.linear.bias))
        return probabilities, self.boundary.far(said[:, classes:])


@dataclass(frozen=True)
class Predicted:
    """What a probe says of pieces.

    Attributes
    ----------
    numbers : int64 [n], rising
    probabilities : float32 [n, classes]
    outside : bool [n]
    """

    numbers: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    outside: NDArray[np.bool_]


def store_trained(connection: Connection, tag_id: int, probe: Trained) -> None:
    """Put a probe in the place of the tag's earlier one; what that one predicted goes with it."""
    from safetensors.numpy import save

    arrays = {
        "mean": probe.space.mean,
        "factor": probe.space.factor,
        "weights": probe.linear.weights,
        "bias": probe.linear.bias,
        "offset": probe.linear.offset,
        "axes": probe.boundary.axes,
        "anchors": probe.boundary.anchors,
    }
    facts = {
        **probe.facts,
        "classes": probe.classes,
        "strength": probe.linear.strength,
        "temperature": probe.linear.temperature,
        "least": probe.boundary.least,
    }
    values = {
        "encoder": probe.encoder,
        "labels": probe.labels,
        "facts": json.dumps(facts),
        "arrays": save({name: np.ascontiguousarray(array) for name, array in arrays.items()}),
        "trained_s": probe.trained_s,
    }
    for table in (predictions, probes):
        connection.execute(delete(table).where(table.c.tag_id == tag_id))
    connection.execute(insert(probes).values(tag_id=tag_id, **values))


def load_trained(connection: Connection, tag: Row[Any]) -> Trained:
    """The probe of a tag.

    Raises
    ------
    TagError
        If it has none.
    """
    row = connection.execute(select(probes).where(probes.c.tag_id == tag.id)).first()
    if row is None:
        raise TagError(f"{shown(tag.name)}: no probe yet; train it with `midikin probe train`")
    return _trained(row)


def _trained(row: Row[Any]) -> Trained:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        with decoding("a probe"):
            arrays = load(row.arrays)
            facts = json.loads(row.facts)
            classes = tuple(facts.pop("classes"))
            linear = Linear(
                arrays["weights"],
                arrays["bias"],
                facts.pop("strength"),
                facts.pop("temperature"),
                arrays["offset"],
            )
            boundary = Boundary(arrays["axes"], arrays["anchors"], facts.pop("least"))
            space = Space(arrays["mean"], arrays["factor"])
            if linear.weights.shape != (len(classes), len(space.mean)):
                raise ValueError("arrays that do not fit each other")
    except SafetensorError as error:
        raise damaged("a probe cannot be read") from error
    return Trained(classes, space, linear, boundary, row.encoder, row.labels, facts, row.trained_s)


def probe_state(connection: Connection, tag_id: int, encoder: str | None) -> str:
    """ "none", "current", "labels changed" or "stale", for a library with this encoder."""
    columns = probes.c
    row = connection.execute(select(columns.encoder, columns.labels).where(columns.tag_id == tag_id)).first()
    if row is None:
        return NONE
    if row.encoder != encoder:
        return STALE
    return CURRENT if labels_digest(standing(connection, tag_id)) == row.labels else CHANGED


def record_of(connection: Connection, tag: Row[Any], probe: Trained, encoder: str | None) -> Probe:
    """A probe as the library answers it."""
    facts = probe.facts
    return Probe(
        tag=tag.name,
        kind=tag.kind,
        classes=probe.classes,
        labels=tuple(facts["labels"]),
        pieces=facts["pieces"],
        encoder=probe.encoder,
        features=facts["features"],
        regularisation=probe.linear.strength,
        temperature=probe.linear.temperature,
        trained_s=probe.trained_s,
        state=probe_state(connection, tag.id, encoder),
        scores=ProbeScores.of_json(facts["scores"]),
        remarks=tuple(facts["remarks"]),
        traits=tuple(Trait(**one) for one in facts["traits"]),
    )


def facts_of(
    labels: Sequence[int], pieces: int, scores: ProbeScores, remarks: Sequence[str], traits: Sequence[Trait]
) -> dict[str, Any]:
    """What a probe's row says beside its arrays."""
    return {
        "labels": list(labels),
        "pieces": pieces,
        "features": "vectors of the encoder, centred and half standardised over the library",
        "scores": asdict(scores),
        "remarks": list(remarks),
        "traits": [asdict(one) for one in traits],
    }


# -- predictions ------------------------------------------------------------------------------------


def store_predicted(connection: Connection, tag_id: int, trained_s: float, said: Predicted) -> None:
    """Put predictions in the place of the tag's earlier ones."""
    values = {
        "trained_s": trained_s,
        "pieces": said.numbers.astype("<i8").tobytes(),
        "probabilities": said.probabilities.astype("<f2").tobytes(),
        "outside": said.outside.astype("u1").tobytes(),
    }
    connection.execute(delete(predictions).where(predictions.c.tag_id == tag_id))
    connection.execute(insert(predictions).values(tag_id=tag_id, **values))


def load_predicted(connection: Connection, tag: Row[Any], classes: int) -> Predicted:
    """What the tag's probe said of the library when it was last applied.

    Raises
    ------
    TagError
        If it was not applied yet.
    """
    row = connection.execute(select(predictions).where(predictions.c.tag_id == tag.id)).first()
    if row is None:
        raise TagError(f"{shown(tag.name)}: no predictions yet; make them with `midikin probe apply`")
    with decoding("predictions"):
        numbers = np.frombuffer(row.pieces, dtype="<i8").astype(np.int64)
        said = np.frombuffer(row.probabilities, dtype="<f2").reshape(len(numbers), classes)
        outside = np.frombuffer(row.outside, dtype="u1").astype(bool)
        if len(outside) != len(numbers):
            raise ValueError("arrays that do not fit each other")
    return Predicted(numbers, said.astype(np.float32), outside)


def has_predictions(connection: Connection, tag: Row[Any]) -> bool:
    """Whether the tag's probe was applied."""
    query = select(predictions.c.tag_id).where(predictions.c.tag_id == tag.id)
    return connection.execute(query).first() is not None


def tags_with_probes(connection: Connection) -> list[Row[Any]]:
    """Tags that have a probe, by name."""
    joined = tags.join(probes, probes.c.tag_id == tags.c.id)
    return list(connection.execute(select(tags).select_from(joined).order_by(tags.c.name)).all())


def now() -> float:
    return time.time()
