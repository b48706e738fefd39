"""Roads between the pages: a callback names where to go, and the next run of the app goes there."""

from __future__ import annotations

import streamlit as st

__all__ = ["go_to", "wanted"]


def go_to(page: str, **params: str) -> None:
    """Go to a page with these parameters in its address; to be called in a callback."""
    st.session_state["go_to"] = (page, params)


def wanted() -> tuple[str, dict[str, str]] | None:
    """Where to go now, once."""
    found: tuple[str, dict[str, str]] | None = st.session_state.pop("go_to", None)
    return found
