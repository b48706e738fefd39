"""The app with the tests' encoder in place of the real one: what Streamlit serves in browser tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import streamlit as st

import embedder.encoder
from tests.support.fake_encoder import FakeEncoder
from ui.app import api, launch

embedder.encoder.Encoder.load = lambda *name, **device: FakeEncoder()  # type: ignore[method-assign,assignment]
app = st.App(Path(launch.__file__).resolve().parent / "script" / "main.py", routes=api.routes())
