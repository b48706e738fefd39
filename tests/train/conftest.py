"""A small corpus written by the tests: random pieces, two of which are versions of one work."""

from pathlib import Path

import numpy as np
import pytest

from embedder import Notes
from train.corpus import Corpus, PieceRecord, write_corpus


def random_piece(seed: int, count: int = 300) -> Notes:
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.2, 0.4], count))
    return Notes(
        onset, rng.choice([0.2, 0.4], count), rng.integers(40, 80, count), rng.integers(30, 90, count)
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    pieces = []
    for seed in range(12):
        split = "validation" if seed >= 9 else "train"
        record = PieceRecord(path=f"{seed}.mid", set="made", work=max(seed, 1), split=split)
        pieces.append((record, random_piece(max(seed, 1)).stretch(1 + 0.1 * seed)))
    return write_corpus(tmp_path_factory.mktemp("corpus"), pieces, {"read": 12})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"
