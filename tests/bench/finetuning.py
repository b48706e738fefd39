"""Finetuning against a linear probe: accuracy by the number of labels, for composers and for pianists.

    python tests/bench/finetuning.py DATA [--labels 100,300,1000] [--tasks composer,pianist] [--epochs 8]

Test works are drawn once for each task and never seen; of the labels that a system is given, it keeps a fifth
of the works apart to validate on (finetuning: the epoch; the probe: its strength). Files with the same notes
are one work, and so are those of one title. Rows: a full finetune of midikin's language model, a logistic
regression on that model's mean states, and one on the vectors of the shipped encoder. Chance is the commonest
class.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from embedder import Encoder, MidiError, read_midi
from train.finetune import FinetuneSettings, Labelled, finetune, pretrained, split_by_work

TASKS = {"composer": ("maestro", "composer", "title"), "pianist": ("pianist8", "artist", None)}
FEWEST = 15  # pieces of a class
STRENGTHS = (0.003, 0.03, 0.3, 3.0)


def read_task(data: Path, task: str, most_notes: int) -> list[Labelled]:
    """All pieces of the classes that have enough of them, no more than their first notes."""
    folder, column, work = TASKS[task]
    with open(data / folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    enough = {label for label, count in Counter(row[column] for row in rows).items() if count >= FEWEST}
    pieces = []
    for row in rows:
        if row[column] in enough:
            try:
                notes = read_midi(data / folder / row["file"]).slice_notes(0, most_notes)
            except MidiError:
                continue
            group = f"{row[column]}: {row[work]}" if work else notes.digest()
            pieces.append(Labelled(notes, row[column], group))
    return pieces


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


def run(data: Path, task: str, most_notes: int, counts: list[int], settings: FinetuneSettings) -> None:
    rest, test = split_by_work(read_task(data, task, most_notes), 0.25, seed=1)
    chance = Counter(piece.label for piece in test).most_common(1)[0][1] / len(test)
    print(
        f"\n{task}: {len({p.label for p in rest})} classes, {len(rest)} pieces to label, {len(test)} to test",
        end="",
    )
    print(f" of {len({p.work for p in test})} other works, chance {chance:.1%}")
    print(
        f"{'labels':>6}  {'finetuned':>9}  {'probe, its states':>17}  {'probe, encoder':>14}  {'seconds':>7}"
    )
    encoder = Encoder.load()
    given = {"states": states, "vectors": lambda some: encoder.embed([piece.notes for piece in some]).pieces}
    tests = {name: make(test) for name, make in given.items()}
    for count in counts:
        chosen = some_labels(rest, count, seed=2)
        learn, validate = split_by_work(chosen, 0.2, seed=3)
        labels = [[piece.label for piece in some] for some in (learn, validate, test)]
        probes = {
            name: probed(make(learn), make(validate), tests[name], labels) for name, make in given.items()
        }
        begun = time.perf_counter()
        found = finetune(pretrained(), learn, validate, settings)
        took = time.perf_counter() - begun
        answers = found.classifier.predict([piece.notes for piece in test]).argmax(1)
        right = np.mean(
            [found.classifier.classes[i] == piece.label for i, piece in zip(answers, test, strict=True)]
        )
        row = f"{len(chosen):>6}  {right:>9.1%}  {probes['states']:>17.1%}  {probes['vectors']:>14.1%}"
        print(f"{row}  {took:>7.0f}", flush=True)
        if len(chosen) < count:
            break


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", default="100,300,1000")
    parser.add_argument("--tasks", default="composer,pianist")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--notes", type=int, default=1_500, help="of each piece at most")
    arguments = parser.parse_args()
    settings = FinetuneSettings(epochs=arguments.epochs, windows=arguments.windows)
    for task in arguments.tasks.split(","):
        counts = [int(count) for count in arguments.labels.split(",")]
        run(arguments.data, task, arguments.notes, counts, settings)


if __name__ == "__main__":
    main()
