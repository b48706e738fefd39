"""Time and memory of grouping libraries of growing size.

    python tests/bench/duplicates.py DATA [--sizes 2500,5000,10000] [--plot cost.svg]

Half of each library are real files drawn from all sets, half are edits of them. Adding is not counted.
Prints a table with wall and processor time (half of the latter is what two idle cores need, compared with
the limit of ten minutes), time and pairs per thousand pieces (about constant if the cost is linear), and
the largest memory of this process and its workers as a share of 2 GB.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from embedder.core.errors import MidiError
from embedder.midi.reading import read_midi
from embedder.notes import Notes
from index.duplicates.grouping import group_links
from index.duplicates.pairs import find_links
from index.matching.fingerprints import Fingerprints

LIMIT_S, LIMIT_BYTES = 600.0, 2 << 30


def edited(notes: Notes, rng: np.random.Generator) -> Notes:
    """One of the edits that people make."""
    length = notes.end_s - notes.start_s
    which = int(rng.integers(6))
    if which == 0:
        return notes.slice_time(notes.start_s + 0.1 * length, notes.start_s + 0.9 * length)
    if which == 1:
        return notes.stretch(float(rng.uniform(0.8, 1.25)))
    if which == 2:
        return notes.transpose(int(rng.integers(-6, 7)))
    if which == 3:
        return notes.quantise(0.1)
    if which == 4:
        return notes.drop(0.2, rng)
    return notes.with_velocity(64)


def pieces_of(files: list[Path], count: int) -> Iterator[tuple[int, Notes]]:
    """`count` pieces, half of them real, half edits of those."""
    rng = np.random.default_rng(0)
    made = 0
    for number in rng.permutation(len(files)):
        try:
            notes = read_midi(files[number])
        except MidiError:
            continue
        if len(notes) < 20:
            continue
        for copy in (notes, edited(notes, rng)):
            if made == count:
                return
            yield made, copy
            made += 1


class PeakMemory:
    """The largest resident memory of this process and its children, less pages shared with files."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.5):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    memory = process.memory_info()
                except psutil.Error:
                    continue
                total += memory.rss - getattr(memory, "shared", 0)
            self.size_bytes = max(self.size_bytes, total)


def cpu_s() -> float:
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def plot(rows: list[tuple[int, float]], path: Path) -> None:
    """Processor seconds over pieces as an SVG, with the straight line through the largest size."""
    largest, longest = max(n for n, _ in rows), max(s for _, s in rows)
    points = [(40 + 340 * n / largest, 220 - 190 * s / longest) for n, s in rows]
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4"/>' for x, y in points)
    words = "".join(
        f'<text x="{x - 6:.0f}" y="{y - 10:.0f}" text-anchor="end">{n:,}: {s:.0f} s</text>'
        for (x, y), (n, s) in zip(points, rows, strict=True)
    )
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 240" font-size="11">'
        '<path d="M40 20V220H390" fill="none" stroke="#888"/>'
        f'<path d="M40 220L{points[-1][0]:.0f} {points[-1][1]:.0f}" stroke="#bbb" stroke-dasharray="4"/>'
        f"{dots}{words}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--sizes", default="2500,5000,10000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    files = sorted(path for path in given.data.rglob("*.mid*") if path.is_file())
    names = (
        "pieces",
        "notes",
        "seconds",
        "cpu s",
        "cpu s / 1000",
        "pairs / 1000",
        "of limit",
        "memory",
        "groups",
    )
    print("".join(f"{name:>13}" for name in names), flush=True)
    rows = []
    for size in map(int, given.sizes.split(",")):
        with tempfile.TemporaryDirectory() as name:
            pieces = np.arange(size)
            snapshot = Fingerprints(Path(name)).snapshot(pieces, lambda _, size=size: pieces_of(files, size))
            begun, cpu = time.perf_counter(), cpu_s()
            with PeakMemory() as peak:
                links, compared = find_links(
                    snapshot, pieces.tolist(), workers=given.workers, progress=lambda *_: None
                )
                groups = group_links(links, compared)
            seconds, cpu = time.perf_counter() - begun, cpu_s() - cpu
        notes = sum(int(segment.note0[-1]) for segment in snapshot.segments)
        rows.append((size, cpu))
        cells = (
            f"{size:,}",
            f"{notes:,}",
            f"{seconds:.0f}",
            f"{cpu:.0f}",
            f"{1000 * cpu / size:.1f}",
            f"{1000 * len(compared) / size:,.0f}",
            f"{cpu / 2 / LIMIT_S:.0%}",
            f"{peak.size_bytes / LIMIT_BYTES:.0%}",
            f"{len(groups):,}",
        )
        print("".join(f"{cell:>13}" for cell in cells), flush=True)
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
