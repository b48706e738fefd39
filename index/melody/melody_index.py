"""An index of melodies: which of many melodies holds a given line of notes, whatever its key and tempo.

Every note of a line with three of the five that follow gives a key: the three intervals. A wrong or missing
note spoils only the keys it belongs to. Rare keys that a query shares with a melody propose it; the longest
common subsequence of the notes there, in the key that most of them agree on, tells how much of the query it
holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import FloatArray, IntArray

from ..matching import InvertedIndex, expand_ranges, rarest_first

__all__ = ["MIN_NOTES", "MelodyIndex", "MelodyMatch", "interval_keys"]

MIN_NOTES = 6  # of a query
_REACH = 5
_MAX_INTERVAL = 15  # semitones; larger intervals count as this
_NEAR = 24  # notes by which a line may drift from a melody that has more notes or fewer
_MAX_CANDIDATES = 24  # melodies that are compared with the query
_MAX_NOTES = 400  # of a query that are looked for
BUDGET = 60_000  # postings that are read for a query
_STEPS = tuple(combinations(range(1, _REACH + 1), 3))


@dataclass(frozen=True)
class MelodyMatch:
    """A melody that holds a query, and where.

    Attributes
    ----------
    number : of the melody among those of the index
    first, last : its notes that hold the query, end excluded
    transposition : semitones by which the query sounds higher
    matched : share of the query's notes that occur there in order, 0..1
    """

    number: int
    first: int
    last: int
    transposition: int
    matched: float


def interval_keys(pitch: IntArray) -> tuple[NDArray[np.uint32], IntArray]:
    """Keys of a line of pitches [n], and the note that each begins with."""
    keys, notes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    base = 2 * _MAX_INTERVAL + 1
    for steps in _STEPS:
        count = len(pitch) - steps[-1]
        if count <= 0:
            continue
        key = np.zeros(count, dtype=np.int64)
        for before, after in zip((0, *steps), steps, strict=False):
            interval = pitch[after : after + count] - pitch[before : before + count]
            key = key * base + np.clip(interval, -_MAX_INTERVAL, _MAX_INTERVAL) + _MAX_INTERVAL
        keys.append(key)
        notes.append(np.arange(count))
    return np.concatenate(keys).astype(np.uint32), np.concatenate(notes)


class MelodyIndex:
    """Many melodies, ready to be searched.

    Parameters
    ----------
    melodies : pitches of each, int [n], in order of onset
    """

    def __init__(self, melodies: list[NDArray[np.integer]]) -> None:
        self._melodies = [melody.astype(np.int64) for melody in melodies]
        # Notes of all melodies are numbered on one axis.
        self._start = np.concatenate([[0], np.cumsum([len(m) for m in melodies], dtype=np.int64)])
        keyed = [interval_keys(melody) for melody in self._melodies]
        keys = np.concatenate([np.empty(0, np.uint32), *(keys for keys, _ in keyed)])
        notes = [start + notes for start, (_, notes) in zip(self._start, keyed, strict=False)]
        self._index = InvertedIndex.build(keys, np.concatenate([np.empty(0, np.int64), *notes]))

    def search(self, pitch: NDArray[np.integer], k: int) -> list[MelodyMatch]:
        """Melodies that hold a line, the most of it first.

        Raises
        ------
        ValueError
            If the line has fewer than `MIN_NOTES` notes.
        """
        if len(pitch) < MIN_NOTES:
            raise ValueError(f"{len(pitch)} notes are too few to look for; give at least {MIN_NOTES}")
        line = pitch.astype(np.int64)[:_MAX_NOTES]
        number, query_note, note, weight = self._shared(line)
        votes = np.bincount(number, weight, minlength=len(self._melodies))
        best = np.argsort(-votes, kind="stable")[:_MAX_CANDIDATES]
        matches = [
            self._compare(line, int(melody), query_note[number == melody], note[number == melody])
            for melody in best[votes[best] > 0]
        ]
        return sorted(matches, key=lambda match: (-round(match.matched, 3), -votes[match.number]))[:k]

    def _shared(self, line: IntArray) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Keys that the line shares with melodies: the melody, the notes of both, and the key's weight."""
        keys, query_notes = interval_keys(line)
        first, last = self._index.key_ranges(keys)
        counts = self._index.postings_in(first, last)
        # The rarest first, and no more than can be read quickly: a note that repeats is in every melody.
        order = rarest_first(counts, BUDGET, minimum=0)
        key, of_key = expand_ranges(first[order], last[order])
        posting, of_posting = expand_ranges(self._index.start[key], self._index.start[key + 1])
        which = of_key[of_posting]
        position = self._index.position[posting].astype(np.int64)
        number = np.searchsorted(self._start, position, "right") - 1
        rarity = np.log(1 + len(self._index.position) / np.maximum(counts[order], 1))
        # A key that a melody has a hundred times is not worth a hundred times as much.
        pair = number * len(order) + which
        _, inverse, repeats = np.unique(pair, return_inverse=True, return_counts=True)
        weight = (rarity[which] ** 2) / repeats[inverse]
        return number, query_notes[order][which], position - self._start[number], weight

    def _compare(self, line: IntArray, number: int, query_note: IntArray, note: IntArray) -> MelodyMatch:
        """The query aligned with the stretch of a melody that most shared keys point to."""
        melody = self._melodies[number]
        shift = note - query_note
        bins = np.bincount((shift + len(line)) // _NEAR)
        pairs = bins + np.append(bins[1:], 0)
        begin = int(pairs.argmax()) * _NEAR - len(line)
        there = (shift >= begin) & (shift < begin + 2 * _NEAR)
        intervals = line[query_note[there]] - melody[note[there]]
        transposition = int(np.bincount(intervals + 128).argmax()) - 128
        low = max(begin - _NEAR // 2, 0)
        high = min(begin + 2 * _NEAR + _NEAR // 2 + len(line), len(melody))
        first, last, common = longest_common_subsequence(line - transposition, melody[low:high])
        return MelodyMatch(number, low + first, low + last, transposition, common / len(line))


def longest_common_subsequence(line: IntArray, melody: IntArray) -> tuple[int, int, int]:
    """A stretch of the melody that holds the longest common subsequence, first and last, and its length.

    Where notes are wrong, others from far off may take their place: the stretch then leaves out up to a
    twelfth of the common notes at either end.
    """
    forward = _prefix_lengths(line, melody)
    length = int(forward[-1])
    if not length:
        return 0, 0, 0
    strays = min(length // 12, len(line) - length)
    last = int(np.searchsorted(forward, length - strays))
    backward = _prefix_lengths(line[::-1], melody[:last][::-1])
    return last - int(np.searchsorted(backward, backward[-1] - strays)), last, length


def _prefix_lengths(line: IntArray, melody: IntArray) -> IntArray:
    """Length of the longest common subsequence of a line and each prefix of a melody, [n + 1]."""
    row = np.zeros(len(melody) + 1, dtype=np.int64)
    for pitch in line.tolist():
        longer = row.copy()
        longer[1:] = np.maximum(row[1:], row[:-1] + (melody == pitch))
        row = np.maximum.accumulate(longer)
    return row
