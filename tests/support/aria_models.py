"""Small random models: of Aria's kind, written as its weights are published, and of midikin's own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from embedder.aria.transformer import AriaConfig, AriaTransformer
from embedder.aria.vocabulary import SIZE
from embedder.transformer import ModelConfig, NoteTransformer


def tiny_aria(path: Path, *, embedding: int | None = None, language: bool = False, seed: int = 0) -> Path:
    """Two layers of 32; the path of the file."""
    torch.manual_seed(seed)
    model = AriaTransformer(
        AriaConfig(
            width=32, heads=4, layers=2, hidden=128, vocabulary=SIZE, embedding=embedding, language=language
        )
    )
    save_file(model.state_dict(), path)
    return path


def tiny_language(folder: Path, context: int = 32) -> Path:
    """A language model of notes, two blocks of 16; the path of its folder."""
    torch.manual_seed(1)
    model = NoteTransformer(ModelConfig(width=16, layers=2, heads=2, hidden=32, positions=64, projection=8))
    with torch.no_grad():
        for block in model.blocks:
            for parameter in block.parameters():
                parameter.normal_(0, 0.3)  # blocks begin by adding nothing
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps({**asdict(model.config), "context": context}))
    return folder
