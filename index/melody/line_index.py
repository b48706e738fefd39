"""Tunes: which of many melodies holds a given line of notes, whatever its key and tempo.

Every note of a line with three of the five that follow gives a key: the three intervals. A wrong or missing
note spoils only the keys it belongs to. Rare keys that a query shares with a melody propose; the longest
common subsequence of the notes there, in the key that most of them agree on, says how much of the query is
held.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "Tune", "TuneIndex", "keys_of"]

FEWEST = 6  # notes of a query
REACH = 5
WIDEST = 15  # semitones; larger intervals count as this
NEAR = 24  # notes by which a line may drift from a melody that has more notes or fewer
PROPOSED = 24  # melodies that are compared with the query
LONGEST = 400  # notes of a query that are looked for
BUDGET = 60_000  # places of melodies that are read for a query
_STEPS = tuple(combinations(range(1, REACH + 1), 3))

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Tune:
    """A melody that holds a query, and where.

    Attributes
    ----------
    number : of the melody among those of the index
    first, last : its notes that hold the query, end excluded
    up : semitones by which the query sounds higher
    matched : share of the query's notes that stand there in order, 0..1
    """

    number: int
    first: int
    last: int
    up: int
    matched: float


def keys_of(pitch: IntArray) -> tuple[IntArray, IntArray]:
    """Keys of a line of pitches [n], and the note that each begins with."""
    keys, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    base = 2 * WIDEST + 1
    for steps in _STEPS:
        count = len(pitch) - steps[-1]
        if count <= 0:
            continue
        key = np.zeros(count, dtype=np.int64)
        for before, after in zip((0, *steps), steps, strict=False):
            interval = pitch[after : after + count] - pitch[before : before + count]
            key = key * base + np.clip(interval, -WIDEST, WIDEST) + WIDEST
        keys.append(key)
        places.append(np.arange(count))
    return np.concatenate(keys), np.concatenate(places)


class TuneIndex:
    """Many melodies, ready to be asked.

    Parameters
    ----------
    melodies : pitches of each, int [n], in order of onset
    """

    def __init__(self, melodies: list[NDArray[np.integer]]) -> None:
        self._melodies = [melody.astype(np.int64) for melody in melodies]
        found = [keys_of(melody) for melody in self._melodies]
        keys = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in found)])
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._places = np.concatenate([np.empty(0, np.int64), *(places for _, places in found)])[order]
        self._of = np.repeat(np.arange(len(found)), [len(keys) for keys, _ in found])[order]

    def search(self, pitch: NDArray[np.integer], k: int) -> list[Tune]:
        """Melodies that hold a line, the most of it first.

        Raises
        ------
        ValueError
            If the line has fewer than `FEWEST` notes.
        """
        if len(pitch) < FEWEST:
            raise ValueError(f"{len(pitch)} notes are too few to look for; give at least {FEWEST}")
        line = pitch.astype(np.int64)[:LONGEST]
        number, query_place, place, worth = self._shared(line)
        votes = np.bincount(number, worth, minlength=len(self._melodies))
        proposed = np.argsort(-votes, kind="stable")[:PROPOSED]
        tunes = [
            self._compared(line, int(one), query_place[number == one], place[number == one])
            for one in proposed[votes[proposed] > 0]
        ]
        order = sorted(tunes, key=lambda tune: (-round(tune.matched, 3), -votes[tune.number]))
        return order[:k]

    def _shared(self, line: IntArray) -> tuple[IntArray, IntArray, IntArray, NDArray[np.float64]]:
        """Keys that the line shares with melodies: the melody, both places, and how much the key tells."""
        keys, places = keys_of(line)
        first, last = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        # The rarest first, and no more than can be read quickly: a note that repeats is in every melody.
        rarest = np.argsort(last - first, kind="stable")
        rarest = rarest[: int(np.searchsorted(np.cumsum((last - first)[rarest]), BUDGET, "right"))]
        keys, places, first, last = keys[rarest], places[rarest], first[rarest], last[rarest]
        count = last - first
        which = np.repeat(np.arange(len(keys)), count)
        at = np.arange(len(which)) - (np.cumsum(count) - count)[which] + first[which]
        rarity = np.log(1 + len(self._keys) / np.maximum(count, 1))
        # A key that a melody has a hundred times is not worth a hundred times as much.
        pair = self._of[at] * len(keys) + which
        _, back, times = np.unique(pair, return_inverse=True, return_counts=True)
        return self._of[at], places[which], self._places[at], (rarity[which] ** 2) / times[back]

    def _compared(self, line: IntArray, number: int, query_place: IntArray, place: IntArray) -> Tune:
        """The query beside the stretch of a melody that most shared keys point to."""
        melody = self._melodies[number]
        shift = place - query_place
        bins = np.bincount((shift + len(line)) // NEAR)
        both = bins + np.append(bins[1:], 0)
        begin = int(both.argmax()) * NEAR - len(line)
        there = (shift >= begin) & (shift < begin + 2 * NEAR)
        ups = line[query_place[there]] - melody[place[there]]
        up = int(np.bincount(ups + 128).argmax()) - 128
        low = max(begin - NEAR // 2, 0)
        high = min(begin + 2 * NEAR + NEAR // 2 + len(line), len(melody))
        first, last, common = _common(line - up, melody[low:high])
        return Tune(number, low + first, low + last, up, common / len(line))


def _common(line: IntArray, melody: IntArray) -> tuple[int, int, int]:
    """Longest common subsequence: a stretch of the melody that holds it, first and last, and its length.

    Where notes are wrong, others from far off may stand in for them: the stretch then leaves out up to a
    twelfth of the common notes at either end.
    """
    forward = _lengths(line, melody)
    length = int(forward[-1])
    if not length:
        return 0, 0, 0
    strays = min(length // 12, len(line) - length)
    last = int(np.searchsorted(forward, length - strays))
    backward = _lengths(line[::-1], melody[:last][::-1])
    return last - int(np.searchsorted(backward, backward[-1] - strays)), last, length


def _lengths(line: IntArray, melody: IntArray) -> IntArray:
    """Length of the longest common subsequence of a line and each prefix of a melody, [n + 1]."""
    row = np.zeros(len(melody) + 1, dtype=np.int64)
    for pitch in line.tolist():
        longer = row.copy()
        longer[1:] = np.maximum(row[1:], row[:-1] + (melody == pitch))
        row = np.maximum.accumulate(longer)
    return row
