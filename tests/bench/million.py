"""A library of a million pieces: its index against exact search, its database, and how long all of it takes.

    python tests/bench/million.py --real LIBRARY [--pieces 1000000] [--dim 256] [--folder KEPT] [--tune]

The vectors are synthetic, drawn from the statistics of real ones: those of the pieces of LIBRARY, turned onto
their first `--dim` principal axes, are fitted by a mixture of Gaussians (k-means centres, one covariance for
all, scaled by how wide each cluster is). What describes a piece is a real piece's, jittered. The table shows
how far real and synthetic vectors lie from their nearest neighbours among equally many. Each step runs in a
process of its own, so that its time and peak memory are its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from index import Library
from index.storage.codecs import SPAN, pack_vectors
from index.storage.note_codec import pack_notes
from index.storage.schema import DESCRIPTOR_COLUMNS
from index.vectors.faiss_store import keys_of

CLUSTERS = 128
BATCH = 20_000
QUERIES = 500
AT = 10


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Mixture:
    """Gaussians fitted to unit vectors [n, dim]; `draw` gives new unit vectors."""

    def __init__(self, vectors: np.ndarray, seed: int = 0) -> None:
        import faiss

        rng = np.random.default_rng(seed)
        kmeans = faiss.Kmeans(vectors.shape[1], CLUSTERS, niter=20, seed=seed, min_points_per_centroid=1)
        kmeans.train(vectors)
        member = kmeans.index.search(vectors, 1)[1].ravel()
        self.centres = kmeans.centroids
        self.weights = np.bincount(member, minlength=CLUSTERS) / len(vectors)
        rest = vectors - self.centres[member]
        spread = np.array([rest[member == c].std() if (member == c).any() else 0 for c in range(CLUSTERS)])
        self.scale = spread / rest.std()
        covariance = np.cov(rest.T) + 1e-9 * np.eye(vectors.shape[1])
        self.root = np.linalg.cholesky(covariance).astype(np.float32)
        self.rng = rng

    def draw(self, count: int) -> np.ndarray:
        cluster = self.rng.choice(CLUSTERS, count, p=self.weights)
        noise = self.rng.standard_normal((count, len(self.root)), dtype=np.float32) @ self.root.T
        return unit(self.centres[cluster] + noise * self.scale[cluster, None])


def real_vectors(library: str, dim: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Vectors of real pieces on their principal axes, float32 [n, dim], and what describes the pieces."""
    with Library.open(library, create=False) as opened:
        _, vectors = opened.vectors()
        rows = [vars(piece.descriptors) | {"end_s": piece.end_s} for piece in opened.pieces(limit=100_000)]
    axes = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)[2][:dim]
    return unit(vectors @ axes.T), rows


def neighbours(vectors: np.ndarray) -> str:
    """Cosine to the nearest and to the tenth, in the middle of all."""
    likeness = np.sort(vectors @ vectors.T, axis=1)[:, ::-1]
    return f"nearest {np.median(likeness[:, 1]):.3f}, tenth {np.median(likeness[:, 10]):.3f}"


def rows_of(mixture: Mixture, real: list[dict[str, Any]], count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    rng = np.random.default_rng(1)
    for first in range(0, count, BATCH):
        vectors = mixture.draw(min(BATCH, count - first))
        for offset, vector in enumerate(vectors):
            row = dict(real[int(rng.integers(len(real)))])
            for name in ("duration_s", "density", "pitch_mean", "polyphony", "velocity_mean"):
                row[name] *= float(rng.uniform(0.98, 1.02))
            yield first + offset + 1, row | {"vector": vector}


def fill(folder: Path, real: str, pieces: int, dim: int) -> None:
    """Write the library with plain SQL: rows as `Library.add` makes them, many at a time."""
    vectors, described = real_vectors(real, dim)
    mixture = Mixture(vectors)
    print(f"{len(vectors)} real vectors: {neighbours(vectors)}")
    print(f"{len(vectors)} synthetic:    {neighbours(mixture.draw(len(vectors)))}")
    np.savez(folder / "queries.npz", held_out=mixture.draw(QUERIES), real=vectors[:QUERIES])
    Library.open(folder / "library").close()
    from tests.support.fake_encoder import tune

    notes, span = pack_notes(tune(0, 60)), np.zeros(1, dtype=SPAN).tobytes()
    connection = sqlite3.connect(folder / "library" / "midikin.db")
    connection.execute("PRAGMA synchronous=OFF")
    names = ", ".join(DESCRIPTOR_COLUMNS)
    marks = ", ".join("?" * len(DESCRIPTOR_COLUMNS))
    into = {
        f"INSERT INTO pieces (id, sha256, digest, size_bytes, title, windows, start_s, end_s, added_s,"
        f" {names}) VALUES (?, ?, ?, ?, ?, 1, 0, ?, 0, {marks})": [],
        "INSERT INTO paths (path, display, name, piece_id, size_bytes, mtime_ns, seen_s)"
        " VALUES (?, ?, ?, ?, ?, ?, 0)": [],
        "INSERT INTO piece_vectors VALUES (?, ?)": [],
        "INSERT INTO windows VALUES (?, ?, ?)": [],
        "INSERT INTO notes VALUES (?, ?)": [],
    }
    inserts = list(into.items())
    for number, row in rows_of(mixture, described, pieces):
        path = f"/music/composer{number % 5000}/piece{number}.mid"
        values = [row[name] for name in DESCRIPTOR_COLUMNS]
        blob = pack_vectors(row["vector"])
        rows = (
            (number, f"{number:064x}", f"{number:064x}", 1000, f"piece {number}", row["end_s"], *values),
            (path.encode(), path, path.rpartition("/")[2], number, 1000, number),
            (number, blob),
            (number, span, blob),
            (number, notes),
        )
        for (_, waiting), values_ in zip(inserts, rows, strict=True):
            waiting.append(values_)
        if number % BATCH == 0 or number == pieces:
            for query, waiting in inserts:
                connection.executemany(query, waiting)
                waiting.clear()
            connection.commit()
    facts = {"encoder": "synthetic@1", "dim": str(dim), "commit": "1"}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(facts.items()))
    connection.commit()
    connection.close()


def build(folder: Path, tune: bool) -> None:
    begun = time.perf_counter()
    with Library.open(folder / "library", create=False) as library:
        trials = (
            library.maintenance.tune_index("pieces") if tune else library.maintenance.build_index("pieces")
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"built in {time.perf_counter() - begun:.0f} s, peak memory {peak:.2f} GB")
    print(f"{'kind':6} {'recall@10':>9} {'p50 ms':>7} {'p99 ms':>7} {'bytes/vector':>12} {'MB':>7}")
    for trial in trials:
        chosen = "  <- chosen" if trial.chosen else ""
        print(
            f"{trial.setting:6} {trial.recall:9.3f} {trial.p50_ms:7.2f} {trial.p99_ms:7.2f} "
            f"{trial.bytes_per_vector:12.0f} {trial.size_bytes / 1e6:7.0f}{chosen}"
        )


def ask(folder: Path) -> None:
    """Opening, then recall and times with queries that are in no index, and with pieces of the library."""
    begun, cpu = time.perf_counter(), time.process_time()
    library = Library.open(folder / "library", create=False)
    store = library._catalogue.store("pieces")
    assert store is not None
    queries = np.load(folder / "queries.npz")
    store.search(queries["real"][0], AT)
    print(
        f"opened and first answer {time.perf_counter() - begun:.2f} s, "
        f"{time.process_time() - cpu:.2f} s of processor; {store.kind}"
    )
    info = library.info().indexes[0]
    print(f"index on disk {info.size_bytes / 1e6:.0f} MB, {info.size_bytes / store.count:.0f} bytes a vector")
    truth = exact(library, {name: queries[name] for name in ("held_out", "real")})
    print(f"{'queries':24} {'recall@10':>9} {'p50 ms':>7} {'p99 ms':>7} {'of processor':>15}")
    for name, nearest in truth.items():
        found, times, of_processor = 0, [], []
        for query, keys in zip(queries[name], nearest, strict=True):
            begun, cpu = time.perf_counter(), time.process_time()
            answers, _ = store.search(query, AT)
            times.append(1000 * (time.perf_counter() - begun))
            of_processor.append(1000 * (time.process_time() - cpu))
            found += len(set(answers.tolist()) & keys)
        recall = found / (AT * len(nearest))
        print(f"{name:24} {recall:9.3f} {line(times)} {line(of_processor)}")
    rng = np.random.default_rng(2)
    numbers = rng.integers(1, store.count, 200).tolist()
    for name, filters in (("library.search", None), ("  tempo=100..130", ["tempo=100..130"])):
        times = []
        for number in numbers[: 200 if filters is None else 30]:
            begun = time.perf_counter()
            library.search(number, AT, filters=filters)
            times.append(1000 * (time.perf_counter() - begun))
        print(f"{name:24} {'':9} {line(times)}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    for name, call in {
        "info (first)": library.info,
        "info (again)": library.info,
        "pieces(limit=100, after)": lambda: library.pieces(limit=100, after=numbers[0]),
        "pieces, density>5": lambda: library.pieces(["density>5"], limit=100, after=numbers[0]),
    }.items():
        begun = time.perf_counter()
        call()
        print(f"{name:24} {1000 * (time.perf_counter() - begun):17.1f} ms")
    library.close()
    print(f"peak memory of the whole asking process {memory:.2f} GB")


def line(times: list[float]) -> str:
    p50, p99 = np.percentile(times, [50, 99])
    return f"{p50:7.2f} {p99:7.2f}"


def exact(library: Library, queries: dict[str, np.ndarray]) -> dict[str, list[set[int]]]:
    """Keys of the ten true nearest, by comparing every vector of the database in float32."""
    best = {name: (np.zeros((len(q), 0)), np.zeros((len(q), 0), np.int64)) for name, q in queries.items()}
    numbers, vectors = library.vectors()
    for first in range(0, len(numbers), BATCH):
        keys = keys_of(0, 1) + (numbers[first : first + BATCH] << 20)
        for name, asked in queries.items():
            scores = np.concatenate([best[name][0], asked @ vectors[first : first + BATCH].T], axis=1)
            both = np.concatenate([best[name][1], np.broadcast_to(keys, (len(asked), len(keys)))], axis=1)
            top = np.argpartition(-scores, AT, axis=1)[:, :AT]
            best[name] = np.take_along_axis(scores, top, 1), np.take_along_axis(both, top, 1)
    return {name: [set(row) for row in keys.tolist()] for name, (_, keys) in best.items()}


def refresh(folder: Path) -> None:
    """How soon changes are found: 1,000 pieces come, 1,000 go."""
    with Library.open(folder / "library", create=False) as library:
        library.search(1, AT)
        base = next((folder / "library").glob("pieces-*.faiss")).name
        begun = time.perf_counter()
        library.remove(list(range(1, 1001)))
        removed = time.perf_counter() - begun
        begun = time.perf_counter()
        library.search(2000, AT)
        print(f"1,000 pieces removed in {removed:.2f} s; next search {time.perf_counter() - begun:.2f} s")
        same = next((folder / "library").glob("pieces-*.faiss")).name == base
        print(f"the index was {'kept' if same else 'written anew'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", help="a library of real pieces, whose statistics are taken")
    parser.add_argument("--pieces", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="where the library is made, and kept")
    parser.add_argument("--tune", action="store_true", help="compare all kinds of index")
    parser.add_argument("--step", choices=["fill", "build", "ask", "refresh"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    steps = {
        "fill": lambda: fill(options.folder, options.real, options.pieces, options.dim),
        "build": lambda: build(options.folder, options.tune),
        "ask": lambda: ask(options.folder),
        "refresh": lambda: refresh(options.folder),
    }
    if options.step:
        steps[options.step]()
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps({"pieces": options.pieces, "dim": options.dim}))
        for step in steps:
            if step == "fill" and (folder / "queries.npz").exists():
                continue
            command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder), "--step", step]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
