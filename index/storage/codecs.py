"""How notes, vectors and window times become blobs of the database, and back without loss.

Vectors are float16: for unit vectors of a few hundred dimensions the rounding moves a cosine by less than
0.001, and both disk and search cost halve. Notes are the integers of their time grid, byte planes
side by side and deflated (about 4 to 5 bytes a note), so that features which need the notes do not depend
on files that may have gone.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from embedder.notes import GRID_HZ, Notes

from .errors import damaged, decoding

__all__ = ["SPAN", "crc_of", "pack_notes", "pack_vectors", "unpack_notes", "unpack_spans", "unpack_vectors"]

SPAN = np.dtype([("start_s", "<f8"), ("end_s", "<f8"), ("first_note", "<i4"), ("last_note", "<i4")])
_NARROW, _WIDE = b"\x01", b"\x02"  # first byte of packed notes: times in 4 or in 8 bytes


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


def pack_notes(notes: Notes) -> bytes:
    """Compress notes; `unpack_notes` gives back exactly the same."""
    onset = np.rint(notes.onset * GRID_HZ).astype(np.int64)
    gap = np.diff(onset, prepend=0)
    gap[:1] = 0  # the first onset may be negative and stands apart
    duration = np.rint(notes.duration * GRID_HZ).astype(np.int64)
    largest = max(gap.max(initial=0), duration.max(initial=0))
    mark, width = (_NARROW, "<u4") if largest < 2**32 else (_WIDE, "<u8")
    first = int(onset[0]) if len(onset) else 0
    planes = b"".join(_planes(times.astype(width)) for times in (gap, duration))
    rest = notes.pitch.astype("u1").tobytes() + notes.velocity.astype("u1").tobytes()
    return mark + first.to_bytes(8, "little", signed=True) + zlib.compress(planes + rest, 3)


def unpack_notes(blob: bytes) -> Notes:
    """Notes of a blob written by `pack_notes`.

    Raises
    ------
    LibraryError
        If the blob is damaged.
    """
    with decoding("stored notes"):
        size = {_NARROW: 4, _WIDE: 8}[blob[:1]]
        raw = np.frombuffer(_inflated(blob[9:]), dtype="u1")
        n, odd = divmod(len(raw), 2 * size + 2)
        if odd:
            raise ValueError("odd length")
        gap, duration = (
            raw[i * n * size : (i + 1) * n * size].reshape(size, n).T.copy().view(f"<u{size}")[:, 0]
            for i in (0, 1)
        )
        pitch, velocity = raw[2 * size * n :].reshape(2, n)
        onset = np.cumsum(gap.astype(np.int64)) + int.from_bytes(blob[1:9], "little", signed=True)
        return Notes(onset / GRID_HZ, duration.astype(np.int64) / GRID_HZ, pitch, velocity)


def _inflated(blob: bytes) -> bytes:
    try:
        return zlib.decompress(blob)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _planes(values: NDArray[np.unsignedinteger]) -> bytes:
    """All lowest bytes, then all second bytes, ...: the high ones are mostly zero and deflate away."""
    return values.view("u1").reshape(len(values), values.itemsize).T.tobytes()
