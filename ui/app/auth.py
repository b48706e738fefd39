"""Access: everybody who reaches the app, or those who log in with an allowed mail address."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

import streamlit as st

from .escaping import plain

__all__ = ["check_visitor", "may_enter"]


def may_enter(patterns: str, address: object, verified: object) -> bool:
    """Whether an address matches one of the patterns, one a line; an unverified address never does."""
    if not isinstance(address, str) or verified is False:
        return False
    return any(fnmatchcase(address.lower(), pattern.lower()) for pattern in patterns.splitlines() if pattern)


def check_visitor() -> None:
    """Stop the page for visitors who have not logged in, or are not allowed."""
    patterns = os.environ.get("MIDIKIN_UI_LOGIN")
    if patterns is None:
        return
    if not st.user.get("is_logged_in", False):
        st.title("midikin")
        st.button("Log in", type="primary", on_click=st.login, icon=":material/login:")
        st.stop()
    address = st.user.get("email")
    if not may_enter(patterns, address, st.user.get("email_verified")):
        st.error(f"{plain(address or 'You')} may not use this library.", icon=":material/block:")
        st.button("Log out", on_click=st.logout)
        st.stop()
