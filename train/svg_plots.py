"""Figures as SVG files, by matplotlib without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedder.core.errors import CorpusError

__all__ = ["new_figure", "save_figures"]


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


def save_figures(figures: dict[str, Any], folder: Path) -> list[Path]:
    """Write each as NAME.svg into a folder, made if absent; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.svg" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path)
    return paths
