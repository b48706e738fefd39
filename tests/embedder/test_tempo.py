"""Tempo: a notated one is believed if the notes keep to it; otherwise it is estimated, or unknown."""

from __future__ import annotations

import numpy as np
import pytest

from embedder import Notes
from embedder.notes import TempoMap
from embedder.tempo import Tempo, is_on_grid, tempo_of

RECORDER = TempoMap([0.0], [500_000.0], [0.0], 480)  # 120 BPM, as recorders write it


def pulse(bpm: float, beats: int = 120, *, jitter_s: float = 0.0, tempo: TempoMap | None = None) -> Notes:
    """Quarters and eighths in a steady tempo."""
    rng = np.random.default_rng(0)
    position = np.sort(np.concatenate([np.arange(beats), np.arange(0, beats, 4) + 0.5]))
    onset = position * 60 / bpm + rng.normal(0, jitter_s, len(position)) + 1
    return Notes(
        onset,
        np.full(len(onset), 0.2),
        60 + rng.integers(0, 12, len(onset)),
        np.full(len(onset), 70),
        tempo=tempo,
    )


def test_a_notated_tempo_is_believed_where_the_notes_keep_to_it() -> None:
    map_90 = TempoMap([0.0], [60e6 / 90], [0.0], 480)
    assert tempo_of(pulse(90, tempo=map_90, jitter_s=0.01).shift(0.0), 90.0) == Tempo(90.0)


def test_the_recorders_120_is_not_taken_for_the_tempo_of_a_free_recording() -> None:
    notes = pulse(97, tempo=RECORDER, jitter_s=0.005)
    assert not is_on_grid(notes)
    tempo = tempo_of(notes, 120.0)
    assert tempo.estimated
    assert tempo.bpm == pytest.approx(97, rel=0.02)


@pytest.mark.parametrize("bpm", [50, 72, 100, 133, 160])
def test_without_a_notated_tempo_a_steady_pulse_is_found(bpm: float) -> None:
    tempo = tempo_of(pulse(bpm, jitter_s=0.008), None)
    assert tempo.estimated
    assert tempo.bpm is not None
    assert min(abs(tempo.bpm / (bpm * octave) - 1) for octave in (0.5, 1, 2)) < 0.02


def test_random_onsets_have_no_tempo() -> None:
    rng = np.random.default_rng(1)
    onset = np.cumsum(rng.exponential(0.2, 800))
    notes = Notes(onset, np.full(800, 0.1), rng.integers(40, 80, 800), np.full(800, 64), tempo=RECORDER)
    assert tempo_of(notes, 120.0) == Tempo(None)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_few_notes_keep_what_is_written(count: int) -> None:
    notes = Notes(
        np.arange(count) * 0.37, np.full(count, 0.1), np.full(count, 60), np.full(count, 64), tempo=RECORDER
    )
    assert tempo_of(notes, 120.0) == Tempo(120.0)
    assert tempo_of(notes, None) == Tempo(None)
