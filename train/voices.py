"""Which voice of a pop song each note belongs to: POP909's tracks as labels, note by note.

POP909 (Wang et al. 2020, arXiv 2008.07142) keeps the vocal melody, the secondary melodies that answer it
(bridge) and the accompaniment (piano) in a track each. A corpus of its songs has one array more:

    CORPUS/voice.npy      uint8, number of the voice (`embedder.voices.VOICES`) of every note
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from embedder import Notes
from embedder.core.errors import CorpusError, MidiError
from embedder.core.files import replace_with
from embedder.midi.events import read_events
from embedder.midi.pairing import pair_notes
from embedder.midi.ticks import TickClock
from embedder.midi.titles import track_names
from embedder.voices import VOICES

from .corpus import Corpus, PieceRecord, write_corpus
from .works import split_of

__all__ = [
    "LOUDNESS",
    "VOICE_FILE",
    "loudness",
    "prepare_voices",
    "read_voices",
    "voices_of",
]

# Where p, mp, mf, f and ff begin, as MIDIBERT-Piano (arXiv 2107.05223) divides velocities; below is pp.
LOUDNESS = (32, 48, 64, 80, 96)
VOICE_FILE = "voice.npy"
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.05
MOST_NOTES = 100_000
ChordOrder = Literal["voice", "pitch"]
IN_CHORD_S = 60e-6  # three steps of the grid: notes of one onset keep an order, inaudibly
ALIASES = {"cau": "bridge", "piano`": "piano"}  # as tracks of POP909's other takes are named


def read_voices(path: str | Path, sixteenths: ChordOrder | None = None) -> tuple[Notes, NDArray[np.uint8]]:
    """Notes of a file whose tracks are named after the voices, and the voice of each note.

    With `sixteenths`, they are as MIDIBERT-Piano prepares them (arXiv 2107.05223): onsets and durations are
    rounded to sixteenths, shorter notes left out. The notes of one onset stand in the order of their voices,
    as there, which gives the voices away, or of their pitches.

    Raises
    ------
    MidiError
        If the file cannot be read, or a track has another name.
    """
    try:
        score = _read_tracks(Path(path).read_bytes())
    except OSError as error:
        raise MidiError(str(error), str(path)) from None
    except MidiError as error:
        raise MidiError(error.reason, str(path)) from None
    names = {track: name.strip().lower() for track, name in score.names.items()}
    used = [
        ALIASES.get(names.get(track, ""), names.get(track, "")) for track in np.unique(score.track).tolist()
    ]
    if not set(used) <= set(VOICES):
        raise MidiError(f"has tracks {used}, where {', '.join(VOICES)} are meant", str(path))
    number_of_track = np.zeros(int(score.track.max(initial=0)) + 1, dtype=np.uint8)
    number_of_track[np.unique(score.track)] = [VOICES.index(name) for name in used]
    voice = number_of_track[score.track]
    start, end, pitch, velocity = score.start, score.end, score.pitch, score.velocity
    rank = np.zeros(len(start), dtype=np.int64)
    if sixteenths is not None and score.clock.division:
        kept, start, end = _on_sixteenths(start, end, score.clock.division)
        pitch, velocity, voice = pitch[kept], velocity[kept], voice[kept]
        rank = _rank_in_chord(start, pitch, voice, sixteenths)
    onset = score.clock.seconds(start)
    duration = score.clock.seconds(end) - onset
    onset = onset + rank * IN_CHORD_S
    by_voice = [
        Notes(onset[mask], duration[mask], pitch[mask], velocity[mask])
        for mask in (voice == number for number in range(len(VOICES)))
    ]
    columns = [
        np.concatenate([getattr(notes_of_voice, name) for notes_of_voice in by_voice])
        for name in ("onset", "duration", "pitch", "velocity")
    ]
    onsets, durations, pitches, velocities = columns
    order = np.lexsort((velocities, durations, pitches, onsets))  # as `Notes` does
    notes = Notes(onsets, durations, pitches, velocities)
    return notes, np.repeat(np.arange(len(VOICES), dtype=np.uint8), [len(p) for p in by_voice])[order]


@dataclass(frozen=True)
class _Score:
    """Notes of a file in ticks, int64 [n] each, with the track of every note and the tracks' names."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    track: NDArray[np.int64]
    names: dict[int, str]
    clock: TickClock


def _read_tracks(data: bytes) -> _Score:
    events = read_events(data)
    begin, end = pair_notes(events)
    if len(begin) > MOST_NOTES:
        raise MidiError(f"has {len(begin):,} notes, more than the limit of {MOST_NOTES:,}")
    order = np.argsort(begin)
    begin, end = begin[order], end[order]
    return _Score(
        start=events.tick[begin],
        end=end,
        pitch=events.data1[begin].astype(np.int64),
        velocity=events.data2[begin].astype(np.int64),
        track=events.track[begin],
        names=track_names(events),
        clock=TickClock.of_events(events),
    )


def _on_sixteenths(
    start: NDArray[np.int64], end: NDArray[np.int64], ticks_per_beat: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Which notes are longer than half a sixteenth; where these begin and end on the most frequent grid."""
    step = max(ticks_per_beat // 4, 1)
    phase = int(np.bincount(start % step, minlength=1).argmax())
    length = np.rint((end - start) / step).astype(np.int64)
    kept = length > 0
    begin = np.maximum(np.rint((start[kept] - phase) / step).astype(np.int64), 0) * step + phase
    return kept, begin, begin + length[kept] * step


def _rank_in_chord(
    start: NDArray[np.int64], pitch: NDArray[np.int64], voice: NDArray[np.uint8], by: ChordOrder
) -> NDArray[np.int64]:
    """Which of the notes of its onset each one is, counted from 0."""
    order = np.lexsort((pitch, voice, start) if by == "voice" else (voice, pitch, start))
    ordered = start[order]
    rank = np.empty(len(start), dtype=np.int64)
    rank[order] = np.arange(len(start)) - np.searchsorted(ordered, ordered)
    return rank


def prepare_voices(
    folder: str | Path,
    out: str | Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    takes: bool = False,
    sixteenths: ChordOrder | None = None,
) -> Corpus:
    """Make a corpus with voices of a copy of POP909: the one file of each song that is no other take.

    Songs are split by a hash of their file's name; `takes` adds the other takes of the training songs,
    `sixteenths` is as in `read_voices`.

    Raises
    ------
    CorpusError
        If the folder holds no such file.
    """
    songs = _songs(Path(folder), takes)
    if not songs:
        raise CorpusError(f"{folder} holds no SONG/SONG.mid; name the folder of POP909")
    voices: list[NDArray[np.uint8]] = []
    counts: dict[str, Any] = {"files": len(songs), "left_out": 0}
    if takes:
        counts["takes"] = True
    if sixteenths is not None:
        counts["sixteenths"] = sixteenths

    def pieces() -> Iterator[tuple[PieceRecord, Notes]]:
        for done, (path, number, split) in enumerate(songs):
            on_progress(done + 1, len(songs))
            try:
                notes, voice = read_voices(path, sixteenths)
            except MidiError:
                counts["left_out"] += 1
                continue
            voices.append(voice)
            name = path.relative_to(folder).as_posix()
            yield PieceRecord(path=name, set="pop909", work=number, split=split), notes

    corpus = write_corpus(Path(out), pieces(), counts)
    replace_with(Path(out) / VOICE_FILE, lambda path: np.save(path, np.concatenate(voices)))
    return corpus


def _songs(folder: Path, takes: bool) -> list[tuple[Path, int, str]]:
    """Files with the number and the split of their songs; other takes, if asked for, come last."""
    songs = []
    for number, path in enumerate(sorted(folder.glob("*/*.mid"))):
        split = split_of([path.relative_to(folder).as_posix()], TEST_SHARE, VALIDATION_SHARE)
        songs.append((path, number, split))
    others = [
        (take, number, split)
        for path, number, split in songs
        if takes and split == "train"
        for take in sorted(path.parent.glob("*/*.mid"))
    ]
    return songs + others


def voices_of(corpus: Corpus) -> NDArray[np.uint8]:
    """Voice of every note of a corpus that `prepare_voices` made.

    Raises
    ------
    CorpusError
        If it was made otherwise.
    """
    try:
        voices: NDArray[np.uint8] = np.load(corpus.folder / VOICE_FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CorpusError(f"{corpus.folder} names no voices ({error}); prepare it from POP909") from None
    if voices.shape != (corpus.offsets[-1],):
        raise CorpusError(f"{corpus.folder}: voices and notes differ in number; prepare the corpus again")
    if voices.dtype != np.uint8 or voices.max(initial=0) >= len(VOICES):
        raise CorpusError(f"{corpus.folder}: {VOICE_FILE} names other voices; prepare the corpus again")
    return voices


def loudness(velocity: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Degree of loudness 0..5 of velocities."""
    return np.searchsorted(LOUDNESS, velocity, "right")
