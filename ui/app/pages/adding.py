"""Adding folders: a form, and the progress of the job."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from embedder.core.errors import LibraryError
from embedder.core.text import count

from .. import state
from ..escaping import clock, plain
from ..jobs import Job
from ..visitors import music_roots, shown_error

__all__ = ["add_form", "job_shown"]

REFRESH_S = 1.0
_PHASES = {
    "starting": "Starting",
    "waiting": "Waiting for another process that writes to this library",
    "scanning": "Looking for files",
    "converting": "Writing the demonstration's scores as MIDI files",
    "adding": "Adding",
}


def add_form(key: str) -> None:
    """Ask for a folder and start to add it."""
    roots = music_roots()
    if roots is not None and not roots:
        st.caption("Music is added by whoever runs this app: `midikin add FOLDER`.")
        return
    with st.form(f"add-{key}", border=False):
        st.text_input(
            "A folder on the computer that runs midikin",
            key=f"folder-{key}",
            placeholder=roots[0].name if roots else "~/Music/midi",
            max_chars=4096,
        )
        st.form_submit_button(
            "Add", type="primary", icon=":material/create_new_folder:", on_click=_begin, args=(key,)
        )
    if roots:
        st.caption(
            "What can be added lies in " + ", ".join(plain(root.name) for root in roots) + ": write, for "
            f"instance, {plain(roots[0].name)}/jazz."
        )
    problem = st.session_state.pop(f"problem-{key}", None)
    if problem:
        st.error(shown_error(problem), icon=":material/folder_off:")


def _begin(key: str) -> None:
    typed = st.session_state[f"folder-{key}"].strip()
    try:
        state.jobs().start("add", folders=[str(_allowed(typed))])
    except LibraryError as error:
        st.session_state[f"problem-{key}"] = str(error)


def _allowed(typed: str) -> Path:
    """The folder that was typed.

    Raises
    ------
    LibraryError
        If there is none, or visitors may not add it.
    """
    if not typed or "\0" in typed:
        raise LibraryError("type the name of a folder, like ~/Music/midi")
    roots = music_roots()
    # A visitor knows the names of the folders and not where they lie.
    first, *below = Path(typed).parts
    named = [root for root in roots or () if root.name == first]
    folder = named[0].joinpath(*below) if named else Path(typed).expanduser()
    if not folder.is_absolute() and roots is None:
        raise LibraryError(f"{typed}: write the whole path, from / or ~")
    real = folder.resolve()
    if roots is not None and not any(real.is_relative_to(root) for root in roots):
        # Whether it exists is not told to visitors.
        raise LibraryError(f"{typed}: only the folders named when the app was started can be added")
    if not folder.exists():
        raise LibraryError(f"{typed}: no such file or folder; check the name")
    return real if roots is not None else folder


@st.fragment(run_every=REFRESH_S)
def _running() -> None:
    """The running jobs, refreshed every second; the page is rerun when they end."""
    running = [
        job for kind in ("demo", "add") if (job := state.jobs().last(kind)) is not None and job.running
    ]
    if not running:
        st.rerun()
    for job in running:
        _progress(job)


def job_shown() -> None:
    """The running job, or how the last one ended."""
    last = [job for kind in ("demo", "add") if (job := state.jobs().last(kind)) is not None]
    if any(job.running for job in last):
        _running()
    elif last:
        _ended(max(last, key=lambda job: job.number))


def _progress(job: Job) -> None:
    phase = _PHASES.get(job.phase, job.phase)
    if job.total:
        notes = job.extra.get("notes", 0)
        more = f", {notes / max(job.seconds, 1e-3):,.0f} notes per second" if notes else ""
        failed = job.extra.get("failed", 0)
        more += f", {failed:,} failed" if failed else ""
        left = job.seconds / max(job.done, 1) * (job.total - job.done)
        more += f", about {clock(left)} left" if job.done > 20 else ""
        st.progress(min(1.0, job.done / job.total), f"{phase}: {job.done:,} of {job.total:,} files{more}")
    else:
        st.progress(0.0, f"{phase} … {job.done:,} files" if job.done else f"{phase} …")
    st.button(
        "Stop",
        key=f"stop-{job.number}",
        on_click=state.jobs().stop,
        args=(job.kind,),
        icon=":material/stop:",
    )


def _ended(job: Job) -> None:
    if job.state == "failed":
        st.error(shown_error(job.error), icon=":material/error:")
    elif job.state == "stopped":
        st.info(
            "Stopped. What was added is kept; adding the same folder again continues.", icon=":material/stop:"
        )
    else:
        report = job.result
        parts = [f"{count(report['added'], 'piece')} added"]
        parts += [f"{report[name]:,} {words}" for name, words in _COUNTS.items() if report[name]]
        st.success(f"{', '.join(parts)}, in {clock(job.seconds)}.", icon=":material/check:")


_COUNTS = {
    "unchanged": "files known already",
    "duplicates": "files that were there already",
    "moved": "moved",
    "changed": "changed",
    "failed": "failed",
}
