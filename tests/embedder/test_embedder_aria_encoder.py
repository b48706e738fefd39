"""Aria as an encoder: the interface, and vectors of files and of their notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedder import Encoder, EncoderError, Notes, read_midi, write_midi
from embedder.aria.encoder import AriaEncoder
from embedder.aria.windows import AriaRuns
from tests.support.aria_models import tiny_aria
from tests.support.bands import band_file
from tests.support.fake_encoder import tune


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_aria(tmp_path_factory.mktemp("aria") / "tiny.safetensors", embedding=16)


@pytest.fixture(scope="module")
def encoder(weights: Path) -> Encoder:
    return Encoder.load(weights, "cpu")


def test_vectors_are_unit_rows_with_times(encoder: Encoder) -> None:
    assert isinstance(encoder, AriaEncoder)
    pieces = [tune(1, 700), tune(2, 1), tune(3, 300)]
    embedded = encoder.embed(pieces)
    assert embedded.pieces.shape == (3, encoder.dim) == (3, 16)
    assert embedded.piece_of_window.tolist() == [0, 0, 0, 1, 2]
    assert embedded.first_note.tolist() == [0, 300, 600, 0, 0]
    assert embedded.last_note.tolist() == [300, 600, 700, 1, 300]
    assert embedded.start_s[1] == pieces[0].onset[300]
    assert embedded.end_s[0] == pieces[0].end[:300].max()
    for rows in (embedded.pieces, embedded.windows):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_company(encoder: Encoder) -> None:
    pieces = [tune(seed, 20 + 130 * seed) for seed in range(5)]
    together = encoder.embed(pieces)
    for i, one in enumerate(pieces):
        np.testing.assert_allclose(together.pieces[i], encoder.embed([one]).pieces[0], atol=1e-5)


def test_files_and_their_notes_agree(encoder: Encoder, tmp_path: Path) -> None:
    pieces = [tune(seed, 350).from_zero() for seed in range(3)]
    paths = [tmp_path / f"{i}.mid" for i in range(3)]
    for piece, path in zip(pieces, paths, strict=True):
        write_midi(piece, path)
    (tmp_path / "bad.mid").write_bytes(b"no music")
    vectors = encoder.embed_files([*paths, tmp_path / "bad.mid", tmp_path / "gone.mid"])
    assert np.isnan(vectors[3:]).all()
    np.testing.assert_allclose(vectors[:3], encoder.embed(pieces).pieces, atol=1e-5)
    plain = encoder.embed_files(paths, unit=False)
    np.testing.assert_allclose(plain / np.linalg.norm(plain, axis=1, keepdims=True), vectors[:3], atol=1e-5)
    assert not np.allclose(np.linalg.norm(plain, axis=1), 1)


def test_runs_of_a_file_stand_for_its_notes(encoder: Encoder, tmp_path: Path) -> None:
    """Vectors and times of windows, of a file and of its notes, where those say it all."""
    piece = tune(4, 650).from_zero()
    runs = AriaRuns.of_file(write_midi(piece))
    embedded = encoder.embed([runs, piece, tune(5, 40)])  # type: ignore[list-item]
    assert embedded.piece_of_window.tolist() == [0, 0, 0, 1, 1, 1, 2]
    np.testing.assert_allclose(embedded.pieces[0], embedded.pieces[1], atol=1e-3)  # a half rounds either way
    for name in ("windows", "start_s", "end_s", "first_note", "last_note"):
        of_windows = getattr(embedded, name)
        np.testing.assert_allclose(of_windows[:3], of_windows[3:6], atol=1e-3)


def test_times_of_runs_follow_every_tempo() -> None:
    for seed in range(3):
        data = band_file(seed, 20)
        runs, notes = AriaRuns.of_file(data), read_midi(data, drums=True)
        assert runs.start_s[0] >= notes.start_s - 1e-4
        assert runs.end_s.max() <= notes.end_s + 1e-4
        assert (np.diff(runs.start_s) >= 0).all()
        for start in runs.start_s.tolist():
            assert np.abs(notes.onset - start).min() < 1e-3


def test_nothing_gives_nothing_and_no_notes_are_refused(encoder: Encoder) -> None:
    assert encoder.embed([]).pieces.shape == (0, 16)
    assert encoder.embed_files([]).shape == (0, 16)
    with pytest.raises(ValueError, match="without notes"):
        encoder.embed([tune(1), Notes.empty()])
    with pytest.raises(TypeError, match="list of paths"):
        encoder.embed_files("one.mid")


def test_precisions_agree_roughly_and_are_named(weights: Path, encoder: Encoder) -> None:
    coarse = Encoder.load(weights, "cpu", "bfloat16")
    assert coarse.id == encoder.id
    pieces = [tune(1, 400)]
    np.testing.assert_allclose(coarse.embed(pieces).pieces, encoder.embed(pieces).pieces, atol=0.05)
    with pytest.raises(EncoderError, match="no precision 'exact'"):
        Encoder.load("midikin-small", "cpu", "exact")
    shipped = Encoder.load("midikin-small", "cpu", "float32").embed(pieces).pieces
    np.testing.assert_allclose(Encoder.load("midikin-small", "cpu").embed(pieces).pieces, shipped, atol=0.02)


def test_layers_on_several_devices_give_the_same(weights: Path, encoder: Encoder) -> None:
    spread = Encoder.load(weights, "cpu, cpu")
    assert isinstance(spread, AriaEncoder)
    assert len(spread.devices) == 2
    pieces = [tune(1, 400), tune(2, 30)]
    np.testing.assert_allclose(spread.embed(pieces).windows, encoder.embed(pieces).windows, atol=1e-6)
    with pytest.raises(EncoderError, match="no device cpu, moon"):
        Encoder.load(weights, "cpu, moon")
