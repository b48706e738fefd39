"""Contrastive runs of equal cost that differ in one thing each, and what their vectors find.

    python tests/bench/ablations.py CORPUS [--steps 300] [--seeds 2] [--rate 3e-4]
        [--only temperature,pooling] [--markdown FILE] [--plot FILE]

Every run is of one small model and the same number of notes; the learned vector alone is measured, on works
of the corpus's test split (first 256 notes of each): scores asked for by performances (mean reciprocal rank),
other performances of a work (mean average precision, by the projection and by the pooled states before it),
and altered copies among test pieces (R@1). All in per cent, means of the seeds and, where there are several,
half of the range between them. The runs are minutes of one core: they compare choices, and do not say how
good a model gets. `--plot` draws size against quality and speed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from embedder import Notes
from embedder.tokens import to_tokens
from embedder.transformer import NoteTransformer
from train.corpus import Corpus
from train.evaluation.plots import new_figure
from train.evaluation.retrieval import ALTERATIONS, average_precision, retrieval
from train.loop import load_weights, run
from train.recipe import Recipe

NOTES = 256
ALTERED = ("transposed -6", "tempo x 1.25", "20 % dropped", "quantised")
RECIPE = """
[run]
steps = {steps}
seed = {seed}
precision = "bfloat16"
learning_rate = {rate}
warmup = 20
decay = 0.6
validate_every = 1000000
checkpoint_minutes = 1e9

[model]
width = {width}
layers = {layers}
heads = 4
hidden = {hidden}
projection = 128
pooling = "{pooling}"

[objective]
name = "{objective}"
{settings}
"""
CHAIN = (
    "transpose",
    "tempo",
    "jitter",
    "duration",
    "velocity",
    "flat",
    "dropout",
    "doubling",
    "hand",
    "quantise",
)


@dataclass(frozen=True)
class Choice:
    """One run: what differs from the others of its group."""

    group: str
    name: str
    settings: str = ""
    augment: str = ""
    pooling: str = "mean"
    width: int = 128
    layers: int = 2
    pretrained: bool = False


@dataclass(frozen=True)
class Figures:
    """What a run came to: shares in 0..1, and notes embedded and processor seconds."""

    scores: float
    performances: float
    performances_unprojected: float
    altered: float
    seconds: float
    rate: float


def choices() -> list[Choice]:
    found = [Choice("base", "temperature 0.1, whole chain, version positives, mean")]
    found += [Choice("temperature", f"temperature {t}", f"temperature = {t}") for t in (0.05, 0.2, 0.5)]
    found += [Choice("versions", "no version positives", "versions = 0.0")]
    found += [Choice("pooling", "last note", 'pooling = "last"')]
    found += [Choice("pooling", "attention", pooling="attention")]
    found += [Choice("pooling", "mean and deviation", pooling="moments")]
    found += [Choice("start", "pretrained for half of the cost", pretrained=True)]
    found += [
        Choice("size", f"width {w}, {n} layer{'s' * (n > 1)}", width=w, layers=n)
        for w, n in ((64, 1), (64, 2), (128, 1), (128, 4), (256, 2))
    ]
    found += [Choice("augmentation", f"without {name}", augment=f"{name} = 0.0") for name in CHAIN]
    nothing = "\n".join(f"{name} = 0.0" for name in CHAIN)
    found += [Choice("augmentation", "no alteration at all", augment=nothing)]
    return found


def train(
    choice: Choice, corpus: Corpus, steps: int, rate: float, seed: int, folder: Path
) -> tuple[NoteTransformer, float]:
    """The model after the run, and the processor seconds that it took."""
    begun = time.process_time()
    start: Path | None = None
    sizes = {
        "width": choice.width,
        "layers": choice.layers,
        "hidden": 4 * choice.width,
        "pooling": choice.pooling,
        "seed": seed,
        "rate": rate * min(1.0, 128 / choice.width),
    }
    if choice.pretrained:
        steps //= 2
        settings = "rows = 64\nlength = 72"
        text = RECIPE.format(steps=steps, objective="next-note", settings=settings, **sizes)
        start = run(Recipe.parse(text), corpus, folder / "pretrained", device="cpu")
    settings = "pairs = 32\nshortest = 48\nlongest = 96\n" + choice.settings
    if choice.augment:
        settings += f"\n[objective.augment]\n{choice.augment}"
    recipe = Recipe.parse(RECIPE.format(steps=steps, objective="contrastive", settings=settings, **sizes))
    weights = run(recipe, corpus, folder / "run", start_from=start, device="cpu")
    model = NoteTransformer(recipe.model)
    load_weights(model, weights / "model.safetensors")
    return model.eval(), time.process_time() - begun


@torch.inference_mode()
def vectors(model: NoteTransformer, pieces: list[Notes], last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows of the first notes of pieces, projected and before it, in float32."""
    found: list[list[np.ndarray]] = [[], []]
    for notes in pieces:
        tokens = torch.from_numpy(to_tokens(notes.slice_notes(0, NOTES)))[None]
        hidden = model(tokens)
        pooled = hidden[:, -1] if last else model.pool(hidden, torch.tensor([tokens.shape[1]]))
        for rows, vector in zip(found, (model.project(pooled), pooled), strict=True):
            rows.append(torch.nn.functional.normalize(vector, dim=1)[0].numpy())
    return np.stack(found[0]), np.stack(found[1])


class Test:
    """Held-out pieces of a corpus and their alterations."""

    def __init__(self, corpus: Corpus, most: int = 250) -> None:
        rng = np.random.default_rng(0)
        test = [i for i in corpus.indices("test").tolist() if corpus.sizes[i] >= 100]
        kinds: dict[int, dict[str, int]] = {}
        versions: dict[int, list[int]] = {}
        for i in test:
            record = corpus.pieces[i]
            if "kind" in record.labels:
                kinds.setdefault(record.work, {}).setdefault(record.labels["kind"], i)
            if record.labels.get("kind") == "performance" or record.set == "maestro":
                versions.setdefault(record.work, []).append(i)
        pairs = [of for of in kinds.values() if {"score", "performance"} <= set(of)]
        self.scores = [corpus.notes(of["score"]) for of in pairs]
        self.performances = [corpus.notes(of["performance"]) for of in pairs]
        several = {work: of for work, of in versions.items() if len(of) > 1}
        self.versions = [corpus.notes(i) for of in several.values() for i in of]
        self.work = np.array([work for work, of in several.items() for _ in of])
        self.gallery = [corpus.notes(int(i)) for i in rng.permutation(test)[:most]]
        self.altered = {
            name: [ALTERATIONS[name](notes.slice_notes(0, NOTES), rng) for notes in self.gallery[:100]]
            for name in ALTERED
        }

    def figures(self, model: NoteTransformer, last: bool, seconds: float) -> Figures:
        begun = time.process_time()
        gallery, _ = vectors(model, self.gallery, last)
        rate = sum(min(len(n), NOTES) for n in self.gallery) / (time.process_time() - begun)
        there = vectors(model, self.performances, last)[0] @ vectors(model, self.scores, last)[0].T
        right = np.eye(100, len(gallery), dtype=bool)
        copies = [
            retrieval(vectors(model, altered, last)[0] @ gallery.T, right).recall_at_1
            for altered in self.altered.values()
        ]
        same = self.work[:, None] == self.work
        own = np.eye(len(self.work), dtype=bool)
        maps = [average_precision(rows @ rows.T, same, own) for rows in vectors(model, self.versions, last)]
        scores = retrieval(there, np.eye(len(self.scores), dtype=bool)).mrr
        return Figures(scores, maps[0], maps[1], float(np.mean(copies)), seconds, rate)


def table(found: dict[Choice, list[Figures]]) -> list[str]:
    """Rows of a Markdown table."""

    def share(values: Sequence[float]) -> str:
        half = f" ± {50 * (max(values) - min(values)):.1f}" if len(values) > 1 else ""
        return f"{100 * float(np.mean(values)):.1f}{half}"

    lines = [
        "| what | performance -> score, MRR | other performances, MAP | the same, no projection "
        "| altered copies, R@1 | seconds | notes/s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for choice, runs in found.items():
        columns = ("scores", "performances", "performances_unprojected", "altered")
        cells = [share([getattr(one, column) for one in runs]) for column in columns]
        cells.append(f"{np.mean([one.seconds for one in runs]):.0f}")
        cells.append(f"{np.mean([one.rate for one in runs]):,.0f}")
        lines.append(f"| {choice.name} | " + " | ".join(cells) + " |")
    return lines


def plot(found: dict[Choice, list[Figures]], path: Path) -> None:
    """Quality against speed of the sizes; those that no other beats in both are joined."""
    figure = new_figure(5, 4)
    axes = figure.subplots()
    points = []
    for choice, runs in found.items():
        if choice.group in ("size", "base"):
            speed = float(np.mean([one.rate for one in runs]))
            quality = 100 * float(np.mean([(one.altered + one.performances) / 2 for one in runs]))
            points.append((speed, quality, f"{choice.width} x {choice.layers}"))
    best = [p for p in points if not any(q[0] >= p[0] and q[1] >= p[1] and q != p for q in points)]
    axes.plot(*zip(*sorted((speed, quality) for speed, quality, _ in best), strict=True), color="0.7")
    for speed, quality, name in points:
        axes.scatter(speed, quality, color="C0")
        axes.annotate(name, (speed, quality), xytext=(4, 4), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlabel("notes embedded a second of one core")
    axes.set_ylabel("mean of other performances and altered copies, %")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3e-4, help="of learning, up to a width of 128")
    parser.add_argument("--only", help="groups, separated by commas")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus(args.corpus)
    test = Test(corpus)
    wanted = set(args.only.split(",")) if args.only else None
    heading = (
        f"{args.steps} steps; {len(test.scores)} scores, {len(test.versions)} performances of "
        f"{len(set(test.work.tolist()))} works, {len(test.gallery)} pieces"
    )
    print(heading, flush=True)
    found: dict[Choice, list[Figures]] = {}
    for seed in range(1, args.seeds + 1):
        for choice in choices():
            if wanted is None or choice.group in wanted:
                with tempfile.TemporaryDirectory() as folder:
                    model, seconds = train(choice, corpus, args.steps, args.rate, seed, Path(folder))
                found.setdefault(choice, []).append(test.figures(model, "last" in choice.settings, seconds))
                lines = table(found)
                print(f"seed {seed}", table({choice: found[choice][-1:]})[-1], flush=True)
                if args.markdown:
                    args.markdown.write_text("\n".join([heading, "", *lines, ""]), encoding="utf-8")
    print(*lines, sep="\n")
    if args.plot:
        plot(found, args.plot)


if __name__ == "__main__":
    main()
