"""The ASGI app that `midikin ui` serves: Streamlit's pages, and the routes of `ui.app.api` beside them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.app.api import routes

app = st.App(Path(__file__).resolve().parent / "script" / "main.py", routes=routes())
