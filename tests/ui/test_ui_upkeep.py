"""The commands that look after a library: index, verify, repair, backup, reembed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_encoder import FakeEncoder, write_tunes

Run = Callable[..., Any]


def test_indexes_are_built_compared_and_listed(midikin: Run, added: list[Path]) -> None:
    (built,) = json.loads(midikin("index", "build", "--kind", "sq8", "--json").stdout)
    assert (built["setting"], built["chosen"]) == ("sq8", True)
    tried = midikin("index", "tune").stdout.splitlines()
    assert tried[0].split("\t")[:4] == ["used", "setting", "kind", "recall@10"]
    assert tried[1].split("\t")[:4] == ["*", "exact", "exact", "1.000"]
    assert len(tried) > 4
    listed = midikin("index", "info").stdout.splitlines()
    assert listed[1].split("\t")[:3] == ["pieces", "exact", "12"]
    assert "no kind of index" in midikin("index", "build", "--kind", "best", status=2).stderr
    assert "no index is called" in midikin("index", "tune", "--of", "notes", status=2).stderr


def test_a_damaged_library_is_found_repaired_and_filled_again(
    midikin: Run, added: list[Path], tmp_path: Path
) -> None:
    assert "sound, 12 pieces" in midikin("verify").stdout
    assert midikin("repair").stdout == "nothing to repair\n"
    database = tmp_path / "library" / "midikin.db"
    data = database.read_bytes()
    database.write_bytes(data[: len(data) // 2])
    assert "midikin repair" in midikin("verify", status=1).stderr
    assert not json.loads(midikin("verify", "--json", status=1).stdout)["sound"]
    assert "kept as" in midikin("repair").stdout
    midikin("add", tmp_path / "music")
    assert "sound, 12 pieces" in midikin("verify").stdout


def test_a_backup_can_be_searched(midikin: Run, added: list[Path], tmp_path: Path) -> None:
    assert midikin("backup", tmp_path / "copy").stdout.startswith("12 pieces copied to ")
    mine, copied = (
        json.loads(midikin("search", added[0], "--json", "--library", folder).stdout)
        for folder in (tmp_path / "library", tmp_path / "copy")
    )
    assert mine == copied
    assert "the library itself" in midikin("backup", tmp_path / "library", status=1).stderr


def test_a_library_is_embedded_anew(midikin: Run, added: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing to do" in midikin("reembed").stdout
    newer = FakeEncoder(id="newer@0123456789ab", dim=48)
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: newer)
    assert "12 pieces embedded again; the encoder is now newer@0123456789ab" in midikin("reembed").stdout
    assert json.loads(midikin("info", "--json").stdout)["dim"] == 48


def test_shards_are_planned_worked_and_merged(
    midikin: Run, added: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.distributed.runners._ENCODERS", {})
    results = tmp_path / "results"
    for command in (("work", results), ("work", tmp_path), ("work", results, "--part", "1/2")):
        assert "midikin shards plan" in midikin("shards", *command, status=1).stderr
    assert "no such file" in midikin("shards", "plan", tmp_path / "no", "--out", results, status=1).stderr
    planned = midikin("shards", "plan", tmp_path / "music", "--out", results, "--files", 5)
    assert planned.stdout == "12 files planned in 3 new shards\n"
    assert midikin("shards", "plan", tmp_path / "music", "--out", results).stdout.startswith("0 files")
    assert midikin("shards", "work", results, "--part", "2/3").stdout.startswith("1 of 3 shards done, ")
    for wrong in ("4/3", "0/3", "3", "a/b", "-1/2"):
        assert "3/16" in midikin("shards", "work", results, "--part", wrong, status=2).stderr
    done = json.loads(midikin("shards", "work", results, "--json").stdout)
    assert (done["done"], done["pieces"], done["failed"]) == (3, 12, 0)
    write_tunes(tmp_path / "music", 1, first_seed=50)
    assert midikin("shards", "plan", tmp_path / "music", "--out", results).stdout.startswith("1 file planned")
    midikin("shards", "work", results)
    new = tmp_path / "merged"
    assert midikin("shards", "merge", results, "--library", new).stdout.startswith(
        "13 new pieces of 13 files"
    )
    assert midikin("shards", "merge", results).stdout.startswith("1 new piece of 13 files")
    assert (
        "take another folder"
        in midikin(
            "shards", "plan", tmp_path / "music", "--out", results, "--encoder", "other", status=1
        ).stderr
    )
    next(results.glob("*.plan")).write_text("{")
    assert "plan again" in midikin("shards", "plan", tmp_path, "--out", results, status=1).stderr
