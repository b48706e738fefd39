"""Small random models of Aria's kind, written as its weights are published."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from embedder.aria.transformer import AriaConfig, AriaTransformer
from embedder.aria.vocabulary import SIZE


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
