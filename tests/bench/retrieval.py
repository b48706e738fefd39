"""Score and performance of one work on ASAP: R@1, R@5 and MRR of vectors beside hand-made rows and a peer.

    python tests/bench/retrieval.py DATA [--encoder NAME_OR_FOLDER] [--peer-python PYTHON]

DATA holds the folder `asap` with its labels.csv. The gallery holds one file of every work, the queries one
file of each work that the shipped encoder's training did not see (train/splits). PYTHON is the interpreter
of an environment that has the package midisimx, which then gets a row on the same files.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np
from peer import run_peer

from embedder import Encoder, Notes, read_midi
from train.evaluation.retrieval import Retrieval, retrieval
from train.evaluation.systems import Baselines

SPLIT = Path(__file__).resolve().parents[2] / "train" / "splits" / "midikin-small.csv"


def base_work(work: str) -> str:
    """ASAP keeps some works twice, with and without repeats; either copy is a right answer."""
    return re.sub(r"_(no_)?(\d_)?repeat$", "", work)


def one_of_each(data: Path) -> dict[str, dict[str, str]]:
    """For each work the first file of each kind ("score", "performance")."""
    works: dict[str, dict[str, str]] = {}
    with open(data / "asap" / "labels.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            works.setdefault(row["composition"], {}).setdefault(row["kind"], row["file"])
    return {work: files for work, files in works.items() if len(files) == 2}


def held_out_works(works: dict[str, dict[str, str]]) -> list[str]:
    """Works of which both files lie in the test split."""
    with open(SPLIT, newline="", encoding="utf-8") as file:
        test = {row["file"] for row in csv.DictReader(file) if row["set"] == "asap"}
    return [work for work, files in works.items() if all(name in test for name in files.values())]


def score(
    vectors: dict[str, np.ndarray], names: list[str], queries: list[int]
) -> tuple[Retrieval, Retrieval]:
    """Performance -> score, then score -> performance."""
    works = np.array([base_work(name) for name in names])
    right = works[queries, None] == works[None]
    there = retrieval(vectors["performance"][queries] @ vectors["score"].T, right)
    back = retrieval(vectors["score"][queries] @ vectors["performance"].T, right)
    return there, back


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", default="midikin-small")
    parser.add_argument("--peer-python", help="interpreter that can import midisimx; without it, no peer")
    args = parser.parse_args()

    works = one_of_each(args.data)
    names = list(works)
    held_out = set(held_out_works(works))
    queries = [i for i, work in enumerate(names) if work in held_out]
    paths = {kind: [args.data / "asap" / works[w][kind] for w in names] for kind in ("score", "performance")}
    notes: dict[str, list[Notes]] = {kind: [read_midi(p) for p in files] for kind, files in paths.items()}

    rows: dict[str, dict[str, np.ndarray]] = {}
    encoder = Encoder.load(args.encoder)
    embedded = {kind: encoder.embed(pieces).pieces for kind, pieces in notes.items()}
    rows[encoder.id] = embedded
    for part, columns in encoder.parts.items():
        rows[f"  its {part} part alone"] = {kind: v[:, columns] for kind, v in embedded.items()}
    baselines = Baselines(notes["score"] + notes["performance"])
    by_kind = {kind: baselines.vectors(pieces) for kind, pieces in notes.items()}
    for name in by_kind["score"]:
        rows[f"hand-made {name}"] = {kind: by_kind[kind][name] for kind in by_kind}
    if args.peer_python:
        rows["midisimx"] = {
            kind: run_peer(args.peer_python, [str(path) for path in files]).vectors
            for kind, files in paths.items()
        }

    print(f"{len(queries)} held-out works as queries, {len(names)} works in the gallery")
    print(f"{'':36s} performance -> score      score -> performance")
    print(f"{'':36s}   R@1    R@5    MRR         R@1    R@5    MRR")
    for name, vectors in rows.items():
        figures = "     ".join(
            f"{100 * r.recall_at_1:6.1f} {100 * r.recall_at_5:6.1f} {r.mrr:6.3f}"
            for r in score(vectors, names, queries)
        )
        print(f"{name:36s} {figures}")


if __name__ == "__main__":
    main()
