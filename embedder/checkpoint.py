"""An encoder as a folder: `model.safetensors`, `config.json`, `MODEL_CARD.md`. Never a pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .core.errors import EncoderError
from .features.handcrafted import PLAIN, STATISTICS
from .features.projection import HandmadeHead
from .tensor_files import check_fit, meant, read_settings, read_tensors, write_tensors
from .transformer import ModelConfig, NoteTransformer

__all__ = [
    "EncoderConfig",
    "EncoderModel",
    "folder_of",
    "load_checkpoint",
    "save_checkpoint",
    "shipped_encoders",
]

SHIPPED = Path(__file__).parent / "weights"
LARGEST = 65_536  # of any size; what is beyond is a mistake


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that turns weights into an encoder.

    Attributes
    ----------
    name : what the encoder is called
    window : most notes in a window
    context : most notes that the transformer reads at once; longer windows are read in stretches
    model : size of the transformer; its `projection` is the learned part of the vector
    identity, style : sizes of the hand-made parts
    taught : how many of the style numbers come from the taught map (`embedder.features.projection`)
    statistics : histograms that the hand-made parts read (names of
        `embedder.features.handcrafted.STATISTICS`)
    weights : share of each part ("learned", "identity", "style") in the squared length of a vector
    """

    name: str
    window: int = 256
    context: int = 128
    model: ModelConfig = field(default_factory=ModelConfig)
    identity: int = 256
    style: int = 96
    taught: int = 0
    statistics: tuple[str, ...] = PLAIN
    weights: dict[str, float] = field(default_factory=lambda: {"learned": 0.2, "identity": 0.6, "style": 0.2})

    def __post_init__(self) -> None:
        if isinstance(self.statistics, list):  # JSON knows only these
            object.__setattr__(self, "statistics", tuple(self.statistics))
        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise EncoderError("encoder setting name must be a name of one line")
        for name in ("window", "context", "identity", "style", "taught"):
            size, least = getattr(self, name), 0 if name == "taught" else 1
            if isinstance(size, bool) or not isinstance(size, int) or not least <= size <= LARGEST:
                raise EncoderError(
                    f"encoder setting {name} must be a whole number from {least} to {LARGEST:,}, not {size!r}"
                )
        named = tuple(STATISTICS) if isinstance(self.statistics, tuple) else ()
        if self.statistics != tuple(name for name in named if name in ("pitch_class", *self.statistics)):
            raise EncoderError(
                "encoder setting statistics needs known names in their order, pitch_class first"
            )
        if not 0 <= self.taught < self.style:
            raise EncoderError("encoder setting taught must lie between 0 and style")
        if not isinstance(self.weights, dict) or set(self.weights) != {"learned", "identity", "style"}:
            raise EncoderError("encoder setting weights needs learned, identity and style")
        for name, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= LARGEST:
                raise EncoderError(
                    f"encoder setting weights: {name} must be a number from 0 to {LARGEST:,}, not {weight!r}"
                )
        if not sum(self.weights.values()) > 0:
            raise EncoderError("encoder setting weights must not be all zero")
        if not 2 <= self.context <= self.model.positions or self.window < 2:
            raise EncoderError("encoder setting context must lie between 2 and the model's positions")

    @property
    def parts(self) -> dict[str, slice]:
        """Columns of each part in a vector."""
        learned, identity = self.model.projection, self.identity
        return {
            "learned": slice(0, learned),
            "identity": slice(learned, learned + identity),
            "style": slice(learned + identity, learned + identity + self.style),
        }


class EncoderModel(nn.Module):
    """All weights of an encoder."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = NoteTransformer(config.model)
        self.handmade = HandmadeHead(config.identity, config.style, config.taught, config.statistics)


def shipped_encoders() -> list[str]:
    """Names that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def folder_of(name_or_path: str | Path) -> Path:
    """The folder of a shipped name, or the folder itself.

    Raises
    ------
    EncoderError
        If there is none.
    """
    shipped = SHIPPED / str(name_or_path)
    folder = shipped if shipped.is_dir() else Path(name_or_path)
    if not folder.is_dir():
        names = ", ".join(shipped_encoders()) or "none"
        raise EncoderError(
            f"no encoder {name_or_path}: it is neither a folder nor shipped (shipped: {names})"
        )
    return folder


def load_checkpoint(name_or_path: str | Path) -> tuple[EncoderModel, str]:
    """Weights of a shipped name or a folder, in float32, and a hash of weights and configuration.

    Raises
    ------
    EncoderError
        Naming the first thing that is missing or does not fit.
    """
    folder = folder_of(name_or_path)
    what = f"encoder {folder}"
    config = _config(what, read_settings(folder / "config.json", what))
    weights = read_tensors(folder / "model.safetensors")
    check_fit(what, meant(lambda: EncoderModel(config), what), weights, "config.json")
    model = EncoderModel(config)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    text, blob = ((folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
    digest = hashlib.sha256(hashlib.sha256(text).digest() + hashlib.sha256(blob).digest())
    return model.eval(), digest.hexdigest()[:12]


def _config(what: str, settings: dict[str, Any]) -> EncoderConfig:
    if settings.pop("format", None) != 1:
        raise EncoderError(f"{what}: config.json has a format that this midikin does not know")
    if not isinstance(settings.get("model"), dict):
        raise EncoderError(f"{what}: config.json does not name the sizes of its model")
    known = {field.name for field in fields(EncoderConfig)}
    for name in settings:
        if name not in known:
            raise EncoderError(f"{what}: config.json says what midikin does not know: {name}")
    if "name" not in settings:
        raise EncoderError(f"{what}: config.json lacks name")
    return EncoderConfig(model=ModelConfig.from_dict(settings.pop("model")), **settings)


def save_checkpoint(model: EncoderModel, folder: str | Path, card: str) -> None:
    """Write an encoder's folder; weights are kept in float16, half the size at no measurable loss."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().to(torch.float16) for name, tensor in model.state_dict().items()}
    write_tensors(
        {name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors"
    )
    config = json.dumps({"format": 1, **asdict(model.config)}, indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
