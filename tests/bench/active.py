"""How many labels active learning saves: labels needed for 90 % of full-label accuracy, beside random choice.

    python tests/bench/active.py DATA --library FOLDER [--seeds 10] [--step 5] [--most 250] [--untaught]

DATA and FOLDER as for `tags.py`. For each seed a fifth of the works is held out for testing; the rest is a
library without labels from which pieces are chosen `step` at a time, labelled, and a probe is fitted anew.
The goal is 0.9 times the accuracy that all labels give. Prints the mean curves and the labels at which they
reach the goal.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from tags import Labelled, label_sets, labelled, prepared  # noqa: E402

from index.probes.active_learning import choose, uncertainty  # noqa: E402
from index.probes.classifier import fit_logistic_regression, softmax  # noqa: E402
from index.probes.crossval import group_folds  # noqa: E402

GOAL = 0.9
LIMIT = 0.6
STRENGTH = 10.0


def simulated(
    found: Labelled, seed: int, step: int, most: int, *, active: bool
) -> tuple[NDArray[np.float64], float]:
    """Accuracy after each step, and with all labels."""
    test = group_folds(found.label, found.work, seed=seed) == seed % 5
    rows, label = found.rows[~test], found.label[~test]
    classes = len(found.classes)
    rng = np.random.default_rng(seed)

    def accuracy(some: NDArray[np.int64]) -> tuple[float, NDArray[np.float32]]:
        weights, bias = fit_logistic_regression(rows[some], label[some], classes, STRENGTH)
        right = (found.rows[test] @ weights.T + bias).argmax(1) == found.label[test]
        return float(right.mean()), softmax(rows @ weights.T + bias)

    chosen = np.empty(0, dtype=np.int64)
    order = rng.permutation(len(rows))
    doubt = np.ones(len(rows), dtype=np.float32)
    curve = []
    while len(chosen) < most:
        if active:
            open_ = np.setdiff1d(np.arange(len(rows)), chosen)
            picked = open_[choose(rows[open_], rows[chosen], doubt[open_], step)]
        else:
            picked = order[len(chosen) : len(chosen) + step]
        chosen = np.concatenate([chosen, picked])
        right, said = accuracy(chosen)
        doubt = uncertainty(said) if len(np.unique(label[chosen])) > 1 else doubt
        curve.append(right)
    return np.array(curve), accuracy(np.arange(len(rows)))[0]


def reached(curve: NDArray[np.float64], goal: float, step: int) -> float:
    """Labels at which a curve reaches a goal, between steps by a straight line; infinite if it never does."""
    above = np.flatnonzero(curve >= goal)
    if not len(above):
        return float("inf")
    at = int(above[0])
    if at == 0:
        return float(step)
    return step * (at + (goal - curve[at - 1]) / (curve[at] - curve[at - 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--most", type=int, default=250)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--untaught", action="store_true")
    given = parser.parse_args()
    with prepared(given.data, given.library, given.untaught) as library:
        sets = {tag: labelled(library, tag) for tag in label_sets(library, given.data, given.held_out)}
    for tag, found in sets.items():
        most = min(given.most, int(0.75 * len(found.label)) // given.step * given.step)
        curves, full = {}, 0.0
        for name, active in (("active", True), ("random", False)):
            runs = [
                simulated(found, given.first_seed + i, given.step, most, active=active)
                for i in range(given.seeds)
            ]
            curves[name] = np.mean([curve for curve, _ in runs], axis=0)
            full = float(np.mean([last for _, last in runs]))
        needed = {name: reached(curve, GOAL * full, given.step) for name, curve in curves.items()}
        share = needed["active"] / needed["random"]
        print(f"{tag}: {len(found.label)} pieces, {len(found.classes)} classes, mean of {given.seeds} seeds")
        print(f"  all labels give {100 * full:.1f} %; {100 * GOAL * full:.1f} % is reached with")
        counts = f"{needed['active']:.0f} labels chosen, {needed['random']:.0f} at random"
        print(f"  {counts}: {share:.2f} of them; limit {LIMIT}")
        for labels in range(20, most + 1, 20):
            at = labels // given.step - 1
            said = "   ".join(f"{name} {100 * curve[at]:5.1f}" for name, curve in curves.items())
            print(f"  {labels:4} labels   {said}", flush=True)


if __name__ == "__main__":
    main()
