"""Plots of an evaluation, as SVG files, by matplotlib without a window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedder.core.errors import CorpusError

from .report import Evaluation, share_row
from .retrieval import ALTERATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "new_figure"]

_MARKERS = "os^v"  # the next where all ten colours have been used


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw what there are scores for; returns the files written.

    `tasks.svg`, a dot for each task and system; `alterations.svg`, robustness; `labels.svg`, accuracy by
    labels a class; `shares.svg`, accuracy by the share of the labels; `speed.svg`, quality against speed.

    Raises
    ------
    CorpusError
        If matplotlib is not installed.
    """
    figures: dict[str, Any] = {}
    tasks = evaluation.by_task()["tasks"]
    if tasks:
        figures["tasks"] = figure = new_figure(9, 0.35 * len(tasks) + 1.5)
        _tasks(figure.subplots(), evaluation, tasks)
    scores = evaluation.systems
    first = next(iter(scores.values()))
    altered = [name for name in ALTERATIONS if any(search.name == name for search in first.searches)]
    searched = {name: system for name, system in scores.items() if system.searches}
    if altered:
        figures["alterations"] = figure = new_figure(9, 4)
        axes = figure.subplots()
        for position, (name, system) in enumerate(searched.items()):
            values = [100 * next(s.value for s in system.searches if s.name == kind) for kind in altered]
            width = 0.8 / len(searched)
            axes.bar([i + position * width for i in range(len(altered))], values, width, label=name)
        axes.set_xticks([i + 0.4 for i in range(len(altered))], altered, rotation=30, ha="right")
        axes.set_ylabel("R@1, %")
        axes.legend(fontsize="small")
    if first.probes:
        figures["labels"] = figure = new_figure(4 * len(first.probes), 4)
        all_axes = figure.subplots(1, len(first.probes), squeeze=False)[0]
        for axes, probe in zip(all_axes, first.probes, strict=True):
            for name, system in scores.items():
                accuracy = next((p.accuracy for p in system.probes if p.name == probe.name), {})
                axes.plot(list(accuracy), [100 * v for v in accuracy.values()], marker="o", label=name)
            axes.set_title(probe.name)
            axes.set_xlabel("labels a class")
            axes.set_ylabel("accuracy, %")
        axes.legend(fontsize="small")
    with_shares = [probe.name for probe in first.probes if probe.of_shares]
    if with_shares:
        figures["shares"] = figure = new_figure(4 * len(with_shares) + 2, 4)
        all_axes = figure.subplots(1, len(with_shares), squeeze=False)[0]
        for axes, task in zip(all_axes, with_shares, strict=True):
            _share_curves(axes, evaluation, task)
        figure.legend(*axes.get_legend_handles_labels(), fontsize="small", loc="outside right upper")
    if altered:
        figures["speed"] = figure = new_figure(5, 4)
        axes = figure.subplots()
        for name, system in searched.items():
            values = [search.value for search in system.searches if search.name in altered]
            mean = 100 * sum(values) / len(values)
            axes.scatter(system.speed["notes"], mean)
            axes.annotate(name, (system.speed["notes"], mean), fontsize="small")
        axes.set_xscale("log")
        axes.set_xlabel("notes a second of processor time")
        axes.set_ylabel("mean R@1 of the alterations, %")
    return _save(figures, folder)


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches.

    Raises
    ------
    CorpusError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CorpusError("plots need matplotlib; pip install 'midikin[train]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def _tasks(axes: Axes, evaluation: Evaluation, tasks: dict[str, dict[str, float]]) -> None:
    """A line for each task, a dot for each system."""
    for number, name in enumerate(evaluation.systems):
        points = [(100 * row[name], y) for y, row in enumerate(tasks.values()) if name in row]
        style = _style(number, name)
        axes.plot([x for x, _ in points], [y for _, y in points], **style, linestyle="", alpha=0.8)
    axes.set_yticks(range(len(tasks)), list(tasks))
    axes.invert_yaxis()
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("accuracy, R@1 or mean average precision, %")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _style(number: int, name: str) -> dict[str, Any]:
    """Colour, marker and label of a system; weights in RUN/encoder are called after their run."""
    path = Path(name)
    label = path.parent.name if path.name == "encoder" else name
    return {"color": f"C{number % 10}", "marker": _MARKERS[number // 10 % len(_MARKERS)], "label": label}


def _share_curves(axes: Axes, evaluation: Evaluation, task: str) -> None:
    by_task = evaluation.by_task()
    shares = {s for system in evaluation.systems.values() for p in system.probes for s in p.of_shares}
    rows = {float(s.rstrip("%")): by_task["few"].get(share_row(task, s), {}) for s in shares}
    rows[100.0] = by_task["tasks"][task]
    for number, name in enumerate(evaluation.systems):
        points = [(share, 100 * rows[share][name]) for share in sorted(rows) if name in rows[share]]
        axes.plot([x for x, _ in points], [y for _, y in points], **_style(number, name))
    axes.set_xscale("log")
    axes.set_title(task)
    axes.set_xlabel("labels, %")
    axes.set_ylabel("accuracy, %")


def _save(figures: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.svg" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path)
    return paths
