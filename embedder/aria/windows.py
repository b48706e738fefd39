"""Runs: the windows of a piece that Aria embeds, of a file by the reference's rules, of notes as one piano.

What a file sounds like to Aria (instruments, drums, pedals, the order of what begins together) is not in its
`Notes`. So the processes that read files make its runs, and the encoder takes them in the place of notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..midi.ticks import TickClock
from ..notes import Notes
from .score import AriaScore, read_score
from .tokenizer import NOTES_PER_RUN, Ids, cut_run, notes_ids, run_ids

__all__ = ["AriaRuns"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AriaRuns:
    """The runs of one piece, at least one.

    Attributes
    ----------
    ids : int32 [t] of each run, at most 2,048, the last <E>
    start_s, end_s : float64 [w], first onset and last end of the run's notes, pedals left out, on the clock
        of `Notes`
    first_note, last_note : int64 [w], range of the run's notes in the order of the file, end excluded
    """

    ids: tuple[Ids, ...]
    start_s: FloatArray
    end_s: FloatArray
    first_note: IntArray
    last_note: IntArray

    @classmethod
    def of_file(cls, data: bytes) -> Self:
        """Runs of the bytes of a MIDI file.

        Raises
        ------
        MidiError
            If it cannot be read, or holds no note of an instrument that Aria knows.
        """
        score = read_score(data)
        runs = run_ids(score)
        if not runs:
            raise MidiError("has no notes of the instruments that Aria knows")
        first, last = (np.array([run[i] for run in runs], np.int64) for i in (0, 1))
        clock = _clock(score)
        kept = np.flatnonzero(score.kept)
        start, end = clock.seconds(score.start[kept]), clock.seconds(score.end[kept])
        begin = np.searchsorted(kept, first)  # of each run among the notes that are kept
        stop = np.searchsorted(kept, last)
        return cls(
            ids=tuple(run[2] for run in runs),
            start_s=start[begin],
            end_s=np.array([end[a:b].max() for a, b in zip(begin, stop, strict=True)]),
            first_note=first,
            last_note=last,
        )

    @classmethod
    def of_notes(cls, notes: Notes) -> Self:
        """Runs of the pitched notes, as one piano without pedal.

        Raises
        ------
        ValueError
            If there are none.
        """
        notes = notes.pitched()
        if not len(notes):
            raise ValueError("a piece without notes has no vector")
        first = np.arange(0, len(notes), NOTES_PER_RUN)
        last = np.minimum(first + NOTES_PER_RUN, len(notes))
        parts = [notes.slice_notes(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        return cls(
            ids=tuple(cut_run(notes_ids(part)) for part in parts),
            start_s=np.array([part.start_s for part in parts]),
            end_s=np.array([part.end_s for part in parts]),
            first_note=first,
            last_note=last,
        )


def _clock(score: AriaScore) -> TickClock:
    """From ticks to seconds since the beginning of the file, as `Notes` count them."""
    return TickClock.of_header(score.header, score.tempo_tick, score.tempo_us)
