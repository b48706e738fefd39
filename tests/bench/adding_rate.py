"""Adding many files: does the rate hold to the end, and does memory stay where it is?

    python tests/bench/adding_rate.py DATA --folder KEPT [--files 100000] [--every 5000] [--seconds 540]
    python tests/bench/adding_rate.py DATA --folder KEPT --ends [--files 100000] [--rounds 3]

The files are the real ones of DATA, again and again, in a mixed order; each is altered as a whole, so that
all are distinct and of real size: transposed by up to five semitones, and one note in fifty left out. They
are written first. Then they are added as one folder by an encoder that costs next to nothing (counts of
pitches in windows of 256 notes, turned at random onto 256 numbers), so that reading, describing and storing
are all that is measured: any growth of their cost shows more than it would beside a real encoder.

The work stops after `--seconds`; the same command goes on where it was, writing as well as adding. Every line
is kept in KEPT/rate.jsonl, and all lines are shown at the end of each run. What was added between the last
line of a run and its end is not in the table.

`--ends` looks at both ends only, and side by side, so that other work on the machine slows both alike: in
each round the same thousand files are added to an empty library and to one that holds so many pieces already
(rows of a thousand real pieces, again and again, under new hashes and with numbers a little off). The end of
an add, which makes fingerprints of all that has none, is left out: the copied rows would have none.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from embedder.base_encoder import window_ranges
from embedder.notes import Notes
from index import AddProgress, Library
from index.storage.schema import DESCRIPTOR_COLUMNS
from tests.support.fake_encoder import FakeEmbedded

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


def multiply(library: Path, pieces: int) -> None:
    """Copy the rows of a library until it holds so many pieces."""
    jittered = [
        name for name in DESCRIPTOR_COLUMNS if name not in ("key", "notes", "pitch_low", "pitch_high")
    ]
    plain = ("size_bytes", "title", "windows", "start_s", "end_s", "added_s", "key", "notes", "pitch_low")
    names = [*plain, "pitch_high", *jittered]
    taken = [*plain, "pitch_high", *(f"{name} * (0.98 + abs(random() % 4000) / 1e5)" for name in jittered)]
    connection = sqlite3.connect(library / "midikin.db")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-500000")
    real = connection.execute("SELECT max(id) FROM pieces").fetchone()[0]
    for shift in range(real, pieces, real):
        for statement in (
            f"INSERT INTO pieces (id, sha256, digest, {', '.join(names)}) SELECT id + :shift,"
            f" lower(hex(randomblob(32))), lower(hex(randomblob(32))), {', '.join(taken)} FROM pieces"
            " WHERE id <= :real",
            "INSERT INTO paths (path, display, name, piece_id, size_bytes, mtime_ns, seen_s) SELECT"
            " CAST('/copy' || abs(random() % 1000) || '/' || :shift || display AS BLOB), display, name,"
            " piece_id + :shift, size_bytes, mtime_ns, seen_s FROM paths WHERE piece_id <= :real",
            *(
                f"INSERT INTO {table} SELECT piece_id + :shift, {columns} FROM {table}"
                " WHERE piece_id <= :real"
                for table, columns in (
                    ("piece_vectors", "vector"),
                    ("windows", "spans, vectors"),
                    ("notes", "packed"),
                )
            ),
        ):
            connection.execute(statement, {"shift": shift, "real": real})
        connection.commit()
    connection.close()


def ends(folder: Path, data: Path, files: int, rounds: int) -> None:
    """Add the same files to an empty library and to a large one, in turn."""
    if not write_files(folder / "music", data, 1000 * (rounds + 1), float("inf")):
        return
    shutil.rmtree(folder / "large", ignore_errors=True)
    with Library.open(folder / "large", encoder=TinyEncoder()) as large:
        large.add(folder / "music" / "000", workers=1)
    multiply(folder / "large", files)
    spent: dict[str, list[float]] = {"empty": [], "large": []}
    print(f"{'library':8} {'pieces':>9} {'files/s':>8} {'files/cpu s':>12} {'memory MB':>10}")
    for number in range(1, rounds + 1):
        shutil.rmtree(folder / "empty", ignore_errors=True)
        for name, seconds in spent.items():
            with Library.open(folder / name, encoder=TinyEncoder()) as library:
                before, last = library.info().pieces, [0.0, 0.0]
                library._store_fingerprints = lambda: None  # type: ignore[method-assign]

                def watch(state: AddProgress, last: list[float] = last) -> None:
                    last[:] = processor_s(), memory_mb()

                cpu = processor_s()
                report = library.add(folder / "music" / f"{number:03}", watch, workers=1)
            seconds.append(last[0] - cpu)
            rates = report.added / report.seconds, report.added / seconds[-1]
            print(f"{name:8} {before:9,} {rates[0]:8.0f} {rates[1]:12.0f} {last[1]:10.0f}", flush=True)
    share = sum(spent["empty"]) / sum(spent["large"])
    print(f"rate at the end, by processor time: {100 * share:.0f} % of the rate at the start")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for files, library and figures")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--ends", action="store_true", help="the first and the last thousand, side by side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.ends:
        ends(options.folder, options.data, options.files, options.rounds)
        return
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
