"""The melody of a piece: which of its notes are sung, which answer the singer, and which accompany.

A small transformer that hears both directions names the voice of every note; `skyline`, the highest note of
every chord, is what it has to beat. It learned from pop songs arranged for the piano.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .core.errors import EncoderError
from .notes import Notes
from .tensor_files import check_fit, meant, read_settings, read_tensors, write_tensors
from .tokens import ATTRIBUTES, to_tokens
from .transformer import ModelConfig, NoteReader
from .voices import VOICES, NoteHead, surroundings

__all__ = [
    "SHIPPED_MELODY",
    "MelodyModel",
    "by_part",
    "lead",
    "melody_model",
    "melody_of_query",
    "save_melody_model",
    "skyline",
]

SHIPPED_MELODY = Path(__file__).parent / "weights" / "midikin-melody"
SETTINGS = "melody.json"  # not config.json: this is no encoder
CHORD_GAP_S = 0.04
NOTES_AT_ONCE = 4096
SUNG = 0.05  # share of the notes from which a piece is taken to be sung
TOGETHER = 0.7  # how much each note counts for its part: those of a phrase are mistaken together
ROUNDS, SETTLED, LEAST = 100, 1e-6, 1e-6
ONE_VOICE = 0.9  # share of the notes that are highest from which music is taken to be a single line


class MelodyModel(nn.Module):
    """Names the voice of every note; load the shipped one with `melody_model`.

    Parameters
    ----------
    config : size of the transformer
    classes : to tell apart; other than `VOICES` only to measure what was learned of another target
    window : notes that it hears at once, as in training
    told : numbers that it is told of every note

    Attributes
    ----------
    digest : names the weights; empty until they are loaded from a file
    """

    def __init__(
        self, config: ModelConfig, classes: int = len(VOICES), window: int = 512, told: int = 0
    ) -> None:
        super().__init__()
        self.digest = ""
        self.classes, self.window, self.told = classes, window, told
        self.reader = NoteReader(config)
        self.head = NoteHead(config.width, classes, told)

    @torch.inference_mode()
    def probabilities(self, notes: Notes, told: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Probability of each class, usually of `VOICES`, for every pitched note, float32 [n, classes].

        Windows overlap by half; each counts less towards its ends, where it hears one side only.
        `told` [n, told] is what the model is told of every note, if it is told anything.
        """
        notes = notes.pitched()
        count = len(notes)
        sums = np.zeros((count, self.classes))
        if count:
            tokens, numbers = to_tokens(notes), surroundings(notes)
            if told is not None:
                numbers = np.concatenate([numbers, told], axis=1)
            ranges = _windows(count, self.window)
            at_once = max(1, NOTES_AT_ONCE // self.window)
            for first in range(0, len(ranges), at_once):
                some = ranges[first : first + at_once]
                for (begin, end), logits in zip(some, self._logits(tokens, numbers, some), strict=True):
                    place = np.arange(end - begin)
                    weight = np.minimum(place, place[::-1]) + 1.0
                    sums[begin:end] += weight[:, None] * logits.softmax(-1).numpy()[: end - begin]
        shares: NDArray[np.float32] = (sums / np.maximum(sums.sum(1, keepdims=True), 1e-9)).astype(np.float32)
        return shares

    def voices(self, notes: Notes, parts: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Number of the likeliest class for every note, uint8 [n]; drums are of the last.

        Where a piece has several parts, what is heard of a part's notes counts for each of them. `parts`
        numbers them for notes without parts (`embedder.midi.reading.parts_of`).
        """
        pitched = ~notes.is_drum
        own = notes.part if parts is None else parts
        shares = by_part(self.probabilities(notes.pitched()), own[pitched])
        likeliest = np.full(len(notes), self.classes - 1, np.uint8)
        likeliest[pitched] = shares.argmax(1)
        return likeliest

    def _logits(
        self, tokens: NDArray[np.uint8], numbers: NDArray[np.float32], ranges: Sequence[tuple[int, int]]
    ) -> Tensor:
        longest = max(end - begin for begin, end in ranges)
        rows = np.zeros((len(ranges), longest, len(ATTRIBUTES)), dtype=np.uint8)
        beside = np.zeros((len(ranges), longest, numbers.shape[1]), dtype=np.float32)
        for row, (begin, end) in enumerate(ranges):
            rows[row, : end - begin], beside[row, : end - begin] = tokens[begin:end], numbers[begin:end]
        rows[:, 0, 0] = 0  # a window begins its own time
        lengths = torch.tensor([end - begin for begin, end in ranges])
        logits: Tensor = self.head(self.reader, torch.from_numpy(rows), torch.from_numpy(beside), lengths)
        return logits


def by_part(shares: NDArray[np.float32], parts: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Probabilities [n, classes] once each part has its own frequencies of the classes.

    Both come of expectation maximisation (Saerens, Latinne and Decaestecker 2002, Neural Computation
    14:21-41) that begins with the frequencies of the whole piece. A part of two voices keeps both.
    """
    numbers = np.unique(parts)
    if len(numbers) < 2:
        return shares
    whole = np.maximum(shares.mean(0, dtype=np.float64), SUNG)  # what is hardly heard is not looked for
    whole /= whole.sum()
    told = (np.maximum(shares, LEAST) / whole) ** TOGETHER
    adjusted = np.empty_like(shares)
    for number in numbers.tolist():
        here = parts == number
        frequency = whole
        for _ in range(ROUNDS):
            of_notes = told[here] * frequency
            of_notes /= of_notes.sum(1, keepdims=True)
            before, frequency = frequency, (of_notes.sum(0) + whole) / (len(of_notes) + 1)
            if np.abs(frequency - before).max() < SETTLED:
                break
        adjusted[here] = of_notes
    return adjusted


def _windows(count: int, window: int) -> list[tuple[int, int]]:
    """Ranges of at most `window` notes, each note in two of them but for the ends."""
    if count <= window:
        return [(0, count)]
    halves = -(-2 * count // window)
    edges = np.linspace(0, count, halves + 1).astype(int).tolist()
    return list(zip(edges[:-2], edges[2:], strict=True))


def skyline(notes: Notes) -> NDArray[np.bool_]:
    """Which notes are the highest of those that begin with them, bool [n]; onsets within 40 ms are one.

    Drums are none of them.
    """
    kept = np.zeros(len(notes), dtype=np.bool_)
    pitched = np.flatnonzero(~notes.is_drum)
    if len(pitched):
        onset, pitch = notes.onset[pitched], notes.pitch[pitched]
        event = np.concatenate([[0], np.cumsum(np.diff(onset) > CHORD_GAP_S)])
        order = np.lexsort((pitch, event))
        kept[pitched[order[np.diff(event[order], append=-1) != 0]]] = True
    return kept


def lead(notes: Notes, parts: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which notes lead, bool [n]: those of the melody, or the skyline where hardly any note is sung."""
    sung = melody_model().voices(notes, parts) == VOICES.index("melody")
    return sung if sung.sum() >= SUNG * len(notes) else skyline(notes)


def melody_of_query(notes: Notes, parts: NDArray[np.int64] | None = None) -> Notes:
    """The melody of what somebody asks with: the notes themselves if they are of one voice, else the lead."""
    notes = notes if parts is not None else notes.pitched()
    highest = skyline(notes)
    one_voice = highest.sum() >= ONE_VOICE * len(notes)
    return notes.select(highest if one_voice else lead(notes, parts))


@cache
def melody_model(folder: Path = SHIPPED_MELODY) -> MelodyModel:
    """The shipped model, or one from its folder.

    Raises
    ------
    EncoderError
        Naming the first thing that is missing or does not fit.
    """
    what = f"melody model {folder}"
    settings = read_settings(folder / SETTINGS, what)
    if settings.pop("voices", None) != list(VOICES):
        raise EncoderError(f"{what}: {SETTINGS} names voices that this midikin does not know")
    window = settings.pop("window", None)
    config = ModelConfig.from_dict(settings)
    if type(window) is not int or not 2 <= window <= config.positions:
        raise EncoderError(
            f"{what}: {SETTINGS} gives window {window!r}, where 2 to {config.positions} are meant"
        )
    weights = read_tensors(folder / "model.safetensors")
    check_fit(what, meant(lambda: MelodyModel(config), what), weights, SETTINGS)
    model = MelodyModel(config, window=window)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    blob = (folder / "model.safetensors").read_bytes()
    model.digest = hashlib.sha256(blob).hexdigest()[:12]
    return model.eval()


def save_melody_model(model: MelodyModel, folder: str | Path, card: str) -> None:
    """Write a model's folder; weights in float16."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().cpu().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    write_tensors(weights, folder / "model.safetensors")
    settings = json.dumps({"voices": VOICES, "window": model.window, **asdict(model.reader.config)}, indent=2)
    (folder / SETTINGS).write_text(settings + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
