"""What each start of `midikin` costs: a table of wall and processor time, beside a bare start of Python.

    python tests/bench/startup.py [--runs 5]

The library is made on the spot: a few random tunes, with the shipped encoder. The wall time of a busy machine
says little; processor time, and the ratio to `python -c pass` in the same run, say more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def measure(command: Sequence[str], runs: int) -> tuple[float, float]:
    """Median wall and processor seconds of a command, after one run that warms the caches of files."""
    walls, processors = [], []
    for _ in range(runs + 1):
        used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        walls.append(time.perf_counter() - began)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)
    return statistics.median(walls[1:]), statistics.median(processors[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    from embedder import write_midi
    from tests.support.fake_encoder import tune, write_tunes

    midikin = [sys.executable, "-m", "ui.cli"]
    with tempfile.TemporaryDirectory() as folder:
        files = write_tunes(Path(folder) / "music", 20, notes=600)
        write_midi(tune(99, 600), Path(folder) / "new.mid")
        os.environ["MIDIKIN_LIBRARY"] = str(Path(folder) / "library")
        subprocess.run([*midikin, "add", f"{folder}/music"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        rows = {
            "python -c pass": ([sys.executable, "-c", "pass"], None),
            "midikin --help": ([*midikin, "--help"], 0.5),
            "midikin search --help": ([*midikin, "search", "--help"], 0.5),
            "midikin info": ([*midikin, "info"], None),
            "midikin search, a file of the library": ([*midikin, "search", str(files[0])], 3.0),
            "midikin search, a new file": ([*midikin, "search", f"{folder}/new.mid"], 3.0),
            "import torch alone": ([sys.executable, "-c", "import torch"], None),
        }
        print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, median of {runs} runs")
        print(f"{'':40}{'wall s':>8}{'cpu s':>8}{'x python':>10}{'goal s':>8}")
        bare = 0.0
        for name, (command, goal) in rows.items():
            wall, processor = measure(command, runs)
            bare = bare or processor
            told = f"{goal:8.1f}" if goal else f"{'':8}"
            print(f"{name:40}{wall:8.2f}{processor:8.2f}{processor / bare:10.1f}{told}")


if __name__ == "__main__":
    main()
