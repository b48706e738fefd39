"""All tasks for all systems, the hand-crafted baselines among them in every run.

Alignment and uniformity follow Wang and Isola 2020 (arXiv 2005.10242): the mean squared distance between a
piece and its altered copies, and the logarithm of the mean of exp(-2 d^2) over pairs of pieces; lower is
better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import FloatRows, unit_rows
from embedder.core.progress import OnProgress, no_progress
from embedder.notes import Notes

from ..corpus import Corpus
from .datasets import Collection
from .linear_probe import Probe, score_probe
from .note_tasks import note_accuracy
from .report import Evaluation, SystemScores
from .retrieval import ALTERATIONS, ALTERED_TASK, Search, SearchScore, score_search, searches
from .systems import Embeddings, System, baseline_system
from .tasks import CHOICES, NEXT_PASSAGE, TASKS, next_passage, passages, probes, select_tasks

__all__ = ["SHARES", "EvaluationSettings", "evaluate", "uniformity"]

SHARES = (0.01, 0.1)  # of the labels, as CLMR (arXiv 2103.09410) has it


@dataclass(frozen=True)
class EvaluationSettings:
    """How much is measured.

    Attributes
    ----------
    queries : performances, and altered pieces of each kind, at most (takes and passages: twice as many)
    gallery : pieces among which altered copies are looked for, at most
    probe_pieces : pieces of a probe, at most
    fold_draws : ways to split a probe's works into folds; scores with all labels are their mean
    shares : of the labels with which probes are measured too (`SHARES`)
    standardise : whether the vectors of all systems have every column brought to mean 0 and deviation 1 over
        the collection; otherwise only those that cannot be compared without (`System.standardise`)
    seed : of all that is drawn
    """

    queries: int = 100
    gallery: int = 1500
    probe_pieces: int = 1500
    fold_draws: int = 1
    shares: tuple[float, ...] = ()
    standardise: bool = False
    seed: int = 0


@dataclass(frozen=True)
class _Plan:
    """What is measured of every system."""

    searches: list[Search]
    probes: list[Probe]
    passages: tuple[list[Notes], list[Notes]]
    note_tasks: list[str]


def evaluate(
    systems: Iterable[System],
    collection: Collection,
    settings: EvaluationSettings | None = None,
    *,
    tasks: Iterable[str] = tuple(TASKS),
    voices: Corpus | None = None,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Measure systems, and the hand-crafted baselines beside them, on a collection.

    Parameters
    ----------
    tasks : names of tasks and of groups of tasks (`train.evaluation.tasks`)
    voices : songs whose notes have voices; without them the tasks about notes are left out

    Raises
    ------
    CorpusError
        If there is no such task.
    """
    settings = settings or EvaluationSettings()
    plan = _plan(collection, settings, select_tasks(tasks), voices)
    notes = [piece.notes for piece in collection.pieces]
    scores: dict[str, SystemScores] = {}
    for system in [*systems, baseline_system(notes)]:
        scores |= _measure(system, collection, notes, plan, settings, on_progress)
        for name, describe in system.describe_notes.items():
            for done, task in enumerate(plan.note_tasks):
                on_progress(f"{name}: notes", done, len(plan.note_tasks))
                assert voices is not None
                accuracy = note_accuracy(task, describe, voices, settings.seed)
                if accuracy is not None:
                    scores.setdefault(name, SystemScores()).notes[task] = accuracy
    return Evaluation(scores, collection)


def _plan(
    collection: Collection, settings: EvaluationSettings, tasks: Sequence[str], voices: Corpus | None
) -> _Plan:
    queries, seed = settings.queries, settings.seed
    return _Plan(
        searches=[
            search
            for search in searches(
                collection,
                queries=queries,
                gallery=settings.gallery,
                seed=seed,
                altered=ALTERED_TASK in tasks,
            )
            if search.task in tasks
        ],
        probes=probes(collection, tasks, settings.probe_pieces, seed),
        passages=passages(collection, 2 * queries, seed)[:2] if NEXT_PASSAGE in tasks else ([], []),
        note_tasks=[] if voices is None else [task for task in tasks if TASKS[task].group == "notes"],
    )


def _measure(
    system: System,
    collection: Collection,
    notes: list[Notes],
    plan: _Plan,
    settings: EvaluationSettings,
    on_progress: OnProgress,
) -> dict[str, SystemScores]:
    """Scores of the systems that one pass gives the vectors of."""
    label = system.names[0]
    gallery = _embed(system, notes, on_progress)
    scalers: dict[str, _Scaler | None] = dict.fromkeys(system.names)
    if settings.standardise or system.standardise:
        scalers = {name: _Scaler(gallery[name].pieces) for name in system.names}
    gallery = {name: _scaled(gallery[name], scalers[name]) for name in system.names}
    scores = {name: SystemScores() for name in system.names}
    distances: dict[str, list[NDArray[np.floating]]] = {name: [] for name in system.names}
    for done, search in enumerate(plan.searches):
        on_progress(f"{label}: searching", done, len(plan.searches))
        embedded = None if search.queries is None else system(search.queries)
        for name in system.names:
            queries = None if embedded is None else _scaled(embedded[name], scalers[name])
            score = score_search(search, collection, gallery[name], queries)
            if score is not None:
                scores[name].searches.append(score)
            if queries is not None and search.name in ALTERATIONS:
                originals = gallery[name].pieces[search.sources]
                distances[name].append(((queries.pieces - originals) ** 2).sum(1))
    before, after = plan.passages
    if len(before) >= CHOICES:
        embedded = system([*before, *after])
        for name in system.names:
            rows = _scaled(embedded[name], scalers[name]).pieces
            value = next_passage(rows[: len(before)], rows[len(before) :], settings.seed)
            scores[name].searches.append(
                SearchScore(NEXT_PASSAGE, NEXT_PASSAGE, "R@1", value, len(before), CHOICES)
            )
    for done, probe in enumerate(plan.probes):
        on_progress(f"{label}: probing", done, len(plan.probes))
        for name in system.names:
            scores[name].probes.append(
                score_probe(
                    probe,
                    gallery[name].pieces,
                    settings.seed,
                    fold_draws=settings.fold_draws,
                    shares=settings.shares,
                )
            )
    seconds = max(system.seconds, 1e-9)
    for name in system.names:
        if distances[name]:
            scores[name].alignment = float(np.concatenate(distances[name]).mean())
        scores[name].uniformity = uniformity(gallery[name].pieces)
        scores[name].speed = {"vectors": system.vectors / seconds, "notes": system.notes / seconds}
    return scores


class _Scaler:
    """Brings columns of vectors to mean 0 and deviation 1 over a set of pieces, and rows to length one."""

    def __init__(self, rows: FloatRows) -> None:
        self.mean, self.sd = rows.mean(0), rows.std(0) + 1e-6

    def __call__(self, rows: FloatRows) -> FloatRows:
        return unit_rows((rows - self.mean) / self.sd, 1e-9)


def _scaled(embeddings: Embeddings, scaler: _Scaler | None) -> Embeddings:
    if scaler is None:
        return embeddings
    windows = None if embeddings.windows is None else scaler(embeddings.windows)
    return replace(embeddings, pieces=scaler(embeddings.pieces), windows=windows)


def uniformity(vectors: NDArray[np.floating], max_rows: int = 2000) -> float | None:
    """Logarithm of the mean of exp(-2 d^2) over pairs of unit rows; None of a single one."""
    rows = vectors[np.linspace(0, len(vectors) - 1, min(max_rows, len(vectors))).astype(int)]
    first, second = np.triu_indices(len(rows), 1)
    if not len(first):
        return None
    squared = np.maximum(2 - 2 * (rows @ rows.T)[first, second], 0)
    return float(np.log(np.exp(-2 * squared).mean()))


def _embed(system: System, notes: list[Notes], on_progress: OnProgress) -> dict[str, Embeddings]:
    done = 0

    def on_group(count: int) -> None:
        nonlocal done
        done += count
        on_progress(f"{system.names[0]}: embedding", done, len(notes))

    return system(notes, on_group)
