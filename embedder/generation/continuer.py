"""`Continuer`: one interface to whatever can continue music."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch

from ..aria.devices import place
from ..aria.hub import OWNER, fetch
from ..aria.weights import is_aria, open_weights
from ..core.errors import EncoderError
from ..midi.general_midi import family_of
from ..notes import Notes, Part
from .language_model import DEFAULT_MODEL, load_language
from .sampling import Dice, Sampling

__all__ = ["Continuation", "Continuer", "continuing_part"]


@dataclass(frozen=True)
class Continuation:
    """What follows a prompt.

    Attributes
    ----------
    prompt : the notes that were given
    notes : at least one new note, at its own time behind them, all of one part of the prompt
    ended : whether the model ended the piece, before the time was up
    """

    prompt: Notes
    notes: Notes
    ended: bool

    @property
    def whole(self) -> Notes:
        """Prompt and continuation as one piece, the first note at 0 s."""
        return self.prompt.joined(self.notes).from_zero()


class _Model(Protocol):
    def __call__(
        self, prompt: Notes, begin_s: float, seconds: float, dice: Dice, rows: int, cached: bool
    ) -> list[tuple[Notes, bool]]: ...


class Continuer:
    """A language model, ready to continue; make one with `Continuer.load`.

    Attributes
    ----------
    name : of the model
    reads_pedal : whether prompts should be read with the sustain pedal folded in
    """

    def __init__(self, name: str, model: _Model, *, reads_pedal: bool) -> None:
        self.name = name
        self.reads_pedal = reads_pedal
        self._model = model

    @classmethod
    def load(
        cls, weights: str | Path | None = None, device: str | None = None, precision: str | None = None
    ) -> Self:
        """Load a language model.

        Parameters
        ----------
        weights : folder of a model of midikin's, or Aria's weights: a released model by its name, a file or a
            folder. The model that comes with midikin if None
        device : a torch device; a GPU if there is one
        precision : "float32" or "bfloat16", for Aria

        Raises
        ------
        EncoderError
            Naming the first thing that is missing or does not fit.
        """
        if weights is None or not is_aria(weights):
            return cls._of_notes(weights or DEFAULT_MODEL, device)
        file = open_weights(fetch(str(weights)) if str(weights).startswith(OWNER) else weights)
        if not file.config.language:
            raise EncoderError(
                f"{file.path} has no lm_head.weight: it makes vectors and cannot continue music"
            )
        devices, dtype = place(file.parameters, device, precision)
        model = file.load(devices, dtype)

        def run(
            prompt: Notes, begin_s: float, seconds: float, dice: Dice, rows: int, cached: bool
        ) -> list[tuple[Notes, bool]]:
            from .token_sampler import continue_ids

            return continue_ids(model, prompt, begin_s, seconds, dice, rows, cached)

        return cls("aria", run, reads_pedal=True)

    @classmethod
    def _of_notes(cls, weights: str | Path, device: str | None) -> Self:
        language = load_language(weights, device)

        def run(
            prompt: Notes, begin_s: float, seconds: float, dice: Dice, rows: int, cached: bool
        ) -> list[tuple[Notes, bool]]:
            from .note_sampler import continue_notes

            return continue_notes(language, prompt, begin_s, seconds, dice, rows, cached)

        return cls(language.name, run, reads_pedal=False)

    @torch.inference_mode()
    def continue_from(
        self,
        prompt: Notes,
        seconds: float,
        *,
        begin_s: float | None = None,
        variations: int = 1,
        sampling: Sampling | None = None,
        seed: int = 0,
        part: int | None = None,
        cached: bool = True,
    ) -> list[Continuation]:
        """Variations of what follows a prompt, drawn side by side.

        Parameters
        ----------
        prompt : at least one pitched note. The model hears the pitched notes of all parts; drums it does not
            know
        seconds : of new music
        begin_s : where it begins, at or after the last onset of the prompt; the end of the prompt if None
        variations : how many; number i is the same however many there are
        sampling : how notes are drawn
        seed : the same seed, prompt and model give the same notes
        part : the part of the prompt that the new notes are of; see `continuing_part` if None
        cached : keep what was read, which is faster and changes nothing else

        Raises
        ------
        ValueError
            If the prompt is empty, a number is out of range, or the part is of drums.
        """
        pitched = prompt.pitched()
        if not len(pitched):
            raise ValueError("there is nothing to continue: the prompt has no notes, drums aside")
        if not 0.1 <= seconds <= 3600:
            raise ValueError("a continuation lasts from 0.1 to 3,600 seconds")
        if not 1 <= variations <= 64:
            raise ValueError("variations are 1 to 64")
        begin = prompt.end_s if begin_s is None else begin_s
        if not float(pitched.onset[-1]) <= begin < float("inf"):
            raise ValueError("a continuation begins at or after the last onset of its prompt")
        number = continuing_part(prompt) if part is None else part
        if not 0 <= number < len(prompt.parts) or prompt.parts[number].drums:
            raise ValueError("the part to continue is none of the pitched parts of the prompt")
        dice = Dice(seed, variations, sampling or Sampling())
        found = self._model(pitched, begin, seconds, dice, variations, cached)
        return [Continuation(prompt, _in_part(notes, prompt.parts[number]), ended) for notes, ended in found]


def continuing_part(prompt: Notes) -> int:
    """The part in which a piece is continued if none is named: that of the piano, or else the fullest.

    Of several pianos the one with most notes.
    """
    sizes = prompt.part_sizes()
    pitched = [number for number, part in enumerate(prompt.parts) if sizes[number] and not part.drums]
    pianos = [number for number in pitched if family_of(prompt.parts[number].program) == "piano"]
    return max(pianos or pitched, key=lambda number: int(sizes[number]))


def _in_part(notes: Notes, part: Part) -> Notes:
    return Notes(notes.onset, notes.duration, notes.pitch, notes.velocity, parts=(part,))
