"""Notes as a blob of the database: byte planes of integers on the grid of time, deflated, and back exactly.

    0x03, header, deflated body   notes with parts, tempo, time signatures and pedal (format 3 of a library)
    0x01, 0x02                    notes of one piano, times in 4 or in 8 bytes (formats 1 and 2)

A note takes 4 to 6 bytes. The header says how many bytes the body inflates to, and no more is inflated. Of
pedals the database keeps when they go down and up, not how far.
"""

from __future__ import annotations

import json
import struct
import zlib
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.notes import GRID_HZ, PIANO, Meter, Notes, Part, Pedal, TempoMap

from .errors import decoding

__all__ = ["pack_notes", "unpack_notes"]

_NARROW, _WIDE, _PARTS = b"\x01", b"\x02", b"\x03"
# First onset in steps of the grid; bytes of a time and of a part's number; notes, tempos, pedal events, and
# bytes of JSON.
_HEADER = struct.Struct("<qBBIIII")
_MAX_BYTES = 1 << 28  # several times what the largest file that is read takes
_TEMPO = ("second", "us_per_quarter", "quarter")
# Types of the fields of a part and of a time signature, as JSON gives them.
_PART = ((str,), (int, NoneType), (int,), (int, NoneType), (bool,), (int,))
_METER = ((float, int), (int,), (int,))
_DOWN = 64  # value of a pedal's controller from which it is down


def pack_notes(notes: Notes) -> bytes:
    """Compress notes; `unpack_notes` gives back the same, but for how far a pedal is down."""
    onset = np.rint(notes.onset * GRID_HZ).astype(np.int64)
    gap = np.diff(onset, prepend=onset[:1])
    duration = np.rint(notes.duration * GRID_HZ).astype(np.int64)
    width = 4 if max(gap.max(initial=0), duration.max(initial=0)) < 2**32 else 8
    wide_parts = 2 if len(notes.parts) > 256 else 1
    pedal = _turns(notes.pedal)
    text = json.dumps(_words(notes), separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    header = _HEADER.pack(
        int(onset[0]) if len(onset) else 0,
        width,
        wide_parts,
        len(notes),
        len(notes.tempo),
        len(pedal),
        len(text),
    )
    body = (
        _planes(gap, f"<u{width}"),
        _planes(duration, f"<u{width}"),
        notes.pitch.astype("u1").tobytes(),
        notes.velocity.astype("u1").tobytes(),
        _planes(notes.part, f"<u{wide_parts}"),
        *(_planes(getattr(notes.tempo, name), "<f8") for name in _TEMPO),
        _planes(np.rint(pedal.second * GRID_HZ), "<i8"),
        pedal.controller.tobytes(),
        pedal.value.tobytes(),
        _planes(pedal.channel, "<i2"),
        text,
    )
    return _PARTS + header + zlib.compress(b"".join(body), 3)


def unpack_notes(blob: bytes) -> Notes:
    """Notes of a blob written by `pack_notes`, of this version or an earlier one.

    Raises
    ------
    LibraryError
        If the blob is damaged.
    """
    with decoding("stored notes"):
        if blob[:1] == _PARTS:
            return _unpack(blob[1:])
        return _unpack_piano({_NARROW: 4, _WIDE: 8}[blob[:1]], blob[1:])


def _unpack(blob: bytes) -> Notes:
    first, width, wide_parts, n, tempos, pedals, letters = _HEADER.unpack_from(blob)
    if width not in (4, 8) or wide_parts not in (1, 2):
        raise ValueError("odd widths")
    size = n * (2 * width + 2 + wide_parts) + 24 * tempos + 12 * pedals + letters
    reader = _Reader(_inflated(blob[_HEADER.size :], size))
    gap, duration = (reader.planes(f"<u{width}", n).astype(np.int64) for _ in range(2))
    pitch, velocity = reader.planes("u1", n), reader.planes("u1", n)
    part = reader.planes(f"<u{wide_parts}", n)
    tempo = [reader.planes("<f8", tempos) for _ in _TEMPO]
    pedal = (
        reader.planes("<i8", pedals) / GRID_HZ,
        reader.planes("u1", pedals),
        reader.planes("u1", pedals),
        reader.planes("<i2", pedals),
    )
    words = _checked(json.loads(reader.rest().decode("utf-8", "surrogatepass")))
    onset = np.cumsum(gap) + first
    return Notes(
        onset / GRID_HZ,
        duration / GRID_HZ,
        pitch,
        velocity,
        part,
        tuple(Part(*fields) for fields in words["parts"]),
        tempo=TempoMap(tempo[0], tempo[1], tempo[2], words["division"]),
        meters=tuple(Meter(*fields) for fields in words["meters"]),
        pedal=Pedal(*pedal),
    )


def _words(notes: Notes) -> dict[str, Any]:
    """What is no array: the table of parts, the time signatures, the division."""
    parts = [[p.name, p.channel, p.program, p.bank, p.drums, p.port] for p in notes.parts]
    meters = [[m.second, m.numerator, m.denominator] for m in notes.meters]
    return {"parts": parts, "meters": meters, "division": notes.tempo.division}


def _checked(words: Any) -> Any:
    """The same words, if they are of the types that `_words` writes; raises ValueError."""
    shapes = (
        *((fields, _PART) for fields in words["parts"]),
        *((fields, _METER) for fields in words["meters"]),
        ([words["division"]], ((int, NoneType),)),
    )
    for fields, types in shapes:
        if len(fields) != len(types) or not all(map(_is_plain, fields, types)):
            raise ValueError("words of other types")
    return words


def _is_plain(value: object, types: tuple[type, ...]) -> bool:
    """Whether a value of JSON is of one of these types, and finite and small if it is a number."""
    return type(value) in types and (not isinstance(value, int | float) or abs(value) < 2**31)


def _turns(pedal: Pedal) -> Pedal:
    """The events at which a pedal of a channel goes down or up."""
    if not len(pedal):
        return pedal
    down = pedal.value >= _DOWN
    key = pedal.channel.astype(np.int64) * 256 + pedal.controller
    order = np.lexsort((np.arange(len(pedal)), key))
    before = np.where(np.diff(key[order], prepend=-1) != 0, False, np.roll(down[order], 1))
    kept = np.sort(order[down[order] != before])
    return Pedal(pedal.second[kept], pedal.controller[kept], pedal.value[kept], pedal.channel[kept])


def _unpack_piano(size: int, blob: bytes) -> Notes:
    """Notes of the earlier formats, which knew one piano."""
    raw = np.frombuffer(_inflated(blob[8:]), dtype="u1")
    n, odd = divmod(len(raw), 2 * size + 2)
    if odd:
        raise ValueError("odd length")
    reader = _Reader(raw.tobytes())
    gap, duration = (reader.planes(f"<u{size}", n).astype(np.int64) for _ in range(2))
    pitch, velocity = reader.planes("u1", n), reader.planes("u1", n)
    onset = np.cumsum(gap) + int.from_bytes(blob[:8], "little", signed=True)
    return Notes(onset / GRID_HZ, duration / GRID_HZ, pitch, velocity, parts=(PIANO,))


def _inflated(blob: bytes, size: int | None = None) -> bytes:
    """The body, of exactly `size` bytes if that is given; never more than the limit."""
    limit = _MAX_BYTES if size is None else size
    if limit > _MAX_BYTES:
        raise ValueError("it would be too large")
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(blob, limit + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(raw) > limit or not inflater.eof or (size is not None and len(raw) != size):
        raise ValueError("it has the wrong length")
    return raw


def _planes(values: NDArray[Any], dtype: str) -> bytes:
    """All lowest bytes, then all second bytes, ...: the high ones are mostly zero and deflate away."""
    array = values.astype(dtype)
    return array.view("u1").reshape(len(array), array.itemsize).T.tobytes()


class _Reader:
    """Arrays out of a body, one behind another."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def planes(self, dtype: str, count: int) -> NDArray[Any]:
        """The next array of `count` numbers that were laid out by `_planes`."""
        size = np.dtype(dtype).itemsize
        planes = np.frombuffer(self._raw, "u1", count * size, self._at).reshape(size, count)
        self._at += count * size
        return planes.T.copy().view(dtype)[:, 0] if count else np.empty(0, dtype)

    def rest(self) -> bytes:
        return self._raw[self._at :]
