"""Figures of a table of tasks, as SVG files: what each system knows, and how it fares with few labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..svg_plots import new_figure, save_figures
from .running import SHARES, TaskTable, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_MARKS = "os^v"  # the next where all ten colours have been used


def draw(table: TaskTable, folder: Path) -> list[Path]:
    """`tasks.svg`, and `labels.svg` if any task has enough labels to go without most; returns the files.

    Raises
    ------
    CorpusError
        If matplotlib is not installed.
    """
    figure = new_figure(9, 0.35 * len(table.figures) + 1.5)
    _tasks(figure.subplots(), table)
    figures = {"tasks": figure}
    curved = [task for task in table.figures if of_labels(task, SHARES[0]) in table.few]
    if curved:
        figure = new_figure(4 * len(curved) + 2, 4)
        for axes, task in zip(figure.subplots(1, len(curved), squeeze=False)[0], curved, strict=True):
            _curves(axes, table, task)
        figure.legend(*axes.get_legend_handles_labels(), fontsize="small", loc="outside right upper")
        figures["labels"] = figure
    return save_figures(figures, folder)


def _tasks(axes: Axes, table: TaskTable) -> None:
    """A line for each task, a dot for each system."""
    for number, name in enumerate(table.systems):
        known = [(100 * row[name], place) for place, row in enumerate(table.figures.values()) if name in row]
        look = _look(number, name)
        axes.plot([x for x, _ in known], [y for _, y in known], **look, linestyle="", alpha=0.8)
    axes.set_yticks(range(len(table.figures)), list(table.figures))
    axes.invert_yaxis()
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("accuracy, R@1 or mean average precision, %")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _look(number: int, name: str) -> dict[str, Any]:
    """Colour, mark and label of a system; weights in RUN/encoder are called after their run."""
    path = Path(name)
    label = path.parent.name if path.name == "encoder" else name
    return {"color": f"C{number % 10}", "marker": _MARKS[number // 10 % len(_MARKS)], "label": label}


def _curves(axes: Axes, table: TaskTable, task: str) -> None:
    shares = [*SHARES, 1.0]
    rows = [*(table.few.get(of_labels(task, share), {}) for share in SHARES), table.figures[task]]
    for number, name in enumerate(table.systems):
        known = [
            (100 * share, 100 * row[name]) for share, row in zip(shares, rows, strict=True) if name in row
        ]
        axes.plot([x for x, _ in known], [y for _, y in known], **_look(number, name))
    axes.set_xscale("log")
    axes.set_title(task)
    axes.set_xlabel("labels, %")
    axes.set_ylabel("accuracy, %")
