"""A class for every note, by supervised learning: its voice, or how loud it is played.

Some of the notes are masked in training, as they were in masked pretraining, and none in evaluation: mask
finetuning of Adversarial-MidiBERT (arXiv 2407.08306).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embedder.core.errors import CorpusError
from embedder.notes import Notes
from embedder.tokens import ATTRIBUTES, to_tokens
from embedder.transformer import ModelConfig, NoteTransformer
from embedder.voices import EVEN, SURROUNDINGS, VELOCITY_COLUMNS, VOICES, NoteHead, surroundings

from ..corpus import Corpus
from ..monitor import training_flops
from ..voices import LOUDNESS, loudness, voices_of
from .base import Batch, Step

__all__ = ["Voices"]

GAP, PITCH, DURATION, VELOCITY = range(len(ATTRIBUTES))
IGNORE = -100
MIN_NOTES_LEFT = 16  # notes, where a voice is left out
LOUDER = 10  # velocity by which one voice is altered at most


class Voices:
    """Slices of pieces with a class for every note.

    Parameters
    ----------
    target : "voice" (`train.voices`) or "velocity" (six degrees of loudness; velocities are not shown)
    rows, length : slices a batch, notes a slice
    masked : share of the notes that are masked in training
    transpose : semitones up or down at most
    tempo : steps of the logarithmic time scale up or down at most; 12 make an octave of tempo
    velocity : shift up or down at most
    flat : share of the rows whose velocities are all made equal
    remix : share of the rows of which one voice is left out, moved by an octave, or made louder, softer,
        longer or shorter relative to the others; only where voices are the target
    told : whether the voice of every note is given; only where velocity is the target
    """

    coupled = False

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        target: str = "voice",
        rows: int = 8,
        length: int = 512,
        masked: float = 0.12,
        transpose: int = 6,
        tempo: int = 4,
        velocity: int = 12,
        flat: float = 0.1,
        remix: float = 0.0,
        told: bool = False,
    ) -> None:
        if target not in ("voice", "velocity"):
            raise CorpusError(f"recipe: target is voice or velocity, not {target!r}")
        if not (0 <= masked < 1 and 0 <= flat <= 1 and 0 <= remix <= 1):
            raise CorpusError("recipe: masked, flat and remix are shares")
        if remix and target != "voice":
            raise CorpusError("recipe: remix needs voices as the target")
        if told and target == "voice":
            raise CorpusError("recipe: told gives voices away; it needs velocity as the target")
        if rows < 1 or length < 2:
            raise CorpusError("recipe: rows is 1 or more, length 2 or more")
        self.target, self.rows, self.length = target, rows, length
        self.longest = length
        learning = split == "train"
        self.masked = masked if learning else 0.0
        self.transpose, self.tempo = (transpose, tempo) if learning else (0, 0)
        self.velocity, self.flat = (velocity, flat) if learning else (0, 0.0)
        self.remix = remix if learning else 0.0
        pieces = [i for i in corpus.indices(split).tolist() if corpus.sizes[i] > 1]
        if not pieces:
            raise CorpusError(f"the split {split!r} of {corpus.folder} holds no piece of two notes")
        self.notes = notes = [corpus.notes(i) for i in pieces]
        self.starts = np.cumsum([0, *(len(piece) for piece in notes)])
        self.tokens = np.concatenate([to_tokens(piece) for piece in notes])
        self.numbers = np.concatenate([surroundings(piece) for piece in notes])
        if target == "voice":
            self.classes = _voices(corpus, pieces)
        else:
            self.classes = np.concatenate([loudness(piece.velocity) for piece in notes])
        if told:
            which = np.eye(len(VOICES), dtype=np.float32)[_voices(corpus, pieces)]
            self.numbers = np.concatenate([self.numbers, which], axis=1)
        self.own: nn.Module = nn.Module()

    def equip(self, model: NoteTransformer) -> nn.Module:
        classes = len(VOICES) if self.target == "voice" else len(LOUDNESS) + 1
        return NoteHead(model.config.width, classes, self.numbers.shape[1] - SURROUNDINGS)

    def after_step(self, model: NoteTransformer, done: float) -> None:
        """Nothing: all weights learn by gradient."""

    def batch(self, rng: np.random.Generator) -> Batch:
        """tokens, numbers [rows, length, n], classes (`IGNORE` where absent), masked, lengths.

        The n numbers are the `SURROUNDINGS` and, if `told`, which of the `VOICES` the note is of.
        """
        shape = (self.rows, self.length)
        tokens = np.zeros((*shape, len(ATTRIBUTES)), dtype=np.uint8)
        numbers = np.zeros((*shape, self.numbers.shape[1]), dtype=np.float32)
        classes = np.full(shape, IGNORE)
        lengths = np.zeros(self.rows, dtype=np.int64)
        middles = rng.integers(0, self.starts[-1], self.rows)
        for row, middle in enumerate(middles.tolist()):
            piece = int(np.searchsorted(self.starts, middle, "right")) - 1
            begin, end = int(self.starts[piece]), int(self.starts[piece + 1])
            first = min(max(middle - self.length // 2, begin), max(end - self.length, begin))
            part = slice(first, min(first + self.length, end))
            made = self.tokens[part], self.numbers[part], self.classes[part]
            if rng.random() < self.remix:
                notes = self.notes[piece].slice_notes(part.start - begin, part.stop - begin)
                made = _remixed(notes, *made[1:], rng)
            lengths[row] = count = len(made[0])
            tokens[row, :count], numbers[row, :count], classes[row, :count] = made
            tokens[row, 0, GAP] = 0
        self._alter(tokens, numbers, rng)
        masked = rng.random(shape) < self.masked
        batch = {
            "tokens": tokens,
            "numbers": numbers,
            "classes": classes,
            "masked": masked,
            "lengths": lengths,
        }
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    def _alter(
        self, tokens: np.ndarray[Any, Any], numbers: np.ndarray[Any, Any], rng: np.random.Generator
    ) -> None:
        """Another key, tempo and loudness a row; times are logarithmic, so a tempo is a shift."""

        def shift(column: int, max_shift: int, low: int) -> None:
            values = tokens[..., column].astype(np.int64)
            moved = np.clip(
                values + rng.integers(-max_shift, max_shift + 1, (self.rows, 1)), low, _last(column)
            )
            tokens[..., column] = np.where(values >= low, moved, values)

        shift(PITCH, self.transpose, 0)
        shift(VELOCITY, self.velocity // 4, 0)
        # Gaps below the scale stay where they are: chords are chords at any tempo.
        step = rng.integers(-self.tempo, self.tempo + 1, (self.rows, 1))
        for column in (GAP, DURATION):
            values = tokens[..., column].astype(np.int64)
            moved = np.clip(values + step, 1, _last(column))
            tokens[..., column] = np.where(values > 0, moved, 0)
        even = rng.random(self.rows) < self.flat if self.target == "voice" else np.ones(self.rows, np.bool_)
        tokens[even, :, VELOCITY] = 16 if self.target == "voice" else 0
        numbers[even, :, VELOCITY_COLUMNS] = EVEN

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        masked = batch["masked"] if self.masked else None
        logits = self.own(model, batch["tokens"], batch["numbers"], batch["lengths"], masked)
        classes = batch["classes"].flatten()
        logits = logits.float().flatten(0, 1)
        loss = functional.cross_entropy(logits, classes, ignore_index=IGNORE)
        labelled = classes != IGNORE
        correct = (logits.argmax(1) == classes)[labelled].float().mean()
        return loss, {"loss": loss.item(), "accuracy": correct.item()}

    def backward(self, model: NoteTransformer, batch: Batch, step: Step) -> dict[str, float]:
        with step.precision():
            loss, numbers = self.loss(model, batch)
        (loss * step.scale).backward()  # type: ignore[no-untyped-call]
        return numbers

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        rows, length, _ = batch["tokens"].shape
        return training_flops(config, rows, length, predicts=False, projects=False)


def _voices(corpus: Corpus, pieces: list[int]) -> NDArray[np.int64]:
    voices = voices_of(corpus)
    parts = [voices[corpus.offsets[i] : corpus.offsets[i + 1]] for i in pieces]
    return np.concatenate(parts).astype(np.int64)


def _remixed(
    notes: Notes,
    numbers: NDArray[np.float32],
    voices: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """Tokens, surroundings and voices of notes one voice of which was altered relative to the others."""
    of = voices == rng.integers(len(VOICES))
    onset, duration, pitch, velocity = notes.onset, notes.duration, notes.pitch, notes.velocity
    change = rng.integers(4)
    if change == 0 and (~of).sum() >= MIN_NOTES_LEFT:
        kept = ~of
        onset, duration, pitch, velocity = onset[kept], duration[kept], pitch[kept], velocity[kept]
        voices, numbers = voices[kept], numbers[kept]
    elif change == 1:
        moved = pitch + np.where(of, rng.choice([-12, 12]), 0)
        pitch = moved if moved.min() >= 0 and moved.max() <= 127 else pitch
    elif change == 2:
        velocity = np.clip(velocity + np.where(of, rng.integers(-LOUDER, LOUDER + 1), 0), 1, 127)
    elif change == 3:
        duration = duration * np.where(of, np.exp(rng.uniform(-0.5, 0.5)), 1.0)
    altered = Notes(onset, duration, pitch, velocity)
    order = np.lexsort((velocity, duration, pitch, onset))  # as `Notes` does
    around = surroundings(altered)
    around[:, :2] = numbers[order, :2]  # of the whole piece
    return to_tokens(altered), around, voices[order]


def _last(column: int) -> int:
    """The largest value of a token column that stands for a note."""
    size = list(ATTRIBUTES.values())[column]
    return size - 2 if column == GAP else size - 1
