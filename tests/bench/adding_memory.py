"""How much memory the process that adds holds, over an add of real files of mixed kinds.

    python tests/bench/adding_memory.py DATA [--files 1500] [--sets web,genres,games]

DATA holds the unpacked sets. The library is made in a temporary folder, with the encoder that ships. Printed
is the resident memory after every batch; what counts is how far it rises after the first 300 files.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from index import AddProgress, Library

MAX_RISE_MB, MAX_PEAK_MB = 100, 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of unpacked sets")
    parser.add_argument("--files", type=int, default=1500, help="how many files (1500)")
    parser.add_argument("--sets", default="web,genres,games", help="folders of DATA (web,genres,games)")
    options = parser.parse_args()
    found = [p for name in options.sets.split(",") for p in sorted((options.data / name).rglob("*.mid"))]
    chosen = random.Random(7).sample(found, min(options.files, len(found)))
    process = psutil.Process()
    seen: list[tuple[int, int]] = []

    def on_progress(state: AddProgress) -> None:
        if state.phase == "adding" and state.files_done:
            seen.append((state.files_done, process.memory_info().rss >> 20))
            print(f"{state.files_done:6,} files {seen[-1][1]:5,} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "library") as library:
        music = Path(folder) / "music"
        music.mkdir()
        for number, path in enumerate(chosen):
            os.symlink(path.resolve(), music / f"{number:05d}.mid")
        library.add(music, on_progress, workers=1)
    early = max((mb for files, mb in seen if files <= 300), default=seen[0][1])
    rise, peak = max(mb for _, mb in seen) - early, max(mb for _, mb in seen)
    print(f"rise after 300 files {rise} MB, to be reached: {MAX_RISE_MB}; peak {peak} MB, {MAX_PEAK_MB}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
