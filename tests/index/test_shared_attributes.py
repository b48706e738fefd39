"""What two pieces are said to share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embedder import Descriptors
from index.search import shared_traits

NOCTURNE = Descriptors(
    duration_s=200.0,
    notes=800,
    density=4.0,
    pitch_low=30,
    pitch_high=90,
    pitch_mean=62.0,
    polyphony=3.0,
    velocity_mean=60.0,
    key="C minor",
    key_confidence=0.9,
    tempo_bpm=96.0,
)


def test_a_piece_shares_everything_with_itself() -> None:
    traits = shared_traits(NOCTURNE, NOCTURNE, same_notes=True)
    assert traits[0] == "the very same notes in another file"
    assert "same key, C minor" in traits
    assert "similar tempo, 96 BPM" in traits
    assert "similar length, 3:20" in traits


def test_the_tempo_that_programs_write_unasked_is_nothing_shared() -> None:
    unasked = replace(NOCTURNE, tempo_bpm=120.0)
    assert not any("tempo" in trait for trait in shared_traits(unasked, unasked, same_notes=False))
    chosen = replace(NOCTURNE, tempo_bpm=118.0)
    assert any("tempo" in trait for trait in shared_traits(unasked, chosen, same_notes=False))


@pytest.mark.parametrize("confidence", [0.0, 0.4])
def test_a_key_that_is_a_guess_is_not_shared(confidence: float) -> None:
    unsure = replace(NOCTURNE, key_confidence=confidence)
    assert not any("key" in trait for trait in shared_traits(NOCTURNE, unsure, same_notes=False))


def test_strangers_share_nothing() -> None:
    other = replace(
        NOCTURNE,
        duration_s=20.0,
        density=20.0,
        polyphony=1.0,
        pitch_mean=80.0,
        velocity_mean=110.0,
        key="A major",
        tempo_bpm=None,
    )
    assert shared_traits(NOCTURNE, other, same_notes=False) == ()


def test_instruments_metre_and_drums_are_shared_where_they_say_something() -> None:
    waltz = replace(NOCTURNE, meter="3/4", instruments=("Violin", "Acoustic Grand Piano"), drum_notes=12)
    other = replace(waltz, instruments=("Cello", "Flute"))
    traits = shared_traits(waltz, other, same_notes=False)
    assert "same instruments: strings, drums" in traits
    assert "same metre, 3/4" in traits
    piano = replace(NOCTURNE, meter="4/4", instruments=("Acoustic Grand Piano",))
    assert not any("instruments" in t or "metre" in t for t in shared_traits(piano, piano, same_notes=False))


def test_an_estimated_tempo_is_no_evidence_of_likeness() -> None:
    free = replace(NOCTURNE, tempo_estimated=True)
    assert not any("tempo" in trait for trait in shared_traits(NOCTURNE, free, same_notes=False))
