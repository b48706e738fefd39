"""Files that visitors upload: read in a separate process, kept as notes in memory, never as files."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from embedder.core.errors import MidiError
from embedder.midi.pool import read_many
from embedder.midi.reading import Limits
from embedder.notes import Notes

__all__ = ["MAX_BYTES", "Upload", "Uploads", "read_upload"]

MAX_BYTES = 8 * 2**20  # the largest of 20,000 files tried has half a million
READ_S = 10.0
_LIMITS = Limits(size_bytes=MAX_BYTES, notes=200_000)


@dataclass(frozen=True)
class Upload:
    """The contents of an uploaded file; `name` comes from the visitor and is only ever displayed."""

    name: str
    title: str | None
    notes: Notes
    tempo_bpm: float | None


def read_upload(name: str, data: bytes) -> Upload:
    """Read a dropped file in a worker process with a time limit.

    Raises
    ------
    MidiError
        With the reason in plain words, the visitor's name for the file in front.
    """
    shown = "".join(c if c.isprintable() else "?" for c in name)[:120] or "the file"
    if len(data) > MAX_BYTES:
        raise MidiError(f"is larger than {MAX_BYTES // 2**20} MB", shown)
    # The visitor's name for it never becomes a path.
    handle, path = tempfile.mkstemp(suffix=".mid", prefix="midikin-upload-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        ((_, read),) = read_many([path], workers=1, timeout_s=READ_S, limits=_LIMITS)
    finally:
        Path(path).unlink()
    if isinstance(read, MidiError):
        raise MidiError(read.reason, shown)
    return Upload(shown, read.midi.title, read.midi.notes, read.midi.tempo_bpm)


class Uploads:
    """The last uploads of all visitors, under keys that only follow from the notes themselves.

    Who has the key has the notes: a link can be shared as long as the app runs. The oldest go first.
    """

    def __init__(self, max_uploads: int = 200, max_notes: int = 4_000_000) -> None:
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()
        self._max_uploads, self._max_notes = max_uploads, max_notes

    def keep(self, upload: Upload) -> str:
        """Keep it; its key."""
        key = upload.notes.digest()
        with self._lock:
            self._uploads[key] = upload
            self._uploads.move_to_end(key)
            while len(self._uploads) > self._max_uploads or (
                self._notes() > self._max_notes and len(self._uploads) > 1
            ):
                self._uploads.popitem(last=False)
        return key

    def _notes(self) -> int:
        return sum(len(upload.notes) for upload in self._uploads.values())

    def find(self, key: str) -> Upload | None:
        """The upload, if it is still kept."""
        with self._lock:
            if key in self._uploads:
                self._uploads.move_to_end(key)
            return self._uploads.get(key)
