"""Reading a MIDI file: bytes or a path in, notes out, and one exception for whatever is wrong.

symusic reads about as fast as the disk; mido takes a hundred times longer and reads what symusic refuses.
Both hand over ticks, and `ticks.assemble` makes notes of them.

What a reader keeps
-------------------
A note-off ends the earliest open note of its key, channel and track; a note never closed is dropped. Tempo
events of all tracks count for all tracks. The patterns of a file of Type 2 follow one another.
The pedal is left out unless asked for, so that a score and a performance of it stay comparable.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from ..notes import GRID_HZ, Notes
from .container import Header, parse_header, title_of, unwrap
from .fallback_reader import read_with_mido
from .symusic_reader import Refused, read_with_symusic
from .ticks import Selection, TickScore, assemble

__all__ = ["Limits", "MidiFile", "load", "parts_of", "printable", "read_midi", "read_piece"]


@dataclass(frozen=True)
class MidiFile:
    """What a file says.

    Attributes
    ----------
    notes : at least one
    tempo_bpm : beats a minute, the mean over the span of the notes; None if the file states no tempo
    title : name of the sequence, None if it says nothing
    """

    notes: Notes
    tempo_bpm: float | None
    title: str | None


@dataclass(frozen=True)
class Limits:
    """What a file may hold at most; more is refused with a `MidiError`."""

    size_bytes: int = 64 * 2**20
    tracks: int = 1_024
    notes: int = 2_000_000
    duration_s: float = 24 * 3600.0
    tempos: int = 1_000_000
    patient_s: float = 6.0  # time for mido to read what symusic refuses


def read_midi(
    source: str | os.PathLike[str] | bytes,
    *,
    sustain: bool = False,
    drums: bool = False,
    programs: Collection[int] | None = None,
    limits: Limits | None = None,
) -> Notes:
    """Notes of a MIDI file; parameters and errors as for `read_piece`."""
    return read_piece(source, sustain=sustain, drums=drums, programs=programs, limits=limits).notes


def read_piece(
    source: str | os.PathLike[str] | bytes,
    *,
    sustain: bool = False,
    drums: bool = False,
    programs: Collection[int] | None = None,
    limits: Limits | None = None,
) -> MidiFile:
    """Read a MIDI file.

    Parameters
    ----------
    source : path of a file, or the bytes of one
    sustain : hold notes that end while the sustain pedal is down until it lifts or their key is struck
    drums : keep channel 10 (whatever `programs` says)
    programs : General MIDI programs (0..127) to keep; None keeps all
    limits : what to refuse; None for the defaults

    Raises
    ------
    MidiError
        With the reason, whatever is wrong with the file, its contents or its path.
    """
    limits = limits or Limits()
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _parse(bytes(source), Selection(sustain, drums, programs), limits)
    data, _ = load(source, limits)
    try:
        return _parse(data, Selection(sustain, drums, programs), limits)
    except MidiError as error:
        raise MidiError(error.reason, printable(source)) from None


def parts_of(notes: Notes, path: str | os.PathLike[str]) -> NDArray[np.int64] | None:
    """The part, a channel of a track, that each of these notes stands in: int64 [n], numbered as in the file.

    `notes` are of this file, all or some of them. None where it cannot be read or lacks one of them, as when
    it was changed or moved since.
    """
    limits, everything = Limits(), Selection(drums=True)
    try:
        data = unwrap(load(path, limits)[0])
        scores = _scores(data, parse_header(data), everything, limits)
        parts = _in_parts(scores, everything, limits)
    except MidiError:
        return None
    number = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    if not len(number):
        return None
    keys, duration, velocity = (
        np.concatenate(column)
        for column in zip(*((_key(part), part.duration, part.velocity) for part in parts), strict=True)
    )
    order = np.lexsort((velocity, duration, keys))  # as `Notes` has them
    keys, wanted = keys[order], _key(notes)
    at = np.searchsorted(keys, wanted) + np.arange(len(wanted)) - np.searchsorted(wanted, wanted)
    at = np.minimum(at, len(keys) - 1)
    return number[order][at] if np.array_equal(keys[at], wanted) else None


def _key(notes: Notes) -> NDArray[np.int64]:
    """Onset and pitch as one number, in the order of the notes."""
    return np.rint(notes.onset * GRID_HZ).astype(np.int64) * 128 + notes.pitch


def _in_parts(scores: list[TickScore], selection: Selection, limits: Limits) -> list[Notes]:
    parts: list[Notes] = []
    for score, offset_s in _one_after_the_other(scores):
        line = score.notes.line
        for number in np.unique(line).tolist():
            alone = replace(score, notes=score.notes.select(line == number))
            parts.append(assemble(alone, selection, limits.duration_s, offset_s).notes)
    return parts


def printable(path: str | os.PathLike[str]) -> str:
    """A path as one line that any terminal can show: odd characters and undecodable bytes are escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in os.fsdecode(os.fspath(path))
    )


def load(path: str | os.PathLike[str], limits: Limits) -> tuple[bytes, os.stat_result]:
    """Bytes of a regular file, and its status when it was opened.

    Raises
    ------
    MidiError
        If there is none, it is no regular file (pipes and devices are not even opened), or it is too large.
    """
    try:
        return _load(path, limits)
    except OSError as error:
        raise MidiError(f"cannot be read: {error.strerror or error}", printable(path)) from None
    except (ValueError, MemoryError) as error:  # a zero byte in the path; no room for the file
        raise MidiError(f"cannot be read: {error or type(error).__name__}", printable(path)) from None
    except MidiError as error:
        raise MidiError(error.reason, printable(path)) from None


def _load(path: str | os.PathLike[str], limits: Limits) -> tuple[bytes, os.stat_result]:
    _check_regular(os.stat(path), limits)
    # It may be replaced by a pipe between the two calls: opening must not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(status, limits)
        data = file.read(limits.size_bytes + 1)
    if len(data) > limits.size_bytes:
        raise MidiError(f"is larger than the limit of {limits.size_bytes:,} bytes")
    return data, status


def _check_regular(status: os.stat_result, limits: Limits) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise MidiError("is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise MidiError("is not a regular file")
    if status.st_size > limits.size_bytes:
        raise MidiError(f"is larger than the limit of {limits.size_bytes:,} bytes")


def _parse(data: bytes, selection: Selection, limits: Limits) -> MidiFile:
    if len(data) > limits.size_bytes:
        raise MidiError(f"is larger than the limit of {limits.size_bytes:,} bytes")
    data = unwrap(data)
    scores = _scores(data, parse_header(data), selection, limits)
    notes, tempo_bpm = _in_seconds(scores, selection, limits)
    if not len(notes):
        raise MidiError(_why_empty(scores, selection))
    return MidiFile(notes, tempo_bpm, title_of(data))


def _scores(data: bytes, header: Header, selection: Selection, limits: Limits) -> list[TickScore]:
    if header.tracks > limits.tracks:
        raise MidiError(f"has {header.tracks:,} tracks, more than the limit of {limits.tracks:,}")
    tempos = data.count(b"\xff\x51\x03")  # counted without parsing, which would take long by then
    if tempos > limits.tempos:
        raise MidiError(f"has {tempos:,} changes of tempo, more than the limit of {limits.tempos:,}")
    if header.type != 2 and not header.is_smpte:
        try:
            return [read_with_symusic(data, sustain=selection.sustain, most_notes=limits.notes)]
        except Refused:
            pass  # the other reader is more patient, and has the better reasons
    return read_with_mido(data, most_notes=limits.notes, deadline_s=limits.patient_s)


def _in_seconds(scores: list[TickScore], selection: Selection, limits: Limits) -> tuple[Notes, float | None]:
    """Notes of all patterns, one after the other, and their mean tempo."""
    parts: list[Notes] = []
    beats = beats_span_s = 0.0
    for score, offset_s in _one_after_the_other(scores):
        timed = assemble(score, selection, limits.duration_s, offset_s)
        parts.append(timed.notes)
        beats += timed.beats
        beats_span_s += timed.beats_span_s
    return _joined(parts), round(60 * beats / beats_span_s, 3) if beats else None


def _one_after_the_other(scores: list[TickScore]) -> Iterator[tuple[TickScore, float]]:
    """Patterns of a file and when they begin, in seconds."""
    offset_s = 0.0
    for score in scores:
        yield score, offset_s
        offset_s += float(score.tempo.seconds(np.array([score.end_tick]))[0])


def _joined(parts: list[Notes]) -> Notes:
    if len(parts) == 1:
        return parts[0]
    return Notes(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("onset", "duration", "pitch", "velocity")
        )
    )


def _why_empty(scores: list[TickScore], selection: Selection) -> str:
    if not any(len(score.notes) for score in scores):
        return "has no notes"
    if all(score.notes.drum.all() for score in scores):
        return "has no notes besides drums"
    return "has no notes of the instruments asked for"
