"""A user's labels for finetuning: a CSV file with a column `file`, one of labels, and maybe one of works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embedder.core.errors import CorpusError, MidiError, TableError
from embedder.core.table_files import read_table
from embedder.midi.reading import read_midi

from .finetune import Labelled

__all__ = ["read_labelled"]

MOST_REASONS = 3


def read_labelled(
    path: str | Path,
    column: str,
    *,
    folder: str | Path | None = None,
    work: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Labelled], list[str]]:
    """Read the labelled pieces of a CSV file.

    Parameters
    ----------
    path : the CSV file, whose first line names the columns
    column : of the labels; files without one are passed over
    folder : what the names in the column `file` are relative to; that of the CSV file if None
    work : column that is the same for all files of a work; if None, files with the same notes are one work

    Returns
    -------
    The pieces, and why files were left out.

    Raises
    ------
    CorpusError
        If the file cannot be read, lacks a column, or none of its files can be read.
    """
    path = Path(path)
    root = path.parent if folder is None else Path(folder)
    try:
        table = read_table(str(path))
    except TableError as error:
        raise CorpusError(str(error)) from None
    columns = table.columns
    rows = [dict(zip(columns, cells, strict=True)) for cells in table.rows]
    for wanted in ("file", column, *([work] if work else [])):
        if wanted not in columns:
            raise CorpusError(f"{path} has no column {wanted!r}; there are {', '.join(columns) or 'none'}")
    rows = [row for row in rows if row["file"] and row[column]]
    pieces, left_out = [], []
    for number, row in enumerate(rows):
        try:
            notes = read_midi(root / row["file"])
        except MidiError as error:
            left_out.append(str(error))
        else:
            belongs = row[work] if work else ""
            pieces.append(Labelled(notes, row[column], belongs or notes.digest()))
        if on_progress is not None:
            on_progress(number + 1, len(rows))
    if not pieces:
        reasons = "; ".join(left_out[:MOST_REASONS]) or "no line has a file and a label"
        raise CorpusError(f"{path} labels no piece that can be read under {root} (--folder): {reasons}")
    return pieces, left_out
