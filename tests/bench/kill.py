"""Kills a library's processes at random moments, many times, and checks after each that nothing is lost.

    python tests/bench/kill.py [--kills 200] [--seed 0]

One process works on a library without a break: it adds files, removes some, builds indexes, decides about
pairs, makes backups. It is killed with SIGKILL at a random moment and started again. It writes down what it
was told is done before it goes on; so after each kill everything must hold that was written down, the
database must be sound to the last row, and searches must answer for exactly the pieces that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from index import Library, verify_library
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

FILES = 60


class Diary:
    """What is known to be done: one line a step, on the disk before the next begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, **what: object) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, object]]:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]


def work(folder: Path, seed: int) -> None:
    """The process that is killed."""
    import index.add
    import index.vectors.autotune

    index.add.BATCH_FILES = 4
    index.vectors.autotune.EXACT_LIMIT = 20  # so that cells, tails and compacting are met too
    index.vectors.autotune.TRAINING_VECTORS_PER_CELL = 1
    rng = random.Random(seed)
    diary = Diary(folder / "diary.jsonl")
    music = sorted((folder / "music").rglob("*.mid"))
    with Library.open(folder / "library", encoder=FakeEncoder()) as library:
        print("ready", flush=True)
        while True:
            step = rng.choice(["add", "remove", "build", "build", "decide", "decide", "search", "backup"])
            diary.note(begins=step)
            if step == "add":
                some = rng.sample(music, rng.randrange(1, 15))
                library.add(some, workers=1)
                diary.note(added=[str(path) for path in some])
            elif step == "remove":
                pieces = library.pieces(limit=100)
                gone = rng.sample(pieces, min(len(pieces), rng.randrange(4)))
                diary.note(removing=[piece.path for piece in gone])
                library.remove([piece.id for piece in gone])
                diary.note(removed=[piece.path for piece in gone])
            elif step == "build":
                name, kind = rng.choice(["pieces", "windows"]), rng.choice([None, "sq8", "exact"])
                library.maintenance.build_index(name, kind)
            elif step == "decide" and library.info().pieces > 1:
                one, other = rng.sample([piece.id for piece in library.pieces(limit=100)], 2)
                diary.note(decided=library.duplicates.decide(one, other, rng.choice(["keep", "not-same"])))
            elif step == "search":
                library.search(tune(rng.randrange(FILES)), k=10, passages=rng.random() < 0.5)
            elif step == "backup":
                library.maintenance.backup(folder / "copy")


def check(folder: Path) -> list[str]:
    """What does not hold after a kill."""
    wrong = []
    report = verify_library(folder / "library")
    wrong += [f"{problem.name}: {problem.reason}" for problem in report.problems if not problem.harmless]
    sure: set[str] = set()
    unsure: set[str] = set()
    decided = 0
    for line in Diary(folder / "diary.jsonl").read():
        if "added" in line:
            sure |= set(line["added"])  # type: ignore[call-overload]
        if "removing" in line:
            sure -= set(line["removing"])  # type: ignore[call-overload]
            unsure |= set(line["removing"])  # type: ignore[call-overload]
        if "decided" in line:
            decided = max(decided, int(line["decided"]))  # type: ignore[call-overload]
    with Library.open(folder / "library", encoder=FakeEncoder()) as library:
        pieces = library.pieces(limit=1000)
        held = {path for piece in pieces for path in piece.paths}
        if not sure <= held:
            wrong.append(f"{len(sure - held)} files that were added are gone")
        decisions = {decision.id for decision in library.duplicates.decisions(undone=True)}
        if decisions != set(range(1, len(decisions) + 1)) or len(decisions) < decided:
            wrong.append(f"decision {decided} was made, {len(decisions)} are there")
        for passages in (False, True):
            found = library.search(tune(1), k=10_000, passages=passages, include_self=True).results
            if {hit.piece_id for hit in found} != {piece.id for piece in pieces}:
                wrong.append(f"a search answers for {len(found)} of {len(pieces)} pieces")
        for piece in pieces[:5]:
            first = library.search(piece.id, 1, include_self=True).results[0]
            if first.piece_id != piece.id:
                wrong.append(f"piece {piece.id} does not find itself")
    copy = folder / "copy"
    if (copy / "midikin.db").exists() and not verify_library(copy).sound:
        wrong.append("the backup is not sound")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=3.0, help="seconds a process may live")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.seed)
        return
    rng = random.Random(options.seed)
    begun = time.monotonic()
    killed_in: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_tunes(folder / "music", FILES, notes=100)
        for kill in range(options.kills):
            command = [sys.executable, __file__, "--work", str(folder), "--seed", str(kill)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0, options.longest))
            if process.poll() is not None:
                wrong.append(f"kill {kill}: the process ended by itself with {process.returncode}")
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            lines = Diary(folder / "diary.jsonl").read()
            killed_in[next((str(line["begins"]) for line in lines[::-1] if "begins" in line), "start")] += 1
            wrong += [f"kill {kill}: {what}" for what in check(folder)]
    print(f"{options.kills} kills in {time.monotonic() - begun:.0f} s; killed in {dict(killed_in)}")
    print("\n".join(wrong) or "nothing lost, nothing damaged, every search answered for all that is there")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
