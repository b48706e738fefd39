"""`Library.vectors`: what the encoder made of the pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index import Library
from tests.support.fake_encoder import FakeEncoder, write_tunes


def test_vectors_come_by_number_and_in_parts(tmp_path: Path) -> None:
    write_tunes(tmp_path / "music", 5)
    encoder = FakeEncoder()
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        numbers, vectors = library.vectors()
        assert (len(numbers), len(vectors)) == (0, 0)
        library.add(tmp_path / "music", workers=1)
        numbers, vectors = library.vectors()
        assert numbers.tolist() == [piece.id for piece in library.pieces()]
        assert vectors.shape == (5, encoder.dim)
        for number, vector in zip(numbers, vectors, strict=True):
            embedded = encoder.embed([library.notes(int(number))]).pieces[0]
            assert np.dot(vector, embedded) > 0.999
        later, rest = library.vectors(after=int(numbers[2]))
        assert later.tolist() == numbers[3:].tolist()
        assert np.array_equal(rest, vectors[3:])
