"""A line to tag some pieces at once, wherever they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from embedder.core.errors import MidikinError
from embedder.core.text import count
from index import Library

from ..escaping import plain
from ..visitors import shown_error

__all__ = ["parsed", "tag_form"]

MAX_TAG = 200


def parsed(typed: str) -> tuple[str, str | None]:
    """A tag as it is typed: `lullaby`, or `composer: Chopin` for one of many values.

    Raises
    ------
    ValueError
        If nothing stands before or after the colon.
    """
    name, colon, value = (word.strip() for word in typed.partition(":"))
    if not name or (colon and not value):
        raise ValueError("type a tag like: lullaby, or with a value like: composer: Chopin")
    return name, value or None


def tag_form(library: Library, numbers: Sequence[int], *, key: str) -> None:
    """A line to tag these pieces with."""
    with (
        st.form(f"tag-{key}", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        typed = st.text_input(
            "Tag this piece" if len(numbers) == 1 else f"Tag these {len(numbers):,} pieces",
            placeholder="lullaby, or composer: Chopin",
            max_chars=MAX_TAG,
            key=f"typed-tag-{key}",
        )
        pressed = st.form_submit_button("Tag", icon=":material/label:")
    if not pressed:
        return
    try:
        name, value = parsed(typed)
        report = library.tags.label(name, list(numbers), value=value)
    except (MidikinError, ValueError) as error:
        st.error(shown_error(error))
        return
    unchanged = f", {report.unchanged:,} had it before" if report.unchanged else ""
    st.toast(plain(f"{count(report.set, 'piece')} tagged{unchanged}."), icon=":material/label:")
