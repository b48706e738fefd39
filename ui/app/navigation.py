"""Going from page to page: a callback names the target, and the next run of the app switches to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

__all__ = ["go_to", "pending", "pop_toast", "set_title", "toast"]


def go_to(page: str, **params: str) -> None:
    """Go to a page with these parameters in its address; to be called in a callback."""
    st.session_state["go_to"] = (page, params)


def pending() -> tuple[str, dict[str, str]] | None:
    """The target of this run, once."""
    target: tuple[str, dict[str, str]] | None = st.session_state.pop("go_to", None)
    return target


def set_title(*parts: str) -> None:
    """Name the browser's tab: what is shown, the place, and the app."""
    st.set_page_config(page_title=" – ".join([*filter(None, parts), "midikin"]))


def toast(text: str, undo: Callable[..., None] | None = None, *args: Any) -> None:
    """Say in one line, above the player, what happened; `undo(*args)` takes it back.

    To be called in a callback: the frame is drawn at the beginning of the run that follows.
    """
    count = st.session_state.get("toasts", 0) + 1
    st.session_state["toasts"] = count
    st.session_state["toast"] = {"id": count, "text": text, "undo": undo is not None}
    st.session_state["undo"] = (count, undo, args)


def pop_toast() -> dict[str, Any] | None:
    """The message to be shown now; each is shown once, for the browser knows its number."""
    message: dict[str, Any] | None = st.session_state.get("toast")
    return message
