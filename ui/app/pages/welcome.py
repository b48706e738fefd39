"""The first visit: what midikin is, and two ways to begin."""

from __future__ import annotations

import importlib.util

import streamlit as st

from .. import state
from .adding import add_form, job_shown
from ..navigation import go_to

__all__ = ["welcome"]


def welcome() -> None:
    """What to do with a library that is empty."""
    st.markdown(
        "midikin finds the kin of a piece of MIDI music: what sounds like it, which file is the same music "
        "in other hands, and where two pieces agree. **This library is empty.** Add music once, and then "
        "search it, walk through it on a map, review what is there twice, and tag it. "
        "Files are only ever read."
    )
    if any((job := state.jobs().last(kind)) is not None and job.running for kind in ("add", "demo")):
        job_shown()
        return
    one, other = st.columns(2, gap="large")
    with one, st.container(border=True, gap="xsmall"):
        st.subheader("Your own music")
        add_form("welcome")
    with other, st.container(border=True, gap="xsmall"):
        st.subheader("Or try the demonstration")
        st.write(
            "Over 300 works of Bach, Mozart, Palestrina, Joplin and others, and folk songs, out of the "
            "package music21. It takes a minute or two; this library holds them afterwards, and you "
            "can remove them."
        )
        missing = importlib.util.find_spec("music21") is None
        if missing:
            st.info(
                "The package music21 is not installed: `pip install 'midikin[demo]'`, then reload this page."
            )
        st.button(
            "Add the demonstration",
            type="primary",
            disabled=missing,
            on_click=_begin_demo,
            icon=":material/piano:",
        )
    job_shown()


def _begin_demo() -> None:
    with state.errors_shown():
        state.jobs().start("demo")


def empty_here() -> None:
    """On the other pages, while the library is empty."""
    st.info("The library is empty. The search page explains how to begin.", icon=":material/inbox:")
    st.button("Begin", type="primary", on_click=go_to, args=("search",))
