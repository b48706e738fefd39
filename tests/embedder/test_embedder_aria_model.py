"""Aria's weights: what the reference gave, one clear line for what does not fit, and where a model goes."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file

from embedder import Encoder, EncoderError
from embedder.aria import devices
from embedder.aria.devices import place
from embedder.aria.tokenizer import file_ids
from embedder.aria.weights import open_weights
from tests.support.aria_models import tiny_aria

CPU = [torch.device("cpu")]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_aria(tmp_path / "tiny.safetensors", embedding=16)


def altered(path: Path, name: str, change: Any) -> Path:
    tensors = load(path.read_bytes())
    tensors[name] = change(tensors[name])
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return path


def test_vectors_are_the_reference_s(aria_dir: Path, data_dir: Path) -> None:
    golden = np.load(aria_dir / "golden.npz")
    encoder = Encoder.load(aria_dir / "tiny-emb.safetensors", "cpu")
    few = [i for i in range(16) if len(golden[f"ids_{i}"]) < 6_500]
    vectors = encoder.embed_files([data_dir / str(golden["files"][i]) for i in few], unit=False)
    for i, vector in zip(few, vectors, strict=True):
        np.testing.assert_allclose(vector, golden[f"global_{i}"], atol=1e-5)


def test_logits_are_the_reference_s(aria_dir: Path, data_dir: Path) -> None:
    golden = np.load(aria_dir / "golden.npz")
    model = open_weights(aria_dir / "tiny-lm.safetensors").load(CPU, torch.float32)
    for i, name in enumerate(golden["files"]):
        ids = torch.from_numpy(file_ids(data_dir / str(name))[:256]).long()[None]
        with torch.inference_mode():
            logits = model.next_logits(model(ids)[0, -1]).numpy()
        np.testing.assert_allclose(logits, golden[f"logits_{i}"], atol=1e-5)


def test_size_is_read_off_the_tensors(weights: Path) -> None:
    file = open_weights(weights)
    assert (file.config.width, file.config.heads, file.config.layers) == (32, 4, 2)
    assert (file.config.hidden, file.config.vocabulary, file.config.embedding) == (128, 17_727, 16)
    assert file.parameters == sum(tensor.numel() for tensor in load(weights.read_bytes()).values())
    assert not file.config.language
    assert open_weights(weights, heads=2).config.heads == 2
    assert open_weights(weights, heads=2).digest() != file.digest()


def test_released_models_have_heads_of_64() -> None:
    from embedder.aria.transformer import MEDIUM, AriaTransformer
    from embedder.aria.weights import _inferred

    with torch.device("meta"):
        model = AriaTransformer(MEDIUM)
    assert sum(tensor.numel() for tensor in model.parameters()) == 632_096_256
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert _inferred(Path("x"), shapes, {}, None) == MEDIUM


def test_a_configuration_beside_the_weights_is_believed_where_it_fits(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    tiny_aria(folder / "model.safetensors", embedding=16)
    config = folder / "config.json"
    config.write_text(json.dumps({"d_model": 32, "n_heads": 8, "ff_mult": 4, "max_seq_len": 512}))
    assert open_weights(folder).config.heads == 8
    assert open_weights(folder).config.positions == 512
    for settings, reason in (
        ({"d_model": 64}, "width 32, its config.json says 64"),
        ({"n_layers": 3}, "layers 2, its config.json says 3"),
        ({"d_model": 32, "ff_mult": 2}, "hidden 128, its config.json says 64"),
        ({"n_heads": 3}, "3 heads do not divide a width of 32"),
        ({"n_heads": "4"}, "heads must be a positive whole number, not '4'"),
        ({"n_heads": True}, "heads must be a positive whole number, not True"),
        ({"vocab_size": 17_729}, "vocabulary 17727, its config.json says 17729"),
        ({"emb_size": 512}, "embedding 16, its config.json says 512"),
        ({"max_seq_len": 10**15}, "positions must be a whole number from 64"),
        ({"max_seq_len": 1}, "positions must be a whole number from 64"),
        ({"n_heads": 10**30}, "heads must be a whole number"),
        ({"d_model": 32, "ff_mult": "x"}, "hidden must be a positive whole number, not 'x'"),
    ):
        config.write_text(json.dumps(settings))
        with pytest.raises(EncoderError, match=reason):
            open_weights(folder)
    config.write_text(json.dumps({"max_seq_len": 512}))
    with pytest.raises(
        EncoderError, match=r"512 positions by its config\.json; an encoder reads up to 2,048"
    ):
        Encoder.load(folder, "cpu")
    for text in ("no json", "[]", "{", "[" * 100_000):
        config.write_text(text)
        with pytest.raises(EncoderError, match=r"config\.json cannot be read"):
            open_weights(folder)


def one_line(path: Path, **how: Any) -> str:
    with pytest.raises(EncoderError) as caught:
        Encoder.load(path, "cpu", **how)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_misfit_is_named(weights: Path) -> None:
    norm = "model.encode_layers.1.norm2.bias"
    altered(weights, norm, lambda tensor: tensor[:-1])
    assert f"{norm} has shape (31,), the others need (32,)" in one_line(weights)
    altered(weights, norm, lambda tensor: torch.full((32,), torch.nan))
    assert f"{norm} holds numbers that are not finite" in one_line(weights)
    tensors = load(weights.read_bytes())
    del tensors[norm]
    save_file(tensors, weights)
    assert f"lacks {norm}" in one_line(weights)
    save_file({**tensors, norm: torch.zeros(32), "extra": torch.zeros(1)}, weights)
    assert "holds extra, which is no part of Aria" in one_line(weights)
    del tensors["emb_head.weight"]
    save_file(tensors, weights)
    assert "neither emb_head.weight nor lm_head.weight" in one_line(weights)
    save_file({"something": torch.zeros(1)}, weights)
    assert "holds no weights of Aria" in one_line(weights)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("model.encode_layers.999999999.norm1.bias", torch.zeros(32), "lacks all of model.encode_layers.2"),
        ("model.encode_layers.5.norm1.bias", torch.zeros(32), "lacks all of model.encode_layers.2"),
        ("model.encode_layers.0.norm1.bias", torch.zeros(32, dtype=torch.int8), "holds I8, not floating"),
        (
            "model.encode_layers.0.norm1.bias",
            torch.zeros(32, dtype=torch.complex64),
            "holds C64, not floating",
        ),
        ("model.encode_layers.0.ff_gate_proj.weight", torch.zeros(()), "ff_gate_proj.weight has shape ()"),
        ("model.encode_layers.0.ff_gate_proj.weight", torch.zeros(128), "has shape (128,)"),
        ("emb_head.weight", torch.zeros(0, 32), "embedding must be a whole number from 1"),
        ("emb_head.weight", torch.zeros(16), "emb_head.weight has shape (16,)"),
        ("model.tok_embeddings.weight", torch.zeros(5, 32), "vocabulary must be a whole number from 17,727"),
        ("model.tok_embeddings.weight", torch.zeros(17_727, 0), "width must be a whole number from 1"),
    ],
)
def test_odd_tensors_are_named(weights: Path, name: str, tensor: torch.Tensor, reason: str) -> None:
    save_file({**load(weights.read_bytes()), name: tensor}, weights)
    assert reason in one_line(weights)


def test_a_header_that_begins_like_a_pickle_is_none(weights: Path) -> None:
    """The length of a header may begin with the byte that pickles begin with."""
    tensors = load(weights.read_bytes())
    for room in range(0, 260, 8):
        save_file(tensors, weights, metadata={"x": "x" * room})
        assert Encoder.load(weights, "cpu").dim == 16
        if weights.read_bytes()[:1] == b"\x80":
            return
    pytest.fail("no header had that length")


def test_damaged_files_are_one_line(weights: Path) -> None:
    sound = weights.read_bytes()
    for damage in (
        b"",
        sound[:5],
        sound[:1000],
        sound[:-1],
        b"\xff" * 100,
        struct.pack("<Q", 2**60) + sound[8:],
    ):
        weights.write_bytes(damage)
        assert "not a sound safetensors file" in one_line(weights)
    weights.write_bytes(pickle.dumps({"a": 1}))
    assert "pickle" in one_line(weights)
    torch.save({"a": torch.zeros(1)}, weights)
    assert "pickle" in one_line(weights)
    old = weights.with_suffix(".bin")
    torch.save({"a": torch.zeros(1)}, old)
    assert "safetensors only" in one_line(old)


def test_a_language_model_is_no_encoder(tmp_path: Path) -> None:
    path = tiny_aria(tmp_path / "lm.safetensors", language=True)
    assert "it is no encoder" in one_line(path)


def test_layers_may_be_spread(weights: Path) -> None:
    one = open_weights(weights).load(CPU, torch.float32)
    two = open_weights(weights).load(CPU * 2, torch.float32)
    ids = torch.arange(40)[None]
    ends = torch.tensor([39])
    with torch.inference_mode():
        torch.testing.assert_close(one.vectors(ids, ends), two.vectors(ids, ends))


def test_where_a_model_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place(1000, "cpu") == ([torch.device("cpu")], torch.float32)
    assert place(1000, "cpu", "bfloat16")[1] == torch.bfloat16
    assert place(1000, "cpu,cpu")[0] == [torch.device("cpu")] * 2
    monkeypatch.setattr(devices, "_memory", lambda device: 5000.0)
    assert place(1000, "cpu")[1] == torch.bfloat16  # 4,000 bytes are more than its share
    with pytest.raises(EncoderError, match="no precision 'float8'"):
        place(1000, "cpu", "float8")
    with pytest.raises(EncoderError, match="no device moon"):
        place(1000, "moon")


def test_gpus_are_used_as_memory_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(devices, "_memory", lambda device: 10_000.0)
    gpus = [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert place(1000) == (gpus[:1], torch.bfloat16)
    assert place(4000) == (gpus, torch.bfloat16)


def test_more_ids_than_positions_are_refused(weights: Path) -> None:
    model = open_weights(weights).load(CPU, torch.float32)
    with pytest.raises(ValueError, match="more than 8,192 ids"):
        model(torch.zeros(1, 8_193, dtype=torch.long))
