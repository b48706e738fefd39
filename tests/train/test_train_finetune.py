"""Finetuning: it learns, it stops, it never mixes works, and what it saves predicts the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file

from embedder import CorpusError, EncoderError, Notes, write_midi
from embedder.classifier import Classifier, StatisticsHead
from embedder.features.handcrafted import STATISTICS
from tests.support.aria_models import tiny_aria, tiny_language
from train.finetune import (
    Finetuned,
    FinetuneSettings,
    Labelled,
    _drop_by_depth,
    _fit_statistics,
    finetune,
    pretrained,
    read_labelled,
    split_by_work,
)

FAST = FinetuneSettings(epochs=6, patience=6, windows=2, learning_rate=3e-3, head_rate=1e-2, dropout=0.1)


def piece(label: str, seed: int, count: int = 60) -> Labelled:
    """High and short, or low and long."""
    rng = np.random.default_rng(seed)
    low, length = (40, 0.8) if label == "low" else (76, 0.1)
    onset = np.cumsum(rng.uniform(0.1, 0.4, count))
    notes = Notes(
        onset, np.full(count, length), low + rng.integers(0, 12, count), rng.integers(40, 90, count)
    )
    return Labelled(notes, label, f"{label} {seed // 2}")


PIECES = [piece(label, seed) for label in ("high", "low") for seed in range(10)]


@pytest.fixture(scope="module", params=["notes", "notes beside statistics", "aria"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finetuned:
    folder = tmp_path_factory.mktemp("weights")
    settings = replace(FAST, statistics="statistics" in request.param)
    if request.param == "aria":
        settings = replace(settings, pooling="last")
        weights = tiny_aria(folder / "base.safetensors", language=True)
    else:
        weights = tiny_language(folder / "lm", context=64)
    return finetune(pretrained(weights), *split_by_work(PIECES), settings)


def test_it_learns_what_is_easy(found: Finetuned) -> None:
    assert found.best.held_out_accuracy == 1
    trained = [epoch for epoch in found.epochs if epoch.number]
    assert trained[-1].loss < trained[0].loss
    fresh = [piece("low", 100).notes, piece("high", 101).notes]
    chances = found.classifier.predict(fresh)
    assert found.classifier.classes == ("high", "low")
    assert chances.argmax(1).tolist() == [1, 0]
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
    assert found.classifier.predict([]).shape == (0, 2)
    with pytest.raises(ValueError, match="without notes"):
        found.classifier.predict([Notes.empty()])


def test_what_is_saved_predicts_the_same(found: Finetuned, tmp_path: Path) -> None:
    found.classifier.save(tmp_path / "c", "A card.\n")
    again = Classifier.load(tmp_path / "c")
    pieces = [one.notes for one in PIECES[:4]]
    np.testing.assert_allclose(again.predict(pieces), found.classifier.predict(pieces), atol=1e-6)
    assert (tmp_path / "c" / "MODEL_CARD.md").read_text() == "A card.\n"
    assert not any("lm_head" in name for name in load((tmp_path / "c" / "model.safetensors").read_bytes()))


def test_a_classifier_that_does_not_fit_is_one_line(found: Finetuned, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    found.classifier.save(folder, "")
    tensors = load((folder / "model.safetensors").read_bytes())
    for change, reason in (
        ({"head.bias": torch.zeros(3)}, r"head\.bias has shape \(3,\), classifier\.json needs \(2,\)"),
        ({"head.bias": torch.full((2,), torch.nan)}, r"head\.bias holds numbers that are not finite"),
        ({"head.bias": torch.zeros(2, dtype=torch.int64)}, r"head\.bias holds torch\.int64"),
        ({"more": torch.zeros(1)}, r"holds more, which classifier\.json has not"),
        ({"head.bias": None}, r"lacks head\.bias"),
    ):
        altered = {name: tensor for name, tensor in {**tensors, **change}.items() if tensor is not None}
        save_file(altered, folder / "model.safetensors")
        with pytest.raises(EncoderError, match=reason):
            Classifier.load(folder)
    save_file(tensors, folder / "model.safetensors")
    settings = json.loads((folder / "classifier.json").read_text())
    for change, reason in (
        ({"window": 0}, "window must be a whole number"),
        ({"window": "many"}, "window must be a whole number"),
        ({"window": 10**9}, "window must be a whole number"),
        ({"classes": "ab"}, "classes must be a list of names"),
        ({"classes": [1, 2]}, "classes must be a list of names"),
        ({"classes": ["a", "a"]}, "have the same name"),
        ({"pooling": "max"}, "pooling mean or last"),
        ({"family": "brass"}, "no family 'brass'"),
        ({"size": None}, "size must name"),
        ({"statistics": "register"}, "statistics must be a list"),
        ({"statistics": ["brass"]}, "statistics must be a list"),
        ({"statistics": ["register"]}, "must begin with pitch_class"),
        ({"size": {**settings["size"], "layers": 10**7}}, "layers must be a whole number"),
    ):
        (folder / "classifier.json").write_text(json.dumps({**settings, **change}))
        with pytest.raises(EncoderError, match=reason):
            Classifier.load(folder)
    for text in ("{", "{}", '{"format": 2, "family": "notes"}', "[]", "[" * 100_000):
        (folder / "classifier.json").write_text(text)
        with pytest.raises(EncoderError, match="classifier"):
            Classifier.load(folder)


def test_a_piece_is_the_mean_of_its_windows_by_length(found: Finetuned) -> None:
    size = found.classifier.body.window
    long = piece("low", 7, size + 10).notes
    parts = found.classifier.windows(long)
    assert [len(part) for part in parts] == [size, 10]
    each = found.classifier.predict(parts)
    mean = (each[0] * size + each[1] * 10) / (size + 10)
    if found.classifier.beside is None:  # of a piece's part other statistics are true
        np.testing.assert_allclose(found.classifier.predict([long])[0], mean, atol=1e-6)


def test_it_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    body = pretrained(tiny_language(tmp_path / "lm"))
    wrong = [Labelled(one.notes, "low" if one.label == "high" else "high", one.work) for one in PIECES[:4]]
    settings = replace(FAST, epochs=30, patience=2, statistics=False)
    found = finetune(body, [*PIECES], [*wrong, PIECES[-1]], settings)
    assert found.epochs[-1].number == found.best.number + 2 < 30


def test_statistics_alone_are_epoch_nought_and_the_transformer_adds_to_them(tmp_path: Path) -> None:
    body = pretrained(tiny_language(tmp_path / "lm"))
    learn, validate = split_by_work(PIECES)
    wrong = [replace(one, label="low" if one.label == "high" else "high") for one in validate]
    alone = finetune(body, learn, wrong, replace(FAST, epochs=2))
    assert alone.best.number == 0  # validated on falsehoods, any learning is for the worse
    beside = alone.classifier.beside
    assert beside is not None
    said = beside(torch.from_numpy(beside.count([one.notes for one in validate])))
    assert [alone.classifier.classes[i] for i in said.argmax(1)] == [one.label for one in validate]
    np.testing.assert_allclose(
        alone.classifier.predict([one.notes for one in validate]), said.softmax(1).detach(), atol=1e-6
    )


def test_what_was_learned_from_is_judged_without_its_work() -> None:
    """Labels at random: a fit that had seen a piece would know its label, one that had not cannot."""
    rng = np.random.default_rng(0)
    names = rng.choice(["a", "b"], 40)
    random = [replace(piece("low", i), label=str(name), work=str(i)) for i, name in enumerate(names)]
    head = StatisticsHead(tuple(STATISTICS), 2)
    stacked = _fit_statistics(head, random, ["a", "b"]).argmax(1).numpy()
    fitted = head(torch.from_numpy(head.count([one.notes for one in random]))).argmax(1).numpy()
    true = np.array([["a", "b"].index(one.label) for one in random])
    assert (fitted == true).mean() > 0.9
    assert (stacked == true).mean() < 0.75


def test_statistics_of_two_works_a_label_are_enough(tmp_path: Path) -> None:
    body = pretrained(tiny_language(tmp_path / "lm"))
    few = [piece(label, seed) for label in ("high", "low") for seed in (0, 2)]
    found = finetune(body, *split_by_work(few), replace(FAST, epochs=1))
    assert np.isfinite(found.classifier.predict([few[0].notes])).all()


def test_dropout_grows_with_depth_and_rests_when_judging(tmp_path: Path) -> None:
    model = pretrained(tiny_language(tmp_path / "lm")).model
    hooks = _drop_by_depth(model, 0.5)
    assert len(hooks) == 2 * len(model.blocks)
    seen = []
    for block in model.blocks:
        block.down.weight.data.zero_()
        block.train()
        out = block.down(torch.zeros(1, 50, 32)) + 1
        assert (out == 1).all()  # nothing dropped is nothing
        block.down.weight.data.fill_(1)
        seen.append(float((block.down(torch.ones(4, 200, 32)) == 0).float().mean()))
        block.eval()
        assert (block.down(torch.ones(1, 50, 32)) != 0).all()
    np.testing.assert_allclose(seen, [0.25, 0.5], atol=0.05)


def test_works_stand_on_one_side() -> None:
    for seed in range(5):
        learn, validate = split_by_work(PIECES, 0.3, seed)
        assert not {one.work for one in learn} & {one.work for one in validate}
        assert {one.label for one in learn} == {one.label for one in validate} == {"high", "low"}
        assert len(learn) + len(validate) == len(PIECES)
    with pytest.raises(CorpusError, match="two labels"):
        split_by_work(PIECES[:5])
    with pytest.raises(CorpusError, match="one work only"):
        split_by_work([*PIECES, piece("middle", 0)])


def test_settings_and_labels_that_make_no_sense(tmp_path: Path) -> None:
    for wrong in (
        {"epochs": 0},
        {"dropout": 1.0},
        {"dropout": float("nan")},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"head_rate": float("inf")},
        {"pooling": "max"},
        {"seed": -1},
        {"seed": 2**80},
    ):
        with pytest.raises(CorpusError, match="finetuning"):
            FinetuneSettings(**wrong)
    body = pretrained(tiny_language(tmp_path / "lm"))
    with pytest.raises(CorpusError, match="nothing is learned of 'middle'"):
        finetune(body, PIECES, [piece("middle", 1)])
    with pytest.raises(CorpusError, match="no pieces to validate on"):
        finetune(body, PIECES, [])


def test_weights_that_explode_are_an_error_and_not_a_classifier(tmp_path: Path) -> None:
    body = pretrained(tiny_language(tmp_path / "lm"))
    with pytest.raises(CorpusError, match="lower the learning rate"):
        finetune(body, PIECES, PIECES, replace(FAST, learning_rate=1e30, statistics=False))
    with pytest.raises(EncoderError, match="no device"):
        pretrained(tmp_path / "lm", device="meta")


def test_a_classifier_is_written_to_a_new_folder(found: Finetuned, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "model.safetensors").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(EncoderError, match="is there already"):
            found.classifier.save(tmp_path / name, "")
    assert (tmp_path / "full" / "model.safetensors").read_text() == "mine"


def test_an_answer_that_is_no_number_is_an_error(found: Finetuned, tmp_path: Path) -> None:
    found.classifier.save(tmp_path / "c", "")
    weights = tmp_path / "c" / "model.safetensors"
    tensors = load(weights.read_bytes())
    save_file({**tensors, "head.weight": torch.full_like(tensors["head.weight"], 3e38)}, weights)
    with pytest.raises(EncoderError, match="no number"):
        Classifier.load(tmp_path / "c").predict([piece("low", 3).notes])
    if found.classifier.beside is not None:
        save_file({**tensors, "beside.spread": torch.zeros_like(tensors["beside.spread"])}, weights)
        with pytest.raises(EncoderError, match="not positive"):
            Classifier.load(tmp_path / "c")


def test_labels_come_from_a_file(tmp_path: Path) -> None:
    for seed in range(3):
        write_midi(piece("low", seed).notes, tmp_path / f"{seed}.mid")
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,mood,title\n0.mid,calm,A\n1.mid,wild,\n2.mid,,C\ngone.mid,calm,B\n", encoding="utf-8-sig"
    )
    pieces, left_out = read_labelled(labels, "mood", work="title")
    assert [(one.label, one.work == "A") for one in pieces] == [("calm", True), ("wild", False)]
    assert len(left_out) == 1
    assert "gone.mid" in left_out[0]
    for column, work, reason in (("tempo", None, "no column 'tempo'"), ("mood", "opus", "no column 'opus'")):
        with pytest.raises(CorpusError, match=reason):
            read_labelled(labels, column, work=work)
    labels.write_text("file,mood\ngone.mid,calm\n")
    with pytest.raises(CorpusError, match=r"labels no piece that can be read under .*--folder.*gone"):
        read_labelled(labels, "mood")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_labelled(tmp_path / "none.csv", "mood")
