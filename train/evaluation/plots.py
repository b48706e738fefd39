"""Figures of an evaluation, as SVG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..svg_plots import new_figure, save_figures
from .alterations import ALTERATIONS
from .run import Evaluation

__all__ = ["draw"]


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Robustness, label curves, and quality against speed; returns the files written.

    Raises
    ------
    CorpusError
        If matplotlib is not installed.
    """
    figures: dict[str, Any] = {}
    systems = evaluation.systems
    first = next(iter(systems.values()))
    altered = [name for name in ALTERATIONS if any(f.name == name for f in first.searches)]
    if altered:
        figure = new_figure(9, 4)
        axes = figure.subplots()
        for place, (name, system) in enumerate(systems.items()):
            values = [100 * next(f.value for f in system.searches if f.name == what) for what in altered]
            width = 0.8 / len(systems)
            axes.bar([i + place * width for i in range(len(altered))], values, width, label=name)
        axes.set_xticks([i + 0.4 for i in range(len(altered))], altered, rotation=30, ha="right")
        axes.set_ylabel("R@1, %")
        axes.legend(fontsize="small")
        figures["alterations"] = figure
    if first.probes:
        figure = new_figure(4 * len(first.probes), 4)
        for axes, probe in zip(
            figure.subplots(1, len(first.probes), squeeze=False)[0], first.probes, strict=True
        ):
            for name, system in systems.items():
                accuracy = next(p.accuracy for p in system.probes if p.name == probe.name)
                axes.plot(list(accuracy), [100 * v for v in accuracy.values()], marker="o", label=name)
            axes.set_title(probe.name)
            axes.set_xlabel("labels a class")
            axes.set_ylabel("accuracy, %")
        axes.legend(fontsize="small")
        figures["labels"] = figure
    if altered:
        figure = new_figure(5, 4)
        axes = figure.subplots()
        for name, system in systems.items():
            values = [f.value for f in system.searches if f.name in altered]
            axes.scatter(system.speed["notes"], 100 * sum(values) / len(values))
            axes.annotate(name, (system.speed["notes"], 100 * sum(values) / len(values)), fontsize="small")
        axes.set_xscale("log")
        axes.set_xlabel("notes a second of processor time")
        axes.set_ylabel("mean R@1 of the alterations, %")
        figures["speed"] = figure
    return save_figures(figures, folder)
