"""What all visitors share: the library, uploads and background jobs. Everything else belongs to a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from embedder.core.errors import MidikinError
from index import Library, default_folder

from .jobs import Jobs
from .uploads import Uploads
from .visitors import shown_error

if TYPE_CHECKING:
    from embedder import Descriptors
    from embedder.notes import Notes
    from index import Duplicates

__all__ = ["Music", "duplicates_left", "errors_shown", "jobs", "library", "music", "uploads", "warm_up"]

WARM_UP_AFTER_S = 1.5
CACHED_PIECES = 300  # a concert performance takes a tenth of a megabyte


def library() -> Library:
    """The library that the app was started for; one for all visitors."""
    return _opened(str(default_folder()))


def _usable(opened: Library) -> bool:
    return opened.folder.is_dir()


@st.cache_resource(
    show_spinner="Opening the library …", validate=_usable, on_release=lambda cached: cached.close()
)
def _opened(folder: str) -> Library:
    return Library.open(folder)


@dataclass(frozen=True)
class Music:
    """The parts of a piece that never change: a number is given to one content, once."""

    notes: Notes
    descriptors: Descriptors


def music(number: int) -> Music:
    """Notes and descriptors of a piece; the most recent ones are cached."""
    return _music(str(library().folder), number)


@st.cache_resource(max_entries=CACHED_PIECES, show_spinner=False)
def _music(folder: str, number: int) -> Music:
    return Music(library().notes(number), library().piece(number).descriptors)


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    return Uploads()


def jobs() -> Jobs:
    return _jobs_of(str(default_folder()))


@st.cache_resource(show_spinner=False, on_release=lambda cached: cached.stop_all())
def _jobs_of(folder: str) -> Jobs:
    return Jobs(folder)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show errors as one line on the page, never as a traceback."""
    try:
        yield
    except MidikinError as error:
        st.error(shown_error(error), icon=":material/error:")
    except ValueError as error:  # a filter or a number that makes no sense
        st.error(shown_error(error), icon=":material/edit:")


@st.cache_resource(show_spinner=False)
def warm_up(folder: str) -> None:
    """Load in the background, once, what a first search by a new file needs: the indexes and the encoder."""
    import threading

    def load() -> None:
        from embedder.notes import Notes

        opened = _opened(folder)
        if opened.info().pieces:
            try:
                probe = Notes([0.0, 0.5, 1.0, 1.5], [0.4] * 4, [60, 62, 64, 65], [64] * 4)
                opened.search(probe, 1)
                opened.search(probe, 1, start_s=0.0, end_s=9.0)
            except MidikinError:
                return  # whoever searches sees the error

    timer = threading.Timer(WARM_UP_AFTER_S, load)  # the first page comes first
    timer.daemon = True
    timer.start()


def duplicates_left() -> int:
    """How many groups of the last scan hold a pair that nobody has decided; 0 if there was no scan."""
    job = jobs().last("duplicates")
    if job is None or job.result is None:
        return 0
    return _groups_left(job.number, len(library().duplicates.decisions()), job.result)


@st.cache_resource(max_entries=4, show_spinner=False)
def _groups_left(job: int, decisions: int, _duplicates: Duplicates) -> int:
    from .pages.review import pairs_of

    pairs = pairs_of(_duplicates, library().duplicates.decisions())
    return len({pair.group.number for pair in pairs if pair.decision is None})
