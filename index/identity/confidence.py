"""Confidence: how likely it is that an aligned place really holds the music that was asked for.

A logistic model of a few numbers that say different things: the share of notes matched, how surprising that
is for the pitches around (bits), how rare the landmarks were that led there (votes), and how long the query
is. Its weights were fitted on fragments of 5 to 30 s and of 10 to 40 notes, some with wrong and missing
notes, some transposed, taken from half of the works of ASAP and half of the songs of POP909, once with the
rest of the work in the gallery and once without; tests/bench/identity.py measures it on the other halves.
"""

from __future__ import annotations

import math

__all__ = ["DEFAULT_CONFIDENCE", "confidence_of"]

DEFAULT_CONFIDENCE = 0.6  # of answers above it, about one in a hundred fragments of other music gives one

_BIAS = -16.356
_MATCHED, _BITS, _VOTES, _LENGTH, _TEMPO, _LATE = 13.607, 1.204, 1.669, -0.399, -2.448, -0.716
_LATEST_S = 0.1


def confidence_of(
    matched: float, bits: float, votes: float, notes: int, tempo_ratio: float, late_s: float
) -> float:
    """Confidence 0..1.

    Parameters
    ----------
    matched : share of the query's notes that are matched
    bits : surprise of so many matches (`Alignment.bits`)
    votes : weight of the landmarks that agree (`Candidate.votes`)
    notes : notes of the query
    tempo_ratio : tempo of the query over that of the piece
    late_s : median distance of matched notes from the smooth clock
    """
    score = _BIAS + _MATCHED * matched + _BITS * math.log1p(bits) + _VOTES * math.log1p(votes)
    score += _LENGTH * math.log(max(1, notes)) + _TEMPO * abs(math.log2(tempo_ratio))
    score += _LATE * min(late_s, _LATEST_S)
    return 1 / (1 + math.exp(-score))
