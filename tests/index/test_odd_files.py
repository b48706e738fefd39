"""Files, folders and names that few have: each is taken, put on record or refused in plain words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from embedder.core.errors import MidikinError
from index import Library
from index.library_encoder import LibraryEncoder
from index.scan import Unreadable, scan
from tests.support.fake_encoder import FakeEncoder, write_tunes

ODD = ["", "a\0b.mid", "x\ud800.mid"]


@pytest.mark.parametrize("years", [2**62, -(2**62)])
def test_a_time_beyond_64_bits(
    library: Library, music: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    file = next(music.rglob("*.mid"))
    real = os.stat

    class Status:
        def __init__(self, status: os.stat_result) -> None:
            self._status = status
            self.st_mtime_ns = years * 10**9

        def __getattr__(self, name: str) -> object:
            return getattr(self._status, name)

    def stat(path: Any, **options: Any) -> Any:
        status = real(path, **options)
        return Status(status) if str(path) == str(file) else status

    monkeypatch.setattr("index.scan.os.stat", stat)
    library.add(music, workers=1)
    assert library.add(music, workers=1).found == 12
    assert library.search(file).query.piece_id


@pytest.mark.parametrize("path", ODD)
def test_paths_that_cannot_be(library: Library, path: str) -> None:
    calls = (Library.open, library.add, library.search, lambda p: library.add([p]), library.find)
    for call in (*calls, lambda p: library.remove([p])):
        with pytest.raises((ValueError, MidikinError)) as caught:
            call(path)
        assert not isinstance(caught.value, UnicodeError)
        assert len(str(caught.value).splitlines()) == 1
    assert library.info().paths == 12


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_failure_that_is_over_is_forgotten(library: Library, music: Path) -> None:
    file = next(music.rglob("*.mid"))
    kept = file.with_name("kept")
    file.rename(kept)
    os.mkfifo(file)
    assert library.add(music, workers=1).failed == 1
    file.unlink()
    kept.rename(file)
    assert library.add(music, workers=1).unchanged == 12
    assert library.failures() == []


@pytest.mark.skipif(os.name == "nt", reason="needs folders deeper than a path may be long")
def test_a_folder_too_deep_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "top"
    write_tunes(top, 1)
    monkeypatch.chdir(top)
    for _ in range(20):
        os.mkdir("d" * 240)
        os.chdir("d" * 240)
    met = list(scan([str(top)]))
    assert len(met) == 2
    assert any(isinstance(one, Unreadable) and one.reason for one in met)


def test_an_encoder_s_folder_is_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "enc").mkdir()
    monkeypatch.chdir(tmp_path)
    fake = FakeEncoder()
    loaded: list[str] = []

    def load(source: str) -> FakeEncoder:
        loaded.append(source)
        return fake

    monkeypatch.setattr("embedder.encoder.Encoder.load", load)
    for given, stored in (("enc", str(tmp_path / "enc")), ("midikin-small", "midikin-small")):
        encoder = LibraryEncoder(given, tmp_path)
        assert encoder.get(None, None) is fake
        assert encoder.source == loaded[-1] == stored
