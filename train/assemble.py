"""Putting an encoder's folder together from a trained transformer and a fitted hand-made head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from embedder.checkpoint import EncoderConfig, EncoderModel, save_checkpoint
from embedder.errors import CorpusError
from embedder.heads import HandmadeHead
from embedder.model import ModelConfig

from .loop import load_weights

__all__ = ["assemble"]


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
