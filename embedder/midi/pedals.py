"""The pedals: sustain and sostenuto events of a file, and what they do to the ends of notes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .channel_state import channels_of
from .events import Events
from .pairing import ALL_SOUND_OFF

__all__ = ["PedalTicks", "pedalled_ends", "read_pedals"]

IntArray = NDArray[np.int64]

SUSTAIN, SOSTENUTO, RESET = 64, 66, 121
DOWN = 64  # values from here on
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class PedalTicks:
    """Pedal events of all channels in time; `silence` are the moments of controller 120 (all sound off).

    Attributes
    ----------
    tick, channel, controller, value : int64 [p]
    silence_tick, silence_channel : int64 [q]
    """

    tick: IntArray
    channel: IntArray
    controller: IntArray
    value: IntArray
    silence_tick: IntArray
    silence_channel: IntArray


def read_pedals(events: Events) -> PedalTicks:
    """Pedal events; controller 121 (reset all controllers) lifts the pedals of its channel."""
    control = np.flatnonzero((events.status & 0xF0) == 0xB0)
    number = events.data1[control]
    message = control[(number == SUSTAIN) | (number == SOSTENUTO)]
    controller, value = events.data1[message].astype(np.int64), events.data2[message].astype(np.int64)
    channel = channels_of(events, message)
    reset = control[number == RESET]
    if len(reset) and len(message):
        used = np.unique(channel * 128 + controller)
        of_reset = channels_of(events, reset)
        for pedal in (SUSTAIN, SOSTENUTO):
            lifting = np.isin(of_reset * 128 + pedal, used)
            count = int(lifting.sum())
            message = np.append(message, reset[lifting])
            channel = np.append(channel, of_reset[lifting])
            controller = np.append(controller, np.full(count, pedal))
            value = np.append(value, np.zeros(count, np.int64))
    tick = events.tick[message]
    if len(reset) or (np.diff(tick) < 0).any():
        order = np.lexsort((message, tick))
        tick, channel, controller, value = tick[order], channel[order], controller[order], value[order]
    repeats = (
        (np.diff(tick) == 0) & (np.diff(channel) == 0) & (np.diff(controller) == 0) & (np.diff(value) == 0)
    )
    if repeats.any():  # as of a pedal that stands in several tracks
        kept = np.append(True, ~repeats)
        tick, channel, controller, value = tick[kept], channel[kept], controller[kept], value[kept]
    silence = control[number == ALL_SOUND_OFF]
    return PedalTicks(tick, channel, controller, value, events.tick[silence], channels_of(events, silence))


def pedalled_ends(
    start: IntArray, end: IntArray, pitch: NDArray[np.integer], channel: IntArray, pedals: PedalTicks
) -> IntArray:
    """Ends of notes [n] with the pedals folded in; times in ticks, or in any other whole numbers.

    A note that ends while the sustain pedal of its channel is down lasts until the pedal lifts or its key is
    struck again, whichever comes first; a pedal pressed at the very moment of the end comes too late. The
    sostenuto pedal does the same for the notes whose keys are down when it is pressed, and only for them.
    All sound off silences what it meets. A pedal that never lifts does so when the last note of its channel
    ends.
    """
    ends = end.copy()
    for number in np.unique(pedals.channel[pedals.value >= DOWN]).tolist():
        here = np.flatnonzero(channel == number)
        if not len(here):
            continue
        own_start, own_end, own_pitch = start[here], end[here], pitch[here].astype(np.int64)
        struck = _struck_again(own_start, own_end, own_pitch)
        held = own_end
        for controller in (SOSTENUTO, SUSTAIN):
            events = (pedals.channel == number) & (pedals.controller == controller)
            if not events.any():
                continue
            tick, down = pedals.tick[events], pedals.value[events] >= DOWN
            lift = _lifts(own_start, held, tick, down, only_sounding=controller == SOSTENUTO)
            held = np.maximum(held, np.minimum(lift, struck))
        silence = np.sort(pedals.silence_tick[pedals.silence_channel == number])
        held = np.minimum(held, np.append(silence, NEVER)[np.searchsorted(silence, own_start, "right")])
        ends[here] = np.maximum(held, own_end)
    return ends


def _lifts(
    start: IntArray, end: IntArray, tick: IntArray, down: NDArray[np.bool_], *, only_sounding: bool
) -> IntArray:
    """When the pedal that is down just before each end lifts [n]; the end itself where it is up.

    With `only_sounding`, a pedal pressed before a note begins does not hold it.
    """
    turns = np.append(True, down[1:] != down[:-1])
    tick, down = tick[turns], down[turns]
    after = np.append(tick[1:], end.max())
    state = np.searchsorted(tick, end, "left") - 1
    pressed = (state >= 0) & down[state]
    if only_sounding:
        pressed &= tick[state] > start
    return np.where(pressed, after[state], end)


def _struck_again(start: IntArray, end: IntArray, pitch: IntArray) -> IntArray:
    """Time of the first later note of the same key that begins at or after each note's end [n]."""
    far = int(max(end.max(), start.max())) + 1
    order = np.lexsort((start, pitch))
    key = pitch * (far + 1) + start
    ordered = key[order]
    at = np.searchsorted(ordered, pitch * (far + 1) + end, "left")
    # A note without length would find itself: look behind it.
    at = np.where(end == start, np.searchsorted(ordered, key, "right"), at)
    within = np.minimum(at, len(ordered) - 1)
    same = (at < len(ordered)) & (pitch[order][within] == pitch)
    return np.where(same, start[order][within], NEVER)
