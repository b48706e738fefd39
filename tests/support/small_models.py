"""A small model of every kind that midikin loads, as its folder, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from embedder import Encoder
from embedder.checkpoint import EncoderConfig, EncoderModel, save_checkpoint
from embedder.classifier import Classifier, NoteBody
from embedder.ensemble.encoder import EnsembleSettings, save_ensemble
from embedder.ensemble.model import EnsembleConfig, EnsembleTransformer
from embedder.generation.continuer import Continuer
from embedder.generation.language_model import load_language
from embedder.melody import MelodyModel, melody_model, save_melody_model
from embedder.transformer import ModelConfig
from tests.support.aria_models import tiny_aria, tiny_language

SMALL: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "hidden": 32, "positions": 64, "projection": 8}
# How each kind is loaded, and the file of its settings.
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "encoder": (lambda folder: Encoder.load(folder, "cpu"), "config.json"),
    "ensemble": (lambda folder: Encoder.load(folder, "cpu"), "config.json"),
    "aria": (lambda folder: Encoder.load(folder, "cpu"), "config.json"),
    "language": (lambda folder: Continuer.load(folder, "cpu"), "model.json"),
    "classifier": (Classifier.load, "classifier.json"),
    "melody": (lambda folder: melody_model.__wrapped__(folder), "melody.json"),
}


def write_small_models(folder: Path) -> Path:
    """A folder with one of every kind, by the names in `KINDS`."""
    torch.manual_seed(0)
    config = EncoderConfig(name="x", model=ModelConfig(**SMALL), context=32, identity=8, style=8)
    save_checkpoint(EncoderModel(config), folder / "encoder", "")
    sizes = EnsembleConfig(
        note_width=8, patterns=8, width=16, layers=1, heads=2, hidden=16, positions=64, projection=8, fused=8,
        inner=8,
    )  # fmt: skip
    save_ensemble(EnsembleTransformer(sizes), EnsembleSettings("x", 64, True, sizes), folder / "ensemble", "")
    language = load_language(tiny_language(folder / "language"), "cpu")
    Classifier(NoteBody(language.model, 16), ["a", "b"], "mean").save(folder / "classifier", "")
    melody = MelodyModel(ModelConfig(**{**SMALL, "positions": 512}))
    save_melody_model(melody, folder / "melody", "")
    (folder / "aria").mkdir()
    tiny_aria(folder / "aria" / "model.safetensors", embedding=16)
    (folder / "aria" / "config.json").write_text(json.dumps({"d_model": 32, "n_heads": 4}))
    return folder
