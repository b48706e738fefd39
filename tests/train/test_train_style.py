"""The style part: axes that versions agree on, and the projection that labels supervise."""

import numpy as np
import pytest
import torch

from embedder.features.handcrafted import column_count
from embedder.features.projection import HandmadeHead
from train.corpus import PieceRecord
from train.label_projection import fit_projection, label_sets, plain_key, style_axes


def record(work: int, set_: str = "one", **labels: str) -> PieceRecord:
    return PieceRecord(path=f"{set_}/{work}.mid", set=set_, work=work, split="train", labels=labels)


def test_labels_of_several_sets_are_one() -> None:
    assert plain_key("composer", "Frédéric Chopin") == plain_key("composer", "chopin") == "chopin"
    assert plain_key("composer", "Franz Schubert / Franz Liszt") == "schubert"
    assert plain_key("series", "Final Fantasy") == "final fantasy"
    assert plain_key("type", "") == ""


def test_label_sets_are_labels_with_enough_works() -> None:
    records = [record(i, composer="Anna High") for i in range(4)]
    records += [record(10 + i, "two", composer="Low") for i in range(3)]
    records += [record(20, composer="Rare"), record(0, composer="A. High")]
    found = {labels.name: labels for labels in label_sets(records)}
    assert set(found) == {"set", "composer"}
    composer = found["composer"]
    assert composer.count == 2
    assert composer.pieces.tolist() == [0, 1, 2, 3, 4, 5, 6, 8]
    assert composer.share.sum() == pytest.approx(1)
    # Two versions of a work share its weight.
    assert composer.share[0] == pytest.approx(composer.share[1] / 2)
    assert label_sets(records[:2]) == []


def test_axes_leave_out_what_versions_differ_in() -> None:
    rng = np.random.default_rng(0)
    works = np.repeat(np.arange(100), 4)
    rows = rng.normal(size=(100, 40))[works].astype(np.float32)
    rows[:, 0] += rng.normal(0, 5, 400)  # loud, but not the work's

    def within(axes: np.ndarray) -> float:
        turned = ((rows - rows.mean(0)) @ axes.T).reshape(100, 4, -1)
        return float(turned.var(1).mean() / turned.mean(1).var())

    axes = style_axes(rows, works.tolist(), 3)
    assert axes.shape == (3, 40)
    alone = style_axes(rows, list(range(400)), 48)  # no work twice, more axes than columns
    assert np.count_nonzero(np.abs(alone).sum(1)) == 40
    assert within(axes) < 0.3 * within(alone[:3])


def test_a_corpus_of_few_pieces_has_few_axes() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 10)).astype(np.float32)
    axes = style_axes(rows, [0, 1, 2, 3], 6)
    assert np.isfinite(axes).all()
    assert np.count_nonzero(np.abs(axes).sum(1)) == 3


def test_a_taught_map_tells_new_pieces_apart() -> None:
    columns = column_count()
    rng = np.random.default_rng(1)
    direction = rng.normal(size=columns).astype(np.float32)
    classes = np.arange(60) % 2
    rows = rng.normal(size=(60, columns)) + 0.3 * np.outer(2 * classes - 1, direction)
    rows = rows.astype(np.float32)
    records = [record(i, composer=["Low", "High"][c]) for i, c in enumerate(classes[:40])]
    torch.manual_seed(0)
    head = HandmadeHead(8, 12, 4)
    fit_projection(head, label_sets(records), lambda pieces, rng: rows[pieces], steps=30, rows=16)
    with torch.no_grad():
        vectors = head.style(torch.from_numpy(rows))[:, -4:].numpy()
    centres = np.stack([vectors[:40][classes[:40] == c].mean(0) for c in (0, 1)])
    nearest = ((vectors[40:, None] - centres[None]) ** 2).sum(2).argmin(1)
    assert (nearest == classes[40:]).mean() > 0.9
