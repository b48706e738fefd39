"""The process of one background job: a request comes in on stdin, progress goes out on stdout as JSON."""

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

Emit = Callable[..., None]


def main() -> None:
    """Run the job that the first line of stdin describes."""
    # A shell that starts the app in the background has Ctrl-C ignored, and this would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    emit = _emitter()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_app, daemon=True).start()
    try:
        emit(**WORK[request.pop("kind")](emit, **request))
    except MidikinError as error:
        emit(state="failed", error=str(error))
    except KeyboardInterrupt:
        emit(state="stopped")


def _emitter() -> Emit:
    """Lines go to the real stdout; whatever else prints goes to stderr."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def emit(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    return emit


def _exit_with_app() -> None:
    """Stdin closes when the app is gone: then stop as with Ctrl-C, so that the library stays good."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _add(emit: Emit, folders: list[str], retry_failures: bool = False) -> dict[str, Any]:
    from index import AddProgress, Library

    def progress(state: AddProgress) -> None:
        extra = {"notes": state.notes_done, "failed": state.failed, "holder": state.holder_pid}
        emit(phase=state.phase, done=state.files_done, total=state.files_total, extra=extra)

    with Library.open() as library:
        report = library.add(folders, progress, retry_failures=retry_failures)
    return {"state": "stopped" if report.interrupted else "done", "result": report.to_json()}


def _demo(emit: Emit) -> dict[str, Any]:
    import platformdirs

    from ui.demo.making import make_files
    from ui.demo.works import works

    folder = Path(platformdirs.user_data_dir("midikin", appauthor=False)) / "demo" / "music"
    make_files(works(), folder, lambda done, total: emit(phase="converting", done=done, total=total))
    return _add(emit, [str(folder)])


def _duplicates(emit: Emit, loosest: str = "contains") -> dict[str, Any]:
    from index import Library

    workers = max(1, min(8, (os.cpu_count() or 2) - 1))  # one core is left for those who look at pages
    with Library.open(create=False) as library:
        found = library.duplicates(loosest=loosest, workers=workers, progress=_progress(emit))
    return {"state": "done", "pickled": base64.b64encode(pickle.dumps(found)).decode("ascii")}


def _map(emit: Emit, redraw: bool = False) -> dict[str, Any]:
    from index import Library

    from .projection import position_all

    with Library.open(create=False) as library:
        position_all(library, _progress(emit), redraw=redraw)
    return {"state": "done"}


def _probe(emit: Emit, tag: str) -> dict[str, Any]:
    from index import Library

    with Library.open(create=False) as library:
        library.probes.train_tag(tag, progress=_progress(emit))
        library.probes.apply([tag], progress=_progress(emit))
    return {"state": "done"}


def _progress(emit: Emit) -> Callable[[str, int, int], None]:
    return lambda phase, done, total: emit(phase=phase, done=done, total=total)


WORK: dict[str, Callable[..., dict[str, Any]]] = {
    "add": _add,
    "demo": _demo,
    "duplicates": _duplicates,
    "map": _map,
    "probe": _probe,
}


if __name__ == "__main__":
    main()
