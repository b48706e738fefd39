"""Objectives: their batches and the arithmetic of their losses."""

import numpy as np
import pytest
import torch

from embedder import CorpusError
from embedder.tokens import ATTRIBUTES
from embedder.transformer import ModelConfig, NoteTransformer
from train.corpus import Corpus
from train.objectives import make_objective
from train.objectives.contrastive import Contrastive, nt_xent
from train.objectives.next_note import NextNote

SMALL = ModelConfig(width=32, layers=1, heads=2, hidden=64, positions=256, projection=16)


def test_nt_xent_is_what_its_definition_says() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(8, 5))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    losses, right = [], 0
    for i in range(8):
        partner = (i + 4) % 8
        others = [np.exp(unit[i] @ unit[j] / 0.1) for j in range(8) if j != i]
        losses.append(-np.log(np.exp(unit[i] @ unit[partner] / 0.1) / sum(others)))
        right += max((j for j in range(8) if j != i), key=lambda j: unit[i] @ unit[j]) == partner
    loss, accuracy = nt_xent(torch.from_numpy(vectors), 0.1)
    assert loss.item() == pytest.approx(np.mean(losses))
    assert accuracy == right / 8


def test_views_of_one_work_are_no_negatives() -> None:
    vectors = torch.eye(6)[[0, 1, 0, 0, 1, 2]] + 0.1
    works = torch.tensor([7, 8, 7, 7, 8, 7])
    same, _ = nt_xent(vectors, 0.1, works)
    every, _ = nt_xent(vectors, 0.1)
    assert same < every


def test_untrained_bits_are_near_those_of_chance(corpus: Corpus) -> None:
    torch.manual_seed(0)
    objective = NextNote(corpus, "train", rows=8, length=64)
    model = NoteTransformer(SMALL)
    for layer in model.next_out:
        torch.nn.init.zeros_(layer.weight)
    loss, numbers = objective.loss(model, objective.batch(np.random.default_rng(0)))
    chance = sum(np.log2(size) for size in ATTRIBUTES.values())
    assert numbers["bits"] == pytest.approx(chance, rel=0.01)
    assert loss.item() == pytest.approx(chance * np.log(2), rel=0.01)


def test_the_end_of_a_piece_is_predicted(corpus: Corpus) -> None:
    objective = NextNote(corpus, "train", rows=64, length=64)
    batch = objective.batch(np.random.default_rng(1))
    assert 0 < batch["ended"].sum() < 64


def test_a_batch_holds_a_work_once_a_view(corpus: Corpus) -> None:
    objective = Contrastive(corpus, "train", pairs=8, shortest=32, longest=64)
    batch = objective.batch(np.random.default_rng(0))
    works = batch["works"].tolist()
    assert works[:8] == works[8:]
    assert len(set(works[:8])) == 8
    assert batch["tokens"].shape[0] == 16
    assert (batch["lengths"] > 0).all()


def test_batches_have_few_widths(corpus: Corpus) -> None:
    settings = {"pairs": 3, "shortest": 20, "longest": 70}
    objective = make_objective("contrastive", corpus, "train", settings)
    batches = [objective.batch(np.random.default_rng(seed)) for seed in range(40)]
    assert {batch["tokens"].shape[1] for batch in batches} == {32, 48, 64, 70}
    for batch in batches:
        padded = torch.arange(batch["tokens"].shape[1]) >= batch["lengths"][:, None]
        assert not batch["tokens"][padded].any()


def test_versions_of_a_work_are_paired(corpus: Corpus) -> None:
    objective = Contrastive(corpus, "train", pairs=8, versions=1.0)
    assert {objective._version(0, np.random.default_rng(i)) for i in range(5)} == {1}
    assert objective._version(5, np.random.default_rng(0)) == 5


def test_unknown_objectives_and_settings_are_refused(corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="contrastive"):
        make_objective("guess", corpus, "train", {})
    with pytest.raises(CorpusError, match="colour"):
        make_objective("next-note", corpus, "train", {"colour": 1})
    with pytest.raises(CorpusError, match="fewer than two works"):
        make_objective("contrastive", corpus, "test", {})
