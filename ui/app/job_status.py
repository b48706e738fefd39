"""Work that goes on elsewhere, looked at every second; the pages go on meanwhile."""

from __future__ import annotations

import streamlit as st

from . import state
from .escaping import clock, plain

__all__ = ["followed", "how_it_failed"]

LOOK_AGAIN_S = 1.0


@st.fragment(run_every=LOOK_AGAIN_S)
def followed(kind: str) -> None:
    """How far the work of a kind is; when it ends the whole page is drawn anew."""
    job = state.jobs().last(kind)
    if job is None or not job.running:
        st.rerun()
        return
    share = min(1.0, job.done / job.total) if job.total else 0.0
    count = f": {job.done:,} of {job.total:,}" if job.total > 1 else ""
    st.progress(share, f"{plain(job.phase).capitalize()}{count} … {clock(job.seconds)}")
    st.caption("The other pages go on working meanwhile.")
    st.button("Stop", key=f"stop-{kind}", on_click=state.jobs().stop, args=(kind,), icon=":material/stop:")


def how_it_failed(kind: str, **request: object) -> None:
    """Why the last work of a kind failed, if it did and this was asked for."""
    job = state.jobs().last(kind)
    if job is not None and job.state == "failed" and request.items() <= job.request.items():
        st.error(plain(job.error), icon=":material/error:")
