"""Adding many files: does the rate hold to the end, and does memory stay where it is?

    python tests/bench/adding_rate.py DATA [--files 100000] [--fake] [--parts 10]

The files are real ones of DATA, again and again, each with notes of its own: a copy is transposed, played
faster or slower, and some notes are left out, so that none is a duplicate and all are of real size. They are
written beforehand. `--fake` takes an encoder that costs nothing, so that reading, storing and the database
are what is measured.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent.parent.parent), str(Path(__file__).parent.parent)]

from fake_encoder import FakeEncoder  # noqa: E402

from embedder import read_midi, write_midi  # noqa: E402
from embedder.errors import MidikinError  # noqa: E402
from index import AddProgress, Library  # noqa: E402


def write_files(folder: Path, data: Path, count: int) -> int:
    """Write so many files of real size; how many notes."""
    rng = random.Random(0)
    paths = sorted(data.rglob("*.mid"))
    rng.shuffle(paths)
    sources = []
    for path in paths[: min(len(paths), 2000)]:
        try:
            sources.append(read_midi(path))
        except MidikinError:
            continue
    total = 0
    for number in range(count):
        notes = sources[number % len(sources)]
        shift = rng.randint(-5, 5)
        if len(notes) and not 0 <= notes.pitch.min() + shift <= notes.pitch.max() + shift <= 127:
            shift = 0
        notes = (
            notes.drop(0.02, np.random.default_rng(number)).transpose(shift).stretch(rng.uniform(0.9, 1.1))
        )
        path = folder / f"{number // 1000:03}" / f"{number:06}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_midi(notes, path)
        total += len(notes)
    return total


def memory_mb() -> float:
    """Of this process and its children, now."""
    import psutil

    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(process.memory_info().rss for process in processes if process.is_running()) / 1e6


def add(folder: Path, fake: bool, parts: int) -> None:
    """Add the folder and print a line for each part of it."""
    marks: list[tuple[int, float, float, float]] = []
    step = 0

    def watch(state: AddProgress) -> None:
        nonlocal step
        if state.phase == "adding" and state.files_total:
            due = state.files_total * step / parts
            if state.files_done >= due or state.files_done == state.files_total:
                marks.append((state.files_done, time.monotonic(), time.process_time(), memory_mb()))
                step += 1

    with Library.open(folder / "library", encoder=FakeEncoder() if fake else None) as library:
        report = library.add(folder / "music", watch, workers=1)
    print(
        f"{report.added:,} pieces of {report.found:,} files, {report.notes:,} notes, {report.seconds:.0f} s"
    )
    print(f"{'files':>8} {'files/s':>8} {'of this process, files/cpu s':>30} {'memory MB':>10}")
    rates = []
    for before, after in pairwise(marks):
        files = after[0] - before[0]
        if files:
            rates.append((files / (after[1] - before[1]), files / max(after[2] - before[2], 1e-9)))
            print(f"{after[0]:8,} {rates[-1][0]:8.1f} {rates[-1][1]:30.1f} {after[3]:10.0f}")
    tenth = max(1, len(rates) // 10)
    for place, name in enumerate(("by the clock", "by processor time")):
        start, end = (np.mean([rate[place] for rate in some]) for some in (rates[:tenth], rates[-tenth:]))
        print(f"rate at the end, {name}: {100 * end / start:.0f} % of the rate at the start")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        add(options.folder, options.fake, options.parts)
        return
    with tempfile.TemporaryDirectory() as scratch:
        notes = write_files(Path(scratch) / "music", options.data, options.files)
        print(f"{options.files:,} files written, {notes:,} notes", flush=True)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--folder", scratch], check=True)


if __name__ == "__main__":
    main()
