"""Adding, end to end from files to committed vectors, beside the package midisimx on the same files in the
same run.

    python tests/bench/add.py FOLDER [--files 50] [--encoder NAME_OR_FOLDER] --peer-python PYTHON

PYTHON is the interpreter of an environment that has midisimx, which is favoured (see peer.py). midikin's
clock covers everything that `Library.add` does but loading the encoder: looking through the folder, starting
the reading processes, reading, describing, embedding, fingerprints, committing. Memory is that of the midikin
process and its largest child.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from peer import run_peer

if TYPE_CHECKING:
    from embedder.encoder import Encoder

WANTED_RATIO = 20.0
LARGEST_MEMORY_GB = 1.5


def midikin_seconds(paths: list[str], encoder: Encoder) -> tuple[float, float, int]:
    """Seconds that midikin takes, processor seconds of all its processes, and the notes that it stored."""
    from index import Library

    with tempfile.TemporaryDirectory() as folder, Library.open(folder, encoder=encoder) as library:
        begun, cpu_begun = time.perf_counter(), sum(os.times()[:4])
        report = library.add(paths)
        seconds, cpu_s = time.perf_counter() - begun, sum(os.times()[:4]) - cpu_begun
        if report.added + report.duplicates != len(paths):
            raise SystemExit(f"only {report.added} of {len(paths)} files were added")
    return seconds, cpu_s, report.notes


def peak_memory_gb() -> float:
    import resource

    unit = 1e9 if sys.platform == "darwin" else 1e6
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(each).ru_maxrss for each in who) / unit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of MIDI files")
    parser.add_argument("--files", type=int, default=50, help="how many, evenly drawn (50)")
    parser.add_argument("--encoder", default="midikin-small", help="name or folder (midikin-small)")
    parser.add_argument("--peer-python", help="interpreter that can import midisimx; without it, no peer")
    options = parser.parse_args()
    found = sorted(
        str(path) for path in options.folder.rglob("*") if path.suffix.lower() in (".mid", ".midi")
    )
    paths = found[:: max(1, len(found) // options.files)][: options.files]
    print(f"{len(paths)} files from {options.folder.name}, {os.cpu_count()} cores")
    from embedder.encoder import Encoder

    encoder = Encoder.load(options.encoder)
    runs = [midikin_seconds(paths, encoder)]
    memory_gb = peak_memory_gb()  # before the peer, which would count as a child
    peer = run_peer(options.peer_python, paths) if options.peer_python else None
    if peer is not None:
        # Before and after it: other work on the machine comes and goes.
        runs.append(midikin_seconds(paths, encoder))
    notes = runs[0][2]
    seconds, cpu_s = (sum(run[i] for run in runs) / len(runs) for i in (0, 1))
    print(f"{'':10} {'seconds':>9} {'cpu s':>9} {'notes/s':>10} {'notes/cpu s':>12}")
    print(f"{'midikin':10} {seconds:9.2f} {cpu_s:9.2f} {notes / seconds:10.0f} {notes / cpu_s:12.0f}")
    reached = memory_gb < LARGEST_MEMORY_GB
    if peer is not None:
        figures = f"{notes / peer.seconds:10.0f} {notes / peer.cpu_s:12.0f}"
        print(f"{'midisimx':10} {peer.seconds:9.2f} {peer.cpu_s:9.2f} {figures}")
        ratio = peer.seconds / seconds
        reached &= ratio >= WANTED_RATIO
        by_cpu = peer.cpu_s / cpu_s
        print(f"midikin is {ratio:.1f} times as fast (wanted: {WANTED_RATIO:g}); by cpu, {by_cpu:.1f}")
    print(f"peak memory {memory_gb:.2f} GB (at most {LARGEST_MEMORY_GB:g})")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
