"""The commands tag, tags and probe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ui.cli import app

Run = Callable[..., Any]


@pytest.fixture
def labelled(midikin: Run, added: list[Path]) -> None:
    """Twelve tunes: six labelled as lullabies or not, all with the name of their folder."""
    midikin("tag", "lullaby", "--add", "#1", "#2", "#3")
    midikin("tag", "lullaby", "--not", "#7", "#8", "#9")
    midikin("tags", "folders", "part")


def test_tag_labels_by_number_file_and_folder(midikin: Run, added: list[Path]) -> None:
    said = midikin("tag", "lullaby", "--add", "#3", added[0], added[1].parent)
    assert said.stdout.startswith("6 labelled; `midikin tags undo`")
    assert json.loads(midikin("tag", "lullaby", "--add", "#3", "--json").stdout)["unchanged"] == 1
    assert midikin("tag", "lullaby", "--not", "#3").stdout.startswith("1 changed")
    assert midikin("tag", "lullaby", "--remove", "#3").stdout.startswith("1 taken away")
    assert midikin("tag", "lullaby", "--remove", "#3").stdout == "nothing to change\n"
    midikin("tag", "composer", "--value", "Frédéric Chopin", "--add", "#1")
    shown = midikin("tag", "composer").stdout.splitlines()
    assert shown[0].split("\t") == ["by", "value", "probability", "part", "piece"]
    assert shown[1].split("\t")[1] == "Frédéric Chopin"
    midikin("tag", "calm", "--add", "#1", "--from", "0:02", "--to", "8")
    assert "0:02-0:08" in midikin("tag", "calm").stdout
    assert json.loads(midikin("tag", "calm", "--json").stdout)["labels"][0]["end_s"] == 8


def test_what_a_search_prints_can_be_tagged(midikin: Run, added: list[Path]) -> None:
    found = midikin("search", "#1", "-k", "4", "--json").stdout
    run = CliRunner()
    result = run.invoke(app, ["tag", "like one", "--add"], input=found)
    assert (result.exit_code, result.stdout[:10]) == (0, "4 labelled")
    assert json.loads(midikin("tags", "history", "--json").stdout)["changes"][0]["source"] == "search"
    lines = run.invoke(app, ["tag", "by line", "--add"], input=f"#2\n\n{added[0]}\n")
    assert (lines.exit_code, lines.stdout[:10]) == (0, "2 labelled")
    listed = run.invoke(app, ["tag", "listed", "--add"], input=midikin("list", "--json").stdout)
    assert listed.stdout.startswith("12 labelled")
    for wrong in ("", "{", '{"results": [{}]}', "[[1]]", '{"results": [{"piece_id": true}]}'):
        result = run.invoke(app, ["tag", "x", "--add"], input=wrong)
        assert result.exit_code == 2
    assert run.invoke(app, ["tag", "x", "--add"], input="nowhere.mid\n").exit_code == 1


@pytest.mark.parametrize("name", ["-dash", "two\nlines", 'a "b" \\ c/d', "🎵", "--", "#3", "[red]x[/red]"])
def test_any_name_can_be_used_and_is_one_line(midikin: Run, added: list[Path], name: str) -> None:
    midikin("tag", "--add", "--", name, "#1")
    assert json.loads(midikin("tags", "--json").stdout)["tags"][0]["name"] == name
    assert midikin("tags").stdout.count("\n") == 2
    assert midikin("tag", "--", name).stdout.count("\n") == 2
    assert midikin("tags", "history").stdout.count("\n") == 2


def test_mistakes_are_one_line_and_change_nothing(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    midikin("tag", "free", "--add", "#1")
    for status, arguments in (
        (1, ["tag", "free", "--add", "#2", "#99"]),
        (1, ["tag", "free", "--add", "#2", "nowhere.mid"]),
        (1, ["tag", "free", "--value", "x", "--add", "#2"]),
        (1, ["tag", " ", "--add", "#2"]),
        (1, ["tag", "x" * 501, "--add", "#2"]),
        (1, ["tag", "nothing"]),
        (1, ["tag", "free", "--add", "#2", "--from", "1"]),
        (2, ["tag", "free", "#2"]),
        (2, ["tag", "free", "--add", "--not", "#2"]),
        (2, ["tag", "free", "--add", "#2", "--from", "soon", "--to", "9"]),
        (2, ["tag", "free", "--add", "#2", "--from", "9", "--to", "1"]),
        (1, ["tags", "import", str(tmp_path / "none.csv")]),
        (2, ["tags", "import", str(tmp_path / "none.csv"), "--as", "x"]),
        (1, ["tags", "undo", "7"]),
        (1, ["tags", "export", "nothing"]),
        (1, ["tags", "export", "-o", str(tmp_path / "no" / "x.csv")]),
        (1, ["probe", "train", "free"]),
        (1, ["probe", "train", "nothing"]),
        (1, ["probe", "show", "free"]),
        (1, ["probe", "apply"]),
        (1, ["probe", "predictions", "free"]),
        (2, ["probe", "accept", "free"]),
        (1, ["probe", "explain", "free", "#1"]),
    ):
        said = midikin(*arguments, status=status)
        assert said.stdout == ""
        if status == 1:
            assert said.stderr.count("\n") == 1
            assert said.stderr.startswith("midikin: ")
    assert json.loads(midikin("tags", "history", "--json").stdout)["changes"][0]["number"] == 1


def test_tables_go_out_and_come_back(midikin: Run, labelled: None, tmp_path: Path) -> None:
    midikin("tags", "export", "-o", tmp_path / "labels.csv")
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8")
    assert text == midikin("tags", "export").stdout
    assert midikin("tags", "export", "lullaby").stdout.count("\n") == 7
    for _ in range(3):
        midikin("tags", "undo")
    assert "no tags yet" in midikin("tags").stderr
    said = midikin("tags", "import", tmp_path / "labels.csv")
    assert said.stdout.startswith("18 labelled")
    assert "18 rows, read as utf-8" in said.stderr
    (tmp_path / "more.csv").write_text(
        "file;Wer\npart0/tune000.mid;Grieg\nlost.mid;Bach\n", encoding="utf-16"
    )
    assert "lost.mid" in midikin("tags", "import", tmp_path / "more.csv", status=1).stderr
    options = ("--column", "Wer", "--as", "composer", "--skip-unknown")
    said = midikin("tags", "import", tmp_path / "more.csv", *options)
    assert "1 file not in the library" in said.stderr
    assert "Grieg" in midikin("tag", "composer").stdout


def test_history_and_undo(midikin: Run, labelled: None) -> None:
    rows = midikin("tags", "history").stdout.splitlines()
    assert [row.split("\t")[0] for row in rows] == ["change", "3", "2", "1"]
    assert "label by folder: part" in midikin("tags", "undo").stdout
    assert "label lullaby" in midikin("tags", "undo", "1").stdout
    assert midikin("tags", "history").stdout.splitlines()[1].split("\t")[-1] != ""


def test_a_probe_from_training_to_accepting(midikin: Run, labelled: None) -> None:
    first = midikin("probe", "train")
    trained = first.stdout.splitlines()
    assert "`midikin probe apply` predicts again" in first.stderr
    assert [row.split("\t")[0] for row in trained] == ["tag", "lullaby", "part"]
    shown = midikin("probe", "show", "lullaby").stdout
    for words in (
        "this probe",
        "hand-crafted features",
        "majority baseline",
        "confusion matrix: true, predicted",
    ):
        assert words in shown
    assert len(json.loads(midikin("probe", "show", "--json").stdout)["probes"]) == 2
    applied = json.loads(midikin("probe", "apply", "lullaby", "--json").stdout)["applied"][0]
    assert (applied["pieces"], applied["labelled"]) == (12, 6)
    said = json.loads(midikin("probe", "predictions", "lullaby", "--json").stdout)["predictions"]
    left = json.loads(midikin("probe", "predictions", "lullaby", "--outside", "--json").stdout)
    assert len(said) + len(left["predictions"]) == 6
    number = f"#{said[0]['piece_id']}"
    assert "prediction" in midikin("tag", "lullaby").stdout
    assert midikin("probe", "accept", "lullaby", number).stdout.startswith("1 labelled")
    assert midikin("probe", "accept", "lullaby", number, status=1).stderr.count("\n") == 1
    midikin("probe", "reject", "lullaby", "--above", "0.0")
    assert midikin("probe", "predictions", "lullaby").stdout.count("\n") == 1
    assert "labels changed" in midikin("tags").stdout


def test_asking_why_where_and_what_next(midikin: Run, labelled: None) -> None:
    first = json.loads(midikin("probe", "suggest", "new", "-k", "3", "--json").stdout)
    assert len(first["pieces"]) == 3
    midikin("probe", "train", "lullaby")
    said = midikin("probe", "suggest", "lullaby", "-k", "3")
    assert said.stdout.count("\n") == 4
    assert "labels give" in said.stderr
    why = midikin("probe", "explain", "lullaby", "#5").stdout
    assert "with probability" in why
    assert "labelled pieces nearest" in why.replace("\n", " ")
    line = midikin("probe", "timeline", "lullaby", "#5").stdout.splitlines()
    assert line[0].split("\t") == ["from", "to", "value", "probability", "label"]
    assert len(json.loads(midikin("probe", "timeline", "lullaby", "#5", "--json").stdout)["windows"]) == 3


def test_of_many_tags_those_that_can_be_trained_are(midikin: Run, labelled: None) -> None:
    midikin("tag", "alone", "--add", "#1")
    said = midikin("probe", "train")
    assert "lullaby" in said.stdout
    (complaint,) = [line for line in said.stderr.splitlines() if line.startswith("midikin: ")]
    assert "alone: 0 pieces are labelled 'no'" in complaint
