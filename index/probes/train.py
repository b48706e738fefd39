"""Training probes: from a library's labels and vectors to probes with their cross-validated scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row

from embedder.core.errors import TagError

from .attributes import descriptors_of, traits_of
from .baseline import standardised, statistics_of
from .classifier import Linear, fit, fit_plainly
from .crossval import cross_validate, score_of
from .dataset import Examples, collect
from .gallery import Gallery
from .ood import Boundary
from .records import Problem
from .scaling import Space
from .store import Trained, facts_of, now
from .works import GROUPING, works_of

__all__ = ["Material", "gather", "sample", "train"]

MOST_SCORED = 1_500  # examples that cross-validation and calibration look at
MOST_FITTED = 20_000  # examples of the final fit
_LEAST_A_CLASS = 10

Progress = Callable[[str, int, int], None]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """What one tag's probe is made of; all of it read in one transaction.

    Attributes
    ----------
    examples : to be fitted
    scored : those of them that are scored; all unless they are very many
    work : int64 [len(scored)]
    statistics : float32 [len(scored), b], hand-made; None where parts of pieces are labelled
    descriptors : float64 [len(examples), d]
    """

    tag_id: int
    examples: Examples
    scored: Examples
    work: IntArray
    statistics: NDArray[np.float32] | None
    descriptors: NDArray[np.float64]


def gather(
    connection: Connection, tags: Sequence[Row[Any]], gallery: Gallery, dim: int
) -> tuple[list[Material], list[Problem]]:
    """What the probes of some tags are made of, and why some cannot be made."""
    problems: list[Problem] = []
    found: list[tuple[Row[Any], Examples, Examples]] = []
    for tag in tags:
        try:
            examples = collect(connection, tag, gallery, dim)
        except TagError as error:
            problems.append(Problem(tag.name, str(error)))
        else:
            found.append((tag, examples, examples.only(sample(examples.label, MOST_SCORED))))
    numbers = sorted({int(piece) for _, _, scored in found for piece in scored.pieces})
    works = works_of(connection, numbers) if numbers else {}
    statistics = statistics_of(connection, numbers)
    materials = []
    for tag, examples, scored in found:
        work = np.array([works[int(piece)] for piece in scored.pieces], dtype=np.int64)
        try:
            scored, work = scored.of_enough_works(work)
        except TagError as error:
            problems.append(Problem(tag.name, str(error)))
            continue
        kept = examples.of_classes(scored)
        described = descriptors_of(connection, [int(piece) for piece in kept.pieces])
        materials.append(
            Material(
                tag_id=tag.id,
                examples=kept,
                scored=scored,
                work=work,
                statistics=np.stack([statistics[int(piece)] for piece in scored.pieces])
                if scored.whole.all()
                else None,
                descriptors=np.stack([described[int(piece)] for piece in kept.pieces]),
            )
        )
    return materials, problems


def sample(label: IntArray, most: int) -> IntArray:
    """Rows drawn at random, with some of every class."""
    if len(label) <= most:
        return np.arange(len(label))
    order = np.random.default_rng(0).permutation(len(label))
    rare = np.concatenate([order[label[order] == one][:_LEAST_A_CLASS] for one in np.unique(label)])
    return np.sort(np.unique(np.concatenate([rare, order[: most - len(rare)]])))


def train(
    material: Material, space: Space, library: NDArray[np.float32], encoder: str, told: Progress
) -> Trained:
    """A probe and its scores.

    Parameters
    ----------
    space : of the library
    library : float32 [m, dim], some of the library's vectors in that space
    encoder : id of the encoder that made the vectors
    """
    examples, scored, work = material.examples, material.scored, material.work
    classes = len(examples.classes)
    rows = space(scored.vectors)
    name = examples.tag
    said, fold = cross_validate(
        rows, scored.label, work, classes, lambda done, total: told(f"scoring {name}", done, total)
    )
    handmade = None
    if material.statistics is not None:
        handmade, _ = cross_validate(standardised(material.statistics), scored.label, work, classes)
    scores = score_of(said, scored.label, fold, work, examples.classes, GROUPING, handmade)
    told(f"fitting {name}", 0, 1)
    linear = _fitted(examples, scored, work, space)
    remarks = list(examples.remarks)
    if len(scored) < len(examples):
        remarks.append(f"scored on {len(scored):,} of {len(examples):,} labelled pieces, drawn at random")
    whole = examples.whole
    traits = traits_of(material.descriptors[whole], examples.label[whole], examples.classes)
    counts = np.bincount(examples.label, minlength=classes).tolist()
    return Trained(
        classes=examples.classes,
        space=space,
        linear=linear,
        boundary=Boundary.of(library, rows, work),
        encoder=encoder,
        labels=examples.digest,
        facts=facts_of(counts, len(examples), scores, remarks, traits),
        trained_s=now(),
    )


def _fitted(examples: Examples, scored: Examples, work: IntArray, space: Space) -> Linear:
    """The fit on all labels, with the strength and calibration that the scored ones give."""
    classes = len(examples.classes)
    linear = fit(space(scored.vectors), scored.label, work, classes)
    if len(scored) == len(examples):
        return linear
    more = examples.only(sample(examples.label, MOST_FITTED))
    weights, bias = fit_plainly(space(more.vectors), more.label, classes, linear.strength)
    return Linear(weights, bias, linear.strength, linear.temperature, linear.offset)
