"""The welcome page: what midikin does, heard and seen, and two ways to begin."""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
import streamlit as st

from embedder.notes import Notes

from .. import state
from ..components import roll_sheet
from ..navigation import go_to
from .adding import add_form, job_shown

__all__ = ["empty_library", "page", "welcome"]

STEPS = (
    (
        "Find similar",
        "By a piece, a passage, a dropped file or a tune you play.",
        "search",
        ":material/graphic_eq:",
    ),
    ("See the map", "Every piece is a point. Similar pieces lie close together.", "map", ":material/map:"),
    (
        "Clear duplicates",
        "Compared note by note. Files are never deleted for you.",
        "duplicates",
        ":material/content_copy:",
    ),
    ("Tag by ear", "Label thirty pieces; a model suggests the rest.", "tags", ":material/label:"),
)


def page() -> None:
    """Welcome."""
    with state.errors_shown():
        welcome(heading="h1")


def welcome(heading: str = "h2") -> None:
    """What midikin does, and how to begin; below the title of another page, or with a title of its own."""
    empty = not state.library().info().pieces
    left, right = st.columns([5, 6], gap="large")
    with left, st.container(key="hero", gap="small"):
        st.html(f"<{heading} class='hero'>Find the music that sounds like the music you know</{heading}>")
        st.markdown(
            "midikin reads every MIDI file in your folders, on this computer, and shows what is "
            "similar, what is there "
            "twice and what belongs together."
        )
        if any((job := state.jobs().last(kind)) is not None and job.running for kind in ("add", "demo")):
            job_shown()
        elif empty:
            st.caption("This library is empty. Add your own music, or try the demonstration.")
            add_form("welcome")
            _demo()
            job_shown()
        else:
            st.button("Search", type="primary", on_click=go_to, args=("search",), icon=":material/search:")
    with right, st.container(key="sheet-pair", gap="small"):
        tune, variant = _pair()
        roll_sheet(
            "welcome-a", tune, name="A tune you know", item="welcome-a", mode="label", facts="what you know"
        )
        roll_sheet(
            "welcome-b",
            variant,
            name="The same tune, found elsewhere",
            item="welcome-b",
            mode="label",
            facts="a fourth higher, faster, with other chords",
        )
    with st.container(horizontal=True, key="steps"):
        for title, text, target, icon in STEPS:
            with st.container(key=f"sheet-step-{target}", gap="xsmall", width="stretch"):
                st.button(
                    title, on_click=go_to, args=(target,), icon=icon, type="tertiary", key=f"step-{target}"
                )
                st.caption(text)


def _demo() -> None:
    missing = importlib.util.find_spec("music21") is None
    st.button("Try the demonstration", disabled=missing, on_click=_begin_demo, icon=":material/play_arrow:")
    if missing:
        st.caption(
            "The demonstration needs the package music21: `pip install 'midikin[demo]'`, then reload "
            "this page."
        )
    else:
        st.caption(
            "The demonstration adds over 300 works of Bach, Mozart, Joplin and others, and folk "
            "songs, out of the "
            "package music21, in a few minutes. Nothing leaves this computer."
        )


def _begin_demo() -> None:
    with state.errors_shown():
        state.jobs().start("demo")


@cache
def _pair() -> tuple[Notes, Notes]:
    """A folk tune (Frère Jacques) over a bass, and the same in another key, tempo and texture."""
    melody = [
        60,
        62,
        64,
        60,
        60,
        62,
        64,
        60,
        64,
        65,
        67,
        64,
        65,
        67,
        67,
        69,
        67,
        65,
        64,
        60,
        67,
        69,
        67,
        65,
        64,
        60,
        60,
        55,
        60,
        60,
        55,
        60,
    ]
    beats = [1.0] * 8 + [1, 1, 2, 1, 1, 2] + [0.5, 0.5, 0.5, 0.5, 1, 1] * 2 + [1, 1, 2] * 2
    begins = np.concatenate([[0.0], np.cumsum(beats)[:-1]])

    def arranged(shift: int, beat_s: float, chords: bool) -> Notes:
        rows = [
            (b * beat_s, d * beat_s * 0.9, p + 12 + shift, 88)
            for b, d, p in zip(begins, beats, melody, strict=True)
        ]
        for bar in range(0, int(sum(beats)), 2):
            bass = (48, 43)[bar // 2 % 2] + shift
            if chords:
                rows += [
                    ((bar + k / 2) * beat_s, 0.45 * beat_s, bass + step, 60)
                    for k, step in enumerate((0, 7, 12, 7))
                ]
            else:
                rows.append((bar * beat_s, 1.9 * beat_s, bass, 64))
        rows.sort()
        onset, duration, pitch, velocity = (np.array(column) for column in zip(*rows, strict=True))
        return Notes(onset, duration, pitch, velocity)

    return arranged(0, 0.5, False), arranged(5, 0.4, True)


def empty_library() -> None:
    """On the other pages, while the library is empty."""
    st.info(
        "The library is empty. Add a folder of MIDI files, or try the demonstration.", icon=":material/inbox:"
    )
    st.button("Begin", type="primary", on_click=go_to, args=("search",))
