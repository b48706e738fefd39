"""Which voice of a pop song each note belongs to: POP909's tracks as labels, note by note.

POP909 (Wang et al. 2020, arXiv 2008.07142) keeps the vocal melody, the lead lines that answer it (bridge) and
the accompaniment (piano) in a track each. A corpus of its songs gets one more array beside the notes:

    CORPUS/voice.npy      uint8, number of the voice (`embedder.voices.VOICES`) of every note
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from embedder import Notes
from embedder.core.errors import CorpusError, EncoderError, MidiError
from embedder.melody import MelodyModel, by_part, melody_model, save_melody_model, skyline
from embedder.midi.events import read_events
from embedder.midi.pairing import pair_notes
from embedder.midi.ticks import TickClock
from embedder.midi.titles import track_names
from embedder.tensor_files import read_settings
from embedder.transformer import ModelConfig
from embedder.voices import VOICES

from .atomic_files import replace_file
from .corpus import Corpus, PieceRecord, write_corpus
from .recipe import Recipe
from .settings import check_settings, declared
from .works import split_of

__all__ = [
    "LOUDNESS",
    "VOICE_FILE",
    "VoiceScores",
    "assemble",
    "learned_loudness",
    "loudness",
    "measure",
    "measure_loudness",
    "prepare_voices",
    "read_voices",
    "skyline_scores",
    "voices_of",
]

# Where p, mp, mf, f and ff begin, as MIDIBERT-Piano (arXiv 2107.05223) divides velocities; below is pp.
LOUDNESS = (32, 48, 64, 80, 96)
VOICE_FILE = "voice.npy"
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.05
MOST_NOTES = 100_000
Chords = Literal["voice", "pitch"]
IN_CHORD_S = 60e-6  # three steps of the grid, that notes of one onset keep an order and none hears them apart
ALIASES = {"cau": "bridge", "piano`": "piano"}  # as tracks of POP909's other takes are named
EVEN_VELOCITY = 64
LEAST = 1e-9  # share that a run is taken to give to every degree
UNHEARD = 1  # the velocity that stands for none where loudness is to be told
CARD = Path(__file__).parent / "melody_card.md"


def read_voices(path: str | Path, sixteenths: Chords | None = None) -> tuple[Notes, NDArray[np.uint8]]:
    """Notes of a file whose tracks are named after the voices, and the voice of each note.

    With `sixteenths`, they are as MIDIBERT-Piano prepares them (arXiv 2107.05223): onsets and durations are
    rounded to sixteenths, shorter notes left out. The notes of one onset stand in the order of their voices,
    as there, which gives them away, or of their pitches.

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
    nth = np.zeros(len(start), dtype=np.int64)
    if sixteenths is not None and score.clock.division:
        kept, start, end = _on_sixteenths(start, end, score.clock.division)
        pitch, velocity, voice = pitch[kept], velocity[kept], voice[kept]
        nth = _place_in_chord(start, pitch, voice, sixteenths)
    onset = score.clock.seconds(start)
    duration = score.clock.seconds(end) - onset
    onset = onset + nth * IN_CHORD_S
    own = [
        Notes(onset[of], duration[of], pitch[of], velocity[of])
        for of in (voice == number for number in range(len(VOICES)))
    ]
    columns = [
        np.concatenate([getattr(part, name) for part in own])
        for name in ("onset", "duration", "pitch", "velocity")
    ]
    onsets, durations, pitches, velocities = columns
    order = np.lexsort((velocities, durations, pitches, onsets))  # as `Notes` does
    notes = Notes(onsets, durations, pitches, velocities)
    return notes, np.repeat(np.arange(len(VOICES), dtype=np.uint8), [len(p) for p in own])[order]


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
    """Which notes are longer than half a sixteenth; where these begin and end on the commonest grid."""
    step = max(ticks_per_beat // 4, 1)
    phase = int(np.bincount(start % step, minlength=1).argmax())
    length = np.rint((end - start) / step).astype(np.int64)
    kept = length > 0
    begin = np.maximum(np.rint((start[kept] - phase) / step).astype(np.int64), 0) * step + phase
    return kept, begin, begin + length[kept] * step


def _place_in_chord(
    start: NDArray[np.int64], pitch: NDArray[np.int64], voice: NDArray[np.uint8], by: Chords
) -> NDArray[np.int64]:
    """Which of the notes of its onset each one is, counted from 0."""
    order = np.lexsort((pitch, voice, start) if by == "voice" else (voice, pitch, start))
    ordered = start[order]
    place = np.empty(len(start), dtype=np.int64)
    place[order] = np.arange(len(start)) - np.searchsorted(ordered, ordered)
    return place


def prepare_voices(
    folder: str | Path,
    out: str | Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    takes: bool = False,
    sixteenths: Chords | None = None,
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
    replace_file(Path(out) / VOICE_FILE, lambda path: np.save(path, np.concatenate(voices)))
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


def assemble(run: str | Path, folder: str | Path) -> MelodyModel:
    """Make the folder of a melody model from a finished run of recipe `melody`.

    Raises
    ------
    CorpusError
        If the run is not finished, or learned something else.
    """
    model = _finished(run, len(VOICES))
    save_melody_model(model, folder, CARD.read_text(encoding="utf-8"))
    return model


def learned_loudness(run: str | Path) -> bool:
    """Whether a run's recipe asks for the loudness of every note, not for its voice."""
    recipe = Recipe.read(Path(run) / "recipe.toml")
    return recipe.objective_settings.get("target") == "velocity"


def measure_loudness(
    runs: Sequence[str | Path],
    corpus: Corpus,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> float:
    """Share of the test songs' notes whose degree of loudness finished runs of `velocity` tell, 0..1.

    What several runs say is averaged, as logarithms. Each sees notes of one velocity only. One that is told
    voices is told those that the shipped melody model hears without velocities, where it is known which notes
    share a track, as files come, but not what the track is called.

    Raises
    ------
    CorpusError
        If a run is not finished or learned something else, or there are no test songs.
    """
    models = [_finished(run, len(LOUDNESS) + 1) for run in runs]
    listen = any(model.told for model in models)
    right = []
    for done, (notes, track) in enumerate(songs := _test_songs(corpus)):
        heard = None
        if listen:
            heard = by_part(melody_model().probabilities(notes.with_velocity(EVEN_VELOCITY)), track)
        unheard = notes.with_velocity(UNHEARD)
        said = [model.probabilities(unheard, heard if model.told else None) for model in models]
        degree = np.log(np.maximum(said, LEAST)).sum(0).argmax(1)
        right.append(degree == loudness(notes.velocity))
        on_progress(done + 1, len(songs))
    return float(np.concatenate(right).mean())


def _finished(run: str | Path, classes: int) -> MelodyModel:
    from .objectives.voices import Voices  # which reads its corpus by this module

    weights = Path(run) / "encoder"
    try:
        recipe = Recipe.read(Path(run) / "recipe.toml")
        settings = recipe.objective_settings
        check_settings(f"{run}: objective {recipe.objective}", declared(Voices), settings)
        config = ModelConfig.from_dict(read_settings(weights / "model.json", str(run)))
        length = settings.get("length", 512)
        if not 2 <= length <= config.positions:
            raise ValueError(f"length = {length}, where 2 to {config.positions} are meant")
        told = len(VOICES) if settings.get("told", False) else 0
        model = MelodyModel(config, classes, length, told)
        own = model.reader.state_dict()
        of_run = load_file(weights / "model.safetensors")
        model.reader.load_state_dict({name: of_run[name] for name in own})
        model.head.load_state_dict(load_file(weights / "objective.safetensors"))
        if not all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values()):
            raise ValueError("weights are not finite")
    except (OSError, ValueError, KeyError, RuntimeError, CorpusError, EncoderError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{run} is no finished run of such a recipe: {reason}") from None
    return model.eval()


@dataclass(frozen=True)
class VoiceScores:
    """How well voices are told, in 0..1, over all notes and as the mean of songs.

    Attributes
    ----------
    accuracy : share of all notes whose voice is right; by_song : the same of each song
    precision, recall : of the melody's notes
    even : accuracy where all velocities are made equal
    by_part : accuracy where it is known which notes come from one track, but not what the track is
    """

    accuracy: float
    by_song: list[float]
    precision: float
    recall: float
    even: float
    by_part: float

    def shown(self) -> tuple[float, ...]:
        """The figures as a line of a table has them."""
        by_song = float(np.mean(self.by_song))
        return self.accuracy, by_song, self.by_part, self.even, self.precision, self.recall

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    model: MelodyModel, corpus: Corpus, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> VoiceScores:
    """How well a model tells the voices of the test songs.

    Raises
    ------
    CorpusError
        If the corpus has no voices or no test songs.
    """
    told, even, parted, true = [], [], [], []
    for done, (notes, voice) in enumerate(songs := _test_songs(corpus)):
        shares = model.probabilities(notes)
        told.append(shares.argmax(1))
        parted.append(by_part(shares, voice).argmax(1))
        even.append(model.voices(notes.with_velocity(EVEN_VELOCITY)))
        true.append(voice)
        on_progress(done + 1, len(songs))
    found, right = np.concatenate(told), np.concatenate(true)
    melody = VOICES.index("melody")
    precision, recall = _melody_scores(found == melody, right == melody)
    return VoiceScores(
        accuracy=float((found == right).mean()),
        by_song=[float((one == other).mean()) for one, other in zip(told, true, strict=True)],
        precision=precision,
        recall=recall,
        even=float((np.concatenate(even) == right).mean()),
        by_part=float((np.concatenate(parted) == right).mean()),
    )


def skyline_scores(corpus: Corpus) -> tuple[float, float]:
    """Precision and recall of the highest note of every chord as the melody of the test songs."""
    songs = _test_songs(corpus)
    highest = np.concatenate([skyline(notes) for notes, _ in songs])
    return _melody_scores(highest, np.concatenate([voice for _, voice in songs]) == VOICES.index("melody"))


def _test_songs(corpus: Corpus) -> list[tuple[Notes, NDArray[np.uint8]]]:
    voices = voices_of(corpus)
    test = corpus.indices("test").tolist()
    if not test:
        raise CorpusError(f"{corpus.folder} holds no test songs")
    return [(corpus.notes(i), voices[corpus.offsets[i] : corpus.offsets[i + 1]]) for i in test]


def _melody_scores(found: NDArray[np.bool_], right: NDArray[np.bool_]) -> tuple[float, float]:
    both = int((found & right).sum())
    return both / max(int(found.sum()), 1), both / max(int(right.sum()), 1)
