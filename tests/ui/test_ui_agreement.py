"""What all commands agree on: options and their spellings, names of pieces, formats, errors, completion."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from embedder import write_midi
from index import FIELDS
from tests.support.fake_encoder import tune
from ui.cli import app
from ui.cli.completion import complete_filter, complete_piece, complete_tag
from ui.cli.registry import COMMANDS, OLD_SPELLINGS

ROOT = Path(__file__).resolve().parents[2]
Run = Any


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, those of groups too."""
    for entry in COMMANDS:
        command = entry.load()
        inner = getattr(command, "commands", {})
        for name, sub in inner.items():
            yield f"{entry.name} {name}", sub
        yield entry.name, command


def spellings(command: Any) -> set[str]:
    return {text for param in command.params for text in (*param.opts, *param.secondary_opts)}


def visible(command: Any) -> set[str]:
    options = [param for param in command.params if not getattr(param, "hidden", False)]
    return {text for param in options for text in param.opts}


def test_how_many_and_whether_itself_are_asked_in_one_way() -> None:
    for name, command in commands():
        options = {param.name: param for param in command.params}
        assert not spellings(command) & {"-n", "--number", "--others"}, name
        assert ("-k" in spellings(command)) == ("--limit" in spellings(command)), name
        if "include_self" in options:
            assert options["include_self"].default is False, name
    for name in ("search", "find", "list", "failures", "duplicates", "decisions", "tag", "tags history"):
        assert "--limit" in spellings(dict(commands())[name]), name


def test_what_takes_a_file_to_write_calls_it_output() -> None:
    for name, command in commands():
        assert "--out" not in visible(command), name
        assert ("-o" in visible(command)) == ("--output" in visible(command)), name


def test_whatever_prints_a_table_prints_it_in_every_format() -> None:
    with_tables = {name for name, command in commands() if "--format" in spellings(command)}
    assert {
        "search",
        "find",
        "compare",
        "duplicates",
        "decisions",
        "list",
        "failures",
        "verify",
    } < with_tables
    assert {"tags", "tag", "probe show", "index info", "classify", "melody", "continue"} < with_tables
    for name, command in commands():
        if name in with_tables:
            assert {"--csv", "--tsv", "--json"} <= spellings(command), name


def test_placeholders_in_help_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for name, _ in commands():
        text = CliRunner().invoke(app, [*name.split(), "--help"]).stdout
        assert "Usage: " in text
        assert not re.search(r"<\w+( \w+)?>|\b(INTEGER|FLOAT|TEXT|RANGE)\b", text), name


def test_old_spellings_work_and_no_help_shows_them(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    file = added[0]
    pairs = (
        (("find", file, "--number", 3, "--json"), ("find", file, "--limit", 3, "--json")),
        (("find", file, "-n", 3, "--json"), ("find", file, "-k", 3, "--json")),
        (("find", file, "-n3", "--json"), ("find", file, "-k3", "--json")),
        (("find", file, "--number=3", "--json"), ("find", file, "--limit=3", "--json")),
        (("find", file, "--others", "--json"), ("find", file, "--exclude-self", "--json")),
        (("find", file, "--confidence", 0.9, "--json"), ("find", file, "--min-confidence", 0.9, "--json")),
        (("find", file, "--every-place", "--json"), ("find", file, "--all-matches", "--json")),
    )
    for old, new in pairs:
        assert midikin(*old).stdout == midikin(*new).stdout, old
    for kind in ("csv", "html", "script"):
        path = tmp_path / f"old.{kind}"
        assert midikin("duplicates", "--workers", 1, f"--{kind}", path).stdout == ""
        assert path.stat().st_size
    midikin("melody", file, "--out", tmp_path / "melody.mid")
    shown = {text for _, command in commands() for text in visible(command)}
    assert not shown & (set(OLD_SPELLINGS) - {"--out", "-n"})


def test_old_spellings_of_probabilities(midikin: Run, added: list[Path]) -> None:
    midikin("tag", "slow", "--add", "#1", "#2", "#3")
    midikin("tag", "slow", "--not", "#4", "#5", "#6")
    midikin("probe", "train", "slow")
    midikin("probe", "apply", "slow")
    for old, new in (("--above=0.2", "--min-probability=0.2"), ("--outside", "--untagged")):
        listed = [
            midikin("probe", "predictions", "slow", spelling, "--json").stdout for spelling in (old, new)
        ]
        assert listed[0] == listed[1]


def test_after_two_dashes_everything_is_as_it_is_written(midikin: Run, added: list[Path]) -> None:
    midikin("tag", "--add", "--", "--out", "#1")
    assert json.loads(midikin("tags", "--json").stdout)["tags"][0]["name"] == "--out"


# -- pieces -------------------------------------------------------------------------------------------


def test_a_piece_is_named_alike_in_every_command(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    end = added[3].relative_to(tmp_path / "music")
    listed = json.loads(midikin("list", "--where", f"name={added[3].name}", "--json").stdout)["pieces"]
    number = f"#{listed[0]['id']}"
    names = (added[3], number, number[1:], end)
    for arguments, key in (
        (("search",), "query"),
        (("find", "--include-self"), "query"),
        (("melody",), "skyline"),
    ):
        answers = [json.loads(midikin(*arguments, name, "--json").stdout)[key] for name in names]
        for answer in answers[1:]:
            assert answer == answers[0], arguments
    for name in names:
        compared = json.loads(midikin("compare", name, "#1", "--json").stdout)
        assert compared["one"] == str(added[3])
        assert "recorded" in midikin("decide", name, "#1", "not-same").stdout
        assert midikin("tag", "x", "--add", name).stdout.startswith(
            ("1 labelled", "nothing to change", "1 unch")
        )


def test_a_name_that_several_pieces_have_is_refused_with_their_numbers(
    midikin: Run, tunes: list[Path], tmp_path: Path
) -> None:
    for folder, seed in (("a", 50), ("b", 51)):
        (tmp_path / "music" / folder).mkdir()
        write_midi(tune(seed), tmp_path / "music" / folder / "same.mid")
    midikin("add", tmp_path / "music")
    said = midikin("search", "same.mid", status=1).stderr
    assert re.search(r"same\.mid: 2 pieces of the library have this name; give one of #\d+, #\d+\n", said)
    assert midikin("search", "a/same.mid", "-k", 1).exit_code == 0


def test_a_file_that_is_gone_stands_for_its_record_alone(midikin: Run, added: list[Path]) -> None:
    twin = added[0].with_name("twin.mid")
    twin.write_bytes(added[0].read_bytes())
    midikin("add", twin)
    twin.unlink()
    assert "1 file taken out of the library, and with them 0 pieces" in midikin("remove", twin).stdout


# -- formats ------------------------------------------------------------------------------------------


def test_list_has_tempo_and_tags_and_sorts(midikin: Run, added: list[Path]) -> None:
    midikin("tag", "lullaby", "--add", "#2")
    midikin("tag", "composer", "--value", "Grieg", "--add", "#2", "#3")
    rows = list(csv.DictReader(io.StringIO(midikin("list", "--csv").stdout)))
    assert list(rows[0])[:8] == ["piece", "path", "title", "duration", "notes", "key", "tempo", "tags"]
    assert rows[1]["tags"] == "lullaby; composer: Grieg"
    longest_first = csv.DictReader(io.StringIO(midikin("list", "--sort", "-duration", "--csv").stdout))
    lengths = [float(row["duration"]) for row in longest_first]
    assert lengths == sorted(lengths, reverse=True)
    shortest = json.loads(midikin("list", "--sort", "duration", "-k", 2, "--json").stdout)["pieces"]
    assert [round(piece["descriptors"]["duration_s"], 1) for piece in shortest] == lengths[:-3:-1]
    by_tags = midikin("list", "--sort", "tags").stdout.splitlines()
    assert [line.split("\t")[0] for line in by_tags[1:4]] == ["#3", "#2", "#1"]
    assert "'colour' is no field; there are" in midikin("list", "--sort", "colour", status=2).stderr


def test_every_filter_is_explained_and_can_be_sorted_by(midikin: Run, added: list[Path]) -> None:
    text = midikin("search", "--help").stdout
    for field in FIELDS:
        assert re.search(rf"\b{field.name}\b", text), f"`midikin search --help` does not name {field.name}"
        if field.name != "tag":
            assert midikin("list", "--sort", field.name).stdout.count("\n") == 13


def test_csv_tsv_and_json_of_one_table_agree(midikin: Run, added: list[Path]) -> None:
    found = json.loads(midikin("search", "#1", "-k", 3, "--json").stdout)["results"]
    table = midikin("search", "#1", "-k", 3, "--csv").stdout
    assert table == midikin("search", "#1", "-k", 3, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["piece"] for row in rows] == [f"#{hit['piece_id']}" for hit in found]
    tsv = midikin("search", "#1", "-k", 3, "--tsv").stdout
    assert tsv == midikin("search", "#1", "-k", 3).stdout
    assert [line.split("\t") for line in tsv.splitlines()] == list(csv.reader(io.StringIO(table)))
    assert "give one of" in midikin("search", "#1", "--csv", "--json", status=2).stderr
    assert "'yaml' is not one of" in midikin("search", "#1", "--format", "yaml", status=2).stderr


def test_a_table_is_drawn_into_a_pipe_when_asked(midikin: Run, added: list[Path]) -> None:
    assert "─" in midikin("list", "--format", "table").stdout


def test_no_cell_is_a_formula(midikin: Run, added: list[Path]) -> None:
    midikin("tag", "=1+1", "--value", "@SUM(A1)", "--add", "#1")
    for option in ("--csv", "--tsv"):
        row = midikin("tags", option).stdout.splitlines()[1]
        assert row.startswith("'=1+1")
        assert "'@SUM(A1)" in row
    assert json.loads(midikin("tags", "--json").stdout)["tags"][0]["name"] == "=1+1"


def test_numbers_with_signs_are_not_taken_for_formulas(
    midikin: Run, tmp_path: Path, added: list[Path]
) -> None:
    write_midi(tune(4).slice_notes(40, 80).transpose(-2), tmp_path / "part.mid")
    assert (
        next(csv.DictReader(io.StringIO(midikin("find", tmp_path / "part.mid", "--csv").stdout)))["key"]
        == "-2"
    )


def test_duplicates_are_written_by_the_ending_of_the_file(
    midikin: Run, added: list[Path], tmp_path: Path
) -> None:
    write_midi(tune(2).stretch(1.2), tmp_path / "music" / "slower.mid")
    midikin("add", tmp_path / "music")
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("csv", "tsv", "json", "html", "sh")}
    options = [word for path in paths.values() for word in ("-o", path)]
    assert midikin("duplicates", "--workers", 1, *options).stdout == ""
    assert json.loads(paths["json"].read_text())["groups"]
    assert paths["html"].read_text().startswith("<!doctype html>")
    for kind in ("csv", "tsv", "sh"):
        assert "slower.mid" in paths[kind].read_text()
    script = ("-o", tmp_path / "moves.sh", "--move-to", tmp_path / "away")
    midikin("duplicates", "--workers", 1, "--prefer", tmp_path / "music", *script)
    assert f"folder={tmp_path / 'away'}\n" in (tmp_path / "moves.sh").read_text()
    assert "group,kind,piece" in midikin("duplicates", "--workers", 1, "--csv").stdout
    said = midikin("duplicates", "-o", tmp_path / "report.pdf", status=2).stderr
    assert "no report has this ending" in said


# -- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["search"], "PIECE is missing (see `midikin search --help`)"),
        (["serch"], "there is no command 'serch'; did you mean 'search'? (see `midikin --help`)"),
        (["probe", "trin"], "there is no command 'trin'; did you mean 'train'?"),
        (["--nope"], "there is no option --nope"),
        (["search", "x", "--nope"], "there is no option --nope"),
        (["search", "x", "-k", "0"], "-k / --limit: must be at least 1"),
        (["search", "x", "-k", "many"], "-k / --limit: must be a whole number"),
        (["search", "x", "--from"], "--from needs a value"),
        (["find", "x", "--min-confidence", "3"], "--min-confidence: must be at most 1"),
        (["find", "x", "--min-confidence", "high"], "--min-confidence: must be a number"),
        (["duplicates", "--loosest", "x"], "--loosest: 'x' is not one of"),
        (["decide", "#1", "#2", "maybe"], "'maybe' is not one of"),
        (["info", "extra"], "too much is given: extra"),
        (["search", "x", "--where", "colour=red"], "--where: no filter is called 'colour'"),
    ],
)
def test_wrong_use_is_one_line_in_plain_words(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("midikin: ")
    assert reason in result.stderr
    for words in ("Value error", "Input should", "Usage:", "Invalid value"):
        assert words not in result.stderr


# -- completion ---------------------------------------------------------------------------------------


def context(library: Path) -> typer.Context:
    """That of a real command, with the library that was typed before."""
    command = next(entry for entry in COMMANDS if entry.name == "search").load()
    return command.make_context("search", ["#1", "--library", str(library)])  # type: ignore[no-any-return]


def test_tab_offers_numbers_of_pieces_files_tags_and_filters(
    midikin: Run, added: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    midikin("tag", "lullaby", "--add", "#1")
    here = context(tmp_path / "library")
    assert [offer for offer, _ in complete_piece(here, "#1")] == ["#1", "#10", "#11", "#12"]
    assert dict(complete_piece(here, "#"))["#1"].endswith(".mid")
    assert complete_piece(here, "mus") == [("music/", "folder")]
    assert complete_piece(here, "music/part0/") == [
        (f"music/part0/{path.name}", "MIDI file") for path in sorted((tmp_path / "music/part0").iterdir())
    ]
    assert complete_tag(here, "lu") == [("lullaby", "1 piece")]
    assert "bpm<" in dict(complete_filter(here, "bp"))
    assert [offer for offer, _ in complete_filter(here, "tag=l")] == ["tag=lullaby"]


def test_tab_without_a_library_offers_nothing_and_makes_none(tmp_path: Path) -> None:
    here = context(tmp_path / "none")
    assert (complete_piece(here, "#"), complete_tag(here, "")) == ([], [])
    assert not (tmp_path / "none").exists()


def test_a_shell_gets_what_it_asks_for(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    environment = os.environ | {
        "_MIDIKIN_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": f"midikin search --library {tmp_path / 'library'} #1",
    }
    code = "from ui.cli import app; app(prog_name='midikin')"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "#12" in run.stdout, run.stderr
