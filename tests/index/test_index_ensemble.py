"""A library whose vectors come from an ensemble encoder, a folder of checkpoint format 2."""

from pathlib import Path

import numpy as np

from embedder import Notes, write_midi
from index import Library
from tests.support.small_models import write_small_models


def made(seed: int) -> Notes:
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.15, 0.3], 300))
    return Notes(onset, rng.uniform(0.1, 0.5, 300), rng.integers(40, 80, 300), rng.integers(30, 110, 300))


def test_pieces_and_their_passages_are_found(tmp_path: Path) -> None:
    encoder = str(write_small_models(tmp_path / "models") / "ensemble")
    music = tmp_path / "music"
    music.mkdir()
    for seed in range(6):
        write_midi(made(seed), music / f"{seed}.mid")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add([music])
        whole = library.search(made(3).transpose(2), k=1)
        assert whole.results[0].paths[0].endswith("3.mid")
        passage = library.search(made(4).slice_notes(0, 60), passages=True, k=1)
        assert passage.results[0].paths[0].endswith("4.mid")
