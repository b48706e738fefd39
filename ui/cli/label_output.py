"""What a labelling did, as the commands that label print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index import LabelReport

__all__ = ["print_report"]


def print_report(report: LabelReport, json: bool) -> None:
    """Counts of a labelling in a line, or as JSON."""
    from ui.cli.output import print_json

    if json:
        print_json(report.to_json())
        return
    counts = {"labelled": report.set, "changed": report.replaced, "taken away": report.removed}
    said = [f"{count:,} {word}" for word, count in counts.items() if count]
    if report.unchanged:
        said.append(f"{report.unchanged:,} as they were")
    line = ", ".join(said) or "nothing to change"
    print(line if report.action is None else f"{line}; `midikin tags undo` takes it back")
