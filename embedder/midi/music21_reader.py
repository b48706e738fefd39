"""Notes of a score that the music21 package holds, straight from the score and not by way of a MIDI export.

music21 is an optional part of midikin (`midikin[demo]`): this module never imports it at the top.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..notes import Notes

__all__ = ["DEFAULT_TEMPO_BPM", "VELOCITY", "notes_of_score"]

DEFAULT_TEMPO_BPM = 100.0  # quarter notes a minute, for scores that say nothing
VELOCITY = 72
GRACE_QUARTERS = 0.125  # a grace note has no length of its own


def notes_of_score(score: Any, *, tempo_bpm: float = DEFAULT_TEMPO_BPM) -> Notes:
    """Notes of a music21 score, as written: ties merged, repeats not played again, no ornaments.

    Parameters
    ----------
    score : a `music21.stream.Score`, or any stream
    tempo_bpm : quarter notes a minute until the score states a tempo itself

    Returns
    -------
    Notes in the sounding pitch, all of velocity `VELOCITY`, from 0 s at the score's beginning. Chord symbols
    and unpitched percussion are left out; whatever lies outside MIDI's keys is dropped.
    """
    tempo = _TempoMap(score, tempo_bpm)
    written: list[tuple[float, float, int]] = []
    for part in _parts(score):
        written += _sounding(part)
    if not written:
        return Notes.empty()
    begin, end, pitch = (np.array(column, dtype=np.float64) for column in zip(*written, strict=True))
    onset_s, end_s = tempo.seconds(begin), tempo.seconds(end)
    inside = (pitch >= 0) & (pitch <= 127)
    velocity = np.full(int(inside.sum()), VELOCITY)
    return Notes(onset_s[inside], (end_s - onset_s)[inside], pitch[inside].astype(np.int64), velocity)


def _parts(score: Any) -> list[Any]:
    """The parts, each flat and in the pitch that sounds."""
    parts = list(getattr(score, "parts", ())) or [score]
    flat = [part.flatten() for part in parts]
    transposing = any(
        instrument.transposition is not None
        for part in flat
        for instrument in part.getElementsByClass("Instrument")
    )
    if not transposing:
        return flat
    sounding = score.toSoundingPitch()
    return [part.flatten() for part in list(getattr(sounding, "parts", ())) or [sounding]]


def _sounding(part: Any) -> list[tuple[float, float, int]]:
    """(begin, end) in quarter notes and key of each note of a flat part; a tied note is one."""
    done: list[tuple[float, float, int]] = []
    held: dict[int, tuple[float, float]] = {}  # begin and end of what a tie may still prolong, by key
    for element in part.notes:
        if "ChordSymbol" in element.classes:
            continue  # it names a harmony that the notes play, or that nobody plays
        begin = float(element.offset)
        end = begin + (float(element.quarterLength) or GRACE_QUARTERS)
        for note in getattr(element, "notes", (element,)):  # the notes of a chord, or the note itself
            pitch = getattr(note, "pitch", None)
            if pitch is None:
                continue
            key = int(pitch.midi)
            kind = note.tie.type if note.tie is not None else None
            if kind in ("stop", "continue") and key in held and abs(held[key][1] - begin) < 1e-6:
                start = held.pop(key)[0]
            else:
                start = begin
            if kind in ("start", "continue"):
                if key in held:
                    done.append((*held.pop(key), key))
                held[key] = (start, end)
            else:
                done.append((start, end, key))
    return done + [(*span, key) for key, span in held.items()]


class _TempoMap:
    """Quarter notes to seconds, through the metronome marks of a score."""

    def __init__(self, score: Any, tempo_bpm: float) -> None:
        marks = {0.0: tempo_bpm}
        for mark in score.flatten().getElementsByClass("MetronomeMark"):
            stated = mark.getQuarterBPM()
            if stated is not None and stated > 0:
                marks[float(mark.offset)] = float(stated)
        self._quarter = np.array(sorted(marks))
        self._per_quarter_s = np.array([60 / marks[at] for at in sorted(marks)])
        steps = np.diff(self._quarter) * self._per_quarter_s[:-1]
        self._second = np.concatenate([[0.0], np.cumsum(steps)])

    def seconds(self, quarters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds [n] of positions [n] in quarter notes."""
        at = np.maximum(np.searchsorted(self._quarter, quarters, "right") - 1, 0)
        seconds: NDArray[np.float64] = (
            self._second[at] + (quarters - self._quarter[at]) * self._per_quarter_s[at]
        )
        return seconds
