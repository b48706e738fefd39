"""Finetuning against a linear probe: accuracy by the number of labels, for composers and for pianists.

    python tests/bench/finetuning.py CORPUS [--labels 100,300,1000] [--tasks composer,pianist] [--epochs 12]

CORPUS is the prepared corpus whose split midikin's models were trained on, so works are parted across all
sets. What is tested on are the held-out works of its test split, which no model has met in any way. Of the
labels that a system is given, it keeps a fifth of the works apart to validate on (finetuning: the epoch; the
probe: its strength). Columns: a full finetune of midikin's language model alone, and beside the statistics of
whole pieces; logistic regressions on those statistics, on the model's mean states, and on the vectors of the
shipped encoder without the numbers that were taught by labels. Chance is the commonest class.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from embedder import Encoder
from embedder.classifier import StatisticsHead
from embedder.features.handcrafted import STATISTICS
from train.corpus import Corpus
from train.finetune import FinetuneSettings, Labelled, finetune, pretrained, split_by_work

TASKS = {"composer": ("composer", ("maestro", "asap", "piano-midi-de")), "pianist": ("artist", ("pianist8",))}
FEWEST, FEWEST_WORKS = 15, 2  # pieces to label of a class; works of it on either side
STRENGTHS = (0.003, 0.03, 0.3, 3.0)


def read_task(corpus: Corpus, task: str, most_notes: int) -> tuple[list[Labelled], list[Labelled]]:
    """Pieces to label and pieces to test, of the classes that have enough of them; their first notes."""
    column, sets = TASKS[task]
    sides: dict[bool, list[Labelled]] = {False: [], True: []}
    for index, piece in enumerate(corpus.pieces):
        label = piece.labels.get(column, "")
        if piece.set in sets and label and "/" not in label:
            notes = corpus.notes(index).slice_notes(0, most_notes)
            surname = label.split()[-1]
            sides[piece.split == "test"].append(Labelled(notes, surname, str(piece.work)))
    pieces = Counter(piece.label for piece in sides[False])
    works = [Counter(label for label, _ in {(p.label, p.work) for p in side}) for side in sides.values()]
    enough = {
        label
        for label, count in pieces.items()
        if count >= FEWEST and min(some[label] for some in works) >= FEWEST_WORKS
    }
    rest, test = ([piece for piece in side if piece.label in enough] for side in sides.values())
    return rest, test


def some_labels(pieces: list[Labelled], count: int, seed: int) -> list[Labelled]:
    """So many pieces, each class as often as the others while it lasts."""
    rng = np.random.default_rng(seed)
    queues: dict[str, list[Labelled]] = {}
    for number in rng.permutation(len(pieces)).tolist():
        queues.setdefault(pieces[number].label, []).append(pieces[number])
    chosen: list[Labelled] = []
    while len(chosen) < count and any(queues.values()):
        for label in sorted(queues):
            if queues[label] and len(chosen) < count:
                chosen.append(queues[label].pop())
    return chosen


def probed(
    learn: NDArray[np.float32],
    validate: NDArray[np.float32],
    test: NDArray[np.float32],
    labels: list[list[str]],
) -> float:
    """Test accuracy of a logistic regression whose strength the validation works choose."""
    scale = StandardScaler().fit(learn)
    best, answer = -1.0, 0.0
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=strength, max_iter=300).fit(scale.transform(learn), labels[0])
        right = float((model.predict(scale.transform(validate)) == np.array(labels[1])).mean())
        if right > best:
            best = right
            answer = float((model.predict(scale.transform(test)) == np.array(labels[2])).mean())
    return answer


def counted(pieces: list[Labelled]) -> NDArray[np.float32]:
    """Statistics [n, columns] of whole pieces."""
    return StatisticsHead(tuple(STATISTICS), 2).count([piece.notes for piece in pieces])


def states(pieces: list[Labelled]) -> NDArray[np.float32]:
    """Mean states [n, width] of midikin's language model."""
    import torch

    body = pretrained()
    rows = []
    with torch.inference_mode():
        for piece in pieces:
            windows = [
                piece.notes.slice_notes(a, a + body.window) for a in range(0, len(piece.notes), body.window)
            ]
            rows.append(body.states([body.row(window) for window in windows], "mean").mean(0).numpy())
    return np.array(rows)


def untaught(encoder: Encoder, pieces: list[Labelled]) -> NDArray[np.float32]:
    """Vectors of whole pieces, without the last numbers, which labels of these very kinds have taught."""
    vectors = encoder.embed([piece.notes for piece in pieces]).pieces
    return vectors[:, : encoder.dim - encoder.config.taught]


def right(
    learn: list[Labelled], validate: list[Labelled], test: list[Labelled], settings: FinetuneSettings
) -> float:
    """Share of the test pieces that a finetuned classifier gets right."""
    classifier = finetune(pretrained(), learn, validate, settings).classifier
    answers = classifier.predict([piece.notes for piece in test]).argmax(1)
    return float(
        np.mean([classifier.classes[i] == piece.label for i, piece in zip(answers, test, strict=True)])
    )


def run(corpus: Corpus, task: str, most_notes: int, counts: list[int], settings: FinetuneSettings) -> None:
    rest, test = read_task(corpus, task, most_notes)
    chance = Counter(piece.label for piece in test).most_common(1)[0][1] / len(test)
    print(
        f"\n{task}: {len({p.label for p in rest})} classes, {len(rest)} pieces to label, {len(test)} to test",
        end="",
    )
    print(f" of {len({p.work for p in test})} other works, chance {chance:.1%}")
    probes = ("statistics", "states", "vectors")
    columns = ("labels", "finetuned", "beside statistics", *(f"probe, {name}" for name in probes), "seconds")
    print("  ".join(columns))
    encoder = Encoder.load()
    given = dict(zip(probes, (counted, states, lambda some: untaught(encoder, some)), strict=True))
    tests = {name: make(test) for name, make in given.items()}
    for count in counts:
        chosen = some_labels(rest, count, seed=2)
        learn, validate = split_by_work(chosen, 0.2, seed=3)
        labels = [[piece.label for piece in some] for some in (learn, validate, test)]
        found = [probed(make(learn), make(validate), tests[name], labels) for name, make in given.items()]
        begun = time.perf_counter()
        tuned = [
            right(learn, validate, test, replace(settings, statistics=statistics))
            for statistics in (False, True)
        ]
        shares = [f"{share:.1%}" for share in (*tuned, *found)]
        cells = [str(len(chosen)), *shares, f"{time.perf_counter() - begun:.0f}"]
        row = "  ".join(cell.rjust(len(column)) for cell, column in zip(cells, columns, strict=True))
        print(row, flush=True)
        if len(chosen) < count:
            break


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Corpus)
    parser.add_argument("--labels", default="100,300,1000")
    parser.add_argument("--tasks", default="composer,pianist")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--notes", type=int, default=1_000, help="of each piece at most")
    arguments = parser.parse_args()
    settings = FinetuneSettings(epochs=arguments.epochs, windows=arguments.windows)
    for task in arguments.tasks.split(","):
        counts = [int(count) for count in arguments.labels.split(",")]
        run(arguments.corpus, task, arguments.notes, counts, settings)


if __name__ == "__main__":
    main()
