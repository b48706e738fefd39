"""The ensemble encoder, ready to embed: checkpoint format 2.

A folder with `config.json` ("format": 2), `model.safetensors` and `MODEL_CARD.md`. Its vector is that of
states and counts together, or the transformer's own where the configuration says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..base_encoder import PRECISIONS, GroupedEncoder, fast_dtype, window_ranges
from ..core.errors import EncoderError
from ..embedded import Embedded
from ..notes import Notes
from ..tensor_files import check_fit, meant, read_settings, read_tensors, write_tensors
from .model import EnsembleConfig, EnsembleTransformer
from .windows import columns_of, heard, ready, vectors_of

__all__ = ["FORMAT", "EnsembleEncoder", "EnsembleSettings", "save_ensemble"]

FORMAT = 2
_ONLY_TRAINED = ("next_", "known.")  # weights that predict the next note: no encoder needs them


@dataclass(frozen=True)
class EnsembleSettings:
    """What turns weights into an encoder.

    Attributes
    ----------
    name : what the encoder is called
    window : most notes in a window, which the network reads at once
    fused : whether vectors are of states and counts together
    model : sizes of the network
    """

    name: str
    window: int = 256
    fused: bool = True
    model: EnsembleConfig = field(default_factory=EnsembleConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise EncoderError("encoder setting name must be a name of one line")
        longest = self.model.positions * self.model.patch
        if (
            isinstance(self.window, bool)
            or not isinstance(self.window, int)
            or not 2 <= self.window <= longest
        ):
            raise EncoderError(f"encoder setting window must be a whole number from 2 to {longest:,}")
        if not isinstance(self.fused, bool) or (self.fused and not self.model.fused):
            raise EncoderError("encoder setting fused is true or false, and true only for a fused model")


class EnsembleEncoder(GroupedEncoder):
    """An encoder that hears parts and drums; make one with `Encoder.load`."""

    def __init__(
        self,
        settings: EnsembleSettings,
        model: EnsembleTransformer,
        digest: str,
        device: str | None = None,
        precision: str | None = None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.id = f"{self.name}@{digest}"
        self.dim = settings.model.fused if settings.fused else settings.model.projection
        self.parts = {"fused" if settings.fused else "learned": slice(0, self.dim)}
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._dtype = fast_dtype(self.device) if precision is None else PRECISIONS[precision]
        self._model = ready(model, self.device, self._dtype)

    def heard(self, piece: Notes) -> Notes:
        """All notes, drums among them."""
        return piece

    @classmethod
    def from_folder(
        cls, folder: Path, device: str | None = None, precision: str | None = None
    ) -> EnsembleEncoder:
        """Read a folder of format 2.

        Raises
        ------
        EncoderError
            Naming the first thing that is missing or does not fit.
        """
        what = f"encoder {folder}"
        settings = _settings(what, read_settings(folder / "config.json", what))
        weights = read_tensors(folder / "model.safetensors")
        check_fit(what, meant(lambda: _without_heads(settings.model), what), weights, "config.json")
        model = _without_heads(settings.model)
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        text, blob = ((folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
        digest = hashlib.sha256(hashlib.sha256(text).digest() + hashlib.sha256(blob).digest())
        try:
            return cls(settings, model, digest.hexdigest()[:12], device, precision)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
            reason = str(error).strip().partition("\n")[0]
            raise EncoderError(f"{what} cannot use device {device}: {reason}") from None

    @torch.inference_mode()
    def _embed_group(self, pieces: Sequence[Notes]) -> Embedded:
        columns = [columns_of(piece) for piece in pieces]
        windows = [
            (number, first, last)
            for number, piece in enumerate(columns)
            for first, last in window_ranges(len(piece), self.settings.window)
        ]
        piece_of, first, last = (np.array(each, dtype=np.int64) for each in zip(*windows, strict=True))
        sums = heard(self._model, columns, windows, fused=self.settings.fused)
        of_piece = self._rows(vectors_of(self._model, sums.per_piece(piece_of, len(pieces))))
        begin = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])[piece_of]
        onset = np.concatenate([piece.onset for piece in pieces])
        end = np.concatenate([piece.end for piece in pieces])
        return Embedded(
            pieces=of_piece,
            windows=self._rows(vectors_of(self._model, sums)),
            piece_of_window=piece_of,
            start_s=onset[begin + first],
            end_s=np.maximum.reduceat(end, begin + first),
            first_note=first,
            last_note=last,
        )

    @staticmethod
    def _rows(found: tuple[torch.Tensor, torch.Tensor | None]) -> NDArray[np.float32]:
        alone, fused = found
        rows: NDArray[np.float32] = (alone if fused is None else fused).float().cpu().numpy()
        return rows


def _settings(what: str, given: dict[str, Any]) -> EnsembleSettings:
    if given.pop("format", None) != FORMAT:
        raise EncoderError(f"{what}: config.json has a format that this midikin does not know")
    known = {each.name for each in fields(EnsembleSettings)}
    for name in given:
        if name not in known:
            raise EncoderError(f"{what}: config.json says what midikin does not know: {name}")
    if "name" not in given or not isinstance(given.get("model"), dict):
        raise EncoderError(f"{what}: config.json lacks name, or the sizes of its model")
    return EnsembleSettings(model=EnsembleConfig.from_dict(given.pop("model")), **given)


def _without_heads(config: EnsembleConfig) -> EnsembleTransformer:
    model = EnsembleTransformer(config)
    for name in [name for name, _ in model.named_children() if f"{name}.".startswith(_ONLY_TRAINED)]:
        delattr(model, name)
    return model


def save_ensemble(model: EnsembleTransformer, settings: EnsembleSettings, folder: Path, card: str) -> None:
    """Write an encoder's folder; weights in float16, without those that only predict the next note."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().cpu().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(_ONLY_TRAINED)
    }
    write_tensors(weights, folder / "model.safetensors")
    config = json.dumps({"format": FORMAT, **asdict(settings)}, indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
