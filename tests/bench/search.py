"""How long a warm search takes in a library of 10,000 pieces, beside a plain matrix product in the same run.

    python tests/bench/search.py [--pieces 10000] [--windows 20] [--dim 512]

Vectors are drawn in clusters, as works and composers make them; the time does not depend on what they
mean. A query is a piece of the library for whole pieces, and notes with a ready-made vector for
passages, so that no encoder's time is in the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from embedder.descriptors import describe
from embedder.midi.pool import FileRead
from embedder.midi.reading import MidiFile
from embedder.notes import Notes
from index import Library
from index.storage.codecs import SPAN
from index.storage.pieces import Vectors, insert_piece, put_path
from tests.support.fake_encoder import FakeEmbedded, tune

QUERIES = 200


class ReadyMade:
    """An encoder that gives any notes the next of some vectors."""

    id = "bench@000000000000"

    def __init__(self, vectors: np.ndarray) -> None:
        self.dim = vectors.shape[1]
        self._vectors = iter(np.tile(vectors, (10, 1)))

    def embed(self, pieces: list[Notes]) -> FakeEmbedded:
        rows = np.array([next(self._vectors) for _ in pieces], dtype=np.float32)
        zeros = np.zeros(len(pieces))
        numbers = np.arange(len(pieces))
        return FakeEmbedded(rows, rows, numbers, zeros, zeros + 1, numbers * 0, numbers * 0 + 1)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def fill(library: Library, pieces: int, windows: int, dim: int) -> np.ndarray:
    """Store pieces with drawn vectors; the vectors of the pieces, float32 [pieces, dim]."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, dim))
    spans = np.zeros(windows, dtype=SPAN)
    spans["start_s"], spans["end_s"] = np.arange(windows) * 10, np.arange(windows) * 10 + 12
    music = [tune(seed, 200) for seed in range(50)]
    whole = np.empty((pieces, dim), dtype=np.float32)
    database = library._database
    with database.write() as connection:
        database.set(connection, encoder=ReadyMade.id, dim=str(dim))
        for i in range(pieces):
            centre = centres[i % 200] + 0.8 * rng.standard_normal(dim)
            vectors = unit(centre + 0.8 * rng.standard_normal((windows, dim)))
            whole[i] = unit(vectors.sum(0))
            notes = music[i % 50]
            midi = MidiFile(notes=notes, tempo_bpm=60 + i % 120, title=f"piece {i}")
            path = f"/music/composer{i % 200}/piece{i}.mid"
            read = FileRead(path, 1000 + i, i, f"{i:064x}", midi, describe(notes, midi.tempo_bpm))
            number = insert_piece(connection, read, Vectors(whole[i], vectors, spans))
            put_path(connection, path, number, 1000 + i, i)
        database.count_commit(connection)
    return whole


def milliseconds(work: Callable[[int], object], times: int = QUERIES) -> np.ndarray:
    """Time of each call, ms [times]; the first, which loads what is needed, is left out."""
    taken = []
    for i in range(times + 1):
        begun = time.perf_counter()
        work(i)
        taken.append(1000 * (time.perf_counter() - begun))
    return np.array(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--windows", type=int, default=20, help="windows a piece")
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with Library.open(folder) as library:
            whole = fill(library, options.pieces, options.windows, options.dim)
        rng = np.random.default_rng(1)
        vectors = unit(whole[rng.permutation(len(whole))[: QUERIES + 1]])
        query = tune(999)
        with Library.open(folder, encoder=ReadyMade(vectors)) as library:
            begun = time.perf_counter()
            library.maintenance.prepare()
            built_s = time.perf_counter() - begun
        with Library.open(folder, encoder=ReadyMade(vectors)) as library:
            begun = time.perf_counter()
            library.search(1)
            first_s = time.perf_counter() - begun
            numbers = rng.integers(1, options.pieces + 1, QUERIES + 1).tolist()
            rows = {
                "pieces": milliseconds(lambda i: library.search(numbers[i])),
                "pieces, tempo=100..130": milliseconds(
                    lambda i: library.search(numbers[i], filters=["tempo=100..130"])
                ),
                "pieces, path~composer7": milliseconds(
                    lambda i: library.search(numbers[i], filters=["path~composer7"])
                ),
                "pieces by a part": milliseconds(lambda i: library.search(query, start_s=0, end_s=20)),
                "passages": milliseconds(lambda i: library.search(query, passages=True)),
                "passages, tempo=100..130": milliseconds(
                    lambda i: library.search(query, passages=True, filters=["tempo=100..130"])
                ),
            }
            indexes = library.info().indexes
        several = np.tile(whole, (options.windows, 1))
        plain = {
            False: milliseconds(lambda i: np.argpartition(whole @ vectors[i], -10)[-10:]),
            True: milliseconds(lambda i: np.argpartition(several @ vectors[i], -10)[-10:], 20),
        }
    print(f"{options.pieces} pieces, {len(several)} windows, dimension {options.dim}")
    print(f"indexes built in {built_s:.1f} s; first search of a process {1000 * first_s:.0f} ms")
    print(", ".join(f"{index.name}: {index.kind}, recall {index.recall:g}" for index in indexes))
    print(f"{'search':28} {'p50 ms':>8} {'p99 ms':>8} {'x numpy':>8}")
    for name, taken in rows.items():
        base = np.median(plain["part" in name or "passages" in name])
        p50, p99 = np.percentile(taken, [50, 99])
        print(f"{name:28} {p50:8.2f} {p99:8.2f} {p50 / base:8.2f}")
    for large, name in ((False, "numpy product, pieces"), (True, "numpy product, windows")):
        p50, p99 = np.percentile(plain[large], [50, 99])
        print(f"{name:28} {p50:8.2f} {p99:8.2f} {1:8.2f}")


if __name__ == "__main__":
    main()
