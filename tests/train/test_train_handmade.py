"""The hand-made head: it learns to tell works apart, and an encoder can be put together from it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from embedder import CorpusError, Encoder
from embedder.features.handcrafted import PLAIN
from embedder.features.projection import HandmadeHead
from tests.support.small_recipes import recipe_text
from tests.train.conftest import random_piece
from train.checkpoints import assemble, read_head, write_head
from train.corpus import Corpus
from train.evaluation.systems import BASELINES, Baselines
from train.features_head import CountedCorpus, count_corpus, fit_head, vary
from train.loop import run
from train.recipe import Recipe


@pytest.fixture(scope="module")
def counted(corpus: Corpus) -> CountedCorpus:
    return count_corpus(corpus, "train", variants=3)


def test_every_variant_of_every_piece_is_counted(counted: CountedCorpus) -> None:
    assert [len(variants) for variants in counted.ranges] == [3] * 9
    assert counted.ranges[0][0] == (0, 5)
    assert counted.ranges[-1][-1][1] == len(counted.statistic) == len(counted.ends) - 1
    assert counted.pattern(0, 5).sum() == counted.counts[: counted.ends[5]].sum()


def test_alterations_leave_enough_notes() -> None:
    rng = np.random.default_rng(0)
    sizes = [len(vary(random_piece(1, 40), rng)) for _ in range(200)]
    assert min(sizes) >= 20
    assert len(set(sizes)) > 5


def test_fitting_brings_alterations_of_a_piece_together(counted: CountedCorpus) -> None:
    rights = []
    fit_head(
        counted,
        identity=16,
        style=4,
        taught=0,
        steps=40,
        pairs=8,
        on_progress=lambda step, loss, right: rights.append(right),
    )
    assert np.mean(rights[-10:]) > np.mean(rights[:3]) or np.mean(rights[-10:]) > 0.95
    assert np.mean(rights[-10:]) > 0.5  # chance is one in fifteen


def test_an_encoder_is_put_together(corpus: Corpus, counted: CountedCorpus, tmp_path: Path) -> None:
    exported = run(
        Recipe.parse(recipe_text("next-note", run={"steps": 1}, rows=4, length=32)),
        corpus,
        tmp_path / "run",
        device="cpu",
    )
    head = fit_head(counted, identity=16, style=4, taught=0, steps=2, pairs=4)
    shares = {"learned": 0.5, "identity": 0.25, "style": 0.25}
    assemble("mine", exported, head, tmp_path / "mine", card="# mine\n", weights=shares)
    encoder = Encoder.load(tmp_path / "mine", device="cpu")
    assert encoder.name == "mine"
    assert encoder.dim == 16 + 16 + 4
    assert encoder.config.weights == shares
    assert encoder.embed([random_piece(3)]).pieces.shape == (1, 36)
    with pytest.raises(CorpusError, match="not the encoder folder"):
        assemble("mine", tmp_path, head, tmp_path / "other", card="")


def test_baselines_find_an_altered_piece() -> None:
    pieces = [random_piece(seed) for seed in range(6)]
    baselines = Baselines(pieces)
    gallery = baselines.vectors(pieces)
    queries = baselines.vectors([piece.transpose(3).stretch(1.1) for piece in pieces])
    assert tuple(gallery) == BASELINES
    for name in ("n-grams", "both"):
        assert (queries[name] @ gallery[name].T).argmax(1).tolist() == list(range(6))


def test_a_head_is_kept_and_continued(counted: CountedCorpus, tmp_path: Path) -> None:
    head = fit_head(counted, identity=16, style=6, taught=0, steps=2, pairs=4)
    write_head(head, tmp_path / "head.safetensors")
    found = read_head(tmp_path / "head.safetensors")
    assert found.names == head.names
    assert all(
        torch.equal(a, b)
        for a, b in zip(found.state_dict().values(), head.state_dict().values(), strict=True)
    )
    older = HandmadeHead(16, 6, 0, PLAIN)
    begun = fit_head(counted, identity=16, style=6, taught=0, steps=0, start_from=older.state_dict())
    plain = older.statistic_map.weight.shape[1]
    assert torch.equal(begun.statistic_map.weight[:, :plain], older.statistic_map.weight)
    assert not begun.statistic_map.weight[:, plain:].any()
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(CorpusError, match="no fitted head"):
        read_head(tmp_path / "junk.safetensors")
