"""Writing the works of the demonstration as MIDI files: once, in several processes, continued if stopped."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from embedder.core.processes import ChildProcesses

from .works import Work, corpus_folder

__all__ = ["make_files"]

MAX_PROCESSES = 4


def make_files(works: Sequence[Work], folder: Path, on_progress: Callable[[int, int], None]) -> int:
    """Write those of the works that are not there yet.

    Parameters
    ----------
    folder : where their names begin
    on_progress : called with how many files are there and how many there will be

    Returns
    -------
    How many were written. Each file appears as a whole or not at all, so that the same call continues.
    """
    missing = [work for work in works if not (folder / work.name).exists()]
    done = len(works) - len(missing)
    on_progress(done, len(works))
    if not missing:
        return 0
    for parent in {(folder / work.name).parent for work in missing}:
        parent.mkdir(parents=True, exist_ok=True)
    processes = min(os.cpu_count() or 1, MAX_PROCESSES)
    start = f"{__name__}:{start_maker.__name__}"
    with ChildProcesses(processes, start, corpus_folder(), folder) as children:
        for _ in children.map(missing):
            done += 1
            on_progress(done, len(works))
    return len(missing)


def start_maker(corpus: Path, folder: Path) -> Callable[[Work], None]:
    """What a child process runs: writes one work after the other."""
    return lambda work: _make_file(corpus, folder, work)


def _make_file(corpus: Path, folder: Path, work: Work) -> None:
    from music21 import converter

    from embedder.midi.music21_reader import notes_of_score
    from embedder.midi.writing import write_midi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about overfull measures and the like, in scores that read well
        score = converter.parse(corpus / work.source, number=work.number, forceSource=True, storePickle=False)
    write_midi(notes_of_score(score).from_zero(), folder / work.name)
