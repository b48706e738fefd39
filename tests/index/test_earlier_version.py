"""A library and an encoder that an earlier version of midikin made are read, answer as then, and go on.

`tests/fixtures/earlier_version.zip` was made by `make_earlier_version.py` beside it, in a checkout of that
version (library format 2); `answers.json` holds what that version answered.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedder import Encoder
from embedder.midi.writing import write_midi
from embedder.notes import Notes
from index import Library, verify_library
from tests.support.fake_encoder import tune

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "earlier_version.zip"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def answers(made: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((made / "answers.json").read_text())
    return stored


@pytest.fixture
def opened(made: Path) -> Iterator[Library]:
    with Library.open(made / "library", create=False, encoder=str(made / "encoder")) as library:
        yield library


def low_tune(seed: int) -> Notes:
    notes = tune(seed, 60)
    return Notes(notes.onset, notes.duration, np.clip(notes.pitch.astype(int) - 24, 0, 127), notes.velocity)


def test_the_fixture_is_small_and_holds_no_music_and_no_pickle() -> None:
    assert ARCHIVE.stat().st_size < 300_000
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = archive.namelist()
        assert not [name for name in names if name.endswith((".mid", ".pkl", ".pt", ".pickle"))]


def test_its_encoder_gives_the_same_vectors(made: Path, answers: dict[str, Any]) -> None:
    encoder = Encoder.load(made / "encoder", "cpu")
    assert encoder.id == answers["encoder"]
    vector = encoder.embed([low_tune(0)]).pieces[0]
    np.testing.assert_allclose(vector, answers["vector"], atol=2e-3)


def test_it_opens_and_answers_as_before(opened: Library, answers: dict[str, Any]) -> None:
    assert {Path(piece.path).name: piece.id for piece in opened.pieces()} == answers["pieces"]
    hits = opened.search(answers["pieces"]["low2.mid"], 5).results
    assert [hit.piece_id for hit in hits] == [number for number, _ in answers["search"]]
    np.testing.assert_allclose([hit.score for hit in hits], [s for _, s in answers["search"]], atol=1e-3)
    assert opened.find(answers["pieces"]["high7.mid"]).results[0].piece_id == answers["find"][0][0]
    failures = [[Path(failure.path).name, failure.reason] for failure in opened.failures()]
    assert failures == answers["failures"]
    assert verify_library(opened.folder).sound


def test_its_labels_probe_and_predictions_stand(opened: Library, answers: dict[str, Any]) -> None:
    labels = [[label.piece_id, label.tag, label.value, label.holds] for label in opened.tags.labels()]
    assert labels == answers["labels"]
    assert opened.probes.show("register").state == "current"
    said = [[p.piece_id, p.value, p.probability] for p in opened.probes.predictions("register")]
    assert said == answers["predictions"]


def test_its_decisions_stand(opened: Library, answers: dict[str, Any]) -> None:
    decisions = [[str(one.verdict), list(one.pieces)] for one in opened.duplicates.decisions()]
    assert decisions == answers["decisions"]


def test_it_goes_on(opened: Library, answers: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    write_midi(low_tune(50), tmp_path / "new" / "low50.mid")
    assert opened.add(tmp_path / "new", workers=1).added == 1
    (number,) = {piece.id for piece in opened.pieces()} - set(answers["pieces"].values())
    assert number in {one.piece_id for one in opened.probes.predictions("register")}
    opened.tags.label("register", number, value="low")
    assert opened.probes.train_tag("register").scores.works >= 6
    opened.tags.undo()
    opened.duplicates.undo(opened.duplicates.decisions()[0].id)
    assert opened.duplicates.decisions() == []
