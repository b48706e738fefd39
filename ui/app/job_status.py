"""Progress of background jobs on a page, refreshed every second."""

from __future__ import annotations

import streamlit as st

from . import state
from .escaping import clock, plain
from .visitors import shown_error

__all__ = ["job_error", "job_progress"]

REFRESH_S = 1.0


@st.fragment(run_every=REFRESH_S)
def job_progress(kind: str) -> None:
    """Progress of the job of a kind; the page is rerun when it ends."""
    job = state.jobs().last(kind)
    if job is None or not job.running:
        st.rerun()
        return
    share = min(1.0, job.done / job.total) if job.total else 0.0
    count = f": {job.done:,} of {job.total:,}" if job.total > 1 else ""
    st.progress(share, f"{plain(job.phase).capitalize()}{count} … {clock(job.seconds)}")
    st.caption("You can use the other pages meanwhile.")
    st.button("Stop", key=f"stop-{kind}", on_click=state.jobs().stop, args=(kind,), icon=":material/stop:")


def job_error(kind: str, **request: object) -> None:
    """Why the last job of a kind failed, if it did with these arguments."""
    job = state.jobs().last(kind)
    if job is not None and job.state == "failed" and request.items() <= job.request.items():
        st.error(shown_error(job.error), icon=":material/error:")
