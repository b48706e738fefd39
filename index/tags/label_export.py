"""Labels as a table that `importing` reads back: a line a label, with the content's hash beside the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from .records import Label

__all__ = ["COLUMNS", "to_csv"]

COLUMNS = ("file", "tag", "value", "label", "start_s", "end_s", "sha256", "source", "set")


def to_csv(labels: Iterable[Label]) -> str:
    """CSV with the columns COLUMNS; `file` is empty for contents that the library does not hold now."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in labels:
        part = ["" if time is None else str(time) for time in (one.start_s, one.end_s)]
        date = datetime.fromtimestamp(one.set_s, UTC).isoformat(timespec="seconds")
        said = "yes" if one.holds else "no"
        name = "" if one.path is None else one.path.encode("utf-8", "backslashreplace").decode("utf-8")
        writer.writerow([name, one.tag, one.value or "", said, *part, one.sha256, one.source, date])
    return out.getvalue()
