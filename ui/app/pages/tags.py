"""The tags page: labels that people give, and models that predict the rest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from embedder.core.errors import MidikinError
from embedder.core.text import count

from .. import state
from ..catalog import catalog
from ..escaping import cell, plain
from ..navigation import set_title, toast
from ..visitors import remote, shown_error
from .tag_form import MAX_TAG, parsed
from .tag_views import label_and_review, model_quality
from .welcome import empty_library

if TYPE_CHECKING:
    from index import ImportReport, Label, Library, Tag

__all__ = ["page"]

MAX_CSV_MB = 20
HISTORY = 20
VIEWS = {"label": "Label and review", "quality": "Model quality", "history": "History"}
OLD_VIEWS = {"next": "label", "predictions": "label", "probe": "quality", "labels": "history"}  # in addresses
PROBES = {
    "none": "no model yet",
    "current": "model up to date",
    "labels changed": "labels changed since training",
    "stale": "model of another encoder",
}


def page() -> None:
    """Tags."""
    with state.errors_shown():
        library = state.library()
        if not library.info().pieces:
            st.title("Tags")
            empty_library()
            return
        tags = library.tags()
        with st.container(key="page-tags", gap="small"):
            tag, view = _head(tags)
            if tag is None:
                with st.container(key="sheet-tags"):
                    st.write(
                        "A tag is yes or no for each piece (*lullaby*), or one of several values "
                        "(*composer: Chopin*). "
                        "Label a few pieces, and a model learns to tag the rest; you accept what is right."
                    )
                    _new_tag()
                _files(library, None)
                return
            set_title(tag.name, "Tags")
            views = {"label": label_and_review, "quality": model_quality, "history": _history}
            views[view](library, tag)


def _turned() -> None:
    st.query_params["view"] = st.session_state["view"]


def _head(tags: list[Tag]) -> tuple[Tag | None, str]:
    """The tag of the address and the view of it, with ways to choose others."""
    view = st.query_params.get("view", "label")
    view = OLD_VIEWS.get(view, view if view in VIEWS else "label")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tools-tags"):
        st.title("Tags", width="content")
        if not tags:
            return None, view
        by_name = {tag.name: tag for tag in tags}
        named = st.query_params.get("tag", "")
        st.session_state["tag"] = named if named in by_name else next(iter(by_name))
        name = st.selectbox(
            "Tag", list(by_name), key="tag", on_change=_took, width=220, label_visibility="collapsed"
        )
        tag = by_name[name]
        st.caption(
            f"{count(tag.labels, 'label')} · {PROBES.get(tag.probe, plain(tag.probe))}", width="content"
        )
        st.space("stretch")
        st.session_state["view"] = view
        st.segmented_control(
            "View",
            VIEWS,
            format_func=VIEWS.__getitem__,
            key="view",
            required=True,
            on_change=_turned,
            label_visibility="collapsed",
        )
        with st.popover("New tag", icon=":material/add:"):
            _new_tag()
    return tag, view


def _took() -> None:
    st.query_params["tag"] = st.session_state["tag"]


def _new_tag() -> None:
    """A new tag begins with its first labels."""
    with st.form("new-tag", border=False):
        st.text_input(
            "Tag, with a value if it has several",
            key="new-tag-name",
            placeholder="composer: Chopin",
            max_chars=MAX_TAG,
        )
        st.text_input(
            "Pieces: numbers, or a condition",
            key="new-tag-pieces",
            placeholder="12, 40  or  path~chopin",
            max_chars=1000,
        )
        st.form_submit_button("Label them", type="primary", on_click=_label_new, icon=":material/label:")
    with st.form("folders", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Or label every piece by its folder, as", key="folder-tag", placeholder="composer")
        st.number_input("at level", 1, 20, 1, key="folder-level", width=130)
        st.form_submit_button("By folder", on_click=_label_by_folder, icon=":material/folder:")
    problem = st.session_state.pop("tag-problem", None)
    if problem:
        st.error(shown_error(problem))


def _label_new() -> None:
    try:
        name, value = parsed(st.session_state["new-tag-name"])
        numbers = _numbers(state.library(), st.session_state["new-tag-pieces"])
        report = state.library().tags.label(name, numbers, value=value)
    except (MidikinError, ValueError) as error:
        st.session_state["tag-problem"] = str(error)
        return
    toast(f"{count(report.set, 'piece')} labelled.", _undo, None)
    st.query_params["tag"] = name


def _numbers(library: Library, typed: str) -> list[int]:
    """Pieces that were typed as numbers, or that meet a condition.

    Raises
    ------
    ValueError
        If there are none.
    """
    words = typed.replace(",", " ").replace("#", " ").split()
    if words and all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        return [int(word) for word in words]
    if not typed.strip():
        raise ValueError("name the pieces: numbers like 12, 40, or a condition like path~chopin")
    numbers = [piece.id for piece in library.pieces([typed], limit=10**9)]
    if not numbers:
        raise ValueError(f"no piece meets {typed!r}")
    return numbers


def _label_by_folder() -> None:
    name = st.session_state["folder-tag"].strip()
    try:
        report = state.library().tags.label_by_folder(name, level=int(st.session_state["folder-level"]))
    except (MidikinError, ValueError) as error:
        st.session_state["tag-problem"] = str(error)
        return
    toast(f"{count(report.set, 'piece')} labelled.", _undo, None)
    st.query_params["tag"] = name


def _history(library: Library, tag: Tag) -> None:
    """What was labelled, and what was done before."""
    labels = library.tags.labels(tag.name)
    st.dataframe(
        {
            "piece": [label.piece_id for label in labels],
            "file": [catalog().relative(label.display) for label in labels],
            "value": [_value(label) for label in labels],
            "from": [label.source for label in labels],
        },
        hide_index=True,
    )
    with st.form("rename", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Another name for this tag", key="new-name", max_chars=MAX_TAG)
        st.form_submit_button("Rename", on_click=_rename, args=(tag.name,), icon=":material/edit:")
    st.subheader("History")
    for action in library.tags.history(HISTORY):
        with st.container(horizontal=True, vertical_alignment="center"):
            undone = ", undone" if action.undone_s is not None else ""
            st.markdown(
                f"{action.number}. {plain(action.what)} ({count(action.labels, 'label')}){undone}",
                width="stretch",
            )
            if action.undone_s is None:
                st.button("Undo", key=f"undo-{action.number}", on_click=_undo, args=(action.number,))
    _files(library, tag)


def _rename(name: str) -> None:
    with state.errors_shown():
        state.library().tags.rename(name, st.session_state["new-name"])
        st.query_params["tag"] = st.session_state["new-name"].strip()


def _value(label: Label) -> str:
    holds, value = label.holds, label.value
    return ("yes" if holds else "no") if value is None else f"{'' if holds else 'not '}{value}"


def _undo(number: int | None) -> None:
    with state.errors_shown():
        state.library().tags.undo(number)


def _files(library: Library, tag: Tag | None) -> None:
    """Labels to and from files."""
    with st.expander("Labels as CSV"):
        if tag is not None:
            st.download_button(
                "All labels",
                lambda: library.tags.export_labels(root=catalog().root if remote() else None),
                "midikin-labels.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
            )
        dropped = st.file_uploader(
            "Labels from a CSV file: a column with file names, and a column for each tag",
            type=["csv", "tsv", "json"],
            max_upload_size=MAX_CSV_MB,
            key="labels-file",
        )
        if dropped is not None and st.button("Take these labels", type="primary"):
            report = _import(library, dropped.name, dropped.getvalue())
            st.success(f"{count(report.set, 'label')} set, {report.unchanged:,} were there.")
            if report.unknown:
                st.caption(f"{count(len(report.unknown), 'file')} not in the library:")
                st.dataframe({"file": [cell(name) for name in report.unknown[:1000]]}, hide_index=True)


def _import(library: Library, name: str, data: bytes) -> ImportReport:
    end = Path(name).suffix if Path(name).suffix in (".csv", ".tsv", ".json") else ".csv"
    handle, path = tempfile.mkstemp(suffix=end, prefix="midikin-labels-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return library.tags.import_labels(path, skip_unknown=True, name=name)
    finally:
        Path(path).unlink()
