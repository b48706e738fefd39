"""A comparison drawn with characters: time of A to the right, time of B upwards."""

from __future__ import annotations

import numpy as np

from .comparison import Compared

__all__ = ["plot_lines"]

_HEIGHT = 20


def plot_lines(found: Compared, width: int) -> list[str]:
    """Lines of text, `width` columns wide at most: a mark where a moment of A falls in B."""
    columns = width - 10
    (start, end), (other_start, other_end) = found.one_span_s, found.other_span_s
    grid = [[" "] * columns for _ in range(_HEIGHT)]
    for passage in found.comparison.one.passages:
        at = np.linspace(passage.start_s, passage.end_s, 4 * columns)
        to = np.interp(at, passage.knots_s, passage.other_knots_s)
        across = (at - start) / max(end - start, 1e-6) * (columns - 1)
        up = (to - other_start) / max(other_end - other_start, 1e-6) * (_HEIGHT - 1)
        for x, y in zip(np.rint(across).astype(int), np.rint(up).astype(int), strict=True):
            if 0 <= x < columns and 0 <= y < _HEIGHT:
                grid[_HEIGHT - 1 - y][x] = "*"
    labels = [f"B {other_end:5.0f} s", *[" " * 9] * (_HEIGHT - 2), f"B {other_start:5.0f} s"]
    lines = [f"{label:>9}|{''.join(row)}".rstrip() for label, row in zip(labels, grid, strict=True)]
    foot = f"A {start:.0f} s"
    return [
        *lines,
        " " * 9 + "+" + "-" * columns,
        " " * 10 + foot + f"{end:.0f} s".rjust(columns - len(foot)),
    ]
