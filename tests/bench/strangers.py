"""How many fragments of music that the library does not hold get an answer all the same?

    python tests/bench/strangers.py DATA [--gallery FOLDER] [--queries 100] [--sets asap,pop909,...]

For each set, fragments of its pieces are looked for among all files of the *other* sets, where the classical
sets (ASAP, MAESTRO, piano-midi.de) count as one, since they hold the same works. So nothing has to be known
about who holds what, and any answer is false unless one set quotes another. Folk tunes do quote: they have
columns of their own. Prints the share of fragments that are answered at the default confidence, and at
0.95, with the largest confidence. `--gallery` keeps the fingerprints for the next run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from identity import FRAGMENTS, SETS, Corpus, load

from index.matching.find import MIN_NOTES, default_confidence, find_matches
from index.matching.fingerprints import Snapshot

CLASSICAL = {"asap", "maestro", "piano-midi-de"}
KINDS = ("30 s", "10 s", "20 notes 20 % bad", "20 notes", "10 notes")
FEWEST_IN_PIECE = 60


def family(name: str) -> str:
    return "classical" if name in CLASSICAL else name


def drawn(corpus: Corpus, name: str, count: int) -> list[int]:
    """Pieces of a set to cut fragments from: music that is played, not deadpan scores or bare chords."""
    pool = [
        i
        for i in corpus.of(name)
        if len(corpus.notes[i]) >= FEWEST_IN_PIECE
        and corpus.rows[i].get("part") != "chords"
        and corpus.rows[i].get("kind") != "score"
    ]
    return [int(i) for i in np.random.default_rng(3).permutation(pool)[:count]]


def measure(corpus: Corpus, snapshot: Snapshot, name: str, count: int) -> None:
    own = [i for i, row in enumerate(corpus.rows) if family(row["set"]) == family(name)]
    chosen = drawn(corpus, name, count)
    for kind in KINDS:
        cut, _ = FRAGMENTS[kind]
        rng = np.random.default_rng(5)
        best: list[float] = []
        answered: list[bool] = []
        for i in chosen:
            query = cut(corpus.notes[i], rng)
            if len(query) < MIN_NOTES:
                continue
            found = find_matches(snapshot, query, without=own)
            best.append(max((one.confidence for one in found), default=0.0))
            answered.append(best[-1] >= default_confidence(len(query)))
        sure = np.array(best)
        print(
            f"{name:14} {kind:20} {len(sure):8} {np.mean(answered):8.1%} "
            f"{np.mean(sure >= 0.95):8.1%} {sure.max(initial=0):8.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--gallery", type=Path)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--sets", default=",".join(SETS))
    given = parser.parse_args()
    corpus = load(given.data)
    everything = [i for i in range(len(corpus.rows)) if len(corpus.notes[i])]
    with tempfile.TemporaryDirectory() as name:
        snapshot = corpus.snapshot(given.gallery or Path(name), everything)
        print(f"{len(snapshot.pieces)} pieces")
        print(f"{'from':14} {'fragment':20} {'queries':>8} {'answered':>8} {'at 0.95':>8} {'largest':>8}")
        for one in given.sets.split(","):
            measure(corpus, snapshot, one, given.queries)


if __name__ == "__main__":
    main()
