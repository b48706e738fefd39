"""Driving a page of the app without a browser, by Streamlit's AppTest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.support.fake_encoder import FakeEncoder
from ui.app import state

__all__ = ["fresh_app", "press", "run", "texts"]


def fresh_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The body of a fixture: a library of its own for every test, and nothing kept from the one before."""
    monkeypatch.setenv("MIDIKIN_LIBRARY", str(tmp_path / "library"))
    for name in ("MIDIKIN_UI_MUSIC", "MIDIKIN_UI_LOGIN"):
        monkeypatch.delenv(name, raising=False)
    encoder = FakeEncoder()
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: encoder)
    monkeypatch.setattr(state, "warm_up", lambda folder: None)
    yield
    st.cache_resource.clear()


def run(name: str, **params: str) -> AppTest:
    """A page with these parameters in its address."""
    page = AppTest.from_string(f"from ui.app import {name}_page\n{name}_page.page()\n", default_timeout=60)
    for key, value in params.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    """All that a page says, as people read it."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "error", "success", "warning")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(page, kind)).replace("\\", "")


def press(page: AppTest, label: str) -> AppTest:
    """Press the first button of this name."""
    next(button for button in page.button if button.label.replace("\\", "") == label).click()
    page.run()
    assert not page.exception
    return page
