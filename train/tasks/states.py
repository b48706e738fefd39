"""Vectors from the states of a transformer, layer by layer, as a run of any objective leaves it.

A piece's vector is the mean and the standard deviation of its notes' states, read in windows: no head and no
hand-made part, so that objectives are compared and nothing else. Vectors are standardised over the pieces.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embedder.core.errors import CorpusError, EncoderError
from embedder.encoder import window_ranges
from embedder.notes import Notes
from embedder.tokens import ATTRIBUTES, to_tokens
from embedder.transformer import ModelConfig, NoteReader, NoteTransformer

from ..checkpoints import load_weights
from ..evaluation.systems import Made, Maker

__all__ = ["is_run", "reader_of", "states_maker", "states_of"]

WINDOW = 256
NOTES_AT_ONCE = 8192


def is_run(folder: str | Path) -> bool:
    """Whether a folder holds finished weights of a run, and is no whole encoder."""
    return (Path(folder) / "model.json").exists()


def reader_of(folder: str | Path, *, random: bool = False) -> NoteReader:
    """The transformer of finished weights; with `random`, one like it that has learned nothing.

    Raises
    ------
    CorpusError
        If the folder holds none.
    """
    folder = Path(folder)
    try:
        settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        config = ModelConfig.from_dict(settings)
    except (OSError, ValueError, EncoderError) as error:
        raise CorpusError(f"{folder} holds no finished weights: {error}") from None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NoteTransformer(config)
    if random:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for block in model.blocks:  # they begin as the identity, which would be no network at all
                for name in ("attention_out", "down"):
                    weight = getattr(block, name).weight
                    torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    else:
        load_weights(model, folder / "model.safetensors")
    return model.eval()


@torch.inference_mode()
def states_of(reader: NoteReader, notes: Notes) -> list[NDArray[np.float32]]:
    """States of a piece's notes behind every layer, the last after the final norm; float32 [n, width]."""
    tokens = to_tokens(notes)
    ranges = window_ranges(len(notes), WINDOW)
    found: list[list[NDArray[np.float32]]] = [[] for _ in range(reader.config.layers)]
    at_once = max(1, NOTES_AT_ONCE // WINDOW)
    for first in range(0, len(ranges), at_once):
        some = ranges[first : first + at_once]
        lengths = [end - begin for begin, end in some]
        rows = np.zeros((len(some), max(lengths), len(ATTRIBUTES)), dtype=np.uint8)
        for row, (begin, end) in enumerate(some):
            rows[row, : end - begin] = tokens[begin:end]
        rows[:, 0, 0] = 0  # a window begins its own time
        layers: list[Tensor] = []
        last = reader.read(reader.embed(torch.from_numpy(rows)), lengths=torch.tensor(lengths), layers=layers)
        for kept, layer in zip(found, [*layers[:-1], last], strict=True):
            kept += [layer[row, :length].float().numpy() for row, length in enumerate(lengths)]
    return [np.concatenate(parts) for parts in found]


def states_maker(label: str, reader: NoteReader, *, every_layer: bool = False) -> Maker:
    """Vectors of the last layer, or of each layer as a system of its own."""
    count = reader.config.layers
    names = [f"{label}, layer {i + 1}" for i in range(count)] if every_layer else [label]

    def make(pieces: Sequence[Notes]) -> dict[str, Made]:
        rows: list[list[NDArray[np.float32]]] = [[] for _ in names]
        for piece in pieces:
            for row, states in zip(rows, states_of(reader, piece)[-len(names) :], strict=True):
                row.append(np.concatenate([states.mean(0), states.std(0)]))
        return {name: Made(np.stack(row)) for name, row in zip(names, rows, strict=True)}

    return Maker(names, make)
