"""All tasks for all systems, and the figures as one table.

Alignment and uniformity follow Wang and Isola 2020 (arXiv 2005.10242): the mean squared distance between a
piece and its altered copies, and the logarithm of the mean of exp(-2 d^2) over pairs of pieces; lower is
better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.notes import Notes

from .alterations import ALTERATIONS
from .datasets import Collection
from .linear_probe import ProbeFigures, probe_figures, probes
from .retrieval import SearchFigures, figures, searches
from .systems import Made, Maker, baseline_maker, encoder_maker

__all__ = ["Evaluation", "EvaluationSettings", "Line", "SystemFigures", "evaluate"]


@dataclass(frozen=True)
class EvaluationSettings:
    """How much is measured.

    Attributes
    ----------
    queries : performances, and altered pieces of each kind, at most (takes of songs: twice as many)
    gallery : pieces among which altered copies are looked for, at most
    probe_pieces : pieces of a probe, at most
    fold_draws : ways to part a probe's works into folds; figures with all labels are their mean
    seed : of all that is drawn
    """

    queries: int = 100
    gallery: int = 1500
    probe_pieces: int = 1500
    fold_draws: int = 1
    seed: int = 0


@dataclass
class SystemFigures:
    """What was measured of one system.

    Attributes
    ----------
    speed : vectors and notes a second of processor time, over everything that it embedded
    """

    searches: list[SearchFigures] = field(default_factory=list)
    probes: list[ProbeFigures] = field(default_factory=list)
    alignment: float | None = None
    uniformity: float | None = None
    speed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A line of the table: a measure and, by system, its value as text ("" where there is none)."""

    measure: str
    values: dict[str, str]


@dataclass(frozen=True)
class Evaluation:
    """Figures of all systems, in the order of the table."""

    systems: dict[str, SystemFigures]
    collection: Collection

    def lines(self) -> list[Line]:
        """The table: shares in per cent."""
        names = [(f.name, f.measure) for f in next(iter(self.systems.values())).searches]
        for each in self.systems.values():
            for place, found in enumerate(each.searches):  # by windows: not every system has these
                if (found.name, found.measure) not in names:
                    names.insert(place, (found.name, found.measure))
        lines = [
            Line(f"{name}, {measure}", self._texts(lambda s, name=name: _of(s.searches, name)))
            for name, measure in names
        ]
        lines.append(Line("mean of the ten alterations, R@1", self._texts(_mean_altered)))
        for probe in next(iter(self.systems.values())).probes:
            for count in probe.accuracy:
                what = "all labels" if count == "all" else f"{count} label{'s' * (count != '1')} a class"
                lines.append(
                    Line(
                        f"{probe.name} ({probe.classes} classes), {what}",
                        self._texts(lambda s, name=probe.name, count=count: _probed(s, name, count)),
                    )
                )
        for name in ("alignment", "uniformity"):
            lines.append(Line(name, self._texts(lambda s, name=name: getattr(s, name), "{:.3f}", 1)))
        for name in ("vectors", "notes"):
            lines.append(
                Line(f"{name} a second", self._texts(lambda s, name=name: s.speed[name], "{:,.0f}", 1))
            )
        return [line for line in lines if any(line.values.values())]

    def _texts(
        self, value: Callable[..., float | None], form: str = "{:.1f}", times: float = 100
    ) -> dict[str, str]:
        found = {name: value(system) for name, system in self.systems.items()}
        return {name: "" if v is None else form.format(v * times) for name, v in found.items()}

    def markdown(self) -> str:
        """The table in Markdown."""
        rows = [["", *self.systems], ["---"] + ["---:"] * len(self.systems)]
        rows += [[line.measure, *line.values.values()] for line in self.lines()]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"

    def to_json(self) -> dict[str, Any]:
        return {
            "pieces": len(self.collection.pieces),
            "works": len(set(self.collection.works.tolist())),
            "sets": list(self.collection.sets),
            "left_out_as_seen": self.collection.seen,
            "unread": self.collection.unread,
            "systems": {name: asdict(found) for name, found in self.systems.items()},
        }


def _of(found: list[SearchFigures], name: str) -> float | None:
    return next((f.value for f in found if f.name == name), None)


def _mean_altered(system: SystemFigures) -> float | None:
    values = [f.value for f in system.searches if f.name in ALTERATIONS]
    return float(np.mean(values)) if len(values) == len(ALTERATIONS) else None


def _probed(system: SystemFigures, name: str, count: str) -> float | None:
    return next((p.accuracy.get(count) for p in system.probes if p.name == name), None)


def evaluate(
    encoders: Mapping[str, Any],
    collection: Collection,
    settings: EvaluationSettings | None = None,
    *,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Evaluation:
    """Measure encoders, and the hand-made baselines beside them, on a collection.

    Parameters
    ----------
    encoders : by the name that the table is to give them
    on_progress : told the stage, and how much of it is done
    """
    settings = settings or EvaluationSettings()
    notes = [piece.notes for piece in collection.pieces]
    tasks = searches(collection, queries=settings.queries, gallery=settings.gallery, seed=settings.seed)
    asked = probes(collection, settings.probe_pieces, settings.seed)
    makers = [encoder_maker(name, encoder, collection.heard) for name, encoder in encoders.items()]
    systems: dict[str, SystemFigures] = {}
    for maker in [*makers, baseline_maker(notes)]:
        every = _made(maker, notes, on_progress)
        found = {name: SystemFigures() for name in maker.names}
        apart: dict[str, list[NDArray[np.floating]]] = {name: [] for name in maker.names}
        for done, task in enumerate(tasks):
            on_progress(f"{maker.names[0]}: searching", done, len(tasks))
            queries = maker(task.queries) if task.queries is not None else None
            for name, system in found.items():
                made = None if queries is None else queries[name]
                scored = figures(task, collection, every[name], made)
                if scored is not None:
                    system.searches.append(scored)
                if made is not None and task.name in ALTERATIONS:
                    apart[name].append(((made.pieces - every[name].pieces[task.asked]) ** 2).sum(1))
        for done, probe in enumerate(asked):
            on_progress(f"{maker.names[0]}: probing", done, len(asked))
            for name, system in found.items():
                system.probes.append(
                    probe_figures(probe, every[name].pieces, settings.seed, settings.fold_draws)
                )
        for name, system in found.items():
            system.alignment = float(np.concatenate(apart[name]).mean()) if apart[name] else None
            system.uniformity = uniformity(every[name].pieces)
            seconds = max(maker.seconds, 1e-9)
            system.speed = {"vectors": maker.vectors / seconds, "notes": maker.notes / seconds}
        systems |= found
    return Evaluation(systems, collection)


def uniformity(vectors: NDArray[np.floating], most: int = 2000) -> float | None:
    """Logarithm of the mean of exp(-2 d^2) over pairs of unit rows; None of a single one."""
    rows = vectors[np.linspace(0, len(vectors) - 1, min(most, len(vectors))).astype(int)]
    one, other = np.triu_indices(len(rows), 1)
    if not len(one):
        return None
    squared = np.maximum(2 - 2 * (rows @ rows.T)[one, other], 0)
    return float(np.log(np.exp(-2 * squared).mean()))


def _made(maker: Maker, notes: list[Notes], on_progress: Callable[[str, int, int], None]) -> dict[str, Made]:
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        on_progress(f"{maker.names[0]}: embedding", done, len(notes))

    return maker(notes, tell)
