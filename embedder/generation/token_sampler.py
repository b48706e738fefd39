"""Continuing token by token, with Aria's language model.

Only tokens that make sense where they stand are drawn: a note, then its onset (not before the last one of its
segment), then its duration. So whatever the weights, the tokens are music.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..aria import vocabulary as v
from ..aria.tokenizer import ids_to_notes, notes_ids
from ..aria.transformer import AriaTransformer
from ..notes import Notes
from .sampling import Dice

__all__ = ["continue_ids"]

MOST_IDS_A_SECOND = 200
PIANO_NOTES = slice(v.NOTES, v.NOTES + 128 * v.VELOCITIES)


@dataclass
class _Row:
    """Where one variation stands.

    Attributes
    ----------
    segment : number of <T> so far
    onset : last onset within the segment, in steps
    expects : "note", "onset" or "duration"
    notes : how many are complete
    """

    begin_ms: float
    end_ms: float
    segment: int
    onset: int
    expects: str = "note"
    notes: int = 0
    ids: list[int] = field(default_factory=list)
    ended: bool = False
    stopped: bool = False

    def allowed(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits [vocabulary] with minus infinity at what makes no sense here."""
        scores = np.full(len(logits), -np.inf, np.float32)
        if self.expects == "onset":
            first = v.ONSETS + max(self.onset, self._step(self.begin_ms))
            last = v.SIZE if self.notes else min(v.SIZE, v.ONSETS + self._step(self.end_ms))
            scores[first:last] = logits[first:last]
        elif self.expects == "duration":
            scores[v.DURATIONS + 1 : v.ONSETS] = logits[v.DURATIONS + 1 : v.ONSETS]
        else:
            if self.notes or self._step(self.end_ms) > v.SEGMENT_MS // v.STEP_MS:
                scores[v.TIME] = logits[v.TIME]
            if self._step(self.begin_ms) < v.SEGMENT_MS // v.STEP_MS:
                scores[PIANO_NOTES] = logits[PIANO_NOTES]
                scores[PIANO_NOTES].reshape(128, v.VELOCITIES)[:, 0] = -np.inf  # not to be heard
            if self.notes:
                scores[v.END] = logits[v.END]
        return scores

    def _step(self, time_ms: float) -> int:
        """First step of the segment that is not before a time."""
        return max(0, int(np.ceil((time_ms - self.segment * v.SEGMENT_MS) / v.STEP_MS)))

    def take(self, token: int) -> None:
        if token == v.END:
            self.ended = self.stopped = True
        elif token == v.TIME:
            self.segment, self.onset = self.segment + 1, 0
            self.stopped = self.segment * v.SEGMENT_MS >= self.end_ms
        elif token >= v.ONSETS:
            self.onset, self.expects = token - v.ONSETS, "duration"
            self.stopped = self.segment * v.SEGMENT_MS + self.onset * v.STEP_MS >= self.end_ms
        elif token >= v.DURATIONS:
            self.notes, self.expects = self.notes + 1, "note"
        else:
            self.expects = "onset"
        if not self.stopped:
            self.ids.append(token)


@torch.inference_mode()
def continue_ids(
    model: AriaTransformer, prompt: Notes, begin_s: float, seconds: float, dice: Dice, rows: int, cached: bool
) -> list[tuple[Notes, bool]]:
    """Variations of what follows a prompt; parameters and answers as for `notewise.continue_notes`."""
    given, prompt = _prompt_ids(model, prompt)
    shift_s = prompt.start_s
    begin_ms = (begin_s - shift_s) * 1000
    most = min(int(seconds * MOST_IDS_A_SECOND) + 1, model.config.positions - len(given))
    segment = int(np.count_nonzero(given == v.TIME))
    own = given[np.flatnonzero(given == v.TIME)[-1] :] if segment else given
    onsets = own[own >= v.ONSETS] - v.ONSETS
    states = [
        _Row(begin_ms, begin_ms + seconds * 1000, segment, int(onsets.max(initial=0))) for _ in range(rows)
    ]
    ids = torch.from_numpy(np.repeat(given[None].astype(np.int64), rows, axis=0))
    caches = model.caches(rows, len(given) + most) if cached else None
    fresh = ids
    for _ in range(most):
        hidden = model(fresh if cached else ids, past=caches)[:, -1]
        logits = model.next_logits(hidden).cpu().numpy()
        tokens = np.full(rows, v.PAD, np.int64)
        for row, state in enumerate(states):
            if not state.stopped:
                tokens[row] = dice.draw(row, state.allowed(logits[row]))
                state.take(int(tokens[row]))
        if all(state.stopped for state in states):
            break
        fresh = torch.from_numpy(tokens[:, None])
        ids = torch.cat([ids, fresh], dim=1)
    return [(_notes(given, state, shift_s), state.ended) for state in states]


def _prompt_ids(model: AriaTransformer, prompt: Notes) -> tuple[NDArray[np.int32], Notes]:
    """Ids of a prompt without <E> in half of the positions at most, and the notes in them, the last ones."""
    most = model.config.positions // 2
    while len(ids := notes_ids(prompt)[:-1]) > most and len(prompt) > 1:
        keep = max(1, len(prompt) * most // len(ids) - 1)
        prompt = prompt.slice_notes(len(prompt) - keep, len(prompt))
    return ids, prompt


def _notes(given: NDArray[np.int32], state: _Row, shift_s: float) -> Notes:
    """What a row has added, at its own time."""
    before = np.full(int(np.count_nonzero(given == v.TIME)), v.TIME, np.int64)
    return ids_to_notes([*before.tolist(), *state.ids]).shift(shift_s)
