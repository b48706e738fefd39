"""`midikin list`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ui.cli.commands.library as module

Run = Any


def test_every_piece_is_listed_once_whatever_the_size_of_a_page(
    midikin: Run, added: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE_SIZE", 5)
    lines = midikin("list").stdout.splitlines()
    assert lines[0].split("\t")[:2] == ["piece", "path"]
    assert [line.split("\t")[0] for line in lines[1:]] == [f"#{n}" for n in range(1, 13)]
    assert len(midikin("list", "-k", 7).stdout.splitlines()) == 8


def test_filters_and_json(midikin: Run, added: list[Path]) -> None:
    name = added[3].name
    found = json.loads(midikin("list", "--where", f"name={name}", "--json").stdout)["pieces"]
    assert [Path(piece["path"]).name for piece in found] == [name]


def test_a_terminal_gets_a_table_with_lengths_in_minutes(
    midikin: Run, added: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.cli.output.on_terminal", lambda: True)
    shown = midikin("list", "-k", 2).stdout
    assert "length" in shown
    assert "0:" in shown


def test_nothing_to_list_is_said_and_a_bad_filter_is_one_line(midikin: Run, added: list[Path]) -> None:
    result = midikin("list", "--where", "duration>9:00:00")
    assert result.stdout == ""
    assert "no pieces that meet duration>32400" in result.stderr
    assert "no filter is called" in midikin("list", "--where", "colour=red", status=2).stderr
