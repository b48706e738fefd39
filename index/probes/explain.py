"""Explanations: a probe's predictions window by window, and the evidence for its prediction of a piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from embedder.core.arrays import FloatArray, FloatRows, IntArray, unit_rows
from embedder.core.files import shortened

from ..storage import chunks, display, schema, unpack_vectors
from ..storage.pieces import spans_of
from ..tags import FREE, NO, YES, active_labels
from .dataset import Examples
from .predict import first_paths
from .records import Explanation, Neighbour, Timeline, TimelineWindow, Trait
from .store import TrainedProbe

__all__ = ["class_traits", "descriptors_of", "explain_piece", "predict_windows"]

_MAX_WINDOWS = 5
_MIN_EFFECT = 0.5  # standard deviations
_MAX_TRAITS = 3  # per class

# Descriptor, a phrase with its value, and the words for more and less of it.
DESCRIPTORS = (
    ("density", "{} notes per second", "denser", "sparser"),
    ("polyphony", "{} simultaneous notes", "fuller", "thinner"),
    ("velocity_mean", "mean velocity {}", "louder", "softer"),
    ("pitch_mean", "mean pitch {}", "higher", "lower"),
    ("pitch_low", "lowest pitch {}", "higher bass", "deeper bass"),
    ("pitch_high", "highest pitch {}", "higher treble", "lower treble"),
    ("duration_s", "{} seconds", "longer", "shorter"),
)


# -- descriptors typical of a class -----------------------------------------------------------------


def descriptors_of(connection: Connection, piece_ids: Sequence[int]) -> dict[int, FloatArray]:
    """Values of DESCRIPTORS by id of the piece, float64 [len(DESCRIPTORS)]."""
    columns = [schema.pieces.c[name] for name, *_ in DESCRIPTORS]
    by_piece: dict[int, FloatArray] = {}
    for chunk in chunks(sorted(set(piece_ids))):
        query = select(schema.pieces.c.id, *columns).where(schema.pieces.c.id.in_(chunk))
        by_piece.update((row[0], np.array(row[1:], dtype=np.float64)) for row in connection.execute(query))
    return by_piece


def class_traits(values: FloatArray, label: IntArray, classes: Sequence[str]) -> tuple[Trait, ...]:
    """The descriptors with the largest effect sizes (Cohen's d) for each class against the rest.

    Parameters
    ----------
    values : float64 [n, len(DESCRIPTORS)]
    label : int64 [n]
    """
    traits = []
    for number, value in enumerate(classes):
        own, rest = values[label == number], values[label != number]
        if len(own) < 2 or len(rest) < 2:
            continue
        spread = np.sqrt((own.var(0) + rest.var(0)) / 2)
        effect = (own.mean(0) - rest.mean(0)) / np.maximum(spread, 1e-9)
        effect[spread < 1e-9] = 0.0
        for i in np.argsort(-np.abs(effect))[:_MAX_TRAITS]:
            if abs(effect[i]) >= _MIN_EFFECT:
                traits.append(_trait(value, int(i), own[:, i].mean(), rest[:, i].mean(), float(effect[i])))
    return tuple(traits)


def _trait(value: str, descriptor: int, mean: float, others: float, effect: float) -> Trait:
    name, phrase, more, less = DESCRIPTORS[descriptor]
    digits = 1 if max(abs(mean), abs(others)) < 20 else 0
    own = phrase.format(f"{mean:.{digits}f}")
    text = f"{more if effect > 0 else less}: {own} against {others:.{digits}f}"
    return Trait(value, name, float(mean), float(others), effect, text)


# -- explanations of a piece ------------------------------------------------------------------------


def predict_windows(
    connection: Connection, tag: Row[Any], probe: TrainedProbe, piece_id: int, sha256: str, dim: int
) -> Timeline:
    """The prediction for every window of a piece, in time order."""
    query = select(schema.windows.c.vectors).where(schema.windows.c.piece_id == piece_id)
    vectors = unpack_vectors(connection.execute(query).scalar_one(), dim)
    spans = spans_of(connection, piece_id)
    ranges = [
        (row.start_s, row.end_s, _label_text(tag, row))
        for row in active_labels(connection, tag.id)
        if row.sha256 == sha256 and row.start_s is not None
    ]
    windows = []
    for span, probabilities in zip(spans, probe.predict_proba(vectors), strict=True):
        start_s, end_s = float(span["start_s"]), float(span["end_s"])
        likeliest = int(probabilities.argmax())
        windows.append(
            TimelineWindow(
                start_s=start_s,
                end_s=end_s,
                value=probe.classes[likeliest],
                probability=round(float(probabilities[likeliest]), 4),
                probabilities=tuple(round(float(p), 4) for p in probabilities),
                label=_label_at(ranges, start_s, end_s),
            )
        )
    path = first_paths(connection, [piece_id])[piece_id]
    return Timeline(tag.name, piece_id, path, probe.classes, tuple(windows))


def _label_text(tag: Row[Any], row: Row[Any]) -> str:
    if tag.kind == FREE:
        return YES if row.holds else NO
    return str(row.value) if row.holds else f"not {row.value}"


def _label_at(ranges: Sequence[tuple[float, float, str]], start_s: float, end_s: float) -> str | None:
    """The label of the time range that overlaps a window most."""
    overlaps = [(min(end_s, end) - max(start_s, start), text) for start, end, text in ranges]
    overlap, text = max(overlaps, default=(0.0, ""), key=lambda pair: pair[0])
    return text if overlap > 0 else None


def explain_piece(
    connection: Connection,
    tag: Row[Any],
    probe: TrainedProbe,
    examples: Examples,
    piece: tuple[int, str],
    vector: FloatRows,
    k: int,
) -> Explanation:
    """The labelled pieces nearest to a piece, its windows with the highest probability, and shared traits.

    Parameters
    ----------
    piece : its id and the hash of its content
    vector : float32 [dim]
    k : number of nearest pieces
    """
    piece_id, sha256 = piece
    probabilities, out_of_distribution = probe.predict(vector[None])
    likeliest = int(probabilities[0].argmax())
    value = probe.classes[likeliest]
    timeline = predict_windows(connection, tag, probe, piece_id, sha256, len(vector))
    windows = sorted(timeline.windows, key=lambda window: -window.probabilities[likeliest])[:_MAX_WINDOWS]
    nearest = _nearest(connection, probe, examples, piece_id, vector, k)
    traits = _shared_traits(connection, probe, value, piece_id)
    probability = float(probabilities[0, likeliest])
    outside = bool(out_of_distribution[0])
    return Explanation(
        tag=tag.name,
        piece_id=piece_id,
        path=timeline.path,
        value=value,
        probability=round(probability, 4),
        outside=outside,
        nearest=nearest,
        windows=tuple(windows),
        traits=traits,
        says=_sentences(value, probability, outside, nearest, windows, traits, likeliest),
    )


def _nearest(
    connection: Connection, probe: TrainedProbe, examples: Examples, piece_id: int, vector: FloatRows, k: int
) -> tuple[Neighbour, ...]:
    others = np.flatnonzero(examples.pieces != piece_id)
    rows = unit_rows(probe.scaling(np.concatenate([vector[None], examples.vectors[others]])), 1e-9)
    similarity = rows[1:] @ rows[0]
    order = np.argsort(-similarity, kind="stable")[:k]
    piece_ids = examples.pieces[others[order]].tolist()
    paths = first_paths(connection, piece_ids)
    return tuple(
        Neighbour(
            piece_id=neighbour,
            path=paths[neighbour],
            value=examples.classes[examples.label[others[i]]],
            score=round(float(similarity[i]), 4),
        )
        for neighbour, i in zip(piece_ids, order, strict=True)
    )


def _shared_traits(
    connection: Connection, probe: TrainedProbe, value: str, piece_id: int
) -> tuple[Trait, ...]:
    """Traits of the value that the piece has: it lies nearer to the class mean than to that of the others."""
    own = descriptors_of(connection, [piece_id])[piece_id]
    index = {name: i for i, (name, *_) in enumerate(DESCRIPTORS)}
    traits = (Trait(**trait) for trait in probe.metadata["traits"])
    return tuple(
        trait
        for trait in traits
        if trait.value == value
        and abs(own[index[trait.name]] - trait.mean) < abs(own[index[trait.name]] - trait.others)
    )


def _sentences(
    value: str,
    probability: float,
    out_of_distribution: bool,
    nearest: Sequence[Neighbour],
    windows: Sequence[TimelineWindow],
    traits: Sequence[Trait],
    likeliest: int,
) -> tuple[str, ...]:
    name = shortened(value)
    sentences = [f"{name} with probability {probability:.2f}"]
    if out_of_distribution:
        sentences.append("it is unlike every labelled piece (out of distribution), so it is left untagged")
    if nearest:
        alike = sum(neighbour.value == value for neighbour in nearest)
        first = f"{display(nearest[0].path)} ({shortened(nearest[0].value)})"
        if len(nearest) == 1:
            sentences.append(f"the labelled piece nearest to it is {first}")
        else:
            verb = "is" if alike == 1 else "are"
            sentences.append(
                f"{alike} of the {len(nearest)} labelled pieces nearest to it {verb} {name}; "
                f"the nearest is {first}"
            )
    if windows:
        window = windows[0]
        sentences.append(
            f"the probability is highest from {window.start_s:.0f} to {window.end_s:.0f} s "
            f"({window.probabilities[likeliest]:.2f})"
        )
    sentences += [f"like other {name}, {trait.says}" for trait in traits]
    return tuple(sentences)
