"""How fast files become notes: midikin's reader against mido, on the same files in the same run.

    python tests/bench/read.py [FOLDER] [--files 150] [--mido-files 20]

FOLDER holds MIDI files, MAESTRO's for the figures that count; without it, the set that the tests have
unpacked is used. Everything runs in one thread, from paths to notes, and processor time is measured, so that
other work on the machine does not count. The files that mido reads are some of those that midikin reads, and
the ratio is over those.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import mido
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from embedder import describe, read_midi
from embedder.midi import events
from tests.support.hostile import END, header, track
from tests.support.midi_reference import reference_notes

MIN_FILES_S = 500  # what is to be reached on MAESTRO, in files a second a core
MIN_RATIO = 10  # times mido, on the same files
LARGE_NOTES, MAX_LARGE_S = 400_000, 2.0  # a large file with a stray byte F7 in a lyric, in seconds


def seconds_each(read: Callable[[str], object], paths: Sequence[str]) -> list[float]:
    """Processor seconds that each file takes: other work on the machine does not count."""
    times = []
    for path in paths:
        began = time.process_time()
        read(path)
        times.append(time.process_time() - began)
    return times


def read_through_mido(path: str) -> object:
    """The same notes by mido and plain loops."""
    return reference_notes(Path(path).read_bytes())


def read_event_by_event(path: str) -> object:
    """The same notes without numpy's decoding of runs of messages, as in files that have none."""
    before, events.REGULAR = events.REGULAR, 10**9
    try:
        return read_midi(path)
    finally:
        events.REGULAR = before


def large_file() -> bytes:
    """Many notes and one lyric with the byte F7 in it."""
    notes = b"".join(b"\x00\x90%c\x40\x0a\x80%c\x00" % (key, key) for key in range(40, 90))
    tracks = [b"\x00\xff\x05\x01\xf7", notes * (LARGE_NOTES // 50)]
    chunks = [track(body + END) for body in tracks]
    return header(tracks=2) + b"".join(chunks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="folder of MIDI files")
    parser.add_argument("--files", type=int, default=150, help="how many midikin reads (150)")
    parser.add_argument("--mido-files", type=int, default=20, help="how many of them mido reads (20)")
    options = parser.parse_args()
    folder = options.folder or Path(__file__).resolve().parents[2] / ".cache" / "data" / "maestro"
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    if not found:
        print(f"no MIDI files in {folder}: name a folder that holds some", file=sys.stderr)
        return 1
    paths = found[:: max(1, len(found) // options.files)][: options.files]
    some = paths[:: max(1, len(paths) // options.mido_files)][: options.mido_files]

    notes = {path: read_midi(path) for path in paths}  # warms caches, and counts
    rows: dict[str, tuple[Sequence[str], list[float]]] = {
        "read_midi": (paths, seconds_each(read_midi, paths)),
        "read_midi, sustain=True": (paths, seconds_each(lambda path: read_midi(path, sustain=True), paths)),
        "describe": (paths, seconds_each(lambda path: describe(notes[path]), paths)),
        "read_midi, same as mido's": (some, seconds_each(read_midi, some)),
        "the same, event by event": (some, seconds_each(read_event_by_event, some)),
        "mido, parsing only": (some, seconds_each(lambda path: mido.MidiFile(path), some)),
        "mido, to the same notes": (some, seconds_each(read_through_mido, some)),
    }
    table = Table(
        title=f"{folder.name}: {len(found)} files, notes a file: "
        f"{statistics.mean(map(len, notes.values())):,.0f}"
    )
    for column in ("on one core", "files", "files/s", "notes/s", "ms a file (median)", "times mido"):
        table.add_column(column, justify="left" if column == "on one core" else "right")
    mido_s = sum(rows["mido, to the same notes"][1])
    for name, (read, times) in rows.items():
        ratio = f"{mido_s / sum(times):,.1f}" if read is some else ""
        table.add_row(
            name,
            f"{len(read)}",
            f"{len(read) / sum(times):,.0f}" if sum(times) < len(read) else f"{len(read) / sum(times):,.2f}",
            f"{sum(len(notes[path]) for path in read) / sum(times):,.0f}",
            f"{statistics.median(times) * 1e3:,.2f}",
            ratio,
        )
    Console().print(table)
    rate = len(paths) / sum(rows["read_midi"][1])
    ratio = mido_s / sum(rows["read_midi, same as mido's"][1])
    large_s = min(seconds_each(lambda data: read_midi(data), [large_file()] * 3))  # type: ignore[list-item]
    print(f"read_midi: {rate:,.0f} files/s a core; to be reached on MAESTRO: {MIN_FILES_S}")
    print(f"times mido: {ratio:,.1f}; to be reached: {MIN_RATIO}")
    print(f"{LARGE_NOTES:,} notes and a byte F7 in a lyric: {large_s:.2f} s; to be reached: {MAX_LARGE_S} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
