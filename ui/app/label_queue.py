"""Pieces to label next: a queue of suggestions for each tag, renewed in the background while people label."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from embedder.core.errors import MidikinError

from . import state

if TYPE_CHECKING:
    from index import Library, Suggestions

__all__ = ["LabelQueues", "label_queues", "next_piece"]

LENGTH = 12  # suggestions asked for at a time
RENEW_AFTER = 4  # labels


@dataclass
class _Entry:
    labels: int = -1  # there were when the suggestions were computed
    suggestions: Suggestions | None = None
    running: bool = False
    error: str = ""


class LabelQueues:
    """Suggestions of all tags of a library. Thread-safe."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def latest(self, tag: str, labels: int) -> tuple[Suggestions | None, bool]:
        """The latest suggestions of a tag, and whether newer ones are being computed; never waits.

        Parameters
        ----------
        labels : how many labels the tag has now; after some more of them new suggestions are started
        """
        with self._lock:
            entry = self._entries.setdefault(tag, _Entry())
            outdated = entry.suggestions is None or abs(labels - entry.labels) >= RENEW_AFTER
            if outdated and not entry.running and not (entry.error and entry.labels == labels):
                entry.running = True
                thread = threading.Thread(
                    target=self._compute, args=(tag, labels, entry), name="midikin-suggest", daemon=True
                )
                thread.start()
            return entry.suggestions, entry.running

    def _compute(self, tag: str, labels: int, entry: _Entry) -> None:
        suggestions, error = entry.suggestions, ""
        try:
            suggestions = self._library.probes.suggest(tag, LENGTH)
        except MidikinError as problem:
            error = str(problem)
        finally:
            with self._lock:
                entry.suggestions, entry.error = suggestions, error
                entry.labels, entry.running = labels, False


def label_queues() -> LabelQueues:
    """The queues of this app's library."""
    return _queues(str(state.library().folder))


@st.cache_resource(show_spinner=False)
def _queues(folder: str) -> LabelQueues:
    return LabelQueues(state.library())


def next_piece(
    numbers: Sequence[int], labelled: set[int], skipped: set[int], suggestions: Suggestions | None
) -> tuple[int | None, Any]:
    """The piece to label now: the best suggestion that is still open, otherwise a piece drawn at random.

    Parameters
    ----------
    numbers : all pieces of the library
    labelled, skipped : pieces that are not asked about
    """
    for suggestion in suggestions.pieces if suggestions else ():
        if suggestion.piece_id not in labelled and suggestion.piece_id not in skipped:
            return suggestion.piece_id, suggestion
    open_pieces = [number for number in numbers if number not in labelled]
    wanted = [number for number in open_pieces if number not in skipped] or open_pieces
    if not wanted:
        return None, None
    return random.Random(len(labelled)).choice(wanted), None  # the same until a label is given
