"""Weights and settings on disk, made by whomever: read without running code, checked before they are used.

Whatever is wrong is an `EncoderError` of one line that names the first thing that does not fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .core.errors import EncoderError

__all__ = [
    "check_fit",
    "meant",
    "open_tensors",
    "read_settings",
    "read_tensors",
    "short",
    "unfilled",
    "write_tensors",
]

# What draws or fills first weights, of `torch.nn.init` and of tensors themselves.
FIRST_WEIGHTS = {"normal_", "uniform_", "kaiming_uniform_", "zeros_", "zero_", "ones_", "fill_"}
MOST_POSITIONS = 10_000_000
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
LONGEST_NAME = 100


def read_settings(file: Path, what: str) -> dict[str, Any]:
    """The JSON object of a file.

    Parameters
    ----------
    what : whose settings, as the message begins, like "encoder FOLDER"

    Raises
    ------
    EncoderError
    """
    if file.exists() and not file.is_file():
        raise EncoderError(f"{what}: {file.name} is no file")
    try:
        settings = json.loads(file.read_bytes())
    except OSError as error:
        raise EncoderError(f"{what}: {file.name} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise EncoderError(f"{what}: {file.name} cannot be read: it is no JSON") from None
    if not isinstance(settings, dict):
        raise EncoderError(f"{what}: {file.name} cannot be read: it holds no settings by name")
    return settings


def open_tensors(file: Path) -> Any:
    """A safetensors file, open to be looked at; nothing of it is in memory yet.

    Raises
    ------
    EncoderError
        If there is none, it is damaged, or it is a pickle.
    """
    if file.suffix in PICKLES:
        raise EncoderError(f"{file} may run code when read; midikin takes safetensors only")
    if file.exists() and not file.is_file():  # a folder, or a pipe, which would be waited for
        raise EncoderError(f"{file} is no file")
    try:
        with open(file, "rb") as start:
            begin = start.read(9)
        # A safetensors file begins with a length of eight bytes, which may look like a pickle's beginning,
        # and with the brace of its header.
        if begin[:4] == b"PK\x03\x04" or (begin[:1] == b"\x80" and begin[8:] != b"{"):
            raise EncoderError(f"{file} is a pickle, which may run code when read; midikin takes safetensors")
        if begin[8:] != b"{":
            found = "does not begin as such files do" if len(begin) > 8 else "ends within its header"
            raise EncoderError(f"{file} is not a sound safetensors file: it {found}")
        return safe_open(file, "pt")
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise EncoderError(f"{file} is not a sound safetensors file: {reason}") from None


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; errors as `open_tensors`."""
    with open_tensors(file) as tensors:
        try:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, RuntimeError) as error:
            raise EncoderError(f"{file} cannot be read: {str(error).partition(chr(10))[0]}") from None


def write_tensors(
    tensors: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises
    ------
    OSError
        If it cannot be written, as any file; safetensors has an error of its own for that.
    """
    try:
        save_file(dict(tensors), file, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as error:
        raise OSError(f"{file} cannot be written: {str(error).partition(chr(10))[0]}") from None
    file.chmod(0o644)  # safetensors writes for the owner alone


def meant(make: Callable[[], nn.Module], what: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of a model, by name; errors as `unfilled`."""
    return {name: tuple(tensor.shape) for name, tensor in unfilled(make, what).state_dict().items()}


def unfilled(make: Callable[[], nn.Module], what: str) -> nn.Module:
    """A model without the memory for its weights.

    Raises
    ------
    EncoderError
        If its settings make no model.
    """
    try:
        with torch.device("meta"), _NothingDrawn():
            return make()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise EncoderError(
            f"{what}: its settings make no model: {' '.join(str(error).split())[:200]}"
        ) from None


class _NothingDrawn(TorchFunctionMode):
    """Leaves out first weights, and makes angles where there is memory.

    On a device without memory torch does both by its decompositions, which load its compiler: 1.5 s.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in FIRST_WEIGHTS:
            return args[0] if args else kwargs["tensor"]
        if func is torch.arange:
            if max(args) > MOST_POSITIONS:
                raise ValueError(f"{max(args)} positions")
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


def check_fit(
    what: str,
    wanted: Mapping[str, tuple[int, ...]],
    weights: Mapping[str, Tensor],
    needs: str,
    unused: Iterable[str] = (),
) -> None:
    """Refuse weights that lack something, have another shape, are no finite numbers, or hold more.

    Parameters
    ----------
    wanted : shapes by name
    needs : the file that says so
    unused : names that may be there beside them

    Raises
    ------
    EncoderError
    """
    for name, shape in wanted.items():
        if name not in weights:
            raise EncoderError(f"{what}: model.safetensors lacks {name}")
        weight = weights[name]
        if tuple(weight.shape) != shape:
            raise EncoderError(f"{what}: {name} has shape {tuple(weight.shape)}, {needs} needs {shape}")
        if weight.dtype not in KINDS:
            raise EncoderError(
                f"{what}: {name} holds {weight.dtype}, not floating-point numbers of 16 bits up"
            )
        if not torch.isfinite(weight.float()).all():  # as what it will be used
            raise EncoderError(f"{what}: {name} holds numbers that are not finite")
    for name in weights:
        if name not in wanted and name not in unused:
            raise EncoderError(f"{what}: model.safetensors holds {short(name)}, which {needs} has not")
    if not any(weight.any() for weight in weights.values()):
        raise EncoderError(f"{what}: all its weights are zero")


def short(name: str) -> str:
    """A name from a file, no longer than a line."""
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "..."
