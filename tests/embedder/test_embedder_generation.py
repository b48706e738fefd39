"""Continuations: the draw, the cache, seeds and ends, from both kinds of models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save_file

from embedder import EncoderError, Notes, read_midi, write_midi
from embedder.aria import vocabulary as v
from embedder.generation.continuer import Continuer
from embedder.generation.language_model import load_language, save_language
from embedder.generation.sampling import Dice, Sampling
from embedder.tokens import ATTRIBUTES, END
from tests.support.aria_models import tiny_aria, tiny_language
from tests.support.fake_encoder import tune

KINDS = ("notes", "aria")


@pytest.fixture(scope="module")
def continuers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Continuer]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "notes": Continuer.load(tiny_language(folder / "lm", context=16), "cpu"),
        "aria": Continuer.load(tiny_aria(folder / "lm.safetensors", language=True), "cpu"),
    }


# -- the draw ---------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0.05, 1), st.floats(0, 0.9))
def test_what_is_left_out_is_the_unlikeliest(logits: list[float], top_p: float, min_p: float) -> None:
    plain = Sampling(1.0, 1.0, 0.0).probabilities(np.array(logits))
    chances = Sampling(1.0, top_p, min_p).probabilities(np.array(logits))
    assert chances.sum() == pytest.approx(1)
    kept = chances > 0
    assert kept[np.argmax(plain)]
    assert plain[kept].min() >= plain[~kept].max(initial=0) - 1e-12
    assert (plain[kept] >= min_p * plain.max() - 1e-12).all()
    np.testing.assert_allclose(chances[kept], plain[kept] / plain[kept].sum())


def test_top_p_keeps_just_enough() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    for top_p, count in ((0.4, 1), (0.5, 1), (0.6, 2), (0.9, 3), (0.96, 4), (1.0, 4)):
        assert np.count_nonzero(Sampling(1.0, top_p, 0.0).probabilities(logits)) == count


def test_temperature_sharpens_and_zero_takes_the_likeliest() -> None:
    logits = np.array([0.0, 1.0, 0.5])
    cold = Sampling(0.5, 1.0, 0.0).probabilities(logits)
    assert cold[1] > Sampling(1.0, 1.0, 0.0).probabilities(logits)[1]
    assert Sampling(0).probabilities(logits).tolist() == [0, 1, 0]


def test_draws_follow_the_probabilities() -> None:
    logits = np.log([0.1, 0.6, 0.3])
    dice = Dice(0, 1, Sampling(1.0, 1.0, 0.0))
    counts = np.bincount([dice.draw(0, logits) for _ in range(3000)], minlength=3)
    np.testing.assert_allclose(counts / 3000, [0.1, 0.6, 0.3], atol=0.03)


def test_what_is_not_allowed_is_never_drawn() -> None:
    dice = Dice(0, 1, Sampling(5.0, 1.0, 0.0))
    logits = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf])
    assert {dice.draw(0, logits) for _ in range(200)} == {1, 3}
    with pytest.raises(ValueError, match="no token is allowed"):
        dice.draw(0, np.full(3, -np.inf))


@pytest.mark.parametrize("how", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"min_p": 1}])
def test_numbers_out_of_range_are_refused(how: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="lies"):
        Sampling(**how)


# -- continuations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_changes_nothing(continuers: dict[str, Continuer], kind: str) -> None:
    prompt = tune(3, 40)
    begin = float(prompt.onset[-1]) + 0.5
    seconds = {"notes": 40.0, "aria": 0.5}[kind]
    cached = continuers[kind].continue_from(prompt, seconds, begin_s=begin, variations=2, seed=5)
    plain = continuers[kind].continue_from(prompt, seconds, begin_s=begin, variations=2, seed=5, cached=False)
    assert [one.notes for one in cached] == [one.notes for one in plain]
    assert sum(len(one.notes) for one in cached) > 16  # more than one window


@pytest.mark.parametrize("kind", KINDS)
def test_new_notes_lie_where_they_should(continuers: dict[str, Continuer], kind: str) -> None:
    prompt = tune(3, 40).shift(7.0)
    for wait in (0.0, 0.4, 9.3):
        begin = float(prompt.onset[-1]) + wait
        for one in continuers[kind].continue_from(prompt, 1, begin_s=begin, variations=2):
            assert len(one.notes) > 0
            assert one.notes.start_s >= begin - 1e-4
            assert one.notes.onset.max() < begin + 1 + 1e-4
            assert one.prompt == prompt
            assert len(one.whole) == len(prompt) + len(one.notes)
            assert one.whole.start_s == 0


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_and_variations(continuers: dict[str, Continuer], kind: str) -> None:
    prompt = tune(3, 20)
    three = continuers[kind].continue_from(prompt, 1, variations=3, seed=1)
    (first,) = continuers[kind].continue_from(prompt, 1, variations=1, seed=1)
    (other,) = continuers[kind].continue_from(prompt, 1, variations=1, seed=2)
    assert first.notes == three[0].notes
    assert first.notes != three[1].notes
    assert first.notes != other.notes


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(0, 3), length=st.integers(1, 30))
def test_every_continuation_is_a_playable_file(
    continuers: dict[str, Continuer], kind: str, seed: int, temperature: float, length: int
) -> None:
    sampling = Sampling(temperature, 1.0, 0.0)
    for one in continuers[kind].continue_from(tune(seed, length), 0.6, sampling=sampling, seed=seed):
        for notes in (one.whole, one.notes.from_zero()):
            assert read_midi(write_midi(notes)) == notes


def test_the_end_token_ends_a_piece_but_not_before_a_note(tmp_path: Path) -> None:
    folder = tiny_language(tmp_path / "lm", context=16)
    weights = load((folder / "model.safetensors").read_bytes())
    weights["next_out.0.bias"][END] = 50.0
    save_file(weights, folder / "model.safetensors")
    for one in Continuer.load(folder, "cpu").continue_from(tune(1, 20), 20, variations=3):
        assert one.ended
        assert len(one.notes) == 1


def test_aria_s_end_token_ends_a_piece(tmp_path: Path) -> None:
    path = tiny_aria(tmp_path / "lm.safetensors", language=True)
    weights = load(path.read_bytes())
    weights["model.out_layer_norm.bias"][:] = 1.0  # so that one row of the head can tip the scales
    weights["lm_head.weight"][v.END] = 5.0
    save_file(weights, path)
    for one in Continuer.load(path, "cpu").continue_from(tune(1, 20), 20, variations=3):
        assert one.ended
        assert len(one.notes) == 1


def test_a_model_that_never_moves_on_is_stopped(tmp_path: Path) -> None:
    folder = tiny_language(tmp_path / "lm", context=16)
    weights = load((folder / "model.safetensors").read_bytes())
    weights["next_out.0.bias"][0] = 50.0  # everything at once
    save_file(weights, folder / "model.safetensors")
    (one,) = Continuer.load(folder, "cpu").continue_from(tune(1, 20), 1)
    assert not one.ended
    assert 10 < len(one.notes) < 100


def test_prompts_longer_than_the_model_are_cut(tmp_path: Path) -> None:
    folder = tmp_path / "aria"
    folder.mkdir()
    tiny_aria(folder / "model.safetensors", language=True)
    (folder / "config.json").write_text(json.dumps({"n_heads": 4, "max_seq_len": 100}))
    prompt = tune(1, 200)
    (one,) = Continuer.load(folder, "cpu").continue_from(prompt, 60)
    assert 0 < len(one.notes) <= 33
    assert one.notes.start_s >= float(prompt.onset[-1])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda c: c.continue_from(Notes.empty(), 1), "no notes"),
        (lambda c: c.continue_from(tune(1, 5), 0), "from 0.1"),
        (lambda c: c.continue_from(tune(1, 5), float("nan")), "from 0.1"),
        (lambda c: c.continue_from(tune(1, 5), 1, variations=0), "variations"),
        (lambda c: c.continue_from(tune(1, 5), 1, begin_s=0.0), "last onset"),
        (lambda c: c.continue_from(tune(1, 5), 1, begin_s=float("inf")), "last onset"),
    ],
)
def test_what_makes_no_sense_is_refused(
    continuers: dict[str, Continuer], wrong: Callable[[Continuer], object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        wrong(continuers["notes"])


# -- models on disk ---------------------------------------------------------------------------------------


def test_a_run_is_shipped_in_half_the_size(tmp_path: Path) -> None:
    run = tiny_language(tmp_path / "run")
    save_language(run, tmp_path / "shipped", "A card.\n", context=32)
    shipped = load_language(tmp_path / "shipped", "cpu")
    assert shipped.context == 32
    assert (tmp_path / "shipped" / "MODEL_CARD.md").read_text() == "A card.\n"
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("run", "shipped")]
    assert sizes[1] < 0.6 * sizes[0]
    tokens = torch.randint(0, 32, (1, 9, len(ATTRIBUTES)))
    with torch.inference_mode():
        torch.testing.assert_close(
            shipped.model(tokens), load_language(run, "cpu").model(tokens), atol=0.05, rtol=0.05
        )


def test_language_models_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    folder = tiny_language(tmp_path / "lm")
    model = folder / "model.safetensors"
    weights, blob = load(model.read_bytes()), model.read_bytes()
    settings_ = json.loads((folder / "model.json").read_text())

    def refused(reason: str) -> None:
        with pytest.raises(EncoderError, match=reason) as caught:
            load_language(folder, "cpu")
        assert "\n" not in str(caught.value)

    for damage in (b"", blob[:100], blob[:-1]):
        model.write_bytes(damage)
        refused("is not a sound safetensors file")
    model.write_bytes(b"\x80\x04N.")
    refused("is a pickle, which may run code")
    save_file({**weights, "more": torch.zeros(1)}, model)
    refused(r"holds more, which model\.json has not")
    save_file({**weights, "norm.bias": weights["norm.bias"].int()}, model)
    refused(r"norm\.bias holds torch\.int32, not floating-point numbers")
    save_file({**weights, "norm.bias": weights["norm.bias"][1:]}, model)
    refused(r"norm\.bias has shape \(15,\), model\.json needs \(16,\)")
    save_file({**weights, "norm.bias": weights["norm.bias"] * torch.nan}, model)
    refused(r"norm\.bias holds numbers that are not finite")
    save_file({name: tensor for name, tensor in weights.items() if name != "norm.bias"}, model)
    refused(r"lacks norm\.bias")
    model.write_bytes(blob)
    for change, reason in (
        ({"width": 15}, "heads must divide"),
        ({"depth": 3}, "depth is none that midikin knows"),
        ({"layers": 2.0}, "layers must be a whole number"),
        ({"layers": 10**7}, "layers must be a whole number up to 1,000"),
        ({"width": 2**30}, "width must be a whole number up to"),
        ({"width": 2**20}, r"shape \(128, 16\), model\.json needs \(128, 1048576\)"),
        ({"rope_base": float("nan")}, "rope_base must be a positive number"),
        ({"context": 1}, "context must lie in"),
        ({"context": "many"}, "context must lie in"),
    ):
        (folder / "model.json").write_text(json.dumps({**settings_, **change}))
        refused(reason)
    for text in ("[]", "null", "[" * 100_000, "{"):
        (folder / "model.json").write_text(text)
        refused(r"model\.json cannot be read")
    (folder / "model.json").unlink()
    refused(r"model\.json cannot be read: No such file")
    with pytest.raises(EncoderError, match="no language model nowhere"):
        load_language("nowhere")


def test_an_encoder_cannot_continue(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot continue music"):
        Continuer.load(tiny_aria(tmp_path / "emb.safetensors", embedding=8))


def test_model_json_is_what_a_run_exports(tmp_path: Path) -> None:
    from train.loop import export

    language = load_language(tiny_language(tmp_path / "lm"), "cpu")
    export(language.model, tmp_path / "exported")
    assert asdict(load_language(tmp_path / "exported", "cpu").model.config) == asdict(language.model.config)
