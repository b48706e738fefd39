"""A library by Aria: made, searched, reopened, and never mixed with another encoder's vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from aria_models import tiny_aria
from fake_encoder import write_tunes

from embedder import EncoderMismatch
from index import Library


def test_a_library_by_aria(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_aria(Path("weights.safetensors"), embedding=16)
    paths = write_tunes(tmp_path / "midi", 5)
    with Library.open("library", encoder="weights.safetensors") as library:
        assert library.add(["midi"]).added == 5
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with Library.open(tmp_path / "library") as library:
        results = library.search(str(paths[2]), k=5).results
    assert {result.path for result in results} == {str(path) for path in paths} - {str(paths[2])}


@pytest.mark.parametrize("other", ["midikin-small", "another"])
def test_vectors_of_two_encoders_never_mix(tmp_path: Path, other: str) -> None:
    folder = tmp_path / "library"
    weights = tiny_aria(tmp_path / "weights.safetensors", embedding=16)
    write_tunes(tmp_path / "midi", 2)
    with Library.open(folder, encoder=str(weights)) as library:
        library.add([str(tmp_path / "midi")])
    if other == "another":  # as long a vector, from other weights
        other = str(tiny_aria(tmp_path / "other.safetensors", embedding=16, seed=1))
    write_tunes(tmp_path / "midi", 1, first_seed=7)
    with Library.open(folder, encoder=other) as library, pytest.raises(EncoderMismatch, match="aria@"):
        library.add([str(tmp_path / "midi")])
    with Library.open(folder) as library:
        assert library.info().pieces == 2
