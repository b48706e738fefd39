"""The ensemble encoder: what its front leaves alone, what its network may hear, and its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from embedder import Encoder, Notes
from embedder.core.errors import EncoderError
from embedder.ensemble.encoder import EnsembleEncoder, EnsembleSettings, save_ensemble
from embedder.ensemble.front import COLUMNS, DRUMS, Rows, front
from embedder.ensemble.model import EnsembleConfig, EnsembleTransformer
from embedder.ensemble.windows import Columns, columns_of, heard, vectors_of

SMALL = EnsembleConfig(
    note_width=16, kernel=3, patterns=24, convolutions=2, patch=4, width=32, layers=2, heads=4,
    hidden=64, positions=64, projection=24, fused=20, inner=16,
)  # fmt: skip


def some_notes(count: int = 80, seed: int = 0) -> Notes:
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.15, 0.3], count))
    return Notes(
        onset, rng.uniform(0.1, 0.5, count), rng.integers(40, 80, count), rng.integers(30, 110, count)
    )


def rows_of(notes: Notes, drums: np.ndarray | None = None) -> Rows:
    zeros = np.zeros((1, len(notes)), dtype=np.int64)
    instrument = zeros if drums is None else np.where(drums, DRUMS, 0)[None]
    columns = [np.asarray(c)[None] for c in (notes.onset, notes.duration, notes.pitch, notes.velocity)]
    return Rows(
        columns[0], columns[1], columns[2].astype(np.int64), columns[3].astype(np.int64), instrument, zeros
    )


def trained_like(config: EnsembleConfig = SMALL, seed: int = 1) -> EnsembleTransformer:
    """A network whose blocks do something, as after training."""
    torch.manual_seed(seed)
    model = EnsembleTransformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval()


class TestFront:
    def test_transposition_changes_the_register_alone(self) -> None:
        notes = some_notes()
        there, lengths = front(rows_of(notes))
        moved, _ = front(rows_of(notes.transpose(5)))
        same = [name for i, name in enumerate(COLUMNS) if np.array_equal(there[..., i], moved[..., i])]
        assert set(COLUMNS) - set(same) == {"register"}
        assert lengths.tolist() == [80]

    def test_tempo_changes_the_pulse_alone(self) -> None:
        notes = Notes(np.arange(40) * 0.2, np.full(40, 0.15), 60 + np.arange(40) % 7, np.full(40, 64))
        there, _ = front(rows_of(notes))
        slower, _ = front(rows_of(notes.stretch(1.5)))
        same = [name for i, name in enumerate(COLUMNS) if np.array_equal(there[..., i], slower[..., i])]
        assert set(COLUMNS) - set(same) == {"pulse"}

    def test_hidden_columns_are_left_out(self) -> None:
        tokens, _ = front(rows_of(some_notes()), hide=np.array([True]))
        names = list(COLUMNS)
        assert not tokens[..., names.index("register")].any()
        assert not tokens[..., names.index("pulse")].any()

    def test_a_spread_chord_is_heard_like_a_struck_one(self) -> None:
        struck = Notes([0, 0, 0, 1, 1, 1], [0.9] * 6, [60, 64, 67, 62, 65, 69], [70] * 6)
        spread = Notes([0.01, 0.02, 0, 1.02, 1.01, 1.0], [0.9] * 6, [60, 64, 67, 62, 65, 69], [70] * 6)
        names = list(COLUMNS)
        for name in ("interval", "chord", "above_low"):
            column = names.index(name)
            one, other = (front(rows_of(notes))[0][0, :, column] for notes in (struck, spread))
            assert one.tolist() == other.tolist()

    def test_drums_do_not_disturb_the_intervals(self) -> None:
        notes = some_notes(20)
        drums = Notes(notes.onset + 0.07, np.full(20, 0.05), np.full(20, 38), np.full(20, 90))
        both = Rows(
            np.concatenate([notes.onset, drums.onset])[None],
            np.concatenate([notes.duration, drums.duration])[None],
            np.concatenate([notes.pitch, drums.pitch]).astype(np.int64)[None],
            np.concatenate([notes.velocity, drums.velocity]).astype(np.int64)[None],
            np.repeat([0, DRUMS], 20)[None],
            np.repeat([0, 1], 20)[None],
        )
        tokens, _ = front(both)
        names = list(COLUMNS)
        pitched = tokens[0, :, names.index("drum")] == 0
        alone, _ = front(rows_of(notes))
        at = names.index("interval")
        assert sorted(tokens[0, pitched, at].tolist()) == sorted(alone[0, :, at].tolist())
        assert set(tokens[0, ~pitched, names.index("drum")].tolist()) == {39}


class TestNetwork:
    def test_later_notes_do_not_change_earlier_states(self) -> None:
        model = trained_like()
        tokens, _ = front(rows_of(some_notes()))
        changed = tokens.copy()
        changed[0, 60:] = changed[0, 20:40]
        with torch.no_grad():
            one, other = (model(torch.from_numpy(t))[0] for t in (tokens, changed))
        assert torch.allclose(one[:, :15], other[:, :15], atol=1e-5)
        assert not torch.allclose(one[:, 15:], other[:, 15:], atol=1e-3)

    def test_padding_does_not_count(self) -> None:
        model = trained_like()
        tokens, lengths = front(rows_of(some_notes(40)))
        padded = np.pad(tokens, ((0, 0), (0, 24), (0, 0)))
        sizes = torch.from_numpy(lengths)
        with torch.no_grad():
            sums = []
            for rows in (tokens, padded):
                states, _, units = model(torch.from_numpy(rows))
                sums.append(model.sums(states, units, sizes))
        assert torch.allclose(sums[0], sums[1], rtol=1e-4, atol=1e-4)

    def test_the_next_note_is_learned_from_the_notes_before_it(self) -> None:
        torch.manual_seed(0)
        model = EnsembleTransformer(replace(SMALL, fused=0))
        notes = Notes(np.arange(64) * 0.2, np.full(64, 0.2), 60 + np.arange(64) % 5, np.full(64, 64))
        tokens, lengths = (torch.from_numpy(each) for each in front(rows_of(notes)))
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        losses = []
        for _ in range(60):
            states, vectors, _ = model(tokens)
            loss = model.next_losses(states, vectors, tokens, lengths).sum()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
        assert losses[-1] < 0.1 * losses[0]

    def test_windows_add_up_to_their_piece(self) -> None:
        model = trained_like()
        piece = columns_of(some_notes(100))
        parts = heard(model, [piece], [(0, 0, 50), (0, 50, 100)], fused=True)
        joined = parts.per_piece(np.array([0, 0]), 1)
        assert joined.notes.tolist() == [100]
        assert torch.allclose(joined.states, parts.states.sum(0, keepdim=True), rtol=1e-5)
        alone, fused = vectors_of(model, joined)
        assert alone.shape == (1, 24)
        assert fused is not None
        assert fused.shape == (1, 20)
        assert torch.allclose(fused.norm(dim=1), torch.ones(1), atol=1e-5)


class TestEncoder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        save_ensemble(
            trained_like(), EnsembleSettings("tiny", 64, True, SMALL), tmp_path / "tiny", "# Tiny\n"
        )
        return tmp_path / "tiny"

    def test_a_folder_of_format_2_is_an_encoder(self, folder: Path) -> None:
        encoder = Encoder.load(folder, "cpu", "float32")
        assert isinstance(encoder, EnsembleEncoder)
        assert (encoder.name, encoder.dim) == ("tiny", 20)
        pieces = [some_notes(150, 1), some_notes(40, 2)]
        embedded = encoder.embed(pieces)
        assert embedded.pieces.shape == (2, 20)
        assert embedded.piece_of_window.tolist() == [0, 0, 0, 1]
        assert np.allclose(np.linalg.norm(embedded.windows, axis=1), 1, atol=1e-4)
        alone = encoder.embed(pieces[1:])
        assert np.allclose(alone.pieces[0], embedded.pieces[1], atol=1e-4)

    def test_bfloat16_makes_nearly_the_same_vectors(self, folder: Path) -> None:
        pieces = [some_notes(150, 1), some_notes(40, 2)]
        exact, fast = (Encoder.load(folder, "cpu", p).embed(pieces) for p in ("float32", "bfloat16"))
        assert ((exact.pieces * fast.pieces).sum(1) > 0.99).all()
        assert ((exact.windows * fast.windows).sum(1) > 0.99).all()

    def test_a_piece_and_its_transposition_and_a_stranger(self, folder: Path) -> None:
        encoder = Encoder.load(folder, "cpu", "float32")
        notes = some_notes(150, 1)
        vectors = encoder.embed([notes, notes.transpose(3), some_notes(150, 7)]).pieces
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]

    def test_parts_and_drums_are_heard(self, folder: Path) -> None:
        notes = some_notes(60)
        piano = SimpleNamespace(program=0, drums=False)
        flute = SimpleNamespace(program=73, drums=False)
        kit = SimpleNamespace(program=0, drums=True)

        def with_parts(*parts: SimpleNamespace) -> Columns:
            named = {name: getattr(notes, name) for name in ("onset", "duration", "pitch", "velocity")}
            return columns_of(
                SimpleNamespace(part=np.arange(60) % len(parts), parts=parts, **named, __len__=60)
            )  # type: ignore[arg-type]

        assert with_parts(piano, flute).instrument[:2].tolist() == [0, 73]
        assert with_parts(piano, kit).instrument[:2].tolist() == [0, DRUMS]
        model = trained_like()
        found = []
        for piece in (with_parts(piano, piano), with_parts(piano, flute), with_parts(piano, kit)):
            found.append(vectors_of(model, heard(model, [piece], [(0, 0, 60)], fused=True))[1])
        assert not torch.allclose(found[0], found[1], atol=1e-4)  # type: ignore[arg-type]
        assert not torch.allclose(found[0], found[2], atol=1e-4)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"format": 3}, "format"),
            ({"window": 0}, "window"),
            ({"fused": "yes"}, "fused"),
            ({"surprise": 1}, "surprise"),
            ({"model": {"width": 33}}, "heads"),
        ],
    )
    def test_settings_that_do_not_fit_are_named(
        self, folder: Path, change: dict[str, object], reason: str
    ) -> None:
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, **change}))
        with pytest.raises(EncoderError, match=reason):
            Encoder.load(folder)

    def test_weights_of_another_size_are_refused(self, folder: Path) -> None:
        settings = json.loads((folder / "config.json").read_text())
        settings["model"]["width"] = 64
        (folder / "config.json").write_text(json.dumps(settings))
        with pytest.raises(EncoderError, match=r"config\.json"):
            Encoder.load(folder)
