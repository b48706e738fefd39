"""The page about the library itself: what is in it, what failed and why, and adding more."""

from __future__ import annotations

from importlib.metadata import version

import streamlit as st

from index import LibraryInfo

from .. import state
from .adding import add_form, job_shown
from ..escaping import cell, decimals
from .welcome import welcome

__all__ = ["page"]

FAILURES = 1000  # shown; the file to download has them all


def page() -> None:
    """Library."""
    st.title("Library")
    with state.errors_shown():
        library = state.library()
        info = library.info()
        if not info.pieces and not info.failures:
            welcome()
            return
        _counts(info)
        with st.container(border=True, gap="xsmall"):
            st.subheader("Add music")
            if info.read_only:
                st.info(
                    "This library can only be read: its folder cannot be written.", icon=":material/lock:"
                )
            else:
                add_form("library")
                job_shown()
        _failures(info.failures)
        _about(info)


def _counts(info: LibraryInfo) -> None:
    shown = {
        "Pieces": f"{info.pieces:,}",
        "Files": f"{info.paths:,}",
        "Hours of music": decimals(info.hours, 1),
        "Notes": f"{info.notes:,}",
        "Failed files": f"{info.failures:,}",
        "On disk": size(info.size_bytes),
    }
    with st.container(horizontal=True):
        for name, value in shown.items():
            st.metric(name, value, width="content", border=True)


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:,.1f} GB"


def _failures(count: int) -> None:
    with st.container(border=True, gap="xsmall"):
        st.subheader("What could not be read")
        if not count:
            st.write("Every file was read.")
            return
        failures = state.library().failures()
        rows = {
            "file": [failure.display for failure in failures],
            "why": [failure.reason for failure in failures],
        }
        st.dataframe({name: column[:FAILURES] for name, column in rows.items()}, hide_index=True)
        if len(failures) > FAILURES:
            st.caption(f"The first {FAILURES:,} of {len(failures):,}.")
        lines = [
            "file,why",
            *(f"{_quoted(file)},{_quoted(why)}" for file, why in zip(*rows.values(), strict=True)),
        ]
        with st.container(horizontal=True):
            st.download_button(
                "CSV",
                "\n".join(lines) + "\n",
                "midikin-failures.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
                help="All of them as a table",
            )


def _quoted(text: str) -> str:
    return '"' + cell(text).replace('"', '""') + '"'


def _about(info: LibraryInfo) -> None:
    with st.container(border=True, gap="xsmall"):
        st.subheader("About")
        about = {
            "folder": info.folder,
            "encoder": info.encoder or "none yet",
            "length of a vector": str(info.dim or "–"),
            "midikin": version("midikin"),
            "version of the tables": str(info.schema_version),
            "state": f"commit {info.commit}" + (", can only be read" if info.read_only else ""),
        }
        for index in info.indexes:
            current = "" if index.current else ", brought up to date at the next search"
            about[f"index of {index.name}"] = (
                f"{index.kind}, {index.vectors:,} vectors, finds {index.recall:.0%} of the true nearest"
                f"{current}"
            )
        st.dataframe({"what": list(about), "": list(about.values())}, hide_index=True)
