"""The loop: it learns, and a run that is killed ends as one that was not."""

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from embedder import CorpusError
from train.corpus import Corpus
from train.loop import Progress, learning_rate, run
from train.recipe import Recipe, RunSettings

RECIPE = """
[run]
steps = 12
precision = "{precision}"
warmup = 2
log_every = 1
validate_every = 6
validation_batches = 1
checkpoint_minutes = 0.0

[model]
width = 32
layers = 1
heads = 2
hidden = 64
positions = 128
projection = 16

[objective]
name = "{name}"
{settings}
"""
NEXT_NOTE = {"name": "next-note", "settings": "rows = 8\nlength = 32"}
CONTRAST = {
    "name": "contrastive",
    "settings": "pairs = 6\nshortest = 24\nlongest = 32\nnext_note = 0.1",
}


class Killed(Exception):
    pass


@pytest.mark.parametrize("objective", [NEXT_NOTE, CONTRAST], ids=["next-note", "contrastive"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_run_continues_to_the_same_weights(
    corpus: Corpus, tmp_path: Path, objective: dict[str, str], precision: str
) -> None:
    recipe = Recipe.parse(RECIPE.format(precision=precision, **objective))
    torch.set_num_threads(1)
    whole = run(recipe, corpus, tmp_path / "whole", device="cpu")

    def kill_at_seven(progress: Progress) -> None:
        if progress.step == 7:
            raise Killed

    with pytest.raises(Killed):
        run(recipe, corpus, tmp_path / "killed", device="cpu", on_progress=kill_at_seven)
    steps = []
    resumed = run(
        recipe, corpus, tmp_path / "killed", device="cpu", on_progress=lambda p: steps.append(p.step)
    )
    assert steps[0] == 7
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_loss_falls(corpus: Corpus, folder: Path) -> None:
    text = RECIPE.format(precision="float32", **NEXT_NOTE).replace("steps = 12", "steps = 60")
    run(Recipe.parse(text), corpus, folder, device="cpu")
    with open(folder / "log.csv", newline="") as file:
        bits = [float(value) for _, name, value in csv.reader(file) if name == "bits"]
    assert len(bits) == 60
    assert sum(bits[-5:]) / 5 < bits[0] - 3


def test_another_recipe_needs_another_folder(corpus: Corpus, folder: Path) -> None:
    text = RECIPE.format(precision="float32", **NEXT_NOTE).replace("steps = 12", "steps = 1")
    run(Recipe.parse(text), corpus, folder, device="cpu")
    with pytest.raises(CorpusError, match="another recipe"):
        run(Recipe.parse(text.replace("rows = 8", "rows = 4")), corpus, folder, device="cpu")


def test_a_damaged_checkpoint_is_told(corpus: Corpus, folder: Path) -> None:
    recipe = Recipe.parse(RECIPE.format(precision="float32", **NEXT_NOTE).replace("steps = 12", "steps = 1"))
    run(recipe, corpus, folder, device="cpu")
    (folder / "checkpoint" / "weights.safetensors").write_bytes(b"junk")
    with pytest.raises(CorpusError, match=r"weights\.safetensors"):
        run(recipe, corpus, folder, device="cpu")


def test_weights_of_another_run_can_be_started_from(corpus: Corpus, tmp_path: Path) -> None:
    recipe = Recipe.parse(RECIPE.format(precision="float32", **NEXT_NOTE).replace("steps = 12", "steps = 1"))
    deeper = Recipe.parse(recipe.text.replace("layers = 1", "layers = 2"))
    first = run(deeper, corpus, tmp_path / "first", device="cpu")
    other = RECIPE.format(precision="float32", **CONTRAST).replace("steps = 12", "steps = 1")
    other = other.replace("projection = 16", "projection = 8")
    run(Recipe.parse(other), corpus, tmp_path / "second", start_from=first, device="cpu")
    wrong = Recipe.parse(other.replace("width = 32", "width = 64"))
    with pytest.raises(CorpusError, match="does not hold weights"):
        run(wrong, corpus, tmp_path / "third", start_from=first, device="cpu")


def test_the_learning_rate_warms_up_stays_and_decays() -> None:
    settings = RunSettings(steps=100, warmup=10, decay=0.5, floor=0.1, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[0] == 0.1
    assert rates[9] == rates[10] == rates[49] == 1.0
    assert rates[75] == pytest.approx(0.55)
    assert rates[99] == pytest.approx(0.118)


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        "[objective]\nrows = 3",
        "[objective]\nname = 'next-note'\n[extra]",
        "[objective]\nname = 'next-note'\n[run]\nspeed = 3",
        "[objective]\nname = 'next-note'\n[run]\nprecision = 'int8'",
        "[objective]\nname = 'next-note'\n[run]\nsteps = 0",
        "[objective]\nname = 'next-note'\n[run]\nvalidate_every = 0",
    ],
)
def test_recipes_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(CorpusError):
        Recipe.parse(text)


def test_the_shipped_recipes_can_be_read() -> None:
    folder = Path(__file__).resolve().parents[2] / "train" / "recipes"
    names = [path.stem for path in folder.glob("*.toml")]
    assert "pretrain" in names
    for name in names:
        assert Recipe.read(name).run.steps > 0
    with pytest.raises(CorpusError, match="cannot be read"):
        Recipe.read("no-such-recipe")
