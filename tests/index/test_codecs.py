"""Blobs: notes come back exactly, vectors to the last bit of float16, damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.core.errors import LibraryError
from embedder.notes import Notes
from index.storage.codecs import pack_vectors, unpack_spans, unpack_vectors
from index.storage.note_codec import pack_notes, unpack_notes
from tests.support.fake_encoder import tune

notes = st.lists(
    st.tuples(st.floats(-1000, 1e6), st.floats(0, 1e6), st.integers(0, 127), st.integers(1, 127)),
    max_size=60,
).map(lambda rows: Notes(*zip(*rows, strict=True)) if rows else Notes.empty())


@given(notes)
def test_notes_come_back_exactly(value: Notes) -> None:
    assert unpack_notes(pack_notes(value)) == value


def test_times_beyond_four_bytes_come_back() -> None:
    value = Notes([0, 5e8], [1, 9e8], [60, 61], [1, 127])
    assert unpack_notes(pack_notes(value)) == value


def test_notes_take_few_bytes() -> None:
    value = tune(1, notes=5000)
    assert len(pack_notes(value)) / len(value) < 8


def test_vectors_keep_their_cosine() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    back = unpack_vectors(pack_vectors(vectors), 512)
    assert np.abs(back @ back.T - vectors @ vectors.T).max() < 1e-3


def test_damaged_blobs_are_noticed() -> None:
    packed = pack_notes(tune(1))
    for blob in (b"", packed[:-5], b"\x07" + packed[1:], packed[:40] + b"\x00\x00" + packed[42:]):
        with pytest.raises(LibraryError, match="damaged"):
            unpack_notes(blob)
    with pytest.raises(LibraryError, match="damaged"):
        unpack_vectors(b"123", 32)
    with pytest.raises(LibraryError, match="damaged"):
        unpack_spans(b"123")
