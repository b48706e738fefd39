"""`midikin continue`, `midikin train finetune` and `midikin classify`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from embedder import Notes, Part, read_midi, write_midi
from embedder.classifier import Classifier
from index import Library
from tests.support.aria_models import tiny_aria, tiny_language
from tests.support.fake_encoder import FakeEncoder, tune
from ui.cli import app


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_midi(tune(1, 120), tmp_path / "theme.mid")
    tiny_language(tmp_path / "lm")
    return tmp_path


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == status, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result.stdout if status == 0 else result.stderr


def test_continuations_are_written(here: Path) -> None:
    words = ["continue", "theme.mid", "--from", "0:02", "--to", "0:10", "--seconds", "5", "-n", "2"]
    out = run(*words, "--weights", "lm", "--out", "more/of it").splitlines()
    assert out[0] == "file\tnew notes\tfrom\tlength\tends"
    prompt = tune(1, 120).slice_time(2, 10)
    for line, number in zip(out[1:], (1, 2), strict=True):
        name, new, *_ = line.split("\t")
        assert name == f"more/of it/theme-continued-{number}.mid"
        notes = read_midi(here / name)
        assert len(notes) == len(prompt) + int(new)
        assert notes.slice_notes(0, 20) == prompt.from_zero().slice_notes(0, 20)


def band(here: Path) -> Notes:
    """A guitar with most notes, a piano with fewer, and drums."""
    parts = (Part("lead", 0, 27), Part("keys", 1, 0), Part("kit", 9, 0, drums=True))
    guitar, keys = tune(1, 120), tune(2, 60)
    columns = [
        np.concatenate([getattr(notes, name) for notes in (guitar, keys, keys)])
        for name in ("onset", "duration", "pitch", "velocity")
    ]
    columns[2][-60:] = 36
    notes = Notes(*columns, np.repeat([0, 1, 2], [120, 60, 60]), parts)
    write_midi(notes, here / "band.mid")
    return notes


@pytest.mark.parametrize(("named", "program"), [((), 0), (("--part", "guitar"), 27), (("--part", "1"), 27)])
def test_a_band_is_kept_and_one_part_plays_on(here: Path, named: tuple[str, ...], program: int) -> None:
    prompt = band(here).slice_time(None, 8)
    words = ("continue", "band.mid", "--to", "8", "--seconds", "4", "--weights", "lm", "--json", *named)
    (made,) = json.loads(run(*words))["continuations"]
    whole = read_midi(here / made["path"])
    old, new = whole.select(whole.onset < 8 - prompt.start_s), whole.select(whole.onset >= 8 - prompt.start_s)
    assert old == prompt.from_zero()
    assert len(new) == made["new_notes"] > 0
    assert {whole.parts[part].program for part in np.unique(new.part)} == {program}
    assert not new.is_drum.any()
    assert len(made["parts_kept"]) == 2


def test_a_part_that_is_not_there_is_named_with_those_that_are(here: Path) -> None:
    band(here)
    said = run("continue", "band.mid", "--to", "8", "--weights", "lm", "--part", "tuba", status=2)
    assert "no part 'tuba'" in said
    assert "keys (Acoustic Grand Piano)" in " ".join(said.split())


def test_seeds_repeat_and_files_are_left_alone(here: Path) -> None:
    words = ("continue", "theme.mid", "--to", "10", "--seconds", "3", "--weights", "lm", "--alone", "--json")
    found = [json.loads(run(*words, "--seed", seed))["continuations"][0] for seed in ("1", "1", "2")]
    assert [one["path"] for one in found] == [f"theme-continued-{i}.mid" for i in (1, 2, 3)]
    notes = [read_midi(here / one["path"]) for one in found]
    assert notes[0] == notes[1] != notes[2]
    assert len(notes[0]) == found[0]["new_notes"]


def test_aria_s_weights_continue_too(here: Path) -> None:
    tiny_aria(here / "aria.safetensors", language=True)
    words = (
        "continue",
        "theme.mid",
        "--to",
        "5",
        "--seconds",
        "0.5",
        "--weights",
        "aria.safetensors",
        "--json",
    )
    answer = json.loads(run(*words))
    assert answer["model"] == "aria"
    assert len(read_midi(here / answer["continuations"][0]["path"])) > 0


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("gone.mid",), 1, "gone.mid: cannot be read"),
        (("theme.mid", "--weights", "nowhere"), 1, "no language model nowhere"),
        (("theme.mid", "--weights", "lm", "--from", "9:00"), 2, "no note begins there"),
        (("theme.mid", "--weights", "lm", "--from", "x"), 2, "is no time"),
        (("theme.mid", "--weights", "lm", "--min-p", "2"), 2, "min-p"),
        (("theme.mid", "--weights", "lm", "--seconds", "0"), 2, "--seconds"),
        (("theme.mid", "--weights", ""), 2, "empty name"),
        (("theme.mid", "--out", "theme.mid"), 2, "theme.mid is a file, not a folder"),
    ],
)
def test_what_cannot_be_continued_is_said(
    here: Path, words: tuple[str, ...], status: int, reason: str
) -> None:
    assert reason in " ".join(run("continue", *words, status=status).replace("│", " ").split())


def write_moods(here: Path) -> None:
    """Twelve files, low or high, and a table that calls them dark or bright; one of its files is missing."""
    rng = np.random.default_rng(0)
    lines = ["file,mood,title"]
    for number in range(12):
        low = number % 2 == 0
        onset = np.cumsum(rng.uniform(0.1, 0.3, 50))
        pitch = (40 if low else 80) + rng.integers(0, 8, 50)
        write_midi(Notes(onset, np.full(50, 0.2), pitch, np.full(50, 60)), here / f"{number}.mid")
        lines.append(f"{number}.mid,{'dark' if low else 'bright'},{number // 2}")
    (here / "labels.csv").write_text("\n".join([*lines, "gone.mid,dark,x"]))


def test_finetuning_makes_a_classifier(here: Path) -> None:
    write_moods(here)
    words = ("train", "finetune", "labels.csv", "--column", "mood", "--from", "lm", "--epochs", "2")
    facts = json.loads(run(*words, "--out", "c", "--json"))
    assert facts["learned_from"] + facts["validated_on"] == 12
    assert facts["left_out"] == 1
    assert Classifier.load(here / "c").classes == ("bright", "dark")
    assert "validated on" in (here / "c" / "MODEL_CARD.md").read_text()
    assert "best epoch" in run(*words, "--out", "d", "--work", "title")
    assert "is there already" in run(*words, "--out", "labels.csv", status=1)
    assert "is there already" in run(*words, "--out", "c", status=1)
    assert "no column 'tempo'" in run(
        "train", "finetune", "labels.csv", "--out", "e", "--column", "tempo", status=1
    )


def test_a_classifier_answers_for_files_and_tags_a_library(here: Path) -> None:
    write_moods(here)
    words = ("train", "finetune", "labels.csv", "--column", "mood", "--work", "title", "--from", "lm")
    run(*words, "--epochs", "1", "--out", "moods")
    model = Classifier.load(here / "moods")
    names = [f"{number}.mid" for number in range(12)]
    chances = model.predict([read_midi(name) for name in names])
    found = json.loads(run("classify", "moods", *names, "--json"))
    assert found["classes"] == ["bright", "dark"]
    assert [(one["piece"], one["label"], one["chance"]) for one in found["answers"]] == [
        (name, model.classes[row.argmax()], round(float(row.max()), 4))
        for name, row in zip(names, chances, strict=True)
    ]
    with Library.open(here / "library", encoder=FakeEncoder()) as library:
        library.add([str(here / f"{number}.mid") for number in range(12)], workers=1)
        library.tags.label(
            "mood", str(here / "1.mid"), value="dark"
        )  # a person says so, whatever it sounds like
    at = ("--library", "library")
    every = json.loads(run("classify", "moods", *at, "--json"))["answers"]
    by_name = json.loads(run("classify", "moods", "#3", names[0], "#1", *at, "--json"))["answers"]
    assert [one["piece"] for one in by_name] == ["#3", names[0], "#1"]
    assert [by_name[0], by_name[2]] == [every[2], every[0]]
    limit = sorted(one["chance"] for one in every)[6] - 1e-3
    sure = [one for one in every if one["chance"] >= limit]
    assert len(every) == 12 > len(sure) > 5
    at_least = ("--at-least", str(limit))
    assert run("classify", "moods", *at, *at_least).count("#") == len(sure)
    report = json.loads(run("classify", "moods", *at, "--tag", "mood", *at_least, "--json"))
    with Library.open(here / "library", encoder=FakeEncoder()) as library:
        labels = {label.path: (label.value, label.source) for label in library.tags.labels("mood")}
        paths = {f"#{piece.id}": piece.path for piece in library.pieces()}
    assert labels.pop(str(here / "1.mid")) == ("dark", "user")
    assert labels == {
        paths[one["piece"]]: (one["label"], "classifier")
        for one in sure
        if paths[one["piece"]] != str(here / "1.mid")
    }
    assert report["set"] == len(labels) >= 5
    # However the tag is written, what people said stands.
    blank = json.loads(run("classify", "moods", *at, "--tag", " mood ", "--json"))
    with Library.open(here / "library", encoder=FakeEncoder()) as library:
        assert blank["set"] == 12 - 1 - report["set"]
        assert [label.value for label in library.tags.labels("mood") if label.source == "user"] == ["dark"]
    run("tags", "undo", *at)
    run("tags", "undo", *at)
    with Library.open(here / "library", encoder=FakeEncoder()) as library:
        assert [label.source for label in library.tags.labels("mood")] == ["user"]


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("nowhere", "theme.mid"), 1, "classifier nowhere: classifier.json cannot be read"),
        (("lm", "theme.mid", "--tag", "mood"), 2, "not about pieces by name"),
    ],
)
def test_what_cannot_be_classified_is_said(
    here: Path, words: tuple[str, ...], status: int, reason: str
) -> None:
    assert reason in " ".join(run("classify", *words, status=status).replace("│", " ").split())
