"""Confidence: how likely it is that an aligned place really holds the music that was asked for.

A logistic model of a few numbers that say different things: the share of notes matched, how surprising that
is for the pitches around (bits), how rare the landmarks were that led there (votes), how long the query is,
and how varied: a scale or a trill is found in many pieces, note for note. Its weights were fitted on
fragments of 5 to 30 s and of 10 to 40 notes, some with wrong and missing notes, some melodies alone, some in
another key and tempo, taken from half of the works of ASAP and half of the songs of POP909, once with the
rest of the work in the gallery and once without; tests/bench/identity.py measures it on the other halves.
"""

from __future__ import annotations

import math

__all__ = ["DEFAULT_CONFIDENCE", "confidence_of"]

DEFAULT_CONFIDENCE = 0.35  # above it, one fragment of 10 s of other music in a hundred or fewer is answered

_BIAS = -19.662
_MATCHED, _BITS, _VOTES, _LENGTH = 12.759, 1.074, 1.844, -2.335
_TEMPO, _LATE, _VARIETY = -1.636, -15.199, 4.144
_LATEST_S = 0.1


def confidence_of(
    matched: float,
    bits: float,
    votes: float,
    notes: int,
    tempo_ratio: float,
    late_s: float,
    variety: int,
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
    variety : different steps among the matched notes (`landmarks.variety`)
    """
    score = _BIAS + _MATCHED * matched + _BITS * math.log1p(bits) + _VOTES * math.log1p(votes)
    score += _LENGTH * math.log(max(1, notes)) + _TEMPO * abs(math.log2(tempo_ratio))
    score += _LATE * min(late_s, _LATEST_S) + _VARIETY * math.log1p(variety)
    return 1 / (1 + math.exp(-score))
