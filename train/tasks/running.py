"""All tasks for all systems, and the figures as one table: accuracies and R@1 or MAP, in per cent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..corpus import Corpus
from ..evaluation.datasets import Collection
from ..evaluation.linear_probe import probe_figures, probe_of, share_accuracy, thinned
from ..evaluation.retrieval import Search, figures, searches
from ..evaluation.systems import Made, Maker
from .headers import UNSTATED, Header
from .labels import LABEL_TASKS
from .notewise import NOTE_TASKS, Describe, note_accuracy
from .passages import CHOICES, next_passage, passages

__all__ = ["SHARES", "TASKS", "TaskTable", "of_labels", "run_tasks"]

# Searches of `train.evaluation` that are tasks here, and what each asks.
SEARCHES = {
    "performance -> score": "which score is played",
    "score -> performance": "which performance plays a score",
    "other performances": "who else plays it",
    "takes of a song": "other versions of a song",
}
NEXT = "next passage"
SHARES = (0.01, 0.1)  # of the labels, as CLMR has it
TASKS: dict[str, str] = {
    **{task.name: task.asks for task in LABEL_TASKS},
    **SEARCHES,
    NEXT: f"which of {CHOICES} passages follows",
    **NOTE_TASKS,
}


def of_labels(task: str, share: float) -> str:
    """The line of a task with a share of its labels."""
    return f"{task}, {share:.0%} of the labels"


@dataclass
class TaskTable:
    """Figures by task and system, 0..1; a task that the data does not allow has no line.

    Attributes
    ----------
    figures : by task, then by system
    few : the same of probes with few labels: by task and labels a class or share of them, then by system
    """

    systems: list[str] = field(default_factory=list)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    few: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, task: str, system: str, value: float, *, few: bool = False) -> None:
        if system not in self.systems:
            self.systems.append(system)
        (self.few if few else self.figures).setdefault(task, {})[system] = value

    def means(self) -> dict[str, float]:
        """Mean of each system over the tasks that all systems have."""
        shared = [row for row in self.figures.values() if set(row) == set(self.systems)]
        return (
            {name: float(np.mean([row[name] for row in shared])) for name in self.systems} if shared else {}
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Lines of the table: the task, and a figure in per cent for each system."""
        lines = [*self.figures.items(), *self.few.items(), ("mean of the tasks all have", self.means())]
        return [
            (task, *(f"{100 * row[name]:.1f}" if name in row else "" for name in self.systems))
            for task, row in lines
            if row
        ]

    def markdown(self) -> str:
        head = [["task", *self.systems], ["---"] + ["---:"] * len(self.systems)]
        return "\n".join("| " + " | ".join(row) + " |" for row in [*head, *self.rows()]) + "\n"

    def to_json(self) -> dict[str, Any]:
        return {"systems": self.systems, "tasks": self.figures, "few": self.few, "means": self.means()}


def run_tasks(
    makers: Sequence[Maker],
    collection: Collection,
    headers: dict[tuple[str, str], Header],
    *,
    voices: Corpus | None = None,
    describers: dict[str, Describe] | None = None,
    pieces: int = 1500,
    queries: int = 100,
    seed: int = 0,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> TaskTable:
    """Measure every system on every task.

    Parameters
    ----------
    makers : what makes vectors of pieces; vectors are standardised over the collection here
    headers : statements of files, by set and file
    voices : songs whose notes have voices; without them the tasks about notes are left out
    describers : numbers for every note, by the name of the system
    pieces, queries : of a probe and of a search, at most
    """
    table = TaskTable()
    notes = [piece.notes for piece in collection.pieces]
    asked = [
        thinned(probe, pieces, np.random.default_rng(seed))
        for task in LABEL_TASKS
        if (
            probe := probe_of(
                task.name,
                [task.label(p, headers.get((p.set, p.file), UNSTATED)) for p in collection.pieces],
                collection,
            )
        )
    ]
    wanted = [s for s in searches(collection, queries=queries, gallery=2, seed=seed) if s.name in SEARCHES]
    before, after, _ = passages(collection, 2 * queries, seed)
    for maker in makers:
        on_progress(f"{maker.names[0]}: embedding", 0, 1)
        every = maker(notes)
        near = maker([*before, *after]) if len(before) >= CHOICES else {}
        for name in maker.names:
            scale = _Scale(every[name].pieces)
            rows = Made(scale(every[name].pieces))
            for done, probe in enumerate(asked):
                on_progress(f"{name}: probing", done, len(asked))
                for count, value in probe_figures(probe, rows.pieces, seed).accuracy.items():
                    if count == "all":
                        table.add(probe.name, name, value)
                    else:
                        table.add(f"{probe.name}, {count} a class", name, value, few=True)
                for share in SHARES:
                    of_share = share_accuracy(probe, rows.pieces, share, seed)
                    if of_share is not None:
                        table.add(of_labels(probe.name, share), name, of_share, few=True)
            _search(table, wanted, name, rows, collection)
            if near:
                made = scale(near[name].pieces)
                table.add(NEXT, name, next_passage(made[: len(before)], made[len(before) :], seed))
    if voices is not None:
        for name, describe in (describers or {}).items():
            for done, task in enumerate(NOTE_TASKS):
                on_progress(f"{name}: notes", done, len(NOTE_TASKS))
                accuracy = note_accuracy(task, describe, voices, seed)
                if accuracy is not None:
                    table.add(task, name, accuracy)
    return table


def _search(
    table: TaskTable, wanted: Sequence[Search], name: str, rows: Made, collection: Collection
) -> None:
    for search in wanted:
        found = figures(search, collection, rows, None)
        if found is not None:
            table.add(search.name, name, found.value)


class _Scale:
    """Brings columns of vectors to mean 0 and deviation 1 over a set of pieces, and rows to length one."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.mean, self.sd = rows.mean(0), rows.std(0) + 1e-6

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = (rows - self.mean) / self.sd
        unit: NDArray[np.float32] = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-9)
        return unit
