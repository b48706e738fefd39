"""The frame of every page: places, name box, player, messages, and files dropped anywhere."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import streamlit as st

from embedder.core.errors import MidikinError

from . import state
from .api import base_path
from .components import frame
from .navigation import go_to, pop_toast, toast
from .uploads import MAX_BYTES, read_upload
from .visitors import without_paths

__all__ = ["PLACES", "draw_frame"]

PLACES = ("welcome", "search", "piece", "map", "duplicates", "tags", "library")


def draw_frame(page: str) -> None:
    """Draw the frame; before the page, so that it stays while pages change."""
    with st.container(key="frame-holder"):
        frame(
            "frame",
            {
                "page": page,
                "base": base_path(),
                "max_bytes": MAX_BYTES,
                "duplicates": state.duplicates_left(),
                "toast": pop_toast(),
            },
            go=_go,
            dropped=_dropped,
            undo=_undo,
        )


def _value(name: str) -> Any:
    return getattr(st.session_state["frame"], name, None)


def _go() -> None:
    """A place was chosen in the browser; what it sends is not trusted."""
    target = _value("go")
    if not isinstance(target, dict) or target.get("page") not in PLACES:
        return
    params = target.get("params")
    known = params.items() if isinstance(params, dict) else ()
    go_to(target["page"], **{str(key): str(value) for key, value in known})


def _dropped() -> None:
    dropped = _value("dropped")
    if not isinstance(dropped, dict):
        return
    try:
        data = base64.b64decode(str(dropped.get("data", "")), validate=True)
        key = state.uploads().keep(read_upload(str(dropped.get("name", "")), data))
    except (MidikinError, binascii.Error) as error:
        toast(without_paths(str(error)))
        return
    go_to("search", upload=key)


def _undo() -> None:
    number, undo, args = st.session_state.get("undo", (0, None, ()))
    if undo is None or number != _value("undo"):
        return
    st.session_state["undo"] = (0, None, ())
    with state.errors_shown():
        undo(*args)
