"""What stands around the events of a MIDI file: wrappers, the header and the chunks of its tracks."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..core.errors import MidiError

__all__ = ["Chunk", "Header", "parse_header", "track_chunks", "unwrap"]

MARK = b"MThd"
TRACK = b"MTrk"
LEAST_HEADER = 14
END_OF_TRACK = b"\xff\x2f\x00"
LONGEST_PREFIX = 1 << 16  # bytes of a wrapper, or of anything else, that may stand before the header


@dataclass(frozen=True)
class Header:
    """The first chunk.

    Attributes
    ----------
    type : 0, 1 or 2
    tracks : as stated
    division : ticks a quarter note; None where ticks divide seconds (SMPTE)
    frames : frames a second (29 stands for 29.97) and ticks a frame; (0, 0) where ticks divide quarter notes
    end : where the chunk ends
    """

    type: int
    tracks: int
    division: int | None
    frames: tuple[int, int]
    end: int

    @property
    def is_smpte(self) -> bool:
        return self.division is None


@dataclass(frozen=True)
class Chunk:
    """Where the events of a track stand; `cut_short` if the file ends before the stated length does."""

    begin: int
    end: int
    cut_short: bool


def unwrap(data: bytes) -> bytes:
    """The MIDI file inside an RMID or MacBinary wrapper, or behind other bytes; else all bytes as they are.

    Raises
    ------
    MidiError
        If an RMID wrapper holds no MIDI file.
    """
    if data[:4] == MARK and data[4:8] != MARK:
        return data
    at = data.find(MARK, 0, LONGEST_PREFIX)
    while at >= 0:
        if data[at + 4 : at + 5] == b"\0" and data.find(TRACK, at) >= 0:
            return data[at:]
        at = data.find(MARK, at + 1, LONGEST_PREFIX)
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        raise MidiError("damaged MIDI: an RMID wrapper without a MIDI file in it")
    return data


def parse_header(data: bytes) -> Header:
    """Read and check the header.

    Raises
    ------
    MidiError
        If these bytes are no MIDI file at all.
    """
    if not data:
        raise MidiError("is empty")
    if data[:4] != MARK:
        raise MidiError("is not a MIDI file")
    if len(data) < LEAST_HEADER:
        raise MidiError("ends within its header")
    size, type_, tracks, division = struct.unpack_from(">IHHh", data, 4)
    if type_ > 2:
        raise MidiError(f"damaged MIDI: there is no Type {type_}")
    if division == 0:
        raise MidiError("damaged MIDI: no ticks in a beat")
    end = 8 + size if 6 <= size <= len(data) else LEAST_HEADER
    if division > 0:
        return Header(type_, tracks, division, (0, 0), end)
    frames, ticks_per_frame = -(division >> 8), division & 0xFF
    if not ticks_per_frame:
        raise MidiError("damaged MIDI: no ticks in a frame")
    return Header(type_, tracks, None, (frames, ticks_per_frame), end)


def track_chunks(data: bytes, header: Header, max_tracks: int) -> list[Chunk]:
    """Where the tracks stand. Wrong lengths are mended by looking for the next track.

    Tracks beyond the stated number are read if they follow directly.

    Raises
    ------
    MidiError
        If there are none, or more than `max_tracks`.
    """
    if header.tracks > max_tracks and len(data) >= 8 * header.tracks:
        raise MidiError(f"has {header.tracks:,} tracks, more than the limit of {max_tracks:,}")
    chunks: list[Chunk] = []
    at = header.end
    while True:
        if data[at : at + 4] != TRACK:
            at = _next_track(data, at, header, len(chunks))
            if at < 0:
                break
        if len(data) < at + 8:
            break
        if len(chunks) >= max_tracks:
            raise MidiError(f"has more tracks than the limit of {max_tracks:,}")
        begin, stated = at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        end = stated if _is_chunk_end(data, begin, stated) else _mended_end(data, begin)
        chunks.append(Chunk(begin, end, cut_short=stated > len(data)))
        at = end
    if not chunks:
        raise MidiError("has no tracks")
    return chunks


def _next_track(data: bytes, at: int, header: Header, read: int) -> int:
    """Where the next track chunk begins; -1 if there is none."""
    if read >= header.tracks > 0:
        return -1
    if at + 8 <= len(data) and data[at : at + 4].isalnum():  # a chunk of a kind that is not known
        behind = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        if data[behind : behind + 4] == TRACK:
            return behind
    found = data.find(TRACK, at)
    return found if found < 0 or data.find(MARK, at, found) < 0 else -1


def _is_chunk_end(data: bytes, begin: int, end: int) -> bool:
    """Whether a chunk may end here: with the file, before another track or behind an end of track."""
    if end > len(data):
        return False
    return end == len(data) or data[end : end + 4] == TRACK or data[max(end - 3, begin) : end] == END_OF_TRACK


def _mended_end(data: bytes, begin: int) -> int:
    found = data.find(TRACK, begin)
    return found if found >= 0 else len(data)
