"""Many machines: what a piece costs on one worker and on two, and whether the servers answer like a library.

    python tests/bench/distributed.py cost DATA [--files 400] [--shard 25] [--machines 16] [--cores 8]
    python tests/bench/distributed.py servers LIBRARY

`cost`: a sample of DATA is embedded as shards, by one process and then by two, and merged into a library.
What it costs to start a worker, measured with a single file, is taken off; the rest is multiplied to ten
million pieces on so many machines.

`servers`: a library that is there is taken for the result of a shard and merged into one with metadata in
PostgreSQL and vectors in Milvus, both started here (the extra `cluster-test`, and PostgreSQL of the system).
Its pieces are then asked for their ten nearest in both: are they the same, and how many are those that
comparing every vector in float32 gives?
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from index import Library
from index.distributed.runners import Processes
from index.distributed.shards import Done, plan
from tests.support import servers

PIECES = 10_000_000
AT = 10
MOST_ASKED = 300


@contextlib.contextmanager
def cost() -> Iterator[dict[str, float]]:
    """Seconds by the clock, and of processor here and in processes that ended meanwhile."""
    taken: dict[str, float] = {}

    def now() -> tuple[float, float]:
        both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = now()
    yield taken
    taken["clock_s"], taken["processor_s"] = (a - b for a, b in zip(now(), before, strict=True))


def line(what: str, pieces: int, taken: dict[str, float]) -> float:
    """Print what a piece has cost; ms of processor."""
    clock_ms, ms = 1000 * taken["clock_s"] / pieces, 1000 * taken["processor_s"] / pieces
    print(f"{what:34} {clock_ms:12.2f} {ms:16.2f} {pieces / taken['clock_s']:10.1f}", flush=True)
    return ms


def nearest(library: Library, numbers: list[int]) -> tuple[list[list[str]], list[float]]:
    """Paths of the ten nearest of each piece, and the time of each search in ms."""
    library.search(numbers[0], AT)  # makes the index
    found, times = [], []
    for number in numbers:
        begun = time.perf_counter()
        found.append([hit.path for hit in library.search(number, AT).results])
        times.append(1000 * (time.perf_counter() - begun))
    return found, times


def truth(library: Library, numbers: list[int]) -> list[set[str]]:
    """Paths of the ten true nearest, by comparing every vector."""
    held, vectors = library.vectors()
    paths = {piece.id: piece.path for piece in library.pieces(limit=len(held))}
    true = []
    for number in numbers:
        row = int(np.searchsorted(held, number))
        scores = vectors @ vectors[row]
        scores[row] = -np.inf
        true.append({paths[held[at]] for at in np.argsort(-scores)[:AT].tolist()})
    return true


def compare(embedded: Library, shared: Library) -> None:
    numbers = [piece.id for piece in embedded.pieces(limit=MOST_ASKED)]
    by_path = {piece.path: piece.id for piece in shared.pieces(limit=1_000_000)}
    paths = [embedded.piece(number).path for number in numbers]
    mine, times = nearest(embedded, numbers)
    theirs, their_times = nearest(shared, [by_path[path] for path in paths])
    true = truth(embedded, numbers)
    total = sum(map(len, true))
    alike = sum(len(set(a) & set(b)) for a, b in zip(mine, theirs, strict=True))
    print(f"\n{len(numbers)} queries, {AT} answers each")
    print(f"the same neighbours in both: {100 * alike / total:.2f} %")
    for name, found, took in (("in a file", mine, times), ("in PostgreSQL and Milvus", theirs, their_times)):
        recall = sum(len(t.intersection(f)) for t, f in zip(true, found, strict=True)) / total
        print(f"{name:26} recall@{AT} {recall:.4f}, p50 {np.median(took):.1f} ms")


def costs(data: Path, files: int, shard: int, machines: int, cores: int) -> None:
    paths = sorted(data.rglob("*.mid"))
    paths = random.Random(0).sample(paths, min(files, len(paths)))
    print(f"{'a piece':34} {'ms by clock':>12} {'ms of processor':>16} {'a second':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with cost() as start:
            list(Processes(1).run(plan(paths[:1], folder / "one", "midikin-small")))
        line("starting a worker, for one file", 1, start)
        for workers in (1, 2):
            shards = plan(paths, folder / f"by{workers}", "midikin-small", files=shard)
            with cost() as taken:
                records = list(Processes(workers).run(shards))
            pieces = sum(record.pieces for record in records)
            taken["clock_s"] -= start["clock_s"]
            taken["processor_s"] -= workers * start["processor_s"]
            embedding_ms = line(f"embedded, {workers} worker{'s' if workers > 1 else ''}", pieces, taken)
        with Library.open(folder / "library") as library:
            with cost() as taken:
                assert library.maintenance.merge(folder / "by1").pieces == pieces
            merging_ms = line("merged", pieces, taken)
            stored = library.info()
    kilobytes = stored.size_bytes / pieces / 1000
    print(f"\n{stored.notes / pieces:,.0f} notes and {kilobytes:.1f} kB a piece")
    print(
        f"{PIECES:,} such pieces on {machines} machines of {cores} cores: "
        f"{embedding_ms * PIECES / 3.6e6 / (machines * cores):.1f} h of embedding, "
        f"{merging_ms * PIECES / 3.6e6:.1f} h of merging by one process, {kilobytes * PIECES / 1e9:.2f} TB"
    )


def on_servers(source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        embedded = stack.enter_context(Library.open(source, create=False))
        pieces = embedded.info().pieces
        copy = embedded.maintenance.backup(Path(scratch, "copy")) / "midikin.db"
        with open(copy, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        done = Done("shard-all", pieces, pieces, 0, 0, digest, 0.0)
        (copy.parent / "shard-all.json").write_text(json.dumps(asdict(done)))
        copy.rename(copy.parent / "shard-all.db")
        os.environ["MIDIKIN_DATABASE"] = servers.empty_place(stack.enter_context(servers.postgres()))
        os.environ["MIDIKIN_VECTORS"] = stack.enter_context(servers.milvus())
        shared = stack.enter_context(Library.open(Path(scratch, "shared")))
        print(f"{'a piece':34} {'ms by clock':>12} {'ms of processor':>16} {'a second':>10}")
        with cost() as taken:
            assert shared.maintenance.merge(copy.parent).pieces == pieces
        line("merged into PostgreSQL", pieces, taken)
        with cost() as taken:
            shared.search(1, AT)
        line("brought into Milvus", pieces, taken)
        compare(embedded, shared)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["cost", "servers"])
    parser.add_argument("source", type=Path, help="a folder of MIDI files, or a library")
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--shard", type=int, default=25, help="files of one")
    parser.add_argument("--machines", type=int, default=16)
    parser.add_argument("--cores", type=int, default=8, help="of each machine")
    options = parser.parse_args()
    if options.what == "cost":
        costs(options.source, options.files, options.shard, options.machines, options.cores)
    else:
        on_servers(options.source)


if __name__ == "__main__":
    main()
