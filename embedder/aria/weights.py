"""Loading Aria's weights: from one safetensors file, with the size read off the tensors.

A file does not say how many heads there are. A `config.json` beside it may (`n_heads`); else heads have 64
numbers each, as in all released models, and models narrower than 256 have 4 heads.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError

from ..checkpoint import shipped_encoders
from ..core.errors import EncoderError
from ..tensor_files import meant, open_tensors, read_settings, short, unfilled
from .hub import OWNER
from .transformer import AriaConfig, AriaTransformer

__all__ = ["AriaFile", "is_aria", "open_weights"]

EMBEDDINGS = "model.tok_embeddings.weight"
HEAD_SIZE, NARROW, HEADS_OF_NARROW = 64, 256, 4
_LAYER = re.compile(r"model\.encode_layers\.(\d+)\.")
# What a configuration may say, by the names of the reference and of the hub.
_SAID = {
    "width": ("d_model", "hidden_size"),
    "heads": ("n_heads", "num_attention_heads"),
    "layers": ("n_layers", "num_hidden_layers"),
    "hidden": ("intermediate_size",),
    "positions": ("max_seq_len", "max_position_embeddings"),
    "vocabulary": ("vocab_size",),
    "embedding": ("emb_size", "embedding_size"),
}
READ_AT_ONCE = 2**24
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class AriaFile:
    """Weights whose names and shapes fit; nothing is in memory yet.

    Attributes
    ----------
    path : the safetensors file
    config : size of the model
    """

    path: Path
    config: AriaConfig

    @property
    def parameters(self) -> int:
        """How many numbers the file holds."""
        with open_tensors(self.path) as tensors:
            return sum(_size(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118

    def digest(self) -> str:
        """12 hexadecimal digits that stand for the weights and the size."""
        digest = hashlib.sha256(repr(self.config).encode())
        with open(self.path, "rb") as file:
            while part := file.read(READ_AT_ONCE):
                digest.update(part)
        return digest.hexdigest()[:12]

    def load(self, devices: list[torch.device], dtype: torch.dtype) -> AriaTransformer:
        """The model on its devices, tensor by tensor, so that no second copy is held.

        Raises
        ------
        EncoderError
            If the file cannot be read, or a device has no room.
        """
        model = cast("AriaTransformer", unfilled(lambda: AriaTransformer(self.config), str(self.path)))
        layers, silent = self.config.layers, True
        try:
            with open_tensors(self.path) as tensors:
                for name in model.state_dict():
                    match = _LAYER.match(name)
                    at = int(match[1]) * len(devices) // layers if match else -1
                    device = devices[0] if name == EMBEDDINGS else devices[at]
                    weight = tensors.get_tensor(name).to(device, dtype, copy=True)  # not a view of the file
                    if not torch.isfinite(weight).all():
                        raise EncoderError(f"{self.path}: {name} holds numbers that are not finite")
                    silent = silent and not weight.any()
                    model.load_state_dict({name: weight}, strict=False, assign=True)
        except (RuntimeError, MemoryError, SafetensorError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise EncoderError(f"{self.path} cannot be loaded: {reason}") from None
        if silent:
            raise EncoderError(f"{self.path}: all its weights are zero")
        return model.eval().requires_grad_(False)


def open_weights(path: str | Path, heads: int | None = None) -> AriaFile:
    """Look at a safetensors file, or at a folder with `model.safetensors`.

    Parameters
    ----------
    heads : attention heads, where neither a `config.json` nor the rule of this module is right

    Raises
    ------
    EncoderError
        Naming the first thing that is missing or does not fit.
    """
    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    config_file = file.with_name("config.json")
    said = _configuration(config_file) if config_file.is_file() else {}
    with open_tensors(file) as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
        shapes = {name: tuple(one.get_shape()) for name, one in slices.items()}
        kinds = {name: one.get_dtype() for name, one in slices.items()}
    config = _inferred(file, shapes, said, heads)
    wanted = meant(lambda: AriaTransformer(config), str(file))
    for name, shape in wanted.items():
        if name not in shapes:
            raise EncoderError(f"{file} lacks {name}")
        if shapes[name] != shape:
            raise EncoderError(f"{file}: {name} has shape {shapes[name]}, the others need {shape}")
        if kinds[name] not in FLOATS:
            raise EncoderError(
                f"{file}: {name} holds {kinds[name]}, not floating-point numbers of 16 bits up"
            )
    for name in shapes:
        if name not in wanted:
            raise EncoderError(f"{file} holds {short(name)}, which is no part of Aria")
    return AriaFile(file, config)


def is_aria(name_or_path: str | Path) -> bool:
    """Whether an encoder's name means Aria: a released model, a file of weights, or a folder with them."""
    if str(name_or_path).startswith(OWNER):
        return True
    path = Path(name_or_path)
    if str(name_or_path) in shipped_encoders() or not path.exists():
        return False
    if path.is_file():
        return True
    if (path / "model.json").exists():  # which stands beside the weights of a training run
        return False
    if not (path / "config.json").exists():
        return (path / "model.safetensors").is_file()
    if not (path / "config.json").is_file():
        return False
    try:
        settings = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and any(name in settings for names in _SAID.values() for name in names)


def _configuration(file: Path) -> dict[str, int]:
    """What a `config.json` says of the size, by midikin's names; EncoderError if it cannot be read."""
    settings = read_settings(file, str(file.parent))
    said = {
        ours: settings[name]
        for ours, names in _SAID.items()
        for name in names
        if settings.get(name) is not None
    }
    times = settings.get("ff_mult")
    if times is not None and isinstance(said.get("width"), int):
        said["hidden"] = times * said["width"] if isinstance(times, int) else times
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise EncoderError(f"{file}: {name} must be a positive whole number, not {value!r}")
    return said


def _inferred(
    file: Path, shapes: dict[str, tuple[int, ...]], said: dict[str, int], heads: int | None
) -> AriaConfig:
    """Size by the shapes of a few tensors, checked against what is said of it."""
    layers = {int(match[1]) for name in shapes if (match := _LAYER.match(name))}
    if len(shapes.get(EMBEDDINGS, ())) != 2 or not layers:
        raise EncoderError(f"{file} holds no weights of Aria: it lacks {EMBEDDINGS}, or layers")
    if len(layers) <= max(layers):
        gone = next(number for number in range(len(layers) + 1) if number not in layers)
        raise EncoderError(f"{file} lacks all of model.encode_layers.{gone}")
    vocabulary, width = shapes[EMBEDDINGS]
    gate = shapes.get("model.encode_layers.0.ff_gate_proj.weight") or (4 * width,)
    embedding = shapes.get("emb_head.weight")
    found: dict[str, int | None] = {
        "width": width,
        "layers": max(layers) + 1,
        "hidden": gate[0],
        "vocabulary": vocabulary,
        "embedding": embedding[0] if embedding else None,
    }
    for name, number in found.items():
        if name in said and number is not None and said[name] != number:
            raise EncoderError(f"{file} has {name} {number}, its config.json says {said[name]}")
    heads = heads or said.get("heads") or (HEADS_OF_NARROW if width < NARROW else width // HEAD_SIZE)
    if embedding is None and "lm_head.weight" not in shapes:
        raise EncoderError(f"{file} has neither emb_head.weight nor lm_head.weight")
    try:
        return AriaConfig(
            width=width,
            heads=heads,
            layers=max(layers) + 1,
            hidden=gate[0],
            vocabulary=vocabulary,
            positions=said.get("positions", AriaConfig.positions),
            embedding=found["embedding"],
            language="lm_head.weight" in shapes,
        )
    except EncoderError as error:
        raise EncoderError(f"{file}: {error}") from None


def _size(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
