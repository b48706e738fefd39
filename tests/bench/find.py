"""Time of a query for a fragment in a library of about 10,000 pieces.

    python tests/bench/find.py DATA [--pieces 10000] [--queries 200]

The gallery are all real files, and transposed and stretched copies until there are enough. Queries are
fragments of 10 s, of 20 notes, and fragments that are nowhere. Prints milliseconds of processor time, which
one thread spends, against the limit of 100 ms.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import MidiError
from embedder.midi.reading import read_midi
from embedder.notes import Notes
from index.matching.find import find_matches
from index.matching.fingerprints import Fingerprints, Snapshot

LIMIT_MS = 100.0


def pieces_of(data: Path, count: int) -> list[Notes]:
    """Real pieces, then copies in other keys at other speeds."""
    files = sorted(path for path in data.rglob("*.mid*") if path.is_file())
    real: list[Notes] = []
    for file in files:
        try:
            notes = read_midi(file)
        except MidiError:
            continue
        if len(notes):
            real.append(notes)
    rng = np.random.default_rng(0)
    while len(real) < count:
        source = real[int(rng.integers(len(files) // 2))]
        real.append(source.transpose(int(rng.integers(-5, 6))).stretch(float(rng.uniform(0.8, 1.25))))
    return real[:count]


def nowhere(rng: np.random.Generator) -> Notes:
    """Ten seconds of scales and chords that nobody wrote."""
    count = 100
    pitch = 48 + np.cumsum(rng.choice([-5, -2, 2, 3, 4, 7], count)) % 36
    return Notes(np.sort(rng.uniform(0, 10, count)), np.full(count, 0.2), pitch, np.full(count, 64))


def timed(snapshot: Snapshot, queries: list[Notes], name: str) -> None:
    times = []
    for query in queries:
        begun = time.process_time()
        find_matches(snapshot, query)
        times.append(1e3 * (time.process_time() - begun))
    middle, high = np.median(times), np.quantile(times, 0.95)
    print(f"{name:16} {middle:8.1f} {high:8.1f} {middle / LIMIT_MS:9.0%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    gallery = pieces_of(given.data, given.pieces)

    def fetch(missing: NDArray[np.int64]) -> Iterator[tuple[int, Notes]]:
        return ((int(i), gallery[i]) for i in missing)

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        fingerprints = Fingerprints(Path(folder))
        snapshot = fingerprints.snapshot(np.arange(len(gallery)), fetch)
        notes = sum(map(len, gallery))
        print(f"{len(gallery):,} pieces, {notes:,} notes, {len(snapshot.segments)} segments, ", end="")
        print(f"{fingerprints.size_bytes() / notes:.0f} bytes a note, {time.perf_counter() - begun:.0f} s")
        print(f"{'query':16} {'median ms':>8} {'95 %':>8} {'of limit':>9}")
        chosen = [gallery[int(i)] for i in rng.permutation(len(gallery)) if len(gallery[i]) >= 60]
        chosen = chosen[: given.queries]
        starts = [float(rng.uniform(n.start_s, max(n.start_s, n.end_s - 10))) for n in chosen]
        parts = [n.slice_time(s, s + 10) for n, s in zip(chosen, starts, strict=True)]
        timed(snapshot, parts[:5], "(warming up)")
        timed(snapshot, parts, "10 s")
        timed(snapshot, [n.transpose(3) for n in parts], "10 s, +3")
        timed(snapshot, [n.slice_notes(20, 40) for n in chosen], "20 notes")
        timed(snapshot, [nowhere(rng) for _ in parts], "10 s of nothing")


if __name__ == "__main__":
    main()
