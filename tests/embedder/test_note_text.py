"""Typed tunes: letters, solfège, degrees, MIDI numbers and ABC give the notes that a musician would read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.core.errors import NoteTextError
from embedder.note_text import parse_notes

ODE = [64, 64, 65, 67, 67, 65, 64, 62]


@pytest.mark.parametrize(
    "text",
    [
        "E4 E F G G F E D",
        "e4, e, f, g, g, f, e, d",
        "mi mi fa sol sol fa mi re",
        "3 3 4 5 5 4 3 2",
        "64 64 65 67 67 65 64 62",
        "K:C | EEFG | GFED |",
        "X:1\nT:Ode\nM:4/4\nL:1/4\nK:C\nEEFG|GFED|",
        "EEFG GFED",
    ],
)
def test_a_tune_is_the_same_in_every_notation(text: str) -> None:
    assert parse_notes(text).pitch.tolist() == ODE


def test_a_note_without_octave_is_the_nearest() -> None:
    assert parse_notes("B4 C D").pitch.tolist() == [71, 72, 74]
    assert parse_notes("C4 B A").pitch.tolist() == [60, 59, 57]
    assert parse_notes("Bb3 F# C♯").pitch.tolist() == [58, 54, 49]


def test_lengths_are_beats_and_rests_take_time() -> None:
    notes = parse_notes("C4:2 r:1 D:1/2 E:0.5 F")
    assert notes.onset.tolist() == [0.0, 1.5, 1.75, 2.0]
    assert notes.duration.tolist() == [1.0, 0.25, 0.25, 0.5]


def test_degrees_know_octaves_and_accidentals() -> None:
    assert parse_notes("1 5, 1' #4 b7 8").pitch.tolist() == [60, 55, 72, 66, 70, 72]


def test_abc_keys_accidentals_and_lengths() -> None:
    notes = parse_notes("X:1\nL:1/8\nQ:1/4=60\nK:D\nF2 ^G G|G z c' C,/")
    assert notes.pitch.tolist() == [66, 68, 68, 67, 85, 49]  # an accidental holds to the bar
    assert notes.onset.tolist() == [0.0, 1.0, 1.5, 2.0, 3.0, 3.5]
    assert notes.duration[-1] == 0.25


def test_abc_triplets_and_broken_rhythm() -> None:
    np.testing.assert_allclose(
        parse_notes("L:1/4\nK:C\n(3CDE F>G").onset, [0, 1 / 3, 2 / 3, 1, 1.75], atol=1e-4
    )


def test_minor_and_modal_signatures() -> None:
    assert parse_notes("K:Gm\nBE").pitch.tolist() == [70, 63]
    assert parse_notes("K:Ddor\nFB").pitch.tolist() == [65, 71]
    assert parse_notes("K:Amix\nFCG").pitch.tolist() == [66, 61, 67]


@pytest.mark.parametrize(
    "text", ["", "  ", "hello world", "C4 D H", "C4:0", "C4:x", "r r r", "C99", "C4:1/0", "200 300"]
)
def test_what_is_no_tune_is_refused_with_one_line(text: str) -> None:
    with pytest.raises(NoteTextError) as error:
        parse_notes(text)
    assert "\n" not in str(error.value)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        notes = parse_notes(text)
    except NoteTextError:
        return
    assert len(notes)


@given(st.lists(st.integers(10, 127), min_size=1, max_size=30))
def test_midi_numbers_stand_for_themselves(pitches: list[int]) -> None:
    assert parse_notes(" ".join(map(str, pitches))).pitch.tolist() == pitches
