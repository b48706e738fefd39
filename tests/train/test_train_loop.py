"""The loop: it learns, and a run that is killed ends as one that was not."""

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from embedder import CorpusError
from embedder.tensor_files import write_tensors
from embedder.transformer import NoteTransformer
from tests.support.small_recipes import Killed, check_killed_run, recipe_text
from train.checkpoints import restore, save
from train.corpus import Corpus
from train.ensemble.recipe import StagedRecipe
from train.loop import learning_rate, run
from train.objectives import make_objective
from train.recipe import Recipe, RunSettings

NEXT_NOTE = {"objective": "next-note", "rows": 8, "length": 32}
CONTRAST = {"objective": "contrastive", "pairs": 6, "shortest": 24, "longest": 32, "next_note": 0.1}


def text(
    steps: int, *, precision: str = "float32", model: dict[str, int] | None = None, **objective: object
) -> str:
    run = {"steps": steps, "precision": precision, "validate_every": 6}
    return recipe_text(run=run, model=model, **objective)


@pytest.mark.parametrize("objective", [NEXT_NOTE, CONTRAST], ids=["next-note", "contrastive"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_run_continues_to_the_same_weights(
    corpus: Corpus, tmp_path: Path, objective: dict[str, object], precision: str
) -> None:
    recipe = Recipe.parse(text(12, precision=precision, **objective))
    check_killed_run(recipe, corpus, tmp_path, at=7, weights=("model.safetensors",))


def test_the_loss_falls(corpus: Corpus, folder: Path) -> None:
    run(Recipe.parse(text(60, **NEXT_NOTE)), corpus, folder, device="cpu")
    with open(folder / "log.csv", newline="") as file:
        bits = [float(value) for _, name, value in csv.reader(file) if name == "bits"]
    assert len(bits) == 60
    assert sum(bits[-5:]) / 5 < bits[0] - 3


def test_another_recipe_needs_another_folder(corpus: Corpus, folder: Path) -> None:
    run(Recipe.parse(text(1, **NEXT_NOTE)), corpus, folder, device="cpu")
    with pytest.raises(CorpusError, match="another recipe"):
        run(Recipe.parse(text(1, **{**NEXT_NOTE, "rows": 4})), corpus, folder, device="cpu")


def test_a_folder_in_which_nothing_came_of_a_recipe_is_free(corpus: Corpus, folder: Path) -> None:
    for failing in ({"rows": 0}, {"length": 129}, {"colour": 3}):
        with pytest.raises(CorpusError):
            run(Recipe.parse(text(1, **{**NEXT_NOTE, **failing})), corpus, folder, device="cpu")
    assert not (folder / "recipe.toml").exists()
    folder.mkdir(exist_ok=True)
    (folder / "recipe.toml").write_text("of a run that diverged before its first checkpoint")
    run(Recipe.parse(text(1, **NEXT_NOTE)), corpus, folder, device="cpu")


def test_two_kills_while_checkpoints_change_places_lose_none(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.parse(text(3, **NEXT_NOTE))
    run(recipe, corpus, folder, device="cpu")
    (folder / "checkpoint").rename(folder / "checkpoint.old")  # killed between the two moves

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("train.checkpoints.write_tensors", killed)
    with pytest.raises(Killed):
        save(folder, NoteTransformer(recipe.model), nn.Module(), torch.optim.AdamW([torch.ones(1)]), 3)
    monkeypatch.undo()
    model = NoteTransformer(recipe.model)
    assert restore(folder, model, nn.Module(), torch.optim.AdamW(model.parameters())) == 3


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").mkdir()
    with pytest.raises(OSError, match="cannot be written"):
        write_tensors({"a": torch.ones(1)}, tmp_path / "x.safetensors")


def test_a_damaged_checkpoint_is_told(corpus: Corpus, folder: Path) -> None:
    recipe = Recipe.parse(text(1, **NEXT_NOTE))
    run(recipe, corpus, folder, device="cpu")
    (folder / "checkpoint" / "weights.safetensors").write_bytes(b"junk")
    with pytest.raises(CorpusError, match=r"weights\.safetensors"):
        run(recipe, corpus, folder, device="cpu")


def test_weights_of_another_run_can_be_started_from(corpus: Corpus, tmp_path: Path) -> None:
    deeper = Recipe.parse(text(1, model={"layers": 2}, **NEXT_NOTE))
    first = run(deeper, corpus, tmp_path / "first", device="cpu")
    other = Recipe.parse(text(1, model={"projection": 8}, **CONTRAST))
    run(other, corpus, tmp_path / "second", start_from=first, device="cpu")
    wrong = Recipe.parse(text(1, model={"projection": 8, "width": 64}, **CONTRAST))
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
    "wrong",
    [
        "not toml [",
        "[objective]\nrows = 3",
        "[objective]\nname = 'next-note'\n[extra]",
        "[objective]\nname = 'next-note'\n[run]\nspeed = 3",
        "[objective]\nname = 'next-note'\n[run]\nprecision = 'int8'",
        "[objective]\nname = 'next-note'\n[run]\nsteps = 0",
        "[objective]\nname = 'next-note'\n[run]\nvalidate_every = 0",
        "objective = 5",
        "[objective]\nname = []",
        "[objective]\nname = 'next-note'\n[run]\nsteps = 1.5",
        "[objective]\nname = 'next-note'\n[run]\nsteps = true",
        "[objective]\nname = 'next-note'\n[run]\nseed = -1",
        "[objective]\nname = 'next-note'\n[run]\nlearning_rate = nan",
        "[objective]\nname = 'next-note'\n[run]\nweight_decay = 'x'",
        "[objective]\nname = 'next-note'\n[run]\nbeta1 = 2",
        "[objective]\nname = 'next-note'\n[run]\nbeta2 = 1",
        "[objective]\nname = 'next-note'\n[run]\nfloor = nan",
        "[objective]\nname = 'next-note'\n[run]\nsteps = " + "9" * 5000,
        "a = " + "[" * 100_000,
    ],
)
def test_recipes_that_do_not_fit_are_refused(wrong: str) -> None:
    with pytest.raises(CorpusError):
        Recipe.parse(wrong)


@pytest.mark.parametrize(
    ("objective", "wrong", "reason"),
    [
        ("next-note", {"rows": -1}, "rows must be a whole number"),
        ("next-note", {"rows": 10**15}, "rows must be a whole number"),
        ("next-note", {"length": 1}, "length 2 or more"),
        ("next-note", {"length": 1.5}, "length must be a whole number"),
        ("next-note", {"augment": {"transpose_most": -1}}, "transpose_most must be"),
        ("next-note", {"augment": {"velocity_most": 1000}}, "end at 127"),
        ("next-note", {"augment": {"tempo_most": 1e9}}, "tempo_most is a factor"),
        ("next-note", {"augment": {"jitter_most_s": 1e9}}, "end at 60 seconds"),
        ("next-note", {"augment": {"jitter": True}}, "jitter must be a number"),
        ("masked", {"rows": 0}, "rows is 1 or more"),
        ("masked", {"share": "half"}, "share must be a number"),
        ("masked", {"hardest": [0.1]}, "hardest must be a list of 2 numbers"),
        ("masked", {"masker": {"width": "wide"}}, "masker must be a table"),
        ("data2vec", {"span": 10**30}, "span must be a whole number"),
        ("hubert", {"teacher": 3}, "teacher must be text"),
        ("contrastive", {"near": "x"}, "near must be a number"),
        ("contrastive", {"versions": 2.0}, "are shares"),
        ("contrastive", {"longest": float("inf")}, "longest must be a whole number"),
    ],
)
def test_settings_of_objectives_are_checked(
    corpus: Corpus, objective: str, wrong: dict[str, object], reason: str
) -> None:
    with pytest.raises(CorpusError, match=reason):
        make_objective(objective, corpus, "train", wrong)


def test_the_shipped_recipes_can_be_read() -> None:
    folder = Path(__file__).resolve().parents[2] / "train" / "recipes"
    names = [path.stem for path in folder.glob("*.toml")]
    assert "pretrain" in names
    for name in names:
        if name == "ensemble":
            assert StagedRecipe.read(name).stages
        else:
            assert Recipe.read(name).run.steps > 0
    with pytest.raises(CorpusError, match="cannot be read"):
        Recipe.read("no-such-recipe")
