"""Bands on the command line: instruments, drums, metre and tempo are listed, filtered and explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedder import Meter, Notes, Part, TempoMap, write_midi


def band(
    parts: tuple[Part, ...], *, meter: tuple[int, int] = (4, 4), bpm: float = 100, seed: int = 0
) -> Notes:
    """Every part plays sixty eighths."""
    rng = np.random.default_rng(seed)
    n = 60
    onset = np.tile(np.arange(n) * 30 / bpm, len(parts))
    pitch = rng.integers(40, 80, n * len(parts))
    part = np.repeat(np.arange(len(parts)), n)
    tempo = TempoMap([0.0], [60e6 / bpm], [0.0], 480)
    return Notes(onset, np.full(len(onset), 0.2), pitch, np.full(len(onset), 80), part, parts, tempo=tempo,
                 meters=(Meter(0.0, *meter),))  # fmt: skip


@pytest.fixture
def library(midikin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MIDIKIN_LIBRARY", str(tmp_path / "library"))
    music = tmp_path / "music"
    music.mkdir()
    drums = Part("kit", 9, 0, drums=True)
    write_midi(band((Part("g", 0, 27), Part("b", 1, 33), drums)), music / "rock.mid")
    write_midi(band((Part("v", 0, 40),), meter=(3, 4), bpm=150, seed=1), music / "waltz.mid")
    write_midi(band((drums,), seed=2), music / "loop.mid")
    midikin("add", music)
    return midikin


def names(answer: Any) -> set[str]:
    return {Path(piece["path"]).stem for piece in json.loads(answer.stdout)["pieces"]}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("instrument=guitar", {"rock"}),
        ("instrument=Violin", {"waltz"}),
        ("instrument!=guitar", {"waltz", "loop"}),
        ("drums=yes", {"rock", "loop"}),
        ("drums=no", {"waltz"}),
        ("parts>=3", {"rock"}),
        ("meter=3/4", {"waltz"}),
        ("bpm=145..155", {"waltz"}),
        ("tempo=145..155", {"waltz"}),
    ],
)
def test_pieces_are_found_by_what_plays_them(library: Any, where: str, expected: set[str]) -> None:
    assert names(library("list", "--where", where, "--json")) == expected


def test_a_loop_of_drums_alone_can_be_added_and_searched(library: Any, tmp_path: Path) -> None:
    found = json.loads(library("search", tmp_path / "music" / "loop.mid", "--include-self", "--json").stdout)
    assert found["results"][0]["path"].endswith("loop.mid")
    assert found["query"]["descriptors"]["drum_notes"] == 60
    assert found["query"]["descriptors"]["instruments"] == []


@pytest.mark.parametrize("where", ["drums=maybe", "meter=three", "meter>3/4", "instrument>guitar"])
def test_a_filter_that_cannot_be_is_one_line(library: Any, where: str) -> None:
    said = library("list", "--where", where, status=2).stderr
    assert "Traceback" not in said
    assert "try" in said or "takes" in said


def test_where_help_explains_every_filter(library: Any) -> None:
    lines = library("list", "--where", "help").stdout
    for name in ("instrument", "drums", "parts", "bpm", "meter", "composer", "tag"):
        assert name in lines


def test_lists_show_what_plays(library: Any) -> None:
    rows = library("list", "--tsv").stdout.splitlines()
    rock = next(row for row in rows if "rock.mid" in row).split("\t")
    columns = rows[0].split("\t")
    cells = dict(zip(columns, rock, strict=True))
    assert (cells["meter"], cells["parts"], cells["drums"]) == ("4/4", "3", "yes")
    assert cells["instruments"] == "Electric Guitar (clean); Electric Bass (finger)"


def test_a_title_that_many_pieces_have_is_none(library: Any, tmp_path: Path) -> None:
    music = tmp_path / "album"
    music.mkdir()
    for number in range(5):
        title = "Rare Air" if number == 4 else "My Great Album"
        write_midi(band((Part(title, 0, 0),), seed=10 + number), music / f"song{number}.mid")
    library("add", music)
    listed = json.loads(library("list", "--where", "path~album", "--json").stdout)["pieces"]
    assert [piece["title"] for piece in listed] == [None] * 4 + ["Rare Air"]


def test_a_part_that_doubles_another_is_counted_once_and_named(library: Any, tmp_path: Path) -> None:
    music = tmp_path / "doubled"
    music.mkdir()
    one = band((Part("v", 0, 40),), seed=20)
    twice = one.joined(Notes(one.onset, one.duration, one.pitch, one.velocity, parts=(Part("o", 1, 68),)))
    write_midi(one, music / "one.mid")
    write_midi(twice, music / "twice.mid")
    library("add", music)
    pieces = json.loads(library("list", "--where", "path~doubled", "--json").stdout)["pieces"]
    assert [piece["descriptors"]["notes"] for piece in pieces] == [60, 60]
    assert [piece["descriptors"]["doubled_parts"] for piece in pieces] == [0, 1]
    compared = library("compare", music / "one.mid", music / "twice.mid").stdout
    assert "1 part doubled" in compared
    assert "100%" in compared.replace(" ", "")
