"""Confidence: how likely it is that an aligned place really holds the music that was asked for.

A logistic model of a few numbers that say different things: the share of notes matched, both ways; how
surprising that is for the pitches around (bits); how rare the landmarks were that led there (votes); how long
the query is; and how varied: a scale or a trill is found in many pieces, note for note. Another tempo and
another key are further places to be right by chance. Its weights were fitted on fragments of 5 and 10 s and
of 10 and 20 notes, some with wrong and missing notes, some melodies alone, some in another key and tempo,
taken from half of the works of ASAP and half of the songs of POP909, once with the rest of the work in the
gallery and once without. tests/bench/identity.py measures it on the other halves, tests/bench/strangers.py
on fragments of whole sets that the gallery lacks.
"""

from __future__ import annotations

import math

__all__ = ["confidence_of", "default_confidence"]

# About one fragment in a hundred that is not in the library gets an answer of so much. Ten notes occur in
# many pieces note for note, and so must do better.
_DEFAULT, _DEFAULT_OF_FEW = 0.75, 0.9
_FEW_NOTES = 15

_BIAS = -16.105
_MATCHED, _MUTUAL, _BITS, _VOTES = 4.542, 3.881, 2.799, 1.189
_LENGTH, _VARIETY, _TEMPO, _TRANSPOSED = -3.571, 4.156, -4.254, -0.904


def default_confidence(notes: int) -> float:
    """The least confidence of an answer to a query of so many notes, where nobody asks for more or less."""
    return _DEFAULT if notes >= _FEW_NOTES else _DEFAULT_OF_FEW


def confidence_of(
    matched: float,
    bits: float,
    votes: float,
    notes: int,
    tempo_ratio: float,
    variety: int,
    mutual: float,
    transposition: int,
) -> float:
    """Confidence 0..1.

    Parameters
    ----------
    matched : share of the query's notes that are matched
    bits : surprise of so many matches (`Alignment.bits`)
    votes : weight of the landmarks that agree (`Candidate.votes`)
    notes : notes of the query
    tempo_ratio : tempo of the query over that of the piece
    variety : different steps among the matched notes (`landmarks.variety`)
    mutual : share of the piece's notes there that have a counterpart in the query
    transposition : semitones between the two
    """
    score = _BIAS + _MATCHED * matched + _MUTUAL * mutual
    score += _BITS * math.log1p(bits) + _VOTES * math.log1p(votes)
    score += _LENGTH * math.log(max(1, notes)) + _VARIETY * math.log1p(variety)
    score += _TEMPO * abs(math.log2(tempo_ratio)) + _TRANSPOSED * (transposition != 0)
    return 1 / (1 + math.exp(-score))
