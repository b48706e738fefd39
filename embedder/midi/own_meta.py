"""What midikin adds to the files that it writes, so that reading them back loses nothing.

A track's sequencer-specific meta event (FF 7F, manufacturer 7D, which is free to all) holds JSON: the part
that the track plays, or the tempo map that the ticks of the file do not follow. Other programs pass over it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ..notation import Part, TempoMap

__all__ = ["SEQUENCER_SPECIFIC", "OwnPart", "own_parts", "own_tempo", "part_meta", "tempo_meta"]

SEQUENCER_SPECIFIC = 0x7F
_PART, _TEMPO = b"\x7dmidikin part ", b"\x7dmidikin tempo "
_LONGEST = 1 << 24


class _Event(Protocol):
    """What is read of an `events.OtherEvent`."""

    @property
    def kind(self) -> int: ...

    @property
    def data(self) -> bytes: ...

    @property
    def track(self) -> int: ...


@dataclass(frozen=True)
class OwnPart:
    """The part of a track, its number in the table of parts, and its channel in the file."""

    number: int
    part: Part
    channel: int


def part_meta(own: OwnPart) -> bytes:
    """Data of the meta event for a track."""
    content = {"number": own.number, "channel": own.channel, "part": asdict(own.part)}
    return _PART + json.dumps(content, separators=(",", ":")).encode()


def tempo_meta(tempo: TempoMap) -> bytes:
    """Data of the meta event for a tempo map."""
    columns = [tempo.second.tolist(), tempo.us_per_quarter.tolist(), tempo.quarter.tolist(), tempo.division]
    return _TEMPO + json.dumps(columns, separators=(",", ":")).encode()


def own_parts(others: Iterable[_Event]) -> dict[int, OwnPart]:
    """Parts by track, where tracks name them; anything damaged is passed over."""
    parts: dict[int, OwnPart] = {}
    for event in others:
        content = _content(event, _PART)
        if not isinstance(content, dict):
            continue
        try:
            own = OwnPart(int(content["number"]), _part(**content["part"]), int(content["channel"]))
        except (KeyError, TypeError, ValueError):
            continue
        parts.setdefault(event.track, own)
    return parts


def own_tempo(others: Iterable[_Event]) -> TempoMap | None:
    """The tempo map, where the file names one."""
    for event in others:
        content = _content(event, _TEMPO)
        if isinstance(content, list) and len(content) == 4:
            try:
                division = None if content[3] is None else int(content[3])
                return TempoMap(content[0], content[1], content[2], division)
            except (TypeError, ValueError):
                continue
    return None


def _part(name: str, channel: int | None, program: int, bank: int | None, drums: bool, port: int) -> Part:
    numbers = (channel, program, bank, port)
    if not isinstance(name, str) or not all(n is None or type(n) is int for n in numbers):
        raise TypeError
    return Part(name, channel, program, bank, bool(drums), port)


def _content(event: _Event, prefix: bytes) -> Any:
    if event.kind != SEQUENCER_SPECIFIC or not event.data.startswith(prefix) or len(event.data) > _LONGEST:
        return None
    try:
        return json.loads(event.data[len(prefix) :])
    except (ValueError, RecursionError):
        return None
