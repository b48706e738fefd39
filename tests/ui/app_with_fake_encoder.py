"""The app's script with the tests' encoder in place of the real one: what Streamlit runs in browser tests."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

# In this order: tests/index must not stand for index.
TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS.parent))

import embedder.encoder  # noqa: E402
from tests.support.fake_encoder import FakeEncoder  # noqa: E402
from ui.app import launch  # noqa: E402

embedder.encoder.Encoder.load = lambda *name, **device: FakeEncoder()  # type: ignore[method-assign,assignment]
runpy.run_path(str(Path(launch.__file__).with_name("main.py")), run_name="__main__")
