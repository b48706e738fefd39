"""Notes from events: which event ends which note, by the rules of MIDI 1.0.

A note-off ends the earliest open note of its key, channel and track. Controllers 120 (all sound off) and 123
to 127 (all notes off, and the mode messages that imply it) end every note of their channel, whatever the
track. A note that nothing ends is dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .channel_state import channels_of
from .events import Events

__all__ = ["ALL_SOUND_OFF", "pair_notes"]

IntArray = NDArray[np.int64]

ALL_SOUND_OFF = 120
FIRST_NOTES_OFF = 123
NEVER = np.iinfo(np.int64).max


def pair_notes(events: Events) -> tuple[IntArray, IntArray]:
    """Messages that begin the notes that end, and the ticks of those ends.

    Returns
    -------
    begin : int64 [k], numbers of note-on messages, in no particular order
    end_tick : int64 [k]
    """
    message = np.flatnonzero(events.status < 0xA0)
    if not len(message):
        return message, message
    status, key = events.status[message], events.data1[message]
    tick, track = events.tick[message], events.track[message]
    is_on = (status >= 0x90) & (events.data2[message] > 0)
    tracks = int(track[-1]) + 1
    key_line = (status & 0x0F).astype(np.uint16) << 7 | key
    group = key_line if track[0] == track[-1] else track * 2048 + key_line
    closed = _closings(events, message, tick)
    closing_tick = None
    if closed is not None:
        epoch, closing_tick = closed
        group = group.astype(np.int64) * (int(epoch.max()) + 1) + epoch
    elif group.dtype != np.uint16 and tracks <= 32:
        group = group.astype(np.uint16)  # sorted faster
    order = np.argsort(group, kind="stable")
    group, is_on = group[order], is_on[order]
    if (
        len(order) % 2 == 0
        and is_on[::2].all()
        and not is_on[1::2].any()
        and np.array_equal(group[::2], group[1::2])
    ):
        return message[order[::2]], tick[order[1::2]]  # every note ends before its key is struck again
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    segment = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(group))))

    # Number of open notes if every note-off ended one, within the segment; where it falls below what it
    # was ever before, the note-off has nothing to end.
    balance = np.cumsum(np.where(is_on, 1, -1))
    balance -= (balance[first] - np.where(is_on[first], 1, -1))[segment]
    floor = segment * -(len(group) + 1)
    lowest = np.minimum.accumulate(np.minimum(balance, 0) + floor)
    before = np.append(0, lowest[:-1])
    before[first] = floor[first]
    ends = np.flatnonzero(~is_on & (balance + floor >= before))

    begins = np.flatnonzero(is_on)
    begin_segment = segment[begins]
    rank = np.arange(len(begins)) - np.searchsorted(begin_segment, begin_segment)
    partner = np.searchsorted(segment[ends], begin_segment) + rank
    within = np.minimum(partner, len(ends) - 1)
    matched = (partner < len(ends)) & (segment[ends][within] == begin_segment) if len(ends) else partner < 0
    end_tick = np.full(len(begins), NEVER)
    end_tick[matched] = tick[order][ends[partner[matched]]]
    if closing_tick is not None:
        end_tick = np.where(matched, end_tick, closing_tick[order][begins])
    kept = end_tick < NEVER
    return message[order][begins[kept]], end_tick[kept]


def _closings(events: Events, message: IntArray, tick: IntArray) -> tuple[IntArray, IntArray] | None:
    """For each note message, how many closing controllers came before, and when the next one comes.

    Those of the same track are ordered as in the file, those of others by time, and of one time they come
    first, so that a reset in one track does not silence what begins with it in another. None if the file
    has no such controller.
    """
    is_closing = (events.status & 0xF0 == 0xB0) & (
        (events.data1 == ALL_SOUND_OFF) | (events.data1 >= FIRST_NOTES_OFF)
    )
    closing = np.flatnonzero(is_closing)
    if not len(closing):
        return None
    epoch, next_tick = np.zeros(len(message), np.int64), np.full(len(message), NEVER)
    line = channels_of(events, message) << 32 | events.track[message]
    closing_channel, closing_track = channels_of(events, closing), events.track[closing]
    with_closings = set(closing_channel.tolist())
    for number in np.unique(line).tolist():
        if number >> 32 not in with_closings:
            continue
        here = np.flatnonzero(line == number)
        of_channel = closing_channel == number >> 32
        own = closing[of_channel & (closing_track == number & 0xFFFFFFFF)]
        others = np.sort(events.tick[closing[of_channel & (closing_track != number & 0xFFFFFFFF)]])
        own_before = np.searchsorted(own, message[here])
        others_before = np.searchsorted(others, tick[here], "right")
        epoch[here] = own_before + others_before
        next_tick[here] = np.minimum(
            np.append(events.tick[own], NEVER)[own_before], np.append(others, NEVER)[others_before]
        )
    return epoch, next_tick
