"""midikin's own language model of notes: a folder with `model.safetensors`, `model.json`, `MODEL_CARD.md`.

The same files as a training run exports, so that the folder of a run can be continued from at once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ..checkpoint import SHIPPED
from ..core.errors import EncoderError
from ..tensor_files import check_fit, meant, read_settings, read_tensors, write_tensors
from ..transformer import ModelConfig, NoteTransformer

__all__ = ["DEFAULT_MODEL", "NoteLanguage", "load_language", "save_language"]

DEFAULT_MODEL = "midikin-small-lm"
DEFAULT_CONTEXT = 256  # notes of the slices that midikin's recipes train on
LARGEST_SHIPPED = 10_000_000  # bytes


@dataclass(frozen=True)
class NoteLanguage:
    """A model that predicts the next note.

    Attributes
    ----------
    name : of its folder
    id : name and a hash of weights and size
    model : in float32, on the device that it was loaded for
    context : most notes that it was trained to look back on
    """

    name: str
    id: str
    model: NoteTransformer
    context: int


def load_language(name_or_path: str | Path = DEFAULT_MODEL, device: str | None = None) -> NoteLanguage:
    """Load the shipped model, or the folder of a finished run.

    Raises
    ------
    EncoderError
        Naming the first thing that is missing or does not fit.
    """
    shipped = SHIPPED / str(name_or_path)
    folder = shipped if shipped.is_dir() else Path(name_or_path)
    if not folder.is_dir():
        raise EncoderError(f"no language model {name_or_path}: it is neither a folder nor comes with midikin")
    what = f"language model {folder}"
    settings = read_settings(folder / "model.json", what)
    context = settings.pop("context", None)
    config = ModelConfig.from_dict(settings)
    context = min(DEFAULT_CONTEXT, config.positions) if context is None else context
    if isinstance(context, bool) or not isinstance(context, int) or not 2 <= context <= config.positions:
        raise EncoderError(f"{what}: context must lie in 2..{config.positions}")
    weights = read_tensors(folder / "model.safetensors")
    check_fit(what, meant(lambda: NoteTransformer(config), what), weights, "model.json")
    model = NoteTransformer(config)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    try:
        model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        reason = " ".join(str(error).split())[:200]
        raise EncoderError(f"{what} cannot be used: {reason}") from None
    text, blob = ((folder / name).read_bytes() for name in ("model.json", "model.safetensors"))
    digest = hashlib.sha256(text + hashlib.sha256(blob).digest()).hexdigest()[:12]
    return NoteLanguage(folder.name, f"{folder.name}@{digest}", model.eval().requires_grad_(False), context)


def save_language(run: str | Path, folder: str | Path, card: str, context: int = DEFAULT_CONTEXT) -> None:
    """Ship the exported folder of a run: its weights in bfloat16, its size, the context and a model card.

    Raises
    ------
    EncoderError
        If the run's folder does not fit, or the weights would be larger than `LARGEST_SHIPPED`.
    """
    language = load_language(run, "cpu")
    folder = Path(folder)
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in language.model.state_dict().items()}
    write_tensors(
        {name: tensor.contiguous() for name, tensor in weights.items()}, beside / "model.safetensors"
    )
    settings = {**asdict(language.model.config), "context": context}
    (beside / "model.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    (beside / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    size = (beside / "model.safetensors").stat().st_size
    if size > LARGEST_SHIPPED:
        shutil.rmtree(beside)
        raise EncoderError(
            f"language model {run}: {size:,} bytes are more than {LARGEST_SHIPPED:,}; train less"
        )
    shutil.rmtree(folder, ignore_errors=True)
    beside.replace(folder)
