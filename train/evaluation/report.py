"""The scores of all systems, as one table and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .datasets import Collection
from .linear_probe import ProbeScore
from .retrieval import ALTERATIONS, SearchScore

__all__ = ["Evaluation", "Row", "SystemScores", "share_row"]


@dataclass
class SystemScores:
    """What was measured of one system.

    Attributes
    ----------
    notes : accuracy of each task about single notes
    alignment, uniformity : see `train.evaluation.run`
    speed : vectors and notes a second of processor time, over everything that it embedded
    """

    searches: list[SearchScore] = field(default_factory=list)
    probes: list[ProbeScore] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    alignment: float | None = None
    uniformity: float | None = None
    speed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row of the table: a measure and, by system, its value as text ("" where there is none)."""

    measure: str
    values: dict[str, str]


def share_row(task: str, share: str) -> str:
    """Name of a label task with a share of its labels, "1%" or "10%"."""
    return f"{task}, {share} of the labels"


@dataclass(frozen=True)
class Evaluation:
    """Scores of all systems, in the order of the table."""

    systems: dict[str, SystemScores]
    collection: Collection

    def rows(self) -> list[Row]:
        """The table: shares in per cent."""
        rows = [
            Row(f"{name}, {measure}", self._texts(lambda s, name=name: _search_value(s, name)))
            for name, measure in self._searches()
        ]
        rows.append(Row("mean of the ten alterations, R@1", self._texts(_mean_altered)))
        for probe in self._probes():
            task = f"{probe.name} ({probe.classes} classes)"
            for count in probe.accuracy:
                labels = "all labels" if count == "all" else f"{count} label{'s' * (count != '1')} a class"
                rows.append(
                    Row(f"{task}, {labels}", self._texts(lambda s, p=probe, c=count: _accuracy(s, p.name, c)))
                )
            shares = {share for s in self.systems.values() for share in _of_shares(s, probe.name)}
            for share in sorted(shares):
                rows.append(
                    Row(
                        share_row(task, share),
                        self._texts(lambda s, p=probe, c=share: _of_shares(s, p.name).get(c)),
                    )
                )
        for name in dict.fromkeys(name for system in self.systems.values() for name in system.notes):
            rows.append(Row(f"{name} of a note", self._texts(lambda s, name=name: s.notes.get(name))))
        if len(self.by_task()["tasks"]) > 1:
            means = self.by_task()["means"]
            rows.append(
                Row(
                    "mean of the tasks that all systems have",
                    {name: f"{100 * means[name]:.1f}" if name in means else "" for name in self.systems},
                )
            )
        for name in ("alignment", "uniformity"):
            rows.append(Row(name, self._texts(lambda s, name=name: getattr(s, name), "{:.3f}", 1)))
        for name in ("vectors", "notes"):
            rows.append(
                Row(f"{name} a second", self._texts(lambda s, name=name: s.speed.get(name), "{:,.0f}", 1))
            )
        return [row for row in rows if any(row.values.values())]

    def markdown(self) -> str:
        """The table in Markdown."""
        cells = [["", *self.systems], ["---"] + ["---:"] * len(self.systems)]
        cells += [[row.measure, *row.values.values()] for row in self.rows()]
        return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"

    def to_json(self) -> dict[str, Any]:
        return {
            "pieces": len(self.collection.pieces),
            "works": len(set(self.collection.works.tolist())),
            "sets": list(self.collection.sets),
            "left_out_as_seen": self.collection.seen,
            "unread": self.collection.unread,
            "systems": {name: asdict(scores) for name, scores in self.systems.items()},
        }

    def by_task(self) -> dict[str, Any]:
        """One value a task and system, 0..1, as `midikin train tasks --json` gives them.

        `tasks` are values by task, then by system (of probes with all labels; without altered copies); `few`
        those of probes with few labels; `means` each system's mean over the tasks that all systems have.
        """
        tasks: dict[str, dict[str, float]] = {}
        few: dict[str, dict[str, float]] = {}
        for system, scores in self.systems.items():
            for probe in scores.probes:
                for count, value in probe.accuracy.items():
                    if count == "all":
                        tasks.setdefault(probe.name, {})[system] = value
                    else:
                        few.setdefault(f"{probe.name}, {count} a class", {})[system] = value
                for share, value in probe.of_shares.items():
                    few.setdefault(share_row(probe.name, share), {})[system] = value
            for search in scores.searches:
                if search.name == search.task:
                    tasks.setdefault(search.name, {})[system] = search.value
            for name, value in scores.notes.items():
                tasks.setdefault(name, {})[system] = value
        shared = [row for row in tasks.values() if set(row) == set(self.systems)]
        means = {name: float(np.mean([row[name] for row in shared])) for name in self.systems if shared}
        return {"systems": list(self.systems), "tasks": tasks, "few": few, "means": means}

    def _searches(self) -> list[tuple[str, str]]:
        """Name and measure of every search; those by windows only some systems have."""
        names: list[tuple[str, str]] = []
        for scores in self.systems.values():
            for position, search in enumerate(scores.searches):
                if (search.name, search.measure) not in names:
                    names.insert(position, (search.name, search.measure))
        return names

    def _probes(self) -> list[ProbeScore]:
        return next(iter(self.systems.values())).probes

    def _texts(
        self, value: Callable[..., float | None], form: str = "{:.1f}", factor: float = 100
    ) -> dict[str, str]:
        values = {name: value(scores) for name, scores in self.systems.items()}
        return {name: "" if v is None else form.format(v * factor) for name, v in values.items()}


def _search_value(scores: SystemScores, name: str) -> float | None:
    return next((search.value for search in scores.searches if search.name == name), None)


def _mean_altered(scores: SystemScores) -> float | None:
    values = [search.value for search in scores.searches if search.name in ALTERATIONS]
    return float(np.mean(values)) if len(values) == len(ALTERATIONS) else None


def _accuracy(scores: SystemScores, name: str, count: str) -> float | None:
    return next((probe.accuracy.get(count) for probe in scores.probes if probe.name == name), None)


def _of_shares(scores: SystemScores, name: str) -> dict[str, float]:
    return next((probe.of_shares for probe in scores.probes if probe.name == name), {})
