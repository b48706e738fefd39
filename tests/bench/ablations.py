"""Short contrastive runs of equal cost that differ in one thing each, and what their vectors find.

    python tests/bench/ablations.py CORPUS [--steps 60] [--only temperature,pooling] [--markdown FILE]

Every run is of one small model and the same number of notes; the learned vector alone is measured, on works
of the corpus's test split: score and performance of ASAP's works (first 256 notes), and altered copies among
test pieces. The runs are far too short to say how good a model gets: they compare choices at a cost that one
core pays in minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from embedder import Notes
from embedder.model import NoteTransformer
from embedder.tokens import to_tokens
from train.corpus import Corpus
from train.evaluation.alterations import ALTERATIONS
from train.loop import load_weights, run
from train.recipe import Recipe
from train.scoring import retrieval

NOTES = 256
ALTERED = ("transposed -6", "tempo x 1.25", "20 % dropped", "quantised")
RECIPE = """
[run]
steps = {steps}
seed = 1
precision = "bfloat16"
learning_rate = 2e-3
warmup = 5
decay = 0.6
validate_every = 1000000
checkpoint_minutes = 1e9

[model]
width = {width}
layers = {layers}
heads = 4
hidden = {hidden}
projection = 128

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
    width: int = 128
    layers: int = 2
    pretrained: bool = False


def choices() -> list[Choice]:
    found = [Choice("base", "temperature 0.1, whole chain, versions, mean pooling")]
    found += [Choice("temperature", f"temperature {t}", f"temperature = {t}") for t in (0.05, 0.2, 0.5)]
    found += [Choice("augmentation", f"without {name}", augment=f"{name} = 0.0") for name in CHAIN]
    nothing = "\n".join(f"{name} = 0.0" for name in CHAIN)
    found += [Choice("augmentation", "no alteration at all", augment=nothing)]
    found += [Choice("versions", "no version positives", "versions = 0.0")]
    found += [Choice("pooling", "last note", 'pooling = "last"')]
    found += [Choice("start", "pretrained for half of the cost", pretrained=True)]
    found += [
        Choice("size", f"width {w}, {n} layers", width=w, layers=n) for w, n in ((64, 1), (64, 2), (256, 2))
    ]
    return found


def train(choice: Choice, corpus: Corpus, steps: int, folder: Path) -> tuple[NoteTransformer, float]:
    """The model after the run, and the processor seconds that it took."""
    begun = time.process_time()
    start: Path | None = None
    sizes = {"width": choice.width, "layers": choice.layers, "hidden": 4 * choice.width}
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
def vectors(model: NoteTransformer, pieces: list[Notes], pooling: str) -> np.ndarray:
    """Unit rows of the first notes of pieces, in float32."""
    found = []
    for notes in pieces:
        tokens = torch.from_numpy(to_tokens(notes.slice_notes(0, NOTES)))[None]
        hidden = model(tokens)
        pooled = hidden[:, -1] if pooling == "last" else hidden.mean(1)
        found.append(torch.nn.functional.normalize(model.project(pooled), dim=1)[0].numpy())
    return np.stack(found)


class Test:
    """Held-out pieces of a corpus and their alterations."""

    def __init__(self, corpus: Corpus, most: int = 250) -> None:
        rng = np.random.default_rng(0)
        test = [i for i in corpus.indices("test").tolist() if corpus.sizes[i] >= 100]
        kinds: dict[int, dict[str, int]] = {}
        for i in test:
            record = corpus.pieces[i]
            if "kind" in record.labels:
                kinds.setdefault(record.work, {}).setdefault(record.labels["kind"], i)
        pairs = [of for of in kinds.values() if {"score", "performance"} <= set(of)]
        self.scores = [corpus.notes(of["score"]) for of in pairs]
        self.performances = [corpus.notes(of["performance"]) for of in pairs]
        self.gallery = [corpus.notes(int(i)) for i in rng.permutation(test)[:most]]
        self.altered = {
            name: [ALTERATIONS[name](notes.slice_notes(0, NOTES), rng) for notes in self.gallery[:100]]
            for name in ALTERED
        }

    def figures(self, model: NoteTransformer, pooling: str) -> tuple[float, float, float]:
        """R@1 of performance -> score and of altered copies (mean), and notes a second of embedding."""
        begun = time.process_time()
        gallery = vectors(model, self.gallery, pooling)
        rate = sum(min(len(n), NOTES) for n in self.gallery) / (time.process_time() - begun)
        there = vectors(model, self.performances, pooling) @ vectors(model, self.scores, pooling).T
        same = np.eye(len(self.scores), dtype=bool)
        right = np.eye(100, len(gallery), dtype=bool)
        copies = [
            retrieval(vectors(model, altered, pooling) @ gallery.T, right).recall_at_1
            for altered in self.altered.values()
        ]
        return retrieval(there, same).recall_at_1, float(np.mean(copies)), rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only", help="groups, separated by commas")
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus(args.corpus)
    test = Test(corpus)
    wanted = set(args.only.split(",")) if args.only else None
    heading = f"{args.steps} steps; {len(test.scores)} scores, {len(test.gallery)} pieces; R@1 in %"
    lines = [
        "| what | performance -> score | altered copies | processor s | notes/s |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    print(heading, *lines, sep="\n", flush=True)
    for choice in choices():
        if wanted is None or choice.group in wanted:
            with tempfile.TemporaryDirectory() as folder:
                model, seconds = train(choice, corpus, args.steps, Path(folder))
            pooling = "last" if "last" in choice.settings else "mean"
            found, copies, rate = test.figures(model, pooling)
            lines.append(
                f"| {choice.name} | {100 * found:.0f} | {100 * copies:.0f} | {seconds:.0f} | {rate:,.0f} |"
            )
            print(lines[-1], flush=True)
            if args.markdown:
                args.markdown.write_text("\n".join([heading, "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
