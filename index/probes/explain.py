"""Why a probe says what it says of a piece, and what it says of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from ..storage import display, schema, unpack_vectors
from ..storage.pieces import spans_of
from ..tags.labels import standing
from ..tags.names import shown
from ..tags.records import FREE, NO, YES
from .attributes import DESCRIBED, descriptors_of
from .dataset import Examples
from .records import Explanation, Neighbour, Timeline, TimelineWindow, Trait
from .review import first_paths
from .store import Trained

__all__ = ["explain", "timeline"]

_SHOWN_WINDOWS = 5

FloatArray = NDArray[np.float32]


def timeline(
    connection: Connection, tag: Row[Any], probe: Trained, piece_id: int, sha256: str, dim: int
) -> Timeline:
    """What the probe says of every window of a piece, in time order."""
    query = select(schema.windows.c.vectors).where(schema.windows.c.piece_id == piece_id)
    vectors = unpack_vectors(connection.execute(query).scalar_one(), dim)
    spans = spans_of(connection, piece_id)
    said = probe.probabilities(vectors)
    parts = [
        (row.start_s, row.end_s, _word(tag, row))
        for row in standing(connection, tag.id)
        if row.sha256 == sha256 and row.start_s is not None
    ]
    windows = []
    for span, row in zip(spans, said, strict=True):
        start_s, end_s = float(span["start_s"]), float(span["end_s"])
        best = int(row.argmax())
        windows.append(
            TimelineWindow(
                start_s=start_s,
                end_s=end_s,
                value=probe.classes[best],
                probability=round(float(row[best]), 4),
                probabilities=tuple(round(float(p), 4) for p in row),
                label=_label_of(parts, start_s, end_s),
            )
        )
    path = first_paths(connection, [piece_id])[piece_id]
    return Timeline(tag.name, piece_id, path, probe.classes, tuple(windows))


def _word(tag: Row[Any], row: Row[Any]) -> str:
    if tag.kind == FREE:
        return YES if row.holds else NO
    return str(row.value) if row.holds else f"not {row.value}"


def _label_of(parts: Sequence[tuple[float, float, str]], start_s: float, end_s: float) -> str | None:
    """What was said of the part that overlaps a window most."""
    overlaps = [(min(end_s, b) - max(start_s, a), word) for a, b, word in parts]
    best = max(overlaps, default=(0.0, ""), key=lambda one: one[0])
    return best[1] if best[0] > 0 else None


def explain(
    connection: Connection,
    tag: Row[Any],
    probe: Trained,
    examples: Examples,
    piece: tuple[int, str],
    vector: FloatArray,
    k: int,
    dim: int,
) -> Explanation:
    """Labelled pieces near a piece, its windows that speak most for the value, and the traits it shares.

    Parameters
    ----------
    piece : its number and the hash of its content
    vector : float32 [dim]
    """
    piece_id, sha256 = piece
    probabilities, outside = probe.judge(vector[None])
    best = int(probabilities[0].argmax())
    value = probe.classes[best]
    line = timeline(connection, tag, probe, piece_id, sha256, dim)
    windows = sorted(line.windows, key=lambda window: -window.probabilities[best])[:_SHOWN_WINDOWS]
    nearest = _nearest(connection, probe, examples, piece_id, vector, k)
    traits = _shared(connection, probe, value, piece_id)
    probability = float(probabilities[0, best])
    return Explanation(
        tag=tag.name,
        piece_id=piece_id,
        path=line.path,
        value=value,
        probability=round(probability, 4),
        outside=bool(outside[0]),
        nearest=nearest,
        windows=tuple(windows),
        traits=traits,
        says=_sentences(value, probability, bool(outside[0]), nearest, windows, traits, best),
    )


def _nearest(
    connection: Connection, probe: Trained, examples: Examples, piece_id: int, vector: FloatArray, k: int
) -> tuple[Neighbour, ...]:
    others = np.flatnonzero(examples.pieces != piece_id)
    rows = probe.space(np.concatenate([vector[None], examples.vectors[others]]))
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    likeness = unit[1:] @ unit[0]
    order = np.argsort(-likeness, kind="stable")[:k]
    paths = first_paths(connection, [int(examples.pieces[others[at]]) for at in order])
    return tuple(
        Neighbour(
            piece_id=int(examples.pieces[others[at]]),
            path=paths[int(examples.pieces[others[at]])],
            value=examples.classes[examples.label[others[at]]],
            score=round(float(likeness[at]), 4),
        )
        for at in order
    )


def _shared(connection: Connection, probe: Trained, value: str, piece_id: int) -> tuple[Trait, ...]:
    """Traits of the value that the piece has too: it lies nearer to the class's mean than to the others'."""
    own = descriptors_of(connection, [piece_id])[piece_id]
    place = {name: at for at, (name, *_) in enumerate(DESCRIBED)}
    traits = (Trait(**one) for one in probe.facts["traits"])
    return tuple(
        trait
        for trait in traits
        if trait.value == value
        and abs(own[place[trait.name]] - trait.mean) < abs(own[place[trait.name]] - trait.others)
    )


def _sentences(
    value: str,
    probability: float,
    outside: bool,
    nearest: Sequence[Neighbour],
    windows: Sequence[TimelineWindow],
    traits: Sequence[Trait],
    best: int,
) -> tuple[str, ...]:
    said = [f"{shown(value)} with probability {probability:.2f}"]
    if outside:
        said.append("but it is like no labelled piece, so it is left untagged")
    alike = [one for one in nearest if one.value == value]
    if nearest:
        said.append(
            f"{len(alike)} of the {len(nearest)} labelled pieces nearest to it are {shown(value)}; "
            f"the nearest is {display(nearest[0].path)} ({shown(nearest[0].value)})"
        )
    if windows:
        first = windows[0]
        said.append(
            f"the part from {first.start_s:.0f} to {first.end_s:.0f} s speaks most for it "
            f"({first.probabilities[best]:.2f})"
        )
    said += [f"like other {shown(value)}, {trait.says}" for trait in traits]
    return tuple(said)
