"""What a run leaves on disk: checkpoints to go on from, and finished weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from embedder.ensemble.model import EnsembleTransformer
from embedder.errors import CorpusError
from embedder.model import NoteTransformer
from embedder.tensors import write_tensors

from .files import replace_file

__all__ = ["export", "load_weights", "restore", "save"]

_READER = "reader."  # what a melody model calls the transformer without its heads,
_READS = ("embeddings.", "blocks.", "norm.")  # and what that consists of


def export(model: NoteTransformer | EnsembleTransformer, folder: Path, own: nn.Module | None = None) -> Path:
    """Write weights and model settings beside each other, and an objective's own weights if it has some;
    complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = _plain(model)
    if own is not None and (extra := _plain(own)):
        replace_file(folder / "objective.safetensors", lambda path: write_tensors(extra, path))
    settings = json.dumps(asdict(model.config), indent=1)
    replace_file(folder / "model.json", lambda path: path.write_text(settings))
    replace_file(folder / "model.safetensors", lambda path: write_tensors(weights, path))
    return folder


def _plain(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in module.state_dict().items()}


def load_weights(model: nn.Module, path: Path, *, to_finetune: bool = False) -> None:
    """Load a safetensors file.

    `to_finetune` leaves the contrastive projection as it is, which pretraining does not touch, and takes
    only the first blocks of a deeper model; of a melody model it takes the reader, all that fits.

    Raises
    ------
    CorpusError
        If the file cannot be read or a tensor does not fit.
    """
    try:
        weights = load_file(path)
        if to_finetune:
            own = model.state_dict()
            if read := {n.removeprefix(_READER): w for n, w in weights.items() if n.startswith(_READER)}:
                weights = {n: w for n, w in own.items() if not n.startswith(_READS)} | read
            weights = {n: w for n, w in weights.items() if n in own or not n.startswith("blocks.")}
            weights |= {name: own[name] for name in own if name.startswith("project.")}
        model.load_state_dict(weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path} does not hold weights of this model: {reason}") from None


def save(folder: Path, model: nn.Module, own: nn.Module, optimiser: torch.optim.AdamW, step: int) -> None:
    """A checkpoint is a folder that is moved into place whole, the one before kept until then."""
    fresh, kept, old = (folder / name for name in ("checkpoint.part", "checkpoint", "checkpoint.old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    replace_file(fresh / "weights.safetensors", lambda path: write_tensors(model.state_dict(), path))
    if own.state_dict():
        replace_file(fresh / "objective.safetensors", lambda path: write_tensors(own.state_dict(), path))
    state = optimiser.state_dict()["state"]
    moments = {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}
    replace_file(fresh / "optimiser.safetensors", lambda path: write_tensors(moments, path))
    replace_file(fresh / "progress.json", lambda path: path.write_text(json.dumps({"step": step})))
    if kept.exists():  # else the one before, after a kill between these moves, is all there is
        shutil.rmtree(old, ignore_errors=True)
        kept.replace(old)
    fresh.replace(kept)
    shutil.rmtree(old, ignore_errors=True)


def restore(folder: Path, model: nn.Module, own: nn.Module, optimiser: torch.optim.AdamW) -> int:
    """Load the last checkpoint, if there is one; the step to go on with.

    Raises
    ------
    CorpusError
        If it cannot be read.
    """
    for name in ("checkpoint", "checkpoint.old"):
        kept = folder / name
        if (kept / "progress.json").exists():
            break
    else:
        return 0
    load_weights(model, kept / "weights.safetensors")
    if own.state_dict():
        load_weights(own, kept / "objective.safetensors")
    try:
        moments = load_file(kept / "optimiser.safetensors")
        step = int(json.loads((kept / "progress.json").read_text())["step"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CorpusError(f"checkpoint {kept} cannot be read: {error}") from None
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, moment = key.split(".", 1)
        state.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return step
