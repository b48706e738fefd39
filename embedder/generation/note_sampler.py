"""Continuing note by note, with midikin's own language model.

What the model was trained to look back on is short, so it sees a window of the last notes; a full window
is cut to its later half. That rule is the same with and without the cache, and so are the notes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..kv_cache import KeyValues
from ..notes import Notes
from ..tokens import ATTRIBUTES, END, from_tokens, seconds_of, to_tokens
from .language_model import NoteLanguage
from .sampling import Dice

__all__ = ["continue_notes"]

MOST_NOTES_A_SECOND = 60  # a model that goes on striking at one instant is stopped


def continue_notes(
    language: NoteLanguage, prompt: Notes, begin_s: float, seconds: float, dice: Dice, rows: int, cached: bool
) -> list[tuple[Notes, bool]]:
    """Variations of what follows a prompt, each with whether the model ended the piece.

    Parameters
    ----------
    prompt : at least one note
    begin_s : no new note begins before
    seconds : no new note begins at or after `begin_s` and this
    cached : keep keys and values instead of reading the whole window for each note
    """
    window = _Window(language, to_tokens(prompt), rows, cached)
    clock = np.full(rows, prompt.onset[-1])
    drawn = [_Variation() for _ in range(rows)]
    for _ in range(int(seconds * MOST_NOTES_A_SECOND) + 1):
        states = window.states()
        note = np.zeros((rows, len(ATTRIBUTES)), np.int64)
        for attribute in range(len(ATTRIBUTES)):
            logits = language.model.next_logits(states, torch.from_numpy(note).to(states.device), attribute)
            scores = logits.float().cpu().numpy()
            for row, one in enumerate(drawn):
                if one.going and attribute == 0:
                    allowed = _gaps(begin_s - clock[row], seconds, begun=bool(one.tokens))
                    note[row, 0] = dice.draw(row, np.where(allowed, scores[row], -np.inf))
                    clock[row] = one.move(int(note[row, 0]), clock[row], begin_s, begin_s + seconds)
                elif one.going:
                    note[row, attribute] = dice.draw(row, scores[row])
            if attribute == 0:
                note[note[:, 0] == END] = 0
        if not any(one.going for one in drawn):
            break
        for row, one in enumerate(drawn):
            if one.going:
                one.tokens.append(note[row])
        window.add(note)
    return [(one.notes(), one.ended) for one in drawn]


@dataclass
class _Variation:
    """Notes drawn so far, the first of them at `first_s`."""

    tokens: list[NDArray[np.int64]] = field(default_factory=list)
    first_s: float = 0.0
    going: bool = True
    ended: bool = False

    def move(self, gap: int, now_s: float, begin_s: float, end_s: float) -> float:
        """Take the gap of the next note; when that note begins."""
        if gap == END:
            self.going, self.ended = False, True
            return now_s
        now_s += float(seconds_of(np.array(gap)))
        if not self.tokens:
            self.first_s = now_s = max(now_s, begin_s)
        self.going = now_s < end_s or not self.tokens
        return now_s

    def notes(self) -> Notes:
        rows = np.array(self.tokens, np.int64)
        return from_tokens(rows, self.first_s - float(seconds_of(rows[0, 0])), follow=True)


def _gaps(wait_s: float, seconds: float, *, begun: bool) -> NDArray[np.bool_]:
    """Which gaps may come [128]: there is a first note, and it begins within the time that is asked for."""
    steps = np.arange(ATTRIBUTES["gap"])
    if begun:
        return steps >= 0
    gap_s = seconds_of(steps)
    allowed: NDArray[np.bool_] = (gap_s >= wait_s - 1e-9) & (gap_s < wait_s + seconds) & (steps != END)
    if not allowed.any():  # gaps are coarse, and have a longest: the note is then moved to the beginning
        allowed[np.flatnonzero((gap_s < wait_s + seconds) & (steps != END))[-1]] = True
    return allowed


class _Window:
    """The notes that the model sees, the same number for every variation."""

    def __init__(self, language: NoteLanguage, tokens: NDArray[np.uint8], rows: int, cached: bool) -> None:
        self._model, self._context, self._cached = language.model, language.context, cached
        self._device = language.model.norm.weight.device
        self._caches: list[KeyValues] | None = None
        self._fill(np.repeat(tokens[None].astype(np.int64), rows, axis=0))

    def _fill(self, tokens: NDArray[np.int64]) -> None:
        """Begin a window with the last notes of some, leaving room for as many."""
        self._tokens = tokens[:, -(self._context // 2) :].copy()
        self._tokens[:, 0, 0] = 0  # a window begins its own time, as the slices of training do
        self._new = self._tokens
        if self._cached:
            self._caches = self._model.caches(len(tokens), self._context)

    def add(self, note: NDArray[np.int64]) -> None:
        """Take one note [rows, 4] for each variation."""
        tokens = np.concatenate([self._tokens, note[:, None]], axis=1)
        if tokens.shape[1] > self._context:
            self._fill(tokens)
        else:
            self._tokens, self._new = tokens, note[:, None]

    def states(self) -> Tensor:
        """State [rows, width] from which each next note is drawn."""
        fresh = self._new if self._caches is not None else self._tokens
        hidden: Tensor = self._model(torch.from_numpy(fresh).to(self._device), past=self._caches)
        return hidden[:, -1]
