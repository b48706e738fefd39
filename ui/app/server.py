"""The process of the app: Streamlit, with the imports that the first page needs done in parallel."""

from __future__ import annotations

import gc
import importlib
import threading

__all__ = ["main"]

# Not the pages themselves: importing them registers components, for which Streamlit has to run.
_PRELOADED = (
    "index.library",
    "index.search",
    "index.matching.find",
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
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # modules never become garbage


if __name__ == "__main__":
    main()
