"""Adding many files: does the rate hold to the end, and does memory stay where it is?

    python tests/bench/adding_rate.py DATA --folder KEPT [--files 100000] [--every 5000] [--seconds 540]

The files are the real ones of DATA, again and again, in a mixed order; each is altered as a whole, so that
all are distinct and of real size: transposed by up to five semitones, and one note in fifty left out. They
are written first. Then they are added as one folder by an encoder that costs next to nothing (counts of
pitches in windows of 256 notes, turned at random onto 256 numbers), so that reading, describing and storing
are all that is measured: any growth of their cost shows more than it would beside a real encoder.

The work stops after `--seconds`; the same command goes on where it was, writing as well as adding. Every line
is kept in KEPT/rate.jsonl, and all lines are shown at the end of each run. What was added between the last
line of a run and its end is not in the table.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

sys.path[:0] = [str(Path(__file__).parent.parent.parent), str(Path(__file__).parent.parent)]

from fake_encoder import FakeEmbedded  # noqa: E402

from embedder.encoder import window_ranges  # noqa: E402
from embedder.notes import Notes  # noqa: E402
from index import AddProgress, Library  # noqa: E402

WINDOW, DIM = 256, 256


class TinyEncoder:
    """Counts of pitches, turned at random: vectors of the usual number and size at next to no cost."""

    id = "tiny@0123456789ab"
    dim = DIM

    def __init__(self) -> None:
        self._turn = np.random.default_rng(0).standard_normal((128, DIM), dtype=np.float32)

    def embed(self, pieces: Sequence[Notes]) -> FakeEmbedded:
        counts, rows = [], []
        for number, notes in enumerate(pieces):
            for first, last in window_ranges(len(notes), WINDOW):
                counts.append(np.bincount(notes.pitch[first:last], minlength=128))
                rows.append((number, notes.onset[first], notes.end[first:last].max(), first, last))
        windows = _unit(np.array(counts, dtype=np.float32) @ self._turn)
        number, start_s, end_s, first_note, last_note = (
            np.array(column) for column in zip(*rows, strict=True)
        )
        firsts = np.searchsorted(number, np.arange(len(pieces)))
        whole = _unit(np.add.reduceat(windows, firsts, axis=0))
        return FakeEmbedded(whole, windows, number, start_s, end_s, first_note, last_note)


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write_files(folder: Path, data: Path, count: int, until: float) -> bool:
    """Write so many altered files, from where an earlier run stopped; whether all are there."""
    from symusic import Score

    paths = sorted(data.rglob("*.mid"))
    random.Random(0).shuffle(paths)
    written = len(list(folder.glob("*/*.mid")))
    for number in range(max(0, written - 1), count):  # the last may be a half one
        if time.monotonic() > until:
            print(f"{number:,} of {count:,} files written; run the same again")
            return False
        rng = np.random.default_rng(number)
        try:
            score = Score(paths[number % len(paths)])
            shift = int(rng.integers(-5, 6))
            for track in score.tracks:
                notes = track.notes.numpy()
                kept = rng.random(len(notes["pitch"])) > 0.02
                time_, duration, pitch, velocity = (
                    np.ascontiguousarray(notes[name][kept])
                    for name in ("time", "duration", "pitch", "velocity")
                )
                pitch = np.clip(pitch.astype(np.int32) + shift, 0, 127).astype(np.int8)
                track.notes = type(track.notes).from_numpy(time_, duration, pitch, velocity)
            content = score.dumps_midi()
        except (RuntimeError, ValueError):  # what symusic refuses is copied as it is, and counted as it falls
            content = paths[number % len(paths)].read_bytes()
        path = folder / f"{number // 1000:03}" / f"{number:06}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return True


class Watch:
    """Takes time and memory at every so many files, and stops the add when its time is up."""

    def __init__(self, log: Path, every: int, until: float) -> None:
        self._log, self._every, self._until = log, every, until
        self._due: int | None = None
        self._before = (0, 0, 0.0, 0.0)

    def __call__(self, state: AddProgress) -> None:
        if state.phase != "adding":
            return
        now = (state.files_done, state.notes_done, time.monotonic(), processor_s())
        if self._due is None:
            self._due, self._before = state.files_done, now
        if state.files_done >= self._due + self._every or state.files_done == state.files_total:
            self._note(now)
            self._due, self._before = state.files_done, now
        if time.monotonic() > self._until:
            raise KeyboardInterrupt

    def _note(self, now: tuple[int, int, float, float]) -> None:
        files, notes, clock_s, cpu_s = (
            after - before for after, before in zip(now, self._before, strict=True)
        )
        if not files:
            return
        line = {"files": files, "notes": notes, "clock_s": clock_s, "cpu_s": cpu_s, "memory_mb": memory_mb()}
        with open(self._log, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _processes() -> list[psutil.Process]:
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def processor_s() -> float:
    """Processor time of this process and those that read for it, ended ones included."""
    own, *others = _processes()
    return sum(own.cpu_times()[:4]) + sum(sum(process.cpu_times()[:2]) for process in others)


def memory_mb() -> float:
    """Of the same, now."""
    return sum(process.memory_info().rss for process in _processes()) / 1e6


def show(log: Path) -> None:
    """All lines so far, and how the last fifth of them compares with the first."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    print(f"{'files':>8} {'files/s':>8} {'notes/s':>9} {'notes/cpu s':>12} {'memory MB':>10}")
    total = 0
    for line in lines:
        total += line["files"]
        by_clock = line["files"] / line["clock_s"], line["notes"] / line["clock_s"]
        print(
            f"{total:8,} {by_clock[0]:8.0f} {by_clock[1]:9,.0f}"
            f" {line['notes'] / line['cpu_s']:12,.0f} {line['memory_mb']:10.0f}"
        )
    some = max(1, len(lines) // 5)
    for name, over in (("by the clock", "clock_s"), ("by processor time", "cpu_s")):
        start, end = (
            sum(line["notes"] for line in part) / sum(line[over] for line in part)
            for part in (lines[:some], lines[-some:])
        )
        print(f"notes a second at the end, {name}: {100 * end / start:.0f} % of those at the start")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for files, library and figures")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=540)
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    options.folder.mkdir(parents=True, exist_ok=True)
    if not write_files(options.folder / "music", options.data, options.files, until):
        return
    log = options.folder / "rate.jsonl"
    with Library.open(options.folder / "library", encoder=TinyEncoder()) as library:
        report = library.add(options.folder / "music", Watch(log, options.every, until), workers=1)
    print(f"{report.added:,} pieces added, {report.failed} failed, {report.seconds:.0f} s")
    if report.interrupted:
        print("more is left; run the same again")
    if log.exists():
        show(log)


if __name__ == "__main__":
    main()
