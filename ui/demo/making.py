"""Writing the works of the demonstration as MIDI files: once, in several processes, continued if stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from .works import Work, corpus_folder

__all__ = ["make_files"]

MOST_PROCESSES = 4


def make_files(works: Sequence[Work], folder: Path, progress: Callable[[int, int], None]) -> int:
    """Write those of the works that are not there yet.

    Parameters
    ----------
    folder : where their names begin
    progress : called with how many are there and how many there shall be

    Returns
    -------
    How many were written. Each file appears as a whole or not at all, so that the same call continues.
    """
    missing = [work for work in works if not (folder / work.name).exists()]
    done = len(works) - len(missing)
    progress(done, len(works))
    if not missing:
        return 0
    for parent in {(folder / work.name).parent for work in missing}:
        parent.mkdir(parents=True, exist_ok=True)
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    corpus = corpus_folder()
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_serve)
    try:
        jobs = [pool.submit(_make_file, corpus, folder, work) for work in missing]
        for job in as_completed(jobs):
            job.result()
            done += 1
            progress(done, len(works))
    finally:
        pool.shutdown(cancel_futures=True)
    return len(missing)


def _serve() -> None:
    """Leave Ctrl-C to the process that waits for the others, and end when that process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _make_file(corpus: Path, folder: Path, work: Work) -> None:
    from music21 import converter

    from embedder.midi.music21_reader import notes_of_score
    from embedder.midi.writing import write_midi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about overfull measures and the like, in scores that read well
        score = converter.parse(corpus / work.source, number=work.number, forceSource=True, storePickle=False)
    write_midi(notes_of_score(score).from_zero(), folder / work.name)
