"""A library by Aria: its vectors are those of the files, and never mixed with another encoder's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from embedder import Encoder, EncoderMismatch
from index import Library
from tests.support.aria_models import tiny_aria
from tests.support.bands import band_file, write_bands
from tests.support.fake_encoder import FakeEncoder, write_tunes
from ui.cli import app

STORED = 2.5e-4  # half a step of the 16 bits in which numbers up to 1 are stored


@pytest.fixture
def weights(tmp_path: Path) -> str:
    return str(tiny_aria(tmp_path / "weights.safetensors", embedding=16))


def by_path(library: Library) -> dict[str, NDArray[np.float32]]:
    paths = {piece.id: piece.path for piece in library.pieces()}
    return {
        paths[number]: vector
        for number, vector in zip(*(rows.tolist() for rows in library.vectors()), strict=True)
    }


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


def test_vectors_are_those_of_the_files(tmp_path: Path, weights: str) -> None:
    """Bands, with drums, pedals and all: what `embed_files` gives, for the library and for queries."""
    paths = write_bands(tmp_path / "midi", 6, bars=12)
    encoder = Encoder.load(weights, "cpu")
    wanted = dict(zip(map(str, paths), encoder.embed_files(paths), strict=True))
    with Library.open(tmp_path / "library", encoder=weights) as library:
        assert library.add([tmp_path / "midi"], workers=1).added == 6
        found = by_path(library)
        assert found.keys() == wanted.keys()
        for path, vector in found.items():
            np.testing.assert_allclose(vector, wanted[path], atol=STORED)
            notes = library.notes(next(piece.id for piece in library.pieces() if piece.path == path))
            assert np.abs(encoder.embed([notes]).pieces[0] - wanted[path]).max() > 0.01  # notes say less
        new = tmp_path / "new.mid"
        new.write_bytes(band_file(100, 12))
        (query,) = encoder.embed_files([new])
        scores = {hit.path: hit.score for hit in library.search(new, k=6).results}
        for path, vector in wanted.items():
            assert scores[path] == pytest.approx(float(query @ vector), abs=1e-3)


def test_passages_of_bands_lie_within_the_piece(tmp_path: Path, weights: str) -> None:
    path = tmp_path / "band.mid"
    path.write_bytes(band_file(1, 40))
    new = tmp_path / "new.mid"
    new.write_bytes(band_file(2, 12))
    with Library.open(tmp_path / "library", encoder=weights) as library:
        library.add([path], workers=1)
        (piece,) = library.pieces()
        assert piece.windows > 3
        results = library.search(new, k=20, passages=True).results
        assert results
        for hit in results:
            assert piece.start_s - 1e-6 <= hit.start_s < hit.end_s <= piece.end_s + 1e-6


def test_what_aria_cannot_hear_is_a_failure_with_its_reason(tmp_path: Path, weights: str) -> None:
    path = tmp_path / "pad.mid"
    pad = b"\x00\xc0\x59\x00\x90\x3c\x40\x60\x80\x3c\x40\x00\xff\x2f\x00"
    path.write_bytes(b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60MTrk" + len(pad).to_bytes(4, "big") + pad)
    write_tunes(tmp_path, 1)
    with Library.open(tmp_path / "library", encoder=weights) as library:
        report = library.add([tmp_path], workers=1)
        assert (report.added, report.failed) == (1, 1)
        (failure,) = library.failures()
        assert "no notes of the instruments that Aria knows" in failure.reason


def test_a_library_embedded_anew_reads_the_files_again(tmp_path: Path, weights: str) -> None:
    paths = write_bands(tmp_path / "midi", 4, bars=6)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.add([tmp_path / "midi"], workers=1)
    encoder = Encoder.load(weights, "cpu")
    wanted = dict(zip(map(str, paths), encoder.embed_files(paths), strict=True))
    paths[1].unlink()
    paths[2].write_bytes(band_file(50, 6))
    words = ["reembed", "--encoder", weights, "--library", str(tmp_path / "library")]
    answer = CliRunner().invoke(app, [*words, "--json"])
    assert answer.exit_code == 0, answer.stderr
    facts = json.loads(answer.stdout)
    assert (facts["embedded"], facts["from_notes"], facts["switched"]) == (4, 2, True)
    with Library.open(tmp_path / "library") as library:
        found = by_path(library)
        for i in (0, 3):
            np.testing.assert_allclose(found[str(paths[i])], wanted[str(paths[i])], atol=STORED)
        for piece in library.pieces():
            if piece.path in (str(paths[1]), str(paths[2])):
                alone = encoder.embed([library.notes(piece.id)]).pieces[0]
                np.testing.assert_allclose(found[piece.path], alone, atol=STORED)


def test_real_files_in_a_library_have_the_reference_s_vectors(
    aria_dir: Path, data_dir: Path, tmp_path: Path
) -> None:
    golden = np.load(aria_dir / "golden.npz")
    few = [i for i in range(16) if len(golden[f"ids_{i}"]) < 4_000]
    wanted = {str((data_dir / str(golden["files"][i])).resolve()): golden[f"global_{i}"] for i in few}
    weights = str(aria_dir / "tiny-emb.safetensors")
    with Library.open(tmp_path / "library", encoder=weights) as library:
        assert library.add(list(wanted), workers=1).added == len(few)
        for path, vector in by_path(library).items():
            unit = wanted[str(Path(path).resolve())]
            np.testing.assert_allclose(vector, unit / np.linalg.norm(unit), atol=STORED)


@pytest.mark.parametrize("other", ["midikin-small", "another"])
def test_vectors_of_two_encoders_never_mix(tmp_path: Path, weights: str, other: str) -> None:
    folder = tmp_path / "library"
    write_tunes(tmp_path / "midi", 2)
    with Library.open(folder, encoder=weights) as library:
        library.add([str(tmp_path / "midi")])
    if other == "another":  # as long a vector, from other weights
        other = str(tiny_aria(tmp_path / "other.safetensors", embedding=16, seed=1))
    write_tunes(tmp_path / "midi", 1, first_seed=7)
    with Library.open(folder, encoder=other) as library, pytest.raises(EncoderMismatch, match="aria-files@"):
        library.add([str(tmp_path / "midi")])
    with Library.open(folder) as library:
        assert library.info().pieces == 2
