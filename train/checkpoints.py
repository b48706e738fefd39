"""What training leaves on disk: checkpoints to resume from, finished weights, heads, whole encoders."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from embedder.checkpoint import EncoderConfig, EncoderModel, save_checkpoint
from embedder.core.errors import CorpusError
from embedder.core.files import atomic_write, replace_with
from embedder.ensemble.model import EnsembleTransformer
from embedder.features.projection import HandmadeHead
from embedder.tensor_files import write_tensors
from embedder.transformer import ModelConfig, NoteTransformer

__all__ = ["assemble", "export", "load_weights", "read_head", "restore", "save", "write_head"]

_READER = "reader."  # what a melody model calls the transformer without its heads,
_READS = ("embeddings.", "blocks.", "norm.")  # and what that consists of


def export(model: NoteTransformer | EnsembleTransformer, folder: Path, own: nn.Module | None = None) -> Path:
    """Write weights and model settings beside each other, and an objective's own weights if it has some;
    complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = _plain(model)
    if own is not None and (extra := _plain(own)):
        replace_with(folder / "objective.safetensors", lambda path: write_tensors(extra, path))
    settings = json.dumps(asdict(model.config), indent=1)
    atomic_write(folder / "model.json", settings)
    replace_with(folder / "model.safetensors", lambda path: write_tensors(weights, path))
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
    replace_with(fresh / "weights.safetensors", lambda path: write_tensors(model.state_dict(), path))
    if own.state_dict():
        replace_with(fresh / "objective.safetensors", lambda path: write_tensors(own.state_dict(), path))
    state = optimiser.state_dict()["state"]
    moments = {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}
    replace_with(fresh / "optimiser.safetensors", lambda path: write_tensors(moments, path))
    atomic_write(fresh / "progress.json", json.dumps({"step": step}))
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


def assemble(
    name: str,
    transformer: str | Path,
    head: HandmadeHead,
    folder: str | Path,
    *,
    card: str,
    weights: dict[str, float] | None = None,
    window: int = 256,
    context: int = 128,
) -> EncoderConfig:
    """Write the encoder `name` into `folder`.

    Parameters
    ----------
    transformer : folder that a run of the loop exported
    head : what `fit_head` gave
    card : text of the model card
    weights : share of each part in a vector; the configuration's defaults if None
    window, context : notes in a window at most; notes that the transformer reads at once at most

    Raises
    ------
    CorpusError
        If the transformer's folder cannot be read.
    """
    source = Path(transformer)
    try:
        model_config = ModelConfig.from_dict(json.loads((source / "model.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{source} is not the encoder folder of a finished run: {error}") from None
    config = EncoderConfig(
        name=name,
        window=window,
        context=context,
        model=model_config,
        identity=head.pattern_map.out_features,
        style=head.get_buffer("style_axes").shape[0] + head.taught,
        taught=head.taught,
        statistics=head.names,
    )
    if weights is not None:
        config = replace(config, weights=weights)
    model = EncoderModel(config)
    load_weights(model.transformer, source / "model.safetensors")
    model.handmade.load_state_dict(head.state_dict())
    save_checkpoint(model, folder, card)
    return config


def write_head(head: HandmadeHead, path: Path) -> None:
    """Write a head as a safetensors file with its sizes as metadata."""
    sizes = {
        "identity": str(head.pattern_map.out_features),
        "style": str(len(head.get_buffer("style_axes")) + head.taught),
        "taught": str(head.taught),
        "names": " ".join(head.names),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_with(path, lambda beside: write_tensors(head.state_dict(), beside, metadata=sizes))


def read_head(path: Path) -> HandmadeHead:
    """Read what `write_head` wrote.

    Raises
    ------
    CorpusError
        If the file cannot be read or is no head.
    """
    try:
        with safe_open(path, "pt") as file:
            sizes = file.metadata() or {}
            head = HandmadeHead(
                int(sizes["identity"]), int(sizes["style"]), int(sizes["taught"]), sizes["names"].split()
            )
            head.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path} is no fitted head: {reason}") from None
    return head.eval()
