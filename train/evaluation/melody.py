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
LEAST = 1e-9  # share that a run is taken to give to every degree
UNHEARD = 1  # the velocity that stands for none where loudness is to be told
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
