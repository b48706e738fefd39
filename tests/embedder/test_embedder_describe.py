"""Descriptors against plain loops and against works whose key is known."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from embedder import Notes, describe, read_midi
from embedder.descriptors import KEYS, key_of
from tests.support import strategies


@given(strategies.notes(min_size=1))
def test_numbers_are_what_a_plain_loop_finds(notes: Notes) -> None:
    found = describe(notes, 90.0)
    events = sorted([(t, 1) for t in notes.onset.tolist()] + [(t, -1) for t in notes.end.tolist()])
    sounding = area = busy = before = 0.0
    for now, change in events:
        area += sounding * (now - before)
        busy += (now - before) * (sounding > 0)
        sounding, before = sounding + change, now
    assert found.notes == len(notes)
    assert found.duration_s == pytest.approx(max(notes.end) - min(notes.onset))
    assert found.density == pytest.approx(len(notes) / found.duration_s)
    assert found.polyphony == pytest.approx(area / busy, rel=1e-6)
    assert found.polyphony >= 1 - 1e-9
    assert (found.pitch_low, found.pitch_high) == (min(notes.pitch), max(notes.pitch))
    assert found.pitch_mean == pytest.approx(sum(notes.pitch.tolist()) / len(notes))
    assert found.velocity_mean == pytest.approx(sum(notes.velocity.tolist()) / len(notes))
    assert found.tempo_bpm == 90.0
    assert found.key in KEYS
    assert 0 < found.key_confidence <= 1


@given(strategies.notes(min_size=1))
def test_key_follows_transposition(notes: Notes) -> None:
    up = notes.transpose(1)
    if len(up) == len(notes):
        (key, confidence), (key_up, confidence_up) = key_of(notes), key_of(up)
        assert confidence_up == pytest.approx(confidence)
        if confidence > 0.5:  # below, two keys may tie
            number, number_up = KEYS.index(key), KEYS.index(key_up)
            assert number_up == number // 12 * 12 + (number + 1) % 12


def test_no_notes_no_numbers() -> None:
    found = describe(Notes.empty())
    assert (found.notes, found.duration_s, found.density, found.polyphony) == (0, 0, 0, 0)
    assert (found.key_confidence, found.tempo_bpm) == (0, None)


def test_no_key_no_confidence() -> None:
    chromatic = Notes(range(12), [1] * 12, range(60, 72), [64] * 12)
    assert describe(chromatic).key_confidence == pytest.approx(1 / 24)
    rng = np.random.default_rng(3)
    anything = Notes(
        rng.uniform(0, 900, 9_000), rng.uniform(0.1, 1, 9_000), rng.integers(30, 90, 9_000), [64] * 9_000
    )
    assert describe(anything).key_confidence < 0.25


def test_plain_scales() -> None:
    steps = [0, 2, 4, 5, 7, 9, 11, 12]
    major = Notes(range(8), [1] * 8, [67 + s for s in steps], [64] * 8)
    assert describe(major).key == "G major"
    minor = Notes(range(8), [2, 1, 1, 1, 2, 1, 1, 2], [57 + s for s in (0, 2, 3, 5, 7, 8, 11, 12)], [64] * 8)
    assert describe(minor).key == "A minor"


def test_keys_of_the_well_tempered_clavier(data_dir: Path) -> None:
    """Its preludes and fugues go through all keys in order, from 846 to 869 and again to 893."""
    with (data_dir / "asap" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["file"], re.search(r"bwv_(\d+)", row["composition"])) for row in csv.DictReader(file)]
    answers = []
    for name, number in rows:
        if number:
            place = (int(number[1]) - 846) % 24
            answers.append(
                key_of(read_midi(data_dir / "asap" / name))[0] == KEYS[place // 2 + 12 * (place % 2)]
            )
    assert len(answers) == 125
    assert math.fsum(answers) / len(answers) >= 0.99
