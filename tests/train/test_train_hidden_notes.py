"""Objectives that hide notes: they learn, continue to the bit, reach what they should and do not collapse."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from embedder import CorpusError
from embedder.transformer import ModelConfig, NoteTransformer
from tests.support.small_recipes import check_killed_run, recipe_text
from train.corpus import Corpus
from train.loop import run
from train.objectives import equip, make_objective
from train.objectives.hubert import window_numbers
from train.objectives.masked import Masker, masker_loss, pick
from train.objectives.masking import spans
from train.recipe import Recipe

SMALL = ModelConfig(width=32, layers=2, heads=2, hidden=64, positions=256, projection=16, causal=False)
SLICES = {"rows": 8, "length": 32}
MASKER = {"width": 16, "layers": 1, "heads": 2}
SETTINGS = {
    "masked": ("masked", {"share": 0.2}),
    "attributes": ("masked", {"share": 0.2, "together": False}),
    "adversarial": ("masked", {"share": 0.2, "masker": MASKER}),
    "data2vec": ("data2vec", {"top": 1, "span": 2, "momentum_first": 0.9, "momentum_last": 0.95}),
    "hubert": ("hubert", {"clusters": 8, "window": 4, "span": 4}),
}


def recipe(kind: str, steps: int, **more: object) -> Recipe:
    name, settings = SETTINGS[kind]
    run = {"steps": steps, "learning_rate": 3e-3, "validate_every": 100}
    model = {"layers": 2, "causal": False}
    return Recipe.parse(recipe_text(name, run=run, model=model, **{**SLICES, **settings, **more}))


def numbers(folder: Path, name: str) -> list[float]:
    with open(folder / "log.csv", newline="") as file:
        return [float(value) for _, column, value in csv.reader(file) if column == name]


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_killed_run_continues_to_the_same_weights(corpus: Corpus, tmp_path: Path, kind: str) -> None:
    weights = ("model.safetensors", "objective.safetensors")
    check_killed_run(recipe(kind, 6), corpus, tmp_path, at=4, weights=weights)


@pytest.mark.parametrize(
    ("kind", "name", "falls_by"),
    [
        ("masked", "bits", 3.0),
        ("attributes", "bits", 3.0),
        ("adversarial", "bits", 3.0),
        ("data2vec", "loss", 0.1),
        ("hubert", "bits", 0.2),
    ],
)
def test_the_loss_falls_and_nothing_collapses(
    corpus: Corpus, folder: Path, kind: str, name: str, falls_by: float
) -> None:
    run(recipe(kind, 40), corpus, folder, device="cpu")
    values = numbers(folder, name)
    assert sum(values[-5:]) / 5 < values[0] - falls_by
    assert min(numbers(folder, "spread")) > 0.2
    if kind == "data2vec":
        assert min(numbers(folder, "target_spread")) > 0.2
        assert np.mean(numbers(folder, "explained")[-5:]) > 0  # the notes are random: little can be told


@pytest.mark.parametrize("kind", SETTINGS)
def test_gradients_reach_what_learns_and_nothing_else(corpus: Corpus, kind: str) -> None:
    torch.manual_seed(0)
    name, settings = SETTINGS[kind]
    objective = make_objective(name, corpus, "train", {**SLICES, **settings})
    model = NoteTransformer(SMALL)
    own = equip(model, objective)
    for parameter in (p for m in (model, own) for p in m.parameters()):
        if not parameter.abs().sum():  # blocks and masks begin at zero
            torch.nn.init.normal_(parameter, std=0.1)
    loss, _ = objective.loss(model, objective.batch(np.random.default_rng(0)))
    loss.backward()
    heads = ("next_hidden", "known", "next_out", "project")
    for key, parameter in model.named_parameters():
        assert (parameter.grad is None) == key.startswith(heads), key
    for key, parameter in own.named_parameters():
        learns = not key.startswith("teacher.")
        assert (parameter.grad is not None and bool(parameter.grad.abs().sum())) == learns, key


def test_hidden_notes_are_out_of_sight(corpus: Corpus) -> None:
    torch.manual_seed(0)
    objective = make_objective("masked", corpus, "train", {**SLICES, "kept": 0.0})
    model = NoteTransformer(SMALL)
    equip(model, objective)
    batch = objective.batch(np.random.default_rng(0))
    other = batch["tokens"].clone()
    other[batch["masked"]] = (other[batch["masked"]] + 1) % 32
    inputs = [
        objective._inputs(model, tokens, batch["masked"])  # type: ignore[attr-defined]
        for tokens in (batch["tokens"], other)
    ]
    assert torch.equal(*inputs)
    assert not torch.equal(model.embed(batch["tokens"]), model.embed(other))


def test_spans_cover_the_share_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    for span in (1, 5):
        covered = spans((200, 500), 0.4, span, rng)
        assert covered.mean() == pytest.approx(0.4, abs=0.02)
    runs = np.diff(np.flatnonzero(np.diff(np.pad(covered.astype(int), ((0, 0), (1, 1))).ravel())))[::2]
    assert runs.min() >= 1
    assert np.median(runs) >= 5


def test_the_hardest_notes_leave_the_pool() -> None:
    torch.manual_seed(0)
    scores = torch.arange(20.0).repeat(400, 1) / 5
    lengths = torch.full((400,), 20)
    hidden, asked = pick(scores, torch.rand(400, 20), lengths, 0.2, torch.tensor(0.25))
    assert not asked[:, 15:].any()  # the five with the highest scores
    assert (asked.sum(1) == 4).all()
    assert asked[:, 10:15].float().mean() > 2 * asked[:, :5].float().mean()
    assert hidden[:, 15:].float().mean() == pytest.approx(0.2, abs=0.05)
    short, _ = pick(scores, torch.rand(400, 20), torch.full((400,), 3), 0.5, torch.tensor(0.0))
    assert not short[:, 3:].any()


def test_the_masker_learns_which_notes_are_hard() -> None:
    torch.manual_seed(0)
    masker = Masker(16, 1, 2)
    tokens = torch.randint(0, 32, (16, 24, 4), dtype=torch.uint8)
    lengths = torch.full((16,), 24)
    hard = tokens[..., 1] % 2 == 1  # notes of odd pitch cost more
    optimiser = torch.optim.AdamW(masker.parameters(), lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        masker_loss(masker(tokens, lengths), 1.0 + hard, torch.ones_like(hard)).backward()
        optimiser.step()
    scores = masker(tokens, lengths)
    assert scores[hard].mean() > scores[~hard].mean() + 1


def test_the_teacher_follows_the_model(corpus: Corpus) -> None:
    objective = make_objective("data2vec", corpus, "train", {**SLICES, "momentum_first": 0.5})
    model = NoteTransformer(SMALL)
    own = equip(model, objective)
    before = own.teacher.norm.bias.clone()
    with torch.no_grad():
        model.norm.bias += 1
    objective.after_step(model, 0.0)  # type: ignore[attr-defined]
    assert torch.allclose(own.teacher.norm.bias, before + 0.5)


def test_a_second_round_takes_the_layers_of_the_first(corpus: Corpus, tmp_path: Path) -> None:
    first = run(recipe("hubert", 2), corpus, tmp_path / "first", device="cpu")
    second = recipe("hubert", 2, teacher=str(first), layer=2)
    run(second, corpus, tmp_path / "second", device="cpu")
    assert numbers(tmp_path / "second", "target_bits")[-1] > 0.5
    with pytest.raises(CorpusError, match="2 layers, not 3"):
        run(recipe("hubert", 2, teacher=str(first), layer=3), corpus, tmp_path / "third", device="cpu")
    with pytest.raises(CorpusError, match="no finished weights"):
        run(recipe("hubert", 2, teacher=str(tmp_path)), corpus, tmp_path / "fourth", device="cpu")


def test_windows_are_described_where_there_are_notes() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 32, (3, 10, 4)).astype(np.uint8)
    made = window_numbers(tokens, np.array([10, 4, 5]), 4)
    assert made.shape[:2] == (3, 3)
    assert (np.abs(made).sum(-1) > 0).tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    again = window_numbers(tokens[:, 4:8], np.array([4, 4, 4]), 4)
    assert np.isfinite(again).all()


def test_settings_that_do_not_fit_are_refused(corpus: Corpus) -> None:
    for name, settings, words in (
        ("masked", {"share": 1.0}, "share lies"),
        ("masked", {"masker": MASKER, "together": False}, "whole notes"),
        ("masked", {"masker": {"colour": 1}, **SLICES}, "settings of the masker"),
        ("masked", {"hardest": (0.5, 0.2)}, "hardest"),
        ("data2vec", {"momentum_last": 1.5}, "momentum"),
        ("hubert", {"clusters": 1}, "clusters"),
        ("hubert", {"clusters": 100_000, **SLICES}, "too few"),
    ):
        with pytest.raises(CorpusError, match=words):
            equip(NoteTransformer(SMALL), make_objective(name, corpus, "train", settings))
    causal = NoteTransformer(ModelConfig(width=32, layers=1, heads=2, hidden=64))
    with pytest.raises(CorpusError, match="causal = false"):
        equip(causal, make_objective("masked", corpus, "train", SLICES))
    plain = make_objective("next-note", corpus, "train", SLICES)
    batch = plain.batch(np.random.default_rng(0))
    with pytest.raises(CorpusError, match="causal = true"):
        plain.loss(NoteTransformer(SMALL), batch)
