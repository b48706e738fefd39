"""Every event of a MIDI file in one pass over its bytes, by the Standard MIDI Files 1.0 specification.

Where the specification is broken, what can be read is read. A track ends at its end-of-track event, whatever
its stated length; a wrong length is mended by looking for the next `MTrk`; a track with a damaged event is
kept up to there. What was lost is said in `Events.damage`.

Runs of messages with two data bytes, most of any file, are decoded by numpy: each holds exactly three bytes
without the high bit (the last of the delta time and the two data bytes), whether its status is stated or
running, so the place of every byte follows from a count of those, and one comparison proves it. All
other events are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MidiError
from .container import Header, parse_header, track_chunks, unwrap
from .own_meta import OwnPart, own_parts

__all__ = ["END_OF_TRACK", "EXCLUSIVE", "Events", "OtherEvent", "read_events"]

IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]

META, EXCLUSIVE, ESCAPE = 0xFF, 0xF0, 0xF7
END_OF_TRACK = 0x2F
SYSTEM_COMMON = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0}  # data bytes; as events they are not allowed, but met
REAL_TIME = 0xF8  # and above, FF aside: single bytes that change nothing

FIRST_BLOCK, LARGEST_BLOCK = 1 << 11, 1 << 20  # bytes that numpy decodes at once
MOST_OTHERS = 1_000_000  # meta events and exclusive messages of a track
GOES_ON = 6  # events that are looked at behind a wrong byte
REGULAR = 12  # messages of two data bytes in a row before numpy is tried
SHORT_RUN = 64  # messages; shorter runs are read faster one by one


class OtherEvent(NamedTuple):
    """A meta event or an exclusive message.

    Attributes
    ----------
    tick, gap : ticks from the start, and since the event before it
    kind : type of a meta event (0..127); EXCLUSIVE or ESCAPE
    data : of the event; what lies outside the file is missing
    track : number of its track
    before : channel messages of its track that stand before it
    """

    tick: int
    gap: int
    kind: int
    data: bytes
    track: int
    before: int


@dataclass(frozen=True)
class Events:
    """Channel messages of all tracks in file order, and everything else.

    Attributes
    ----------
    header : of the file
    tick : int64 [n], ticks from the start of the track
    status : uint8 [n], kind and channel, 0x80..0xEF
    data1, data2 : uint8 [n], 0..127; `data2` is 0 where the kind has one byte of data
    track : int64 [n]
    others : meta events and exclusive messages, track by track
    end_tick : of each track, that of its last event
    damage : what could not be read; None where everything was
    own : parts by track, in files that midikin wrote
    """

    header: Header
    tick: IntArray
    status: ByteArray
    data1: ByteArray
    data2: ByteArray
    track: IntArray
    others: list[OtherEvent]
    end_tick: tuple[int, ...]
    damage: str | None
    own: dict[int, OwnPart] = field(default_factory=dict)

    def meta(self, kind: int) -> Iterator[OtherEvent]:
        """Meta events of one type."""
        return (event for event in self.others if event.kind == kind)


def read_events(data: bytes, *, max_tracks: int = 65_535, max_events: int = 8_000_000) -> Events:
    """Read the bytes of a MIDI file.

    Raises
    ------
    MidiError
        If they are no MIDI file, have no track, or more tracks or events than the limits.
    """
    data = unwrap(data)
    header = parse_header(data)
    chunks = track_chunks(data, header, max_tracks)
    tracks: list[_Track] = []
    damage: list[str] = []
    count = 0
    for chunk in chunks:
        track = _Track(len(tracks), data[chunk.begin : chunk.end], max_events - count)
        damaged = track.read()
        if damaged is None and not track.ended and chunk.cut_short:
            damaged = "the file ends before it does"
        if damaged is None and track.too_high:
            damaged = f"{track.too_high:,} messages with data bytes above 127"
        if damaged is not None:
            damage.append(f"track {len(tracks) + 1} of {len(chunks)} is damaged: {damaged}")
        tracks.append(track)
        count += track.count + len(track.others)
    if len(chunks) < header.tracks:
        damage.append(f"has {len(chunks)} of the {header.tracks:,} tracks that its header states")
    return _joined(header, tracks, _summary(damage))


def _joined(header: Header, tracks: list[_Track], damage: str | None) -> Events:
    blocks = [block for track in tracks for block in track.blocks if len(block[0])] or tracks[0].blocks[:1]
    columns = (
        blocks[0] if len(blocks) == 1 else [np.concatenate(column) for column in zip(*blocks, strict=True)]
    )
    tick, status, data1, data2 = columns
    others = [event for track in tracks for event in track.others]
    return Events(
        header=header,
        tick=tick,
        status=status,
        data1=data1,
        data2=data2,
        track=np.repeat(np.arange(len(tracks)), [track.count for track in tracks]),
        others=others,
        end_tick=tuple(track.tick for track in tracks),
        damage=damage,
        own=own_parts(others),
    )


def _summary(damage: list[str]) -> str | None:
    if not damage:
        return None
    more = len(damage) - 1
    return damage[0] if not more else f"{damage[0]}, and {more:,} more"


@dataclass
class _Track:
    """One track, while it is read."""

    number: int
    data: bytes
    budget: int  # events that it may have
    count: int = 0  # channel messages
    tick: int = 0
    ended: bool = False
    too_high: int = 0  # messages with a data byte above 127
    blocks: list[tuple[IntArray, ByteArray, ByteArray, ByteArray]] = field(default_factory=list)
    others: list[OtherEvent] = field(default_factory=list)

    def read(self) -> str | None:
        """Read all events; what is wrong with the first that cannot be read, None if all can."""
        rows: list[tuple[int, int, int, int]] = []
        try:
            return self._read(rows)
        except IndexError:
            return "it ends within an event"
        finally:
            self._keep(rows)

    def _keep(self, rows: list[tuple[int, int, int, int]]) -> None:
        columns = np.array(rows, np.int64).reshape(-1, 4)
        tick, status, data1, data2 = columns.T
        self.blocks.append(
            (tick.copy(), status.astype(np.uint8), data1.astype(np.uint8), data2.astype(np.uint8))
        )
        self.count += len(rows)
        rows.clear()

    def _read(self, rows: list[tuple[int, int, int, int]]) -> str | None:
        data, end = self.data, len(self.data)
        at = tick = running = regular = 0
        needed = REGULAR
        while at < end:
            if regular >= needed:
                self._keep(rows)
                self._check_budget(0)
                before, regular = self.count, 0
                at, running = self._read_regular(at, running)
                tick = self.tick
                needed = REGULAR if self.count - before >= SHORT_RUN else min(2 * needed, 1 << 16)
                continue
            gap = data[at]
            at += 1
            if gap > 0x7F:
                gap &= 0x7F
                for _ in range(3):
                    byte = data[at]
                    at += 1
                    gap = gap << 7 | byte & 0x7F
                    if byte < 0x80:
                        break
                else:
                    return "a delta time of more than four bytes"
            status = data[at]
            if status < 0x80:
                if not running:
                    return "a message without a status"
                status = running
            else:
                at += 1
            if status < 0xF0:
                running = status
                data1 = data[at]
                if 0xC0 <= status < 0xE0:
                    data2, regular = 0, 0
                    at += 1
                else:
                    data2 = data[at + 1]
                    at += 2
                    regular += 1
                if data1 > 0x7F or data2 > 0x7F:
                    skipped = self._without_real_time(at, status)
                    if skipped is not None and not self._goes_on(at, running):
                        data1, data2, at = skipped
                    elif self._goes_on(at, running, any_data=True):
                        self.too_high += 1  # a value as sloppy programs write it
                        data1, data2 = min(data1, 0x7F), min(data2, 0x7F)
                    else:
                        return "a data byte above 127"
                tick += gap
                self.tick = tick
                rows.append((tick, status, data1, data2))
                continue
            regular = 0
            tick += gap
            if status in (META, EXCLUSIVE, ESCAPE):
                kind = status
                if status == META:
                    kind = data[at]
                    at += 1
                    if kind == END_OF_TRACK:
                        self.tick, self.ended = tick, True
                        return None
                else:
                    running = 0
                size = 0
                for _ in range(4):
                    byte = data[at]
                    at += 1
                    size = size << 7 | byte & 0x7F
                    if byte < 0x80:
                        break
                else:
                    return "a length of more than four bytes"
                if at + size > end:
                    return "an event is longer than its track"
                self.tick = tick
                self.others.append(
                    OtherEvent(tick, gap, kind, data[at : at + size], self.number, self.count + len(rows))
                )
                at += size
                if not len(self.others) & 0xFFFF:
                    self._check_budget(len(rows))
                    if len(self.others) > MOST_OTHERS:
                        raise MidiError(f"has more than {MOST_OTHERS:,} events other than messages")
            elif status >= REAL_TIME:
                self.tick = tick
            elif status in SYSTEM_COMMON:
                running = 0
                at += SYSTEM_COMMON[status]
                self.tick = tick
            else:
                return f"no event has the status {status:#x}"
        return None

    def _goes_on(self, at: int, running: int, *, any_data: bool = False) -> bool:
        """Whether well-formed events follow here, so that no byte is missing before them.

        With `any_data`, their data bytes may be above 127.
        """
        data, end = self.data, len(self.data)
        for _ in range(GOES_ON):
            if at >= end:
                return at == end
            gap_end = at
            while gap_end < min(at + 3, end) and data[gap_end] > 0x7F:
                gap_end += 1
            if gap_end + 1 >= end or data[gap_end] > 0x7F:
                return False
            status = data[gap_end + 1]
            at = gap_end + 2
            if status == META:
                return True
            if status >= 0xF0:
                return status in (EXCLUSIVE, ESCAPE)
            if status < 0x80:
                status, at = running, at - 1
            running = status
            width = 1 if 0xC0 <= status < 0xE0 else 2
            if at + width > end or (not any_data and max(data[at : at + width]) > 0x7F):
                return False
            at += width
        return True

    def _without_real_time(self, at: int, status: int) -> tuple[int, int, int] | None:
        """Data of the message that was read up to a place, and the place behind it, without real-time bytes.

        Those may stand even within a message, and change nothing. None if this makes no sense of it either.
        """
        width = 1 if 0xC0 <= status < 0xE0 else 2
        at -= width
        values: list[int] = []
        while len(values) < width:
            byte = self.data[at]
            at += 1
            if byte < 0x80:
                values.append(byte)
            elif not REAL_TIME <= byte < META:
                return None
        if not self._goes_on(at, status):
            return None
        return values[0], values[1] if width == 2 else 0, at

    def _check_budget(self, waiting: int) -> None:
        if self.count + waiting + len(self.others) > self.budget:
            raise MidiError("has more events than the limit")

    def _read_regular(self, at: int, running: int) -> tuple[int, int]:
        """Read messages of two data bytes up to the first other event; where that is, and the status."""
        size = FIRST_BLOCK
        while True:
            block = np.frombuffer(self.data, np.uint8, min(size, len(self.data) - at), at)
            whole = size >= len(self.data) - at
            used, running, all_regular = self._decode(block, running)
            at += used
            if not all_regular or whole:
                return at, running
            self._check_budget(0)
            size = min(size * 16, LARGEST_BLOCK)

    def _decode(self, block: ByteArray, running: int) -> tuple[int, int, bool]:
        """Decode the messages at the start of a block: bytes used, the status that holds then, whether
        nothing else stands in the block but the beginning of a further message."""
        low = np.flatnonzero(block < 0x80)
        count = len(low) // 3
        gap_end, first, second = np.ascontiguousarray(low[: 3 * count].reshape(count, 3).T)
        begin = np.empty(count, np.int64)
        begin[:1] = 0
        begin[1:] = second[:-1] + 1
        gap_size = gap_end - begin
        width = first - gap_end  # 2 where a status is stated
        status = block[gap_end + 1]
        two_data = (status < 0xC0) | (status - 0xE0 < 0x10)  # also true of what is no status
        right = (second - first == 1) & (gap_size <= 3) & (width <= 2) & two_data
        all_regular = bool(right.all())
        if not all_regular:
            count = int(right.argmin())
            gap_end, first, second = gap_end[:count], first[:count], second[:count]
            gap_size, width, status = gap_size[:count], width[:count], status[:count]
        if not count:
            return 0, running, False
        gap = block[gap_end].astype(np.int64)
        for i in range(1, int(gap_size.max()) + 1):
            longer = np.flatnonzero(gap_size >= i)
            gap[longer] |= (block[gap_end[longer] - i] & np.int64(0x7F)) << 7 * i
        stated = np.flatnonzero(width == 2)
        if len(stated) < count:
            states = np.append(np.uint8(running), status[stated])
            status = np.repeat(states, np.diff(stated, prepend=0, append=count))
        tick = np.cumsum(gap)
        tick += self.tick
        self.blocks.append((tick, status, block[first], block[second]))
        self.count += count
        self.tick = int(tick[-1])
        return int(second[-1]) + 1, int(status[-1]), all_regular
