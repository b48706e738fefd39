"""What hypothesis draws: notes, gently or wildly timed, and bands."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from embedder import GRID_HZ, Meter, Notes, Part, Pedal, TempoMap
from embedder.midi.ticks import TickClock

__all__ = ["bands", "notes", "parts", "tempo_maps"]


@st.composite
def notes(draw: st.DrawFn, *, min_size: int = 0, max_size: int = 40, longest_s: float = 600.0) -> Notes:
    """Notes from 0 s on; few pitches and times, so that many coincide and overlap."""
    steps = st.integers(0, round(longest_s * GRID_HZ))
    few_steps = st.sampled_from([0, 1, 2, 25_000, 50_000, 75_000])
    rows = draw(
        st.lists(
            st.tuples(
                steps | few_steps,
                steps | few_steps,
                st.integers(0, 127) | st.sampled_from([60, 61]),
                st.integers(1, 127),
            ),
            min_size=min_size,
            max_size=max_size,
        )
    )
    if not rows:
        return Notes.empty()
    onset, duration, pitch, velocity = zip(*rows, strict=True)
    return Notes([o / GRID_HZ for o in onset], [d / GRID_HZ for d in duration], pitch, velocity)


@st.composite
def parts(draw: st.DrawFn) -> Part:
    return Part(
        name=draw(st.sampled_from(["", "Violin", "Bass", "Gymnopédie ♪", "夜"])),
        channel=draw(st.none() | st.integers(0, 15)),
        program=draw(st.integers(0, 127) | st.sampled_from([0, 40])),
        bank=draw(st.none() | st.integers(0, (1 << 14) - 1) | st.sampled_from([0, 120 << 7, 127 << 7])),
        drums=draw(st.booleans()),
        port=draw(st.sampled_from([0, 0, 0, 1])),
    )


@st.composite
def tempo_maps(draw: st.DrawFn) -> TempoMap:
    """Tempos on ticks of a division, as of a file; empty every other time."""
    division = draw(st.sampled_from([24, 96, 480, 960]))
    us = draw(st.lists(st.sampled_from([250_000, 461_538, 500_000, 1_200_000]), max_size=4))
    if not us:
        return TempoMap(division=draw(st.none() | st.just(division)))
    ticks = sorted(
        draw(st.lists(st.integers(1, 9_000), min_size=len(us) - 1, max_size=len(us) - 1, unique=True))
    )
    clock = TickClock.of_tempos(np.array([0, *ticks]), np.array(us), division)
    return TempoMap(clock.second, clock.us, clock.tick / division, division)


@st.composite
def bands(draw: st.DrawFn) -> Notes:
    """Notes of several parts, drums among them, with tempos, meters and pedal."""
    played = draw(notes(min_size=1, longest_s=60.0))
    table = tuple(draw(st.lists(parts(), min_size=1, max_size=5)))
    part = draw(st.lists(st.integers(0, len(table) - 1), min_size=len(played), max_size=len(played)))
    tempo = draw(tempo_maps())
    meters = tuple(
        Meter(second, numerator, denominator)
        for second, numerator, denominator in draw(
            st.sampled_from([[], [(0.0, 3, 4)], [(0.0, 4, 4), (4.0, 6, 8)]])
        )
    )
    channels = [p.port * 16 + p.channel for p in table if p.channel is not None] or [3]
    count = draw(st.integers(0, 6))
    pedal = Pedal(
        sorted(draw(st.lists(st.integers(0, 30), min_size=count, max_size=count, unique=True))),
        draw(st.lists(st.sampled_from([64, 66]), min_size=count, max_size=count)),
        draw(st.lists(st.integers(0, 127), min_size=count, max_size=count)),
        draw(st.lists(st.sampled_from(channels), min_size=count, max_size=count)),
    )
    columns = (played.onset, played.duration, played.pitch, played.velocity)
    return Notes(*columns, part, table, tempo=tempo, meters=meters, pedal=pedal)
