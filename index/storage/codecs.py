"""How vectors and window times become blobs of the database, and back; notes: `note_codec`.

Vectors are float16: for unit vectors of a few hundred dimensions the rounding moves a cosine by less than
0.001, and both disk and search cost halve.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from .errors import damaged

__all__ = ["SPAN", "crc_of", "pack_vectors", "unpack_spans", "unpack_vectors"]

SPAN = np.dtype([("start_s", "<f8"), ("end_s", "<f8"), ("first_note", "<i4"), ("last_note", "<i4")])


def crc_of(*blobs: bytes) -> int:
    """CRC-32 of the blobs of a row, one behind the other."""
    crc = 0
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc


def pack_vectors(vectors: NDArray[np.float32]) -> bytes:
    """Float16 bytes of vectors [n, dim] or [dim]."""
    return np.asarray(vectors).astype("<f2").tobytes()


def unpack_vectors(blob: bytes, dim: int) -> NDArray[np.float32]:
    """Vectors float32 [n, dim] of a blob.

    Raises
    ------
    LibraryError
        If the blob's length is no whole number of vectors, or a vector is not finite.
    """
    if dim < 1 or not isinstance(blob, bytes) or len(blob) % (2 * dim):
        raise damaged("a stored vector has the wrong length")
    vectors = np.frombuffer(blob, dtype="<f2").reshape(-1, dim).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise damaged("a stored vector is not finite")
    return vectors


def unpack_spans(blob: bytes) -> NDArray[np.void]:
    """Times and note ranges of a piece's windows: structured [w] of dtype SPAN."""
    if not isinstance(blob, bytes) or len(blob) % SPAN.itemsize:
        raise damaged("stored window times have the wrong length")
    return np.frombuffer(blob, dtype=SPAN)
