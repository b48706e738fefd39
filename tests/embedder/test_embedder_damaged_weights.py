"""Weights and settings of every kind of model, damaged: one line names the first misfit, or they load."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save_file

from embedder import EncoderError
from tests.support.small_models import KINDS, write_small_models


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of every kind."""
    return write_small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(sound: Path, kind: str, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound / kind, tmp_path / "model"))


def refused(kind: str, model: Path) -> str:
    """The one line that refuses a model."""
    with pytest.raises(EncoderError) as caught:
        KINDS[kind][0](model)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < len(str(model)) + 250
    return line


def altered(model: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> str:
    """Change one tensor of the weights; its name."""
    weights = load((model / "model.safetensors").read_bytes())
    name = sorted(weights)[len(weights) // 2]
    save_file({**weights, name: change(weights[name]).contiguous()}, model / "model.safetensors")
    return name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensor: tensor.float().to(torch.float8_e4m3fn), "floating-point numbers of 16 bits up"),
        (lambda tensor: tensor.to(torch.bool), "floating-point numbers of 16 bits up"),
        (lambda tensor: tensor.double() * 0 + 1e300, "not finite"),  # but in 32 bits
        (lambda tensor: tensor * torch.inf, "not finite"),
        (lambda tensor: tensor[None], "has shape"),
    ],
)
def test_a_tensor_that_cannot_be_used_is_named(
    kind: str, model: Path, change: Callable[[torch.Tensor], torch.Tensor], reason: str
) -> None:
    name = altered(model, change)
    line = refused(kind, model)
    assert name in line
    assert reason in line


def test_what_is_missing_or_too_much_is_named(kind: str, model: Path) -> None:
    file = model / "model.safetensors"
    weights = load(file.read_bytes())
    save_file({**weights, "many\nlines" + "x" * 5_000: torch.zeros(1)}, file)
    assert "many lines" in refused(kind, model)
    save_file({name: tensor for name, tensor in weights.items() if name != min(weights)}, file)
    assert min(weights) in refused(kind, model)
    save_file({name: torch.zeros_like(tensor) for name, tensor in weights.items()}, file)
    assert "all its weights are zero" in refused(kind, model)  # as of a copy that was never finished
    file.unlink()
    assert "No such file" in refused(kind, model)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(kind: str, model: Path) -> None:
    for name in ("model.safetensors", KINDS[kind][1]):
        (model / name).unlink()
        os.mkfifo(model / name)
        assert "is no file" in refused(kind, model)


def test_what_is_no_safetensors_file_is_said(kind: str, model: Path) -> None:
    file = model / "model.safetensors"
    size = struct.unpack("<Q", file.read_bytes()[:8])[0]
    for data in (
        b"(dp0\n.",
        b"GGUF" + bytes(99),
        b"version https://git-lfs",
        struct.pack("<Q", 2**62) + b"{}",
    ):
        file.write_bytes(data)
        assert "not a sound safetensors file" in refused(kind, model)
    file.write_bytes(struct.pack("<Q", size) + b"[]")
    assert "does not begin as such files do" in refused(kind, model)


def test_settings_of_the_wrong_kind_are_named(kind: str, model: Path) -> None:
    file = model / KINDS[kind][1]
    settings = json.loads(file.read_text())
    sizes = next((settings[name] for name in ("model", "size") if name in settings), settings)
    name = "d_model" if kind == "aria" else "width"
    for wrong in ("256", None, [1], 2.5, float("nan"), 10**30, -1, {}):
        if wrong is None and kind == "aria":
            continue  # says nothing of it
        sizes[name] = wrong
        file.write_text(json.dumps(settings))
        assert "width" in refused(kind, model)
    if kind != "aria":  # whose configuration may say what midikin does not use
        del sizes[name]
        sizes["colour"] = "red"
        file.write_text(json.dumps(settings))
        assert "colour" in refused(kind, model)


def test_any_bit_may_turn(kind: str, model: Path) -> None:
    """A model that still fits is loaded; of any other, one line tells."""
    rng = random.Random(kind)
    for name in ("model.safetensors", KINDS[kind][1]):
        file, most = model / name, 2_000  # most of them in the header
        whole = file.read_bytes()
        lines = []
        for _ in range(60):
            damaged = bytearray(whole)
            for at in rng.sample(range(min(most, len(whole))), rng.choice([1, 1, 4])):
                damaged[at] ^= 1 << rng.randrange(8)
            file.write_bytes(damaged)
            try:
                KINDS[kind][0](model)
            except EncoderError as error:
                lines.append(str(error))
        assert lines
        assert not any("\n" in line for line in lines)
        file.write_bytes(whole)
        KINDS[kind][0](model)
