"""Blobs: notes come back exactly, vectors to the last bit of float16, damage is noticed."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.core.errors import LibraryError
from embedder.notes import Notes
from index.storage.codecs import pack_vectors, unpack_spans, unpack_vectors
from index.storage.note_codec import pack_notes, unpack_notes
from tests.support.fake_encoder import tune

HEADER = struct.Struct("<qBBIIII")

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


def changed(packed: bytes, at: int, value: int) -> bytes:
    """Packed notes with another value in the header: field `at` of those behind the first onset."""
    header = list(HEADER.unpack_from(packed, 1))
    header[at] = value
    return packed[:1] + HEADER.pack(*header) + packed[1 + HEADER.size :]


def with_words(packed: bytes, words: bytes) -> bytes:
    """Packed notes with other words at the end of their body."""
    *counts, letters = HEADER.unpack_from(packed, 1)
    body = zlib.decompress(packed[1 + HEADER.size :])
    header = HEADER.pack(*counts, len(words))
    return packed[:1] + header + zlib.compress(body[: len(body) - letters] + words)


def test_every_cut_and_every_odd_number_of_a_header_is_damage() -> None:
    packed = pack_notes(tune(1))
    cut = [packed[:size] for size in (*range(1, 40), len(packed) // 2, len(packed) - 1)]
    odd = [changed(packed, at, value) for at in range(1, 7) for value in (0, 3, 255) if at < 3]
    counts = [changed(packed, at, value) for at in range(3, 7) for value in (1, 2**20, 2**32 - 1)]
    for blob in cut + odd + counts:
        with pytest.raises(LibraryError, match="damaged"):
            unpack_notes(blob)


def test_a_small_blob_that_inflates_without_end_is_refused_before() -> None:
    packed = pack_notes(tune(1))
    bomb = packed[: 1 + HEADER.size] + zlib.compress(bytes(2**26))
    for blob in (bomb, changed(bomb, 3, 2**28)):
        tracemalloc.start()
        with pytest.raises(LibraryError, match="damaged"):
            unpack_notes(blob)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"5",
        b"{}",
        b"[" * 100_000,
        b'{"parts":[[5,0,0,null,false,0]],"meters":[],"division":480}',
        b'{"parts":[["",0,"0",null,false,0]],"meters":[],"division":480}',
        b'{"parts":[["",0,0,null,false,0]],"meters":[[NaN,3,4]],"division":480}',
        b'{"parts":[["",0,0,null,false,0]],"meters":[[[],3,4]],"division":480}',
        b'{"parts":[["",0,0,null,false,0]],"meters":[],"division":"480"}',
    ],
)
def test_words_that_were_never_written_so_are_damage(words: bytes) -> None:
    packed = pack_notes(tune(1))
    good = b'{"parts":[["",0,0,null,false,0]],"meters":[[0,3,4]],"division":480}'
    assert unpack_notes(with_words(packed, good)).meters[0].numerator == 3
    with pytest.raises(LibraryError, match="damaged"):
        unpack_notes(with_words(packed, words))


def test_damaged_blobs_are_noticed() -> None:
    packed = pack_notes(tune(1))
    for blob in (b"", packed[:-5], b"\x07" + packed[1:], packed[:40] + b"\x00\x00" + packed[42:]):
        with pytest.raises(LibraryError, match="damaged"):
            unpack_notes(blob)
    with pytest.raises(LibraryError, match="damaged"):
        unpack_vectors(b"123", 32)
    with pytest.raises(LibraryError, match="damaged"):
        unpack_spans(b"123")
