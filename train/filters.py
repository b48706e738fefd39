"""Which pieces a corpus leaves out: the heuristics of Aria's corpus, each of which can be switched off.

A filter is a name, what it removes in words, and a test of the notes. The numbers are those of arXiv
2506.23869 where it gives one; the caps on bursts and the measure of repetition are our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import CorpusError
from embedder.notes import Notes

__all__ = ["FILTERS", "Filter", "chosen_filters", "failing"]


@dataclass(frozen=True)
class Filter:
    """A heuristic: `removes` says in words what `fails` finds."""

    removes: str
    fails: Callable[[Notes], bool]


def _seconds(notes: Notes) -> float:
    return notes.end_s - notes.start_s


def _rate(notes: Notes) -> float:
    return len(notes) / max(_seconds(notes), 1e-3)


def _entropy(values: NDArray[np.integer]) -> float:
    """Entropy of the histogram of whole numbers, bits."""
    share = np.unique(values, return_counts=True)[1] / max(len(values), 1)
    return float(-(share * np.log2(share)).sum())


def _most_within(notes: Notes, seconds: float) -> int:
    """Most onsets within any span of so many seconds."""
    after = np.searchsorted(notes.onset, notes.onset + seconds, "left")
    return int((after - np.arange(len(notes))).max(initial=0))


def _longest_silence(notes: Notes) -> float:
    """Longest time in which nothing sounds between two notes, seconds."""
    if len(notes) < 2:
        return 0.0
    sounding_until = np.maximum.accumulate(notes.end)[:-1]
    return float((notes.onset[1:] - sounding_until).max())


def _repeats_itself(notes: Notes) -> bool:
    """Whether a piece of over five minutes is made of few distinct runs of 12 pitches."""
    run = 12
    if _seconds(notes) < 300 or len(notes) < 100 * run:
        return False
    runs = np.lib.stride_tricks.sliding_window_view(notes.pitch.astype(np.uint8), run)
    distinct = len(np.unique(np.ascontiguousarray(runs).view(f"V{run}")))
    return distinct < 0.1 * len(runs)


# In the order in which they are tried; the first that fails a piece is the one that is counted.
FILTERS: dict[str, Filter] = {
    "few-notes": Filter("fewer than 16 notes", lambda n: len(n) < 16),
    "short": Filter("shorter than 30 s", lambda n: _seconds(n) < 30),
    "long": Filter("longer than 2 h", lambda n: _seconds(n) > 7200),
    "sparse": Filter("fewer than 1.5 notes a second", lambda n: _rate(n) < 1.5),
    "dense": Filter("more than 30 notes a second", lambda n: _rate(n) > 30),
    "bursts": Filter(
        "more than 100 onsets within a second or 300 within five",
        lambda n: _most_within(n, 1.0) > 100 or _most_within(n, 5.0) > 300,
    ),
    "pitches": Filter("fewer than 12 distinct pitches", lambda n: len(np.unique(n.pitch)) < 12),
    "pitch-entropy": Filter("pitches of less than 3 bits", lambda n: _entropy(n.pitch) < 3.0),
    "duration-entropy": Filter(
        "durations, in steps of 10 ms, of less than 2.5 bits",
        lambda n: _entropy(np.rint(n.duration * 100).astype(np.int64)) < 2.5,
    ),
    "silence": Filter("a silence of more than 20 s", lambda n: _longest_silence(n) > 20),
    "velocity": Filter(
        "mean velocity outside 20..105", lambda n: not 20 <= float(np.mean(n.velocity, dtype=float)) <= 105
    ),
    "repetitive": Filter("over five minutes of the same few figures", _repeats_itself),
}


def chosen_filters(without: Collection[str]) -> dict[str, Filter]:
    """All filters but the named ones; the name `all` switches every one off.

    Raises
    ------
    CorpusError
        If there is no filter of such a name.
    """
    unknown = set(without) - set(FILTERS) - {"all"}
    if unknown:
        raise CorpusError(
            f"no filter is called {', '.join(sorted(unknown))}; there are {', '.join(FILTERS)}, all"
        )
    return {name: f for name, f in FILTERS.items() if name not in without and "all" not in without}


def failing(notes: Notes, filters: dict[str, Filter], tally: Counter[str]) -> str | None:
    """The first filter that removes a piece, None if it stays; `tally` counts every filter that it fails."""
    failed = [name for name, each in filters.items() if each.fails(notes)]
    tally.update(failed)
    return failed[0] if failed else None
