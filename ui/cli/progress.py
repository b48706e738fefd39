"""Progress of long work: a bar on stderr with rate and remaining time; silent where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import remark

if TYPE_CHECKING:
    from rich.progress import Progress

    from index import AddProgress

__all__ = ["add_progress", "progress_bar"]


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar whose tasks carry a field `rate`, text to show between the count and the remaining time."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as progress:
        yield progress


@contextmanager
def add_progress() -> Iterator[Callable[[AddProgress], None]]:
    """A function for `Library.add` to report to."""
    with progress_bar() as progress:
        task = progress.add_task("starting", total=None, rate="")
        waiting_shown = False
        adding_since = 0.0

        def show(state: AddProgress) -> None:
            nonlocal waiting_shown, adding_since
            if state.phase == "waiting":
                writer = f"process {state.holder_pid}" if state.holder_pid else "another process"
                if not waiting_shown and not sys.stderr.isatty():
                    remark(f"waiting for {writer}, which is writing to this library")
                waiting_shown = True
                progress.update(task, description=f"waiting for {writer}", total=None)
            elif state.phase == "scanning":
                progress.update(task, description="looking for files", completed=state.files_done, total=None)
            else:
                adding_since = adding_since or time.monotonic()
                elapsed_s = max(time.monotonic() - adding_since, 1e-3)
                rate = f"files, {state.notes_done / elapsed_s:,.0f} notes/s"
                rate += f", {state.failed:,} failed" if state.failed else ""
                progress.update(
                    task, description="adding", completed=state.files_done, total=state.files_total, rate=rate
                )

        yield show
