"""Melody models: made of a finished run, and measured on the test songs of a corpus with voices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from embedder.core.arrays import BoolArray
from embedder.core.errors import CorpusError, EncoderError
from embedder.melody import MelodyModel, by_part, melody_model, save_melody_model, skyline
from embedder.notes import Notes
from embedder.tensor_files import read_settings
from embedder.transformer import ModelConfig
from embedder.voices import VOICES

from ..corpus import Corpus
from ..objectives.voices import Voices
from ..recipe import Recipe, check_settings, declared
from ..voices import LOUDNESS, loudness, voices_of

__all__ = ["VoiceScores", "assemble", "learned_loudness", "measure", "measure_loudness", "skyline_scores"]

EVEN_VELOCITY = 64
MIN_PROBABILITY = 1e-9  # that a run is taken to give to every degree
UNKNOWN_VELOCITY = 1  # stands for no velocity where loudness is to be predicted
_CARD = Path(__file__).parents[1] / "melody_card.md"


def assemble(run: str | Path, folder: str | Path) -> MelodyModel:
    """Make the folder of a melody model from a finished run of recipe `melody`.

    Raises
    ------
    CorpusError
        If the run is not finished, or learned something else.
    """
    model = _finished(run, len(VOICES))
    save_melody_model(model, folder, _CARD.read_text(encoding="utf-8"))
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
    """Share of the test songs' notes whose degree of loudness finished runs of `velocity` predict, 0..1.

    The probabilities of several runs are averaged, as logarithms. Each sees notes of one velocity only. A run
    that was given voices gets those that the shipped melody model predicts without velocities, where it is
    known which notes share a track, as in the files, but not what the track is called.

    Raises
    ------
    CorpusError
        If a run is not finished or learned something else, or there are no test songs.
    """
    models = [_finished(run, len(LOUDNESS) + 1) for run in runs]
    needs_voices = any(model.told for model in models)
    correct = []
    for done, (notes, track) in enumerate(songs := _test_songs(corpus)):
        voices = None
        if needs_voices:
            voices = by_part(melody_model().probabilities(notes.with_velocity(EVEN_VELOCITY)), track)
        silent = notes.with_velocity(UNKNOWN_VELOCITY)
        probabilities = [model.probabilities(silent, voices if model.told else None) for model in models]
        degree = np.log(np.maximum(probabilities, MIN_PROBABILITY)).sum(0).argmax(1)
        correct.append(degree == loudness(notes.velocity))
        on_progress(done + 1, len(songs))
    return float(np.concatenate(correct).mean())


def _finished(run: str | Path, classes: int) -> MelodyModel:
    weights = Path(run) / "encoder"
    try:
        recipe = Recipe.read(Path(run) / "recipe.toml")
        settings = recipe.objective_settings
        check_settings(f"{run}: objective {recipe.objective}", declared(Voices), settings)
        config = ModelConfig.from_dict(read_settings(weights / "model.json", str(run)))
        length = settings.get("length", 512)
        if not 2 <= length <= config.positions:
            raise ValueError(f"length = {length}, not 2 to {config.positions}")
        given_voices = len(VOICES) if settings.get("told", False) else 0
        model = MelodyModel(config, classes, length, given_voices)
        tensors = load_file(weights / "model.safetensors")
        model.reader.load_state_dict({name: tensors[name] for name in model.reader.state_dict()})
        model.head.load_state_dict(load_file(weights / "objective.safetensors"))
        if not all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values()):
            raise ValueError("weights are not finite")
    except (OSError, ValueError, KeyError, RuntimeError, CorpusError, EncoderError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{run} is no finished run of such a recipe: {reason}") from None
    return model.eval()


@dataclass(frozen=True)
class VoiceScores:
    """How well voices are predicted, in 0..1, over all notes and as the mean of songs.

    Attributes
    ----------
    accuracy : share of all notes whose voice is correct; by_song : the same of each song
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
        """The scores in the order of a table."""
        by_song = float(np.mean(self.by_song))
        return self.accuracy, by_song, self.by_part, self.even, self.precision, self.recall

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    model: MelodyModel, corpus: Corpus, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> VoiceScores:
    """How well a model predicts the voices of the test songs.

    Raises
    ------
    CorpusError
        If the corpus has no voices or no test songs.
    """
    predicted, even, by_track, true = [], [], [], []
    for done, (notes, voice) in enumerate(songs := _test_songs(corpus)):
        probabilities = model.probabilities(notes)
        predicted.append(probabilities.argmax(1))
        by_track.append(by_part(probabilities, voice).argmax(1))
        even.append(model.voices(notes.with_velocity(EVEN_VELOCITY)))
        true.append(voice)
        on_progress(done + 1, len(songs))
    voices, truth = np.concatenate(predicted), np.concatenate(true)
    melody = VOICES.index("melody")
    precision, recall = _melody_scores(voices == melody, truth == melody)
    return VoiceScores(
        accuracy=float((voices == truth).mean()),
        by_song=[float((p == t).mean()) for p, t in zip(predicted, true, strict=True)],
        precision=precision,
        recall=recall,
        even=float((np.concatenate(even) == truth).mean()),
        by_part=float((np.concatenate(by_track) == truth).mean()),
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


def _melody_scores(predicted: BoolArray, true: BoolArray) -> tuple[float, float]:
    both = int((predicted & true).sum())
    return both / max(int(predicted.sum()), 1), both / max(int(true.sum()), 1)
