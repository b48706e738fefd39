"""Which voice of a pop song each note belongs to: POP909's tracks as labels, note by note.

POP909 (Wang et al. 2020, arXiv 2008.07142) keeps the vocal melody, the lead lines that answer it (bridge) and
the accompaniment (piano) in a track each. A corpus of its songs gets one more array beside the notes:

    CORPUS/voice.npy      uint8, number of the voice (`embedder.voices.VOICES`) of every note
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from embedder import Notes
from embedder.errors import CorpusError, MidiError
from embedder.melody import MelodyModel, save_melody_model
from embedder.model import ModelConfig
from embedder.read_symusic import Refused, read_with_symusic
from embedder.voices import VOICES

from .corpus import Corpus, PieceRecord, write_corpus
from .works import split_of

__all__ = ["VOICE_FILE", "VoiceScores", "assemble", "prepare_voices", "read_voices", "voices_of"]

VOICE_FILE = "voice.npy"
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.05
MOST_NOTES = 100_000


def read_voices(path: str | Path) -> tuple[Notes, NDArray[np.uint8]]:
    """Notes of a file whose tracks are named after the voices, and the voice of each note.

    Raises
    ------
    MidiError
        If the file cannot be read, or a track has another name.
    """
    from symusic import Score

    try:
        data = Path(path).read_bytes()
        ticks = read_with_symusic(data, sustain=False, most_notes=MOST_NOTES)
        score: Any = Score.from_midi(data)  # its attributes are not in its type hints
        names = [track.name.strip().lower() for track in score.tracks]
    except (OSError, Refused) as error:
        raise MidiError(str(error), str(path)) from None
    if not set(names) <= set(VOICES):
        raise MidiError(f"has tracks {names}, where {', '.join(VOICES)} are meant", str(path))
    notes = ticks.notes
    onset = ticks.tempo.seconds(notes.start)
    duration = ticks.tempo.seconds(notes.end) - onset
    voice = np.array([VOICES.index(name) for name in names], dtype=np.uint8)[notes.line]
    own = [
        Notes(onset[of], duration[of], notes.pitch[of], notes.velocity[of])
        for of in (voice == number for number in range(len(VOICES)))
    ]
    columns = [
        np.concatenate([getattr(part, name) for part in own])
        for name in ("onset", "duration", "pitch", "velocity")
    ]
    onsets, durations, pitches, velocities = columns
    order = np.lexsort((velocities, durations, pitches, onsets))  # as `Notes` does
    return Notes(*columns), np.repeat(np.arange(len(VOICES), dtype=np.uint8), [len(p) for p in own])[order]


def prepare_voices(
    folder: str | Path, out: str | Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Corpus:
    """Make a corpus with voices of a copy of POP909: the one file of each song that is no other take.

    Songs are split by a hash of their file's name.

    Raises
    ------
    CorpusError
        If the folder holds no such file.
    """
    found = sorted(path for path in Path(folder).glob("*/*.mid"))
    voices: list[NDArray[np.uint8]] = []
    counts = {"files": len(found), "left_out": 0}

    def pieces() -> Iterator[tuple[PieceRecord, Notes]]:
        for number, path in enumerate(found):
            on_progress(number + 1, len(found))
            try:
                notes, voice = read_voices(path)
            except MidiError:
                counts["left_out"] += 1
                continue
            name = path.relative_to(folder).as_posix()
            voices.append(voice)
            split = split_of([name], TEST_SHARE, VALIDATION_SHARE)
            yield PieceRecord(path=name, set="pop909", work=number, split=split), notes

    if not found:
        raise CorpusError(f"{folder} holds no SONG/SONG.mid; name the folder of POP909")
    corpus = write_corpus(Path(out), pieces(), counts)
    beside = Path(out) / f"{VOICE_FILE}.part"
    with open(beside, "wb") as file:
        np.save(file, np.concatenate(voices))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(Path(out) / VOICE_FILE)
    return corpus


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
    if len(voices) != corpus.offsets[-1]:
        raise CorpusError(f"{corpus.folder}: voices and notes differ in number; prepare the corpus again")
    return voices


def assemble(run: str | Path, folder: str | Path, card: str) -> MelodyModel:
    """Make the folder of a melody model from a finished run of recipe `melody`.

    Raises
    ------
    CorpusError
        If the run is not finished, or learned something else.
    """
    weights = Path(run) / "encoder"
    try:
        config = ModelConfig.from_dict(json.loads((weights / "model.json").read_text(encoding="utf-8")))
        model = MelodyModel(config)
        own = model.reader.state_dict()
        of_run = load_file(weights / "model.safetensors")
        model.reader.load_state_dict({name: of_run[name] for name in own})
        model.head.load_state_dict(load_file(weights / "objective.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CorpusError(f"{run} is no finished run of the recipe melody: {error}") from None
    save_melody_model(model, folder, card)
    return model.eval()


@dataclass(frozen=True)
class VoiceScores:
    """How well voices are told, in 0..1, over all notes and as the mean of songs.

    Attributes
    ----------
    accuracy : share of all notes whose voice is right; by_song : the same of each song
    precision, recall : of the melody's notes
    """

    accuracy: float
    by_song: list[float]
    precision: float
    recall: float

    @classmethod
    def of(cls, told: list[NDArray[np.uint8]], true: list[NDArray[np.uint8]]) -> VoiceScores:
        """From the voices of each song's notes as told and as they are."""
        melody = VOICES.index("melody")
        found, right = np.concatenate(told), np.concatenate(true)
        both = int(((found == melody) & (right == melody)).sum())
        return cls(
            accuracy=float((found == right).mean()),
            by_song=[float((one == other).mean()) for one, other in zip(told, true, strict=True)],
            precision=both / max(int((found == melody).sum()), 1),
            recall=both / max(int((right == melody).sum()), 1),
        )
