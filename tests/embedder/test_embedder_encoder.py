"""The encoder: shapes, unit rows, invariance to company, and clear words about folders that do not fit."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from embedder import Encoder, EncoderError, Notes, write_midi
from embedder.base_encoder import window_ranges
from embedder.checkpoint import SHIPPED, shipped_encoders


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load()


def piece(seed: int, count: int) -> Notes:
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.2, 0.4], count))
    return Notes(
        onset, rng.choice([0.2, 0.4], count), rng.integers(40, 80, count), rng.integers(30, 90, count)
    )


@pytest.mark.parametrize("notes", [1, 2, 255, 256, 257, 1000])
def test_windows_cover_a_piece_once(notes: int) -> None:
    ranges = window_ranges(notes, 256)
    assert [note for a, b in ranges for note in range(a, b)] == list(range(notes))
    assert max(b - a for a, b in ranges) <= 256


def test_vectors_are_unit_rows_in_order(encoder: Encoder) -> None:
    pieces = [piece(1, 700), piece(2, 1), piece(3, 256)]
    embedded = encoder.embed(pieces)
    assert embedded.pieces.shape == (3, encoder.dim)
    assert embedded.pieces.dtype == np.float32
    assert embedded.piece_of_window.tolist() == [0, 0, 0, 1, 2]
    for rows in (embedded.pieces, embedded.windows):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert embedded.first_note.tolist() == [0, 233, 466, 0, 0]
    assert embedded.last_note.tolist() == [233, 466, 700, 1, 256]
    assert embedded.start_s[1] == pieces[0].onset[233]
    assert embedded.end_s[0] == pieces[0].end[:233].max()


def test_a_vector_does_not_depend_on_its_company(encoder: Encoder) -> None:
    pieces = [piece(seed, 50 + 97 * seed) for seed in range(6)]
    together = encoder.embed(pieces)
    for i, one in enumerate(pieces):
        alone = encoder.embed([one])
        np.testing.assert_allclose(together.pieces[i], alone.pieces[0], atol=5e-3)


def test_many_notes_are_embedded_in_groups(encoder: Encoder) -> None:
    pieces = [piece(seed, 30_000) for seed in range(3)]
    embedded = encoder.embed(pieces)
    assert np.bincount(embedded.piece_of_window).tolist() == [118, 118, 118]
    alone = encoder.embed(pieces[2:])
    np.testing.assert_allclose(embedded.windows[-1], alone.windows[-1], atol=5e-3)


def test_nothing_gives_nothing_and_no_notes_are_refused(encoder: Encoder) -> None:
    nothing = encoder.embed([])
    assert nothing.pieces.shape == nothing.windows.shape == (0, encoder.dim)
    with pytest.raises(ValueError, match="without notes"):
        encoder.embed([piece(0, 5), Notes.empty()])


def test_time_of_the_first_note_does_not_matter(encoder: Encoder) -> None:
    one = piece(0, 300)
    vectors = encoder.embed([one, one.shift(268.0)]).pieces
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-3)


def test_embed_files_gives_nan_for_what_cannot_be_read(encoder: Encoder, tmp_path: Path) -> None:
    write_midi(piece(1, 100), tmp_path / "a.mid")
    (tmp_path / "b.mid").write_bytes(b"not MIDI")
    vectors = encoder.embed_files([tmp_path / "a.mid", tmp_path / "b.mid", tmp_path / "absent.mid"])
    assert vectors.shape == (3, encoder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-3)
    assert np.isnan(vectors[1:]).all()


def test_parts_share_the_squared_length_as_configured(encoder: Encoder) -> None:
    vector = encoder.embed([piece(5, 400)]).pieces[0]
    total = sum(encoder.config.weights.values())
    for name, part in encoder.parts.items():
        assert vector[part] @ vector[part] == pytest.approx(encoder.config.weights[name] / total, abs=0.01)


def test_the_package_stays_small() -> None:
    assert "midikin-small" in shipped_encoders()
    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())
    assert size < 25e6
    assert (SHIPPED / "midikin-small" / "MODEL_CARD.md").read_text().count("CC BY-NC-SA 4.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "midikin-small", tmp_path / "mine"))


def test_a_folder_loads_like_a_shipped_name(folder: Path, encoder: Encoder) -> None:
    assert Encoder.load(folder).id == encoder.id


def _rewrite(folder: Path, change: str) -> None:
    weights = load_file(folder / "model.safetensors")
    if change == "lacks":
        del weights["transformer.norm.weight"]
    elif change == "shape":
        weights["transformer.norm.weight"] = weights["transformer.norm.weight"][:-1].contiguous()
    elif change == "nan":
        weights["transformer.norm.weight"] *= float("nan")
    elif change == "integers":
        weights["transformer.norm.weight"] = weights["transformer.norm.weight"].int()
    elif change == "holds":
        weights["stray"] = weights["transformer.norm.weight"].clone()
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("change", ["lacks", "shape", "nan", "integers", "holds"])
def test_weights_that_do_not_fit_are_named(folder: Path, change: str) -> None:
    _rewrite(folder, change)
    name = "stray" if change == "holds" else "transformer.norm.weight"
    with pytest.raises(EncoderError, match=name):
        Encoder.load(folder)


SIZES = {"a huge part": 10**9, "a negative part": -3, "half a number": 2.5}


def _break(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    settings = json.loads(config.read_text())
    if how == "no weights":
        weights.unlink()
    elif how == "truncated":
        os.truncate(weights, weights.stat().st_size // 2)
    elif how == "not safetensors":
        weights.write_bytes(b"\x80\x04" + bytes(100))
    elif how == "no config":
        config.unlink()
    elif how == "not json":
        config.write_text("{")
    elif how == "a list":
        config.write_text("[]")
    elif how == "newer format":
        config.write_text(json.dumps({**settings, "format": 9}))
    elif how == "unknown setting":
        config.write_text(json.dumps({**settings, "colour": "red"}))
    elif how == "odd heads":
        settings["model"]["heads"] = 7
        config.write_text(json.dumps(settings))
    elif how in SIZES:
        config.write_text(json.dumps({**settings, "identity": SIZES[how]}))
    elif how == "negative weight":
        settings["weights"]["style"] = -1
        config.write_text(json.dumps(settings))


@pytest.mark.parametrize(
    "how",
    [
        "no weights",
        "truncated",
        "not safetensors",
        "no config",
        "not json",
        "a list",
        "newer format",
        "unknown setting",
        "odd heads",
        "negative weight",
        *SIZES,
    ],
)
def test_damaged_folders_end_in_one_line(folder: Path, how: str) -> None:
    _break(folder, how)
    with pytest.raises(EncoderError) as error:
        Encoder.load(folder)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_what_is_shipped() -> None:
    with pytest.raises(EncoderError, match="midikin-small"):
        Encoder.load("no-such-encoder")


@pytest.mark.parametrize("path", ["one.mid", Path("one.mid")])
def test_one_path_is_no_list_of_paths(encoder: Encoder, path: str | Path) -> None:
    with pytest.raises(TypeError, match="list of paths"):
        encoder.embed_files(path)  # type: ignore[arg-type]


def test_what_cannot_be_loaded_ends_in_one_line() -> None:
    with pytest.raises(EncoderError, match="its name is empty"):
        Encoder.load("")
    with pytest.raises(EncoderError, match="cannot use device nonsense") as caught:
        Encoder.load(device="nonsense")
    assert "\n" not in str(caught.value)
