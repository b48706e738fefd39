"""How often a melody alone finds its song: the melody track of one take against all songs' full takes.

    python tests/bench/melody.py POP909 [--songs 300] [--queries 60]

Asked with are songs that the model never saw. Rows: the skyline, the true melody tracks, which are the most
that extraction could give, and melodies as the model extracts them, from all notes alike and where it knows
which of them share a track. Columns: whole melodies, and 30 and 15 notes of them; all transposed by 3
semitones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import symusic

sys.path.insert(0, str(Path(__file__).parents[2]))

from embedder import MidiError, Notes
from embedder.melody import lead, skyline
from embedder.voices import VOICES
from index.melody.melody_index import MIN_NOTES, MelodyIndex
from train.voices import TEST_SHARE, VALIDATION_SHARE, read_voices
from train.works import split_of

PARTS = (None, 30, 15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--only", help="one row: skyline, true, model or tracks")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    paths = sorted(asked.folder.glob("*/*.mid"))
    paths = [paths[i] for i in np.sort(rng.permutation(len(paths))[: asked.songs])]
    songs = [(path, *read) for path in paths if (read := voices(path)) is not None]
    queries = {}
    for number in rng.permutation(len(songs)).tolist():
        path = songs[number][0]
        if (
            held_out(path, asked.folder)
            and len(queries) < asked.queries
            and (sung := other_take(path)) is not None
        ):
            queries[number] = sung + 3
    print(f"{len(songs)} songs, {len(queries)} queries; first among all songs, per cent")
    print("\t".join(("melodies", "whole", "30 notes", "15 notes")))
    rows: dict[str, Callable[[Notes, np.ndarray], np.ndarray]] = {
        "skyline": lambda notes, voice: skyline(notes),
        "true": lambda notes, voice: voice == VOICES.index("melody"),
        "model": lambda notes, voice: lead(notes),
        "tracks": lead,
    }
    for name, chosen in rows.items():
        if asked.only not in (None, name):
            continue
        index = MelodyIndex([notes.pitch[chosen(notes, voice)] for _, notes, voice in songs])
        cells = [f"{100 * first(index, queries, length):.1f}" for length in PARTS]
        print("\t".join((name, *cells)), flush=True)


def voices(path: Path) -> tuple[Notes, np.ndarray] | None:
    try:
        return read_voices(path)
    except MidiError:
        return None


def held_out(path: Path, folder: Path) -> bool:
    return split_of([path.relative_to(folder).as_posix()], TEST_SHARE, VALIDATION_SHARE) == "test"


def other_take(path: Path) -> np.ndarray | None:
    """Pitches of the melody track of another take of a song, if one has a track of that name."""
    for other in sorted(path.parent.glob("versions/*.mid"), reverse=True):
        for track in symusic.Score(other).tracks:
            if track.name.strip().lower() == "melody" and len(track.notes) >= MIN_NOTES:
                sung = track.notes.numpy()
                return sung["pitch"][np.lexsort((sung["pitch"], sung["time"]))].astype(np.int64)
    return None


def first(index: MelodyIndex, queries: dict[int, np.ndarray], length: int | None) -> float:
    rng = np.random.default_rng(1)
    right = []
    for number, line in queries.items():
        begin = 0 if length is None else int(rng.integers(0, max(len(line) - length, 1)))
        found = index.search(line[begin : None if length is None else begin + length], 1)
        right.append(bool(found) and found[0].number == number)
    return float(np.mean(right))


if __name__ == "__main__":
    main()
