"""What the commands do to a library and what they print."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from index import AddReport, Library

Run = Any


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("midikin: ")
    return lines[0]


def test_add_tells_what_it_did_and_again_finds_nothing_new(
    midikin: Run, tunes: list[Path], tmp_path: Path
) -> None:
    first = midikin("add", tmp_path / "music")
    assert "12 pieces added" in first.stdout
    assert first.stderr == ""
    assert "of 12 files: 12 unchanged" in midikin("add", tmp_path / "music").stdout
    report = json.loads(midikin("add", tmp_path / "music", "--json").stdout)
    assert (report["found"], report["unchanged"], report["added"]) == (12, 12, 0)
    assert report["interrupted"] is False


def test_add_reports_broken_files_once_with_their_reason(
    midikin: Run, added: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "music" / "broken.mid").write_bytes(b"MThd nothing")
    assert "1 file could not be read" in midikin("add", tmp_path / "music").stdout
    listed = midikin("failures").stdout.splitlines()
    assert listed[0] == "file\treason"
    assert listed[1].startswith(str(tmp_path / "music" / "broken.mid"))
    assert len(listed) == 2
    failure = json.loads(midikin("failures", "--json").stdout)["failures"][0]
    assert failure["reason"]
    shutil.copy(added[0], tmp_path / "music" / "broken.mid")
    midikin("add", tmp_path / "music", "--retry")
    assert midikin("failures").stdout == ""


def test_add_lists_vanished_files_and_prunes_them_when_told(
    midikin: Run, added: list[Path], tmp_path: Path
) -> None:
    added[0].unlink()
    assert "--prune" in midikin("add", tmp_path / "music").stdout
    assert json.loads(midikin("info", "--json").stdout)["pieces"] == 12
    midikin("add", tmp_path / "music", "--prune")
    assert json.loads(midikin("info", "--json").stdout)["pieces"] == 11


def test_an_interrupted_add_says_that_nothing_is_lost(
    midikin: Run, tunes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Library, "add", lambda *a, **k: AddReport(found=5, added=2, interrupted=True))
    result = midikin("add", tmp_path / "music", status=130)
    assert "2 pieces added" in result.stdout
    assert "kept" in one_line(result.stderr)
    assert "same command continues" in result.stderr


def test_ctrl_c_anywhere_is_one_line(
    midikin: Run, added: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Library, "search", stop)
    assert one_line(midikin("search", added[0], status=130).stderr) == "midikin: stopped"


def test_search_prints_tab_separated_lines_into_a_pipe(midikin: Run, added: list[Path]) -> None:
    lines = midikin("search", added[3], "-k", "4").stdout.splitlines()
    assert lines[0].split("\t")[:2] == ["rank", "score"]
    assert len(lines) == 5
    assert all(len(line.split("\t")) == len(lines[0].split("\t")) for line in lines)
    assert [line.split("\t")[0] for line in lines[1:]] == ["1", "2", "3", "4"]
    assert str(added[3]) not in "\n".join(lines)
    itself = midikin("search", added[3], "-k", "4", "--include-self").stdout.splitlines()
    assert itself[1].split("\t")[5] == str(added[3])


def test_search_on_a_terminal_is_a_table(
    midikin: Run, added: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.cli.output.on_terminal", lambda: True)
    shown = midikin("search", added[3], "-k", "2").stdout
    assert f"like {added[3]}" in shown
    assert "among 11 pieces" in shown
    assert "shared: " in shown
    assert "\t" not in shown


def test_search_json_has_query_and_results(midikin: Run, added: list[Path]) -> None:
    found = json.loads(midikin("search", added[0], "--json", "-k", "3").stdout)
    assert set(found) == {"query", "results"}
    assert found["query"]["path"] == str(added[0])
    assert [hit["rank"] for hit in found["results"]] == [1, 2, 3]
    for hit in found["results"]:
        assert {"rank", "path", "score", "start_s", "end_s"} <= set(hit)
        assert Path(hit["path"]) in added
        assert -1 <= hit["score"] <= 1
        assert hit["start_s"] < hit["end_s"]


def test_search_takes_a_piece_by_number_in_two_spellings(
    midikin: Run, added: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_number = midikin("search", "#3", "--json").stdout
    assert json.loads(by_number)["query"]["piece_id"] == 3
    assert midikin("search", "3", "--json").stdout == by_number
    shutil.copy(added[7], tmp_path / "3")
    assert json.loads(midikin("search", "3", "--json").stdout)["query"]["path"] == str(tmp_path / "3")


def test_search_by_part_and_for_passages(midikin: Run, added: list[Path]) -> None:
    arguments = (
        "search",
        added[2],
        "--from",
        "0:05",
        "--to",
        "0:15.5",
        "--passages",
        "--include-self",
        "--json",
    )
    found = json.loads(midikin(*arguments).stdout)
    assert 5 <= found["query"]["start_s"] < 15.5
    assert found["query"]["passages"] is True
    assert found["results"][0]["path"] == str(added[2])
    assert found["results"][0]["start_s"] < 15.5


def test_search_filters_must_all_hold(midikin: Run, added: list[Path]) -> None:
    arguments = ("search", added[0], "--json", "--where", "path~part1", "--where", "name=tune00*")
    found = json.loads(midikin(*arguments).stdout)
    assert {Path(hit["path"]).name for hit in found["results"]} == {
        "tune001.mid",
        "tune004.mid",
        "tune007.mid",
    }
    nothing = midikin("search", added[0], "--where", "duration>9:00:00")
    assert nothing.stdout == ""
    assert "no answers" in nothing.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--where", "loudness>3"),
        ("--where", "key=H minor"),
        ("--where", "density>fast"),
        ("--from", "soon"),
        ("--to", "1:2:3:4"),
        ("--from", "1:00", "--to", "0:30"),
        ("-k", "0"),
        ("-k", "many"),
    ],
)
def test_wrong_use_of_search_is_status_2_and_names_the_option(
    midikin: Run, added: list[Path], arguments: tuple[str, ...]
) -> None:
    result = midikin("search", added[0], *arguments, status=2)
    assert arguments[-2] in result.stderr
    assert result.stdout == ""


def test_what_cannot_be_searched_for_is_one_line(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    assert "nowhere.mid" in one_line(midikin("search", tmp_path / "nowhere.mid", status=1).stderr)
    assert "999" in one_line(midikin("search", "#999", status=1).stderr)
    assert "no note" in one_line(midikin("search", added[0], "--from", "1:00:00", status=1).stderr)


def test_without_a_library_every_command_but_add_says_how_to_make_one(
    midikin: Run, tunes: list[Path]
) -> None:
    for arguments in (("search", tunes[0]), ("info",), ("failures",), ("remove", tunes[0])):
        assert "midikin add" in one_line(midikin(*arguments, status=1).stderr)


def test_library_option_goes_before_the_environment(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    midikin("add", added[0], "--library", tmp_path / "other")
    assert json.loads(midikin("info", "--json", "--library", tmp_path / "other").stdout)["pieces"] == 1
    assert json.loads(midikin("info", "--json").stdout)["pieces"] == 12


def test_info_says_what_the_library_holds(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    shown = midikin("info").stdout
    assert str(tmp_path / "library") in shown
    assert "12 in 12 files" in shown
    assert "fake@0123456789ab" in shown


def test_remove_takes_out_files_folders_and_numbers_and_touches_no_file(
    midikin: Run, added: list[Path], tmp_path: Path
) -> None:
    assert "with them 1 piece" in midikin("remove", added[0]).stdout
    assert json.loads(midikin("remove", "#2", "--json").stdout)["pieces"] == 1
    midikin("remove", tmp_path / "music" / "part2")
    assert json.loads(midikin("info", "--json").stdout)["pieces"] == 6
    assert all(path.exists() for path in added)
    assert "tune000" in one_line(midikin("remove", added[0], status=1).stderr)
    assert midikin("remove", status=2).stdout == ""


def test_remove_vanished(midikin: Run, added: list[Path]) -> None:
    added[5].unlink()
    assert json.loads(midikin("remove", "--vanished", "--json").stdout) == {"paths": 1, "pieces": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_odd_names_print_as_one_line_and_as_ascii_json(
    midikin: Run, added: list[Path], tmp_path: Path
) -> None:
    odd = os.fsencode(tmp_path / "music") + b"/n\xfcrnberg\n\x1b[31m\xe9.mid"
    shutil.copy(added[0], odd)
    with open(odd, "ab") as file:
        file.write(b"\0")  # other bytes, so a piece of its own
    midikin("add", tmp_path / "music")
    lines = midikin("search", added[0], "-k", "1").stdout.splitlines()
    assert len(lines) == 2
    assert "\\xfcrnberg\\n\\x1b[31m\\xe9.mid" in lines[1]
    text = midikin("search", added[0], "-k", "1", "--json").stdout
    assert text.isascii()
    assert os.fsencode(json.loads(text)["results"][0]["path"]) == odd
