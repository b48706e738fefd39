"""The process of the app: Streamlit, and beside its start the imports that the first page would wait for."""

from __future__ import annotations

import gc
import importlib
import threading

__all__ = ["main"]

# What the pages stand on, and Streamlit has not imported by itself. Not the pages, for their parts are
# made known to Streamlit as they are imported, and so it has to run first.
_NEEDED = (
    "index.library",
    "index.search",
    "index.matching.facade",
    "embedder.descriptors",
    "embedder.midi.pool",
    "ui.app.state",
    "ui.app.uploads",
    "ui.app.jobs",
)


def main() -> None:
    """Run Streamlit with the arguments of this process."""
    from streamlit.web.cli import main as streamlit

    threading.Thread(target=_import_all, name="midikin-imports", daemon=True).start()
    streamlit(prog_name="streamlit")


def _import_all() -> None:
    for name in _NEEDED:
        importlib.import_module(name)
    gc.freeze()  # modules stay: there is no need to look through them for garbage, again and again


if __name__ == "__main__":
    main()
