"""What notated files state of themselves before the first note: key, metre and tempo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["UNSTATED", "Header", "read_header"]

_TONICS = ("C", "G", "D", "A", "E", "B", "F#", "C#", "Ab", "Eb", "Bb", "F")  # by sharps, modulo 12


@dataclass(frozen=True)
class Header:
    """Statements of a file; "" or 0 where it makes none.

    Attributes
    ----------
    tonic : of the first key signature, by name
    mode : "major" or "minor"
    metre : first time signature, like "3/4"; only of files with a key signature, because recorders write
        4/4 over everything
    beats_per_minute : the median of the tempos; 0 for the one tempo of 120 that files have by default
    """

    tonic: str = ""
    mode: str = ""
    metre: str = ""
    beats_per_minute: float = 0.0


UNSTATED = Header()


def read_header(path: str) -> Header:
    """Statements of a file; none of a file that the fast reader refuses."""
    from statistics import median

    from symusic import Score

    try:
        score: Any = Score(path)  # its attributes are not in its type hints
        keys, metres = list(score.key_signatures), list(score.time_signatures)
        tempos = [float(tempo.qpm) for tempo in score.tempos]
    except (RuntimeError, ValueError, OSError, IndexError):
        return UNSTATED
    beats = median(tempos) if tempos else 0.0
    if not keys:
        return Header(beats_per_minute=0.0 if tempos in ([], [120.0]) else beats)
    minor = keys[0].tonality == 1
    sharps = int(keys[0].key) + (3 if minor else 0)
    return Header(
        tonic=_TONICS[sharps % 12],
        mode="minor" if minor else "major",
        metre=f"{metres[0].numerator}/{metres[0].denominator}" if metres else "",
        beats_per_minute=0.0 if tempos in ([], [120.0]) else beats,
    )
