"""The map: places that stay, and colours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embedder import describe
from embedder.notes import Notes
from ui.app.components import numbers_of
from ui.app.map_colors import by_composer, by_folder, by_key, by_tag, coloured
from ui.app.projection import MAP_FILE, POSITIONS_FILE, MapBase, Positions, position_all


def clusters(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around four centres, and which centre each is near."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(4, 24))
    kind = rng.integers(0, 4, count)
    vectors = centres[kind] + rng.normal(size=(count, 24)) * 0.25
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), kind


def test_what_is_alike_lies_together() -> None:
    vectors, kind = clusters(160)
    places = MapBase.drawn("e", vectors).place(np.arange(160), vectors)
    assert places.shape == (160, 2)
    assert places.min() >= 0
    assert places.max() <= 1
    distance = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(160) * 9
    assert (kind[distance.argmin(axis=1)] == kind).mean() > 0.95


def test_new_pieces_move_no_other_and_come_near_their_kin() -> None:
    vectors, kind = clusters(120)
    base = MapBase.drawn("e", vectors)
    before = base.place(np.arange(120), vectors)
    new, new_kind = clusters(60, seed=1)
    after = base.place(np.arange(180), np.concatenate([vectors, new]))
    assert np.array_equal(after[:120], before)
    distance = np.linalg.norm(after[120:, None] - before[None], axis=2)
    assert (kind[distance.argmin(axis=1)] == new_kind).mean() > 0.95


@pytest.mark.parametrize("count", [1, 2, 3, 39])
def test_few_pieces_have_a_map_too(count: int) -> None:
    vectors, _ = clusters(count)
    places = MapBase.drawn("e", vectors).place(np.arange(count), vectors)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == count


def test_the_map_is_kept_and_belongs_to_its_encoder(tmp_path: Path) -> None:
    vectors, _ = clusters(30)
    base = MapBase.drawn("one@1", vectors)
    base.save(tmp_path)
    kept = MapBase.load(tmp_path, "one@1")
    assert kept is not None
    assert kept.pieces == 30
    numbers = np.arange(30)
    assert np.abs(kept.place(numbers, vectors) - base.place(numbers, vectors)).max() < 0.01
    assert MapBase.load(tmp_path, "two@1") is None
    assert [path.name for path in tmp_path.iterdir()] == [MAP_FILE]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"x" * 500])
def test_a_damaged_map_is_no_map(tmp_path: Path, damage: bytes) -> None:
    assert MapBase.load(tmp_path, "e") is None
    (tmp_path / MAP_FILE).write_bytes(damage)
    assert MapBase.load(tmp_path, "e") is None
    vectors, _ = clusters(30)
    MapBase.drawn("e", vectors).save(tmp_path)
    whole = (tmp_path / MAP_FILE).read_bytes()
    (tmp_path / MAP_FILE).write_bytes(whole[: len(whole) // 2])
    assert MapBase.load(tmp_path, "e") is None


class Shelf:
    """As much of a library as the map asks for."""

    read_only = False

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.all = folder, clusters(200)[0]
        self.count, self.asked = count, [0]

    def info(self) -> Any:
        return SimpleNamespace(encoder="e@1", pieces=self.count)

    def vectors(self, *, after: int = 0) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(after)
        return np.arange(after + 1, self.count + 1), self.all[after : self.count]


def placed(shelf: Shelf, **how: bool) -> Positions:
    return position_all(shelf, lambda phase, done, total: None, **how)  # type: ignore[arg-type]


def test_places_are_kept_and_only_what_is_new_is_placed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100)
    before = placed(shelf)
    assert before.numbers.tolist() == list(range(1, 101))
    shelf.count = 130
    after = placed(shelf)
    assert shelf.asked[-1] == 100
    assert np.array_equal(after.positions[:100], before.positions)
    assert np.array_equal(after.of(np.array([3, 101])), after.positions[[2, 100]])
    assert np.array_equal(placed(shelf).positions, after.positions)
    assert (after.drawn_for, sorted(path.name for path in tmp_path.iterdir())) == (
        100,
        [POSITIONS_FILE, MAP_FILE],
    )


def test_a_map_drawn_anew_places_everything_anew(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 60)
    placed(shelf)
    shelf.count = 200
    anew = placed(shelf, redraw=True)
    assert (anew.drawn_for, len(anew.numbers)) == (200, 200)
    assert np.array_equal(placed(shelf).positions, anew.positions)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"x" * 500])
def test_damaged_places_are_made_again(tmp_path: Path, damage: bytes) -> None:
    shelf = Shelf(tmp_path, 50)
    before = placed(shelf)
    (tmp_path / POSITIONS_FILE).write_bytes(damage)
    assert np.allclose(placed(shelf).positions, before.positions, atol=0.01)
    assert shelf.asked[-1] == 0


def test_a_library_that_can_only_be_read_has_a_map(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 50)
    shelf.read_only = True
    assert len(placed(shelf).numbers) == 50
    assert list(tmp_path.iterdir()) == []


def piece(number: int, display: str, title: str | None = None) -> Any:
    triad = Notes([0.0, 0.0, 0.0, 1.0], [1.0] * 4, [60, 64, 67, 72], [64] * 4)
    return SimpleNamespace(id=number, display=display, title=title, descriptors=describe(triad))


def test_words_for_colours() -> None:
    pieces = [
        piece(1, "/m/Bach/a.mid"),
        piece(2, "/m/x/schostakowitsch_op87.mid"),
        piece(3, "/m/x/offenbacher.mid"),
        piece(4, "/m/d.mid", "Für Elise (L. van Beethoven)"),
    ]
    assert by_composer(pieces) == ["Bach", "Shostakovich", None, "Beethoven"]
    assert by_folder(pieces, "/m") == ["Bach", "x", "x", "m"]
    assert set(by_key(pieces)) <= {"C major", None}


def test_people_s_labels_go_before_predictions() -> None:
    def label(
        number: int | None, value: str | None, *, holds: bool = True, start_s: float | None = None
    ) -> Any:
        return SimpleNamespace(piece_id=number, value=value, holds=holds, start_s=start_s)

    pieces = [piece(n, f"/{n}.mid") for n in (1, 2, 3, 4)]
    labels = [
        label(1, "Chopin"),
        label(2, "Liszt", holds=False),
        label(3, "Liszt", start_s=1.0),
        label(None, "x"),
    ]
    said = by_tag(pieces, labels, {1: "Bach", 2: "Bach"})
    assert said == ["Chopin", "Bach", None, None]
    assert by_tag(pieces, [label(4, None, holds=False)], {}) == [None, None, None, "no"]


def test_the_commonest_words_get_colours() -> None:
    words = [f"w{i % 40}" for i in range(200)] + ["w39"] * 5 + [None]
    found = coloured(words)
    assert found.kinds[0] == "w39"
    assert found.kinds[-1] == "others"
    assert len(found.kinds) == len(found.palette) == len(set(found.palette))
    assert found.kind_of[-1] == len(found.kinds) - 1
    assert found.kind_of[39] == 0
    assert coloured([None, None]).kinds == ("pieces",)


def test_what_the_browser_says_was_chosen_is_only_a_claim() -> None:
    assert numbers_of("BwAAAAkAAAA=") == [7, 9]
    for claim in (None, "", 5, ["x"], "***", "QQ=="):
        assert numbers_of(claim) == []
