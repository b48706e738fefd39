"""Putting an encoder's folder together from a trained transformer and a fitted hand-made head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from embedder.checkpoint import EncoderConfig, EncoderModel, save_checkpoint
from embedder.core.errors import CorpusError
from embedder.features.projection import HandmadeHead
from embedder.tensor_files import write_tensors
from embedder.transformer import ModelConfig

from .atomic_files import replace_file
from .checkpoints import load_weights

__all__ = ["assemble", "read_head", "write_head"]


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
    window, context : most notes in a window; most that the transformer reads at once

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
    """Keep a head as a safetensors file that says its sizes."""
    sizes = {
        "identity": str(head.pattern_map.out_features),
        "style": str(len(head.get_buffer("style_axes")) + head.taught),
        "taught": str(head.taught),
        "names": " ".join(head.names),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda beside: write_tensors(head.state_dict(), beside, metadata=sizes))


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
