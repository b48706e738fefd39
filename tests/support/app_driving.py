"""Driving a page of the app without a browser, by Streamlit's AppTest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.support.fake_encoder import FakeEncoder
from ui.app import state

__all__ = ["fresh_app", "press", "rows", "run", "texts"]


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
    page = AppTest.from_string(f"from ui.app.pages import {name}\n{name}.page()\n", default_timeout=60)
    for key, value in params.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    """All that a page says, as people read it; of components the data that they show."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "error", "success", "warning")
    said = [str(one.value) for kind in kinds for one in getattr(page, kind)]
    shown = [json.dumps(data, ensure_ascii=False) for data in _component_data(page)]
    toast = page.session_state["toast"]["text"] if "toast" in page.session_state else ""
    return "\n".join([*said, toast]).replace("\\", "") + "\n" + "\n".join(shown)


def rows(page: AppTest) -> list[dict[str, Any]]:
    """The rows of pieces that a page shows."""
    return [row for data in _component_data(page) for row in data.get("rows", ())]


def _component_data(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(one.proto.json or "{}") for one in page.get("bidi_component")]


def press(page: AppTest, label: str) -> AppTest:
    """Press the first button of this name."""
    next(button for button in page.button if button.label.replace("\\", "") == label).click()
    page.run()
    assert not page.exception
    return page
