"""The commands find, compare, duplicates, decide and decisions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from embedder.midi.writing import write_midi
from index import Library
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes
from ui.cli import app

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on a library of six tunes and two edits of one."""
    music = tmp_path / "music"
    write_tunes(music, 6)
    write_midi(tune(2).stretch(1.2), music / "slower.mid")
    write_midi(tune(2).with_velocity(60), music / "plain.mid")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.add(music, workers=1)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--library", str(tmp_path / "library")])

    return run


def test_find_prints_json_and_text(run: Run, tmp_path: Path) -> None:
    write_midi(tune(4).slice_notes(40, 80).transpose(2), tmp_path / "part.mid")
    said = json.loads(run("find", str(tmp_path / "part.mid"), "--json").stdout)
    assert set(said) == {"query", "results"}
    best = said["results"][0]
    assert best["path"].endswith("tune004.mid")
    assert best["start_s"] == pytest.approx(tune(4).onset[40], abs=0.3)
    assert (best["transposition"], best["matched"]) == (2, 1.0)
    assert {"end_s", "tempo_ratio", "confidence"} < set(best)
    text = run("find", str(tmp_path / "part.mid"))
    assert "tune004.mid" in text.stdout
    assert "tune004.mid" not in run("find", str(tmp_path / "part.mid"), "--own-key").stdout


def test_find_says_that_music_is_not_here(run: Run, tmp_path: Path) -> None:
    write_midi(tune(99), tmp_path / "other.mid")
    assert json.loads(run("find", str(tmp_path / "other.mid"), "--json").stdout)["results"] == []
    result = run("find", str(tmp_path / "other.mid"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "not here" in result.stderr


def test_find_takes_a_range(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "music" / "part0" / "tune000.mid")
    best = json.loads(run("find", file, "--from", "0:10", "--to", "20", "--include-self", "--json").stdout)[
        "results"
    ][0]
    assert (best["start_s"], best["end_s"]) == pytest.approx((10, 20), abs=0.5)
    assert run("find", file, "--from", "20", "--to", "10").exit_code == 2
    assert run("find", file, "--from", "soon").exit_code == 2
    late = run("find", file, "--from", "10:00")
    assert late.exit_code == 1
    assert "too few" in late.stderr


def test_find_looks_only_where_filters_say(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "music" / "slower.mid")
    found = json.loads(run("find", file, "--where", "name=plain*", "--json").stdout)
    assert [Path(one["path"]).name for one in found["results"]] == ["plain.mid"]
    assert found["query"]["pieces"] == 1
    assert "not here: none of 1 piece contains it" in run("find", file, "--where", "name=tune001.mid").stderr
    assert run("find", file, "--where", "speed>5").exit_code == 2


def test_find_errors_are_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.mid").write_bytes(b"nothing")
    for target in ("bad.mid", "missing.mid"):
        result = run("find", str(tmp_path / target))
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
    assert run("find", "#99").exit_code == 1


def test_compare(run: Run, tmp_path: Path) -> None:
    one, other = str(tmp_path / "music" / "part2" / "tune002.mid"), str(tmp_path / "music" / "slower.mid")
    text = run("compare", one, other).stdout
    assert "edited" in text
    assert "*" in text
    said = json.loads(run("compare", one, other, "--json").stdout)
    assert said["kind"] == "edited"
    assert said["tempo_ratio"] == pytest.approx(1.2, abs=0.02)
    assert said["passages"][0]["tempo_curve"]
    unlike = json.loads(
        run("compare", one, str(tmp_path / "music" / "part0" / "tune003.mid"), "--json").stdout
    )
    assert unlike["kind"] is None


def test_duplicates_and_decisions(run: Run, tmp_path: Path) -> None:
    said = json.loads(run("duplicates", "--workers", "1", "--json").stdout)
    members = {Path(member["path"]).name: member["piece_id"] for member in said["groups"][0]["members"]}
    assert set(members) == {"tune002.mid", "slower.mid", "plain.mid"}
    text = run("duplicates", "--workers", "1").stdout
    assert "keep: " in text
    keeper = members["tune002.mid"]
    for name in ("slower.mid", "plain.mid"):
        assert run("decide", f"#{keeper}", f"#{members[name]}", "duplicate").exit_code == 0
    assert json.loads(run("duplicates", "--workers", "1", "--open", "--json").stdout)["groups"] == []
    listed = json.loads(run("decisions", "--json").stdout)["decisions"]
    assert [one["verdict"] for one in listed] == ["duplicate", "duplicate"]
    assert run("decisions", "--undo", str(listed[0]["id"])).exit_code == 0
    assert run("decisions", "--undo", str(listed[0]["id"])).exit_code == 1
    assert run("decide", "#1", "#1", "keep").exit_code == 2
    assert run("decide", "one", "#1", "keep").exit_code == 1


def test_reports_are_files(run: Run, tmp_path: Path) -> None:
    names = {option: tmp_path / f"report.{option}" for option in ("csv", "html", "script")}
    options = [part for option, path in names.items() for part in (f"--{option}", str(path))]
    result = run("duplicates", "--workers", "1", *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "slower.mid" in names["csv"].read_text()
    assert names["html"].read_text().startswith("<!doctype html>")
    assert "\nrm" not in names["script"].read_text()
    assert run("duplicates", "--workers", "1", "--csv", str(tmp_path / "no" / "x.csv")).exit_code == 1


def test_two_files_are_compared_without_a_library(tmp_path: Path) -> None:
    write_midi(tune(1), tmp_path / "a.mid")
    write_midi(tune(1).stretch(1.1), tmp_path / "b.mid")
    nowhere = tmp_path / "no library"
    names = [str(tmp_path / name) for name in ("a.mid", "b.mid")]
    result = CliRunner().invoke(app, ["compare", *names, "--library", str(nowhere)])
    assert result.exit_code == 0
    assert "the same performance, edited" in result.stdout
    assert not nowhere.exists()
    assert CliRunner().invoke(app, ["compare", "#1", names[0], "--library", str(nowhere)]).exit_code == 1
    assert not nowhere.exists()


def test_numbers_stand_beside_names(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "music" / "part0" / "tune000.mid")
    number = json.loads(run("find", file, "--include-self", "--json").stdout)["results"][0]["piece_id"]
    assert f"#{number}" in run("find", file, "--include-self").stdout
    assert f"#{number}  {file}" in run("compare", file, str(tmp_path / "music" / "plain.mid")).stdout


def test_a_few_notes_come_with_a_warning(run: Run, tmp_path: Path) -> None:
    write_midi(tune(4).slice_notes(40, 50), tmp_path / "few.mid")
    assert "10 notes are few" in run("find", str(tmp_path / "few.mid")).stderr
    write_midi(tune(4).slice_notes(40, 70), tmp_path / "more.mid")
    assert "are few" not in run("find", str(tmp_path / "more.mid")).stderr


def test_every_file_has_its_row(run: Run, tmp_path: Path) -> None:
    music = tmp_path / "music"
    (music / "same bytes.mid").write_bytes((music / "plain.mid").read_bytes())
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.add(music, workers=1)
    text = run("duplicates", "--workers", "1").stdout
    for name in ("tune002.mid", "slower.mid", "plain.mid", "same bytes.mid"):
        assert sum(name in line for line in text.splitlines()) == 1


def test_decisions_name_files(run: Run, tmp_path: Path) -> None:
    said = json.loads(run("duplicates", "--workers", "1", "--json").stdout)
    one, other = (member["piece_id"] for member in said["groups"][0]["members"][:2])
    run("decide", f"#{one}", f"#{other}", "duplicate")
    text = run("decisions").stdout
    assert text.index(f"#{one}  ") < text.index(f"#{other}  ")
    assert run("remove", f"#{other}").exit_code == 0
    listed = json.loads(run("decisions", "--json").stdout)["decisions"][0]
    assert {one, None} == set(listed["pieces"])
    assert "no longer here" in run("decisions").stdout
