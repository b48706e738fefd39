"""The process that does one long work for the pages: a request comes in, progress goes out as JSON."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedder.core.errors import MidikinError

__all__ = ["main"]

Tell = Callable[..., None]


def main() -> None:
    """Do the work that the first line of stdin asks for."""
    # A shell that starts the app in the background has Ctrl-C ignored, and this would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tell = _teller()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_app, daemon=True).start()
    try:
        tell(**WORK[request.pop("kind")](tell, **request))
    except MidikinError as error:
        tell(state="failed", error=str(error))
    except KeyboardInterrupt:
        tell(state="stopped")


def _teller() -> Tell:
    """Lines go to the real stdout; whatever else prints goes to stderr."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(**said: Any) -> None:
        out.write(json.dumps(said) + "\n")
        out.flush()

    return tell


def _end_with_the_app() -> None:
    """Stdin closes when the app is gone: then stop as with Ctrl-C, so that the library stays good."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _add(tell: Tell, folders: list[str], retry_failures: bool = False) -> dict[str, Any]:
    from index import AddProgress, Library

    def progress(state: AddProgress) -> None:
        extra = {"notes": state.notes_done, "failed": state.failed, "holder": state.holder_pid}
        tell(phase=state.phase, done=state.files_done, total=state.files_total, extra=extra)

    with Library.open() as library:
        report = library.add(folders, progress, retry_failures=retry_failures)
    return {"state": "stopped" if report.interrupted else "done", "result": report.to_json()}


def _demo(tell: Tell) -> dict[str, Any]:
    import platformdirs

    from ui.demo.making import make_files
    from ui.demo.works import works

    folder = Path(platformdirs.user_data_dir("midikin", appauthor=False)) / "demo" / "music"
    make_files(works(), folder, lambda done, total: tell(phase="converting", done=done, total=total))
    return _add(tell, [str(folder)])


def _duplicates(tell: Tell, loosest: str = "contains") -> dict[str, Any]:
    from index import Library

    workers = max(1, min(8, (os.cpu_count() or 2) - 1))  # one core is left for those who look at pages
    with Library.open(create=False) as library:
        found = library.duplicates(loosest=loosest, workers=workers, progress=_progress(tell))
    return {"state": "done", "pickled": base64.b64encode(pickle.dumps(found)).decode("ascii")}


def _map(tell: Tell, anew: bool = False) -> dict[str, Any]:
    from index import Library

    from .map_positions import place_all

    with Library.open(create=False) as library:
        place_all(library, _progress(tell), anew=anew)
    return {"state": "done"}


def _probe(tell: Tell, tag: str) -> dict[str, Any]:
    from index import Library

    with Library.open(create=False) as library:
        library.probes.train_tag(tag, progress=_progress(tell))
        library.probes.apply([tag], progress=_progress(tell))
    return {"state": "done"}


def _progress(tell: Tell) -> Callable[[str, int, int], None]:
    return lambda phase, done, total: tell(phase=phase, done=done, total=total)


WORK: dict[str, Callable[..., dict[str, Any]]] = {
    "add": _add,
    "demo": _demo,
    "duplicates": _duplicates,
    "map": _map,
    "probe": _probe,
}


if __name__ == "__main__":
    main()
