"""The app's script with the tests' encoder in place of the real one: what Streamlit runs in browser tests."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fake_encoder import FakeEncoder

import embedder.encoder
from ui.app import launching

embedder.encoder.Encoder.load = lambda *name, **device: FakeEncoder()  # type: ignore[method-assign,assignment]
runpy.run_path(str(Path(launching.__file__).with_name("main.py")), run_name="__main__")
