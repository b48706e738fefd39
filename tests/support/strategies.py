"""What hypothesis draws: notes, gently or wildly timed."""

from __future__ import annotations

from hypothesis import strategies as st

from embedder import GRID_HZ, Notes

__all__ = ["notes"]


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
