"""What makes vectors: encoders, the states of a transformer layer by layer, and the hand-crafted baselines.

States: a piece's vector is the mean and the standard deviation of its notes' states, read in windows, without
any head and without hand-crafted features, so that training objectives are compared and nothing else.

Baselines: what every encoder has to beat, compared by cosine.

features   statistics of the piece, standardised over the gallery
n-grams    TF-IDF of hashed note patterns
both       the two joined
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embedder.base_encoder import window_ranges
from embedder.core.arrays import FloatRows, IntArray, unit_rows
from embedder.core.errors import CorpusError, EncoderError
from embedder.encoder import Encoder
from embedder.features.handcrafted import PLAIN, Layout, pattern_counts, statistic_counts, statistics
from embedder.notes import Notes
from embedder.tokens import ATTRIBUTES, to_tokens
from embedder.transformer import ModelConfig, NoteReader, NoteTransformer
from embedder.voices import surroundings

from ..checkpoints import load_weights

__all__ = [
    "BASELINES",
    "Baselines",
    "DescribeNotes",
    "Embeddings",
    "System",
    "baseline_system",
    "encoder_system",
    "is_run",
    "load_reader",
    "load_systems",
    "note_features",
    "note_states",
    "states_system",
]

BASELINES = ("features", "n-grams", "both")
_GROUP = 128  # pieces a call, so that baselines need little memory
_WINDOW = 256  # notes whose states are computed together
_NOTES_AT_ONCE = 8192
_EPS = 1e-9

# Numbers for every note of a piece, [n, d].
DescribeNotes = Callable[[Notes], FloatRows]


@dataclass(frozen=True)
class Embeddings:
    """Vectors of some pieces, unit rows; of encoders also of windows, with the row of each window's piece."""

    pieces: FloatRows
    windows: FloatRows | None = None
    piece_of_window: IntArray | None = None


class System:
    """Makes the vectors of one or several systems in one pass, and measures the processor time that it takes.

    Parameters
    ----------
    names : of the systems, as the table gives them
    embed : vectors of pieces, by the name of the system
    standardise : whether the vectors need every column brought to mean 0 and deviation 1 to be compared
    describe_notes : numbers for single notes, by the name of the system, where there are some
    """

    def __init__(
        self,
        names: Sequence[str],
        embed: Callable[[Sequence[Notes]], dict[str, Embeddings]],
        *,
        standardise: bool = False,
        describe_notes: Mapping[str, DescribeNotes] | None = None,
    ) -> None:
        self.names, self._embed, self.standardise = list(names), embed, standardise
        self.describe_notes = dict(describe_notes or {})
        self.notes, self.vectors, self.seconds = 0, 0, 0.0

    def __call__(
        self, pieces: Sequence[Notes], on_group: Callable[[int], None] = lambda count: None
    ) -> dict[str, Embeddings]:
        begun = time.process_time()
        groups = []
        for at in range(0, len(pieces), _GROUP):
            groups.append(self._embed(pieces[at : at + _GROUP]))
            on_group(len(pieces[at : at + _GROUP]))
        self.seconds += time.process_time() - begun
        self.notes += sum(map(len, pieces))
        self.vectors += len(pieces)
        return {name: _concatenate([group[name] for group in groups]) for name in self.names}


def _concatenate(groups: Sequence[Embeddings]) -> Embeddings:
    pieces = np.concatenate([group.pieces for group in groups])
    windows = [group.windows for group in groups if group.windows is not None]
    if len(windows) < len(groups):
        return Embeddings(pieces)
    first = np.cumsum([0, *(len(group.pieces) for group in groups[:-1])])
    owners = [
        group.piece_of_window + at
        for group, at in zip(groups, first, strict=True)
        if group.piece_of_window is not None
    ]
    return Embeddings(pieces, np.concatenate(windows), np.concatenate(owners))


def load_systems(
    names: Sequence[str],
    encoders: Mapping[str, Encoder | Any],
    preprocessed: Mapping[str, Any] | None = None,
    *,
    every_layer: bool = False,
) -> Iterator[System]:
    """The systems of a comparison, in order: encoders, and runs by the states of their transformers.

    Beside the first run of each shape of transformer stands one of that shape with random weights.

    Parameters
    ----------
    names : of encoders, or folders of finished weights (`is_run`)
    encoders : the encoders among them, loaded
    preprocessed : see `encoder_system`
    every_layer : whether each layer of a run is a system of its own
    """
    shapes: set[ModelConfig] = set()
    for name in names:
        if name in encoders:
            yield encoder_system(name, encoders[name], preprocessed)
            continue
        reader = load_reader(name)
        yield states_system(name, reader, every_layer=every_layer)
        if reader.config not in shapes:
            shapes.add(reader.config)
            directions = "one direction" if reader.config.causal else "both directions"
            untrained = load_reader(name, random=True)
            yield states_system(f"random weights, {directions}", untrained, every_layer=every_layer)


def encoder_system(
    label: str, encoder: Encoder | Any, preprocessed: Mapping[str, Any] | None = None
) -> System:
    """The encoder's vectors, and those of its learned part where it has other parts beside it.

    Parameters
    ----------
    preprocessed : what the encoder's preprocessor made of whole files, by the digest of their notes; an
        encoder without one has no use for it
    """
    ranges = getattr(encoder, "parts", {})
    learned = ranges.get("learned") if len(ranges) > 1 else None
    alone = f"{label}, learned part"
    files = preprocessed if preprocessed and getattr(encoder, "front", None) is not None else {}

    def embed(pieces: Sequence[Notes]) -> dict[str, Embeddings]:
        made = encoder.embed([files.get(piece.digest(), piece) for piece in pieces] if files else pieces)
        vectors = {label: Embeddings(made.pieces, made.windows, made.piece_of_window)}
        if learned is not None:
            vectors[alone] = Embeddings(
                unit_rows(made.pieces[:, learned], _EPS),
                unit_rows(made.windows[:, learned], _EPS),
                made.piece_of_window,
            )
        return vectors

    return System([label] if learned is None else [label, alone], embed)


# --- baselines


class Baselines:
    """Hand-crafted baselines whose scales come from a reference set of pieces (the gallery); not trained."""

    def __init__(self, reference: Sequence[Notes]) -> None:
        features, counts = _features_and_counts(reference)
        self.mean, self.sd = features.mean(0), features.std(0) + 1e-3
        self.idf = np.log((len(counts) + 1) / ((counts > 0).sum(0) + 1)).astype(np.float32)

    def vectors(self, pieces: Sequence[Notes]) -> dict[str, FloatRows]:
        """Unit rows of each baseline, by its name."""
        numbers, counts = _features_and_counts(pieces)
        features = unit_rows((numbers - self.mean) / self.sd, _EPS).astype(np.float32)
        n_grams = unit_rows(np.log1p(counts) * self.idf, _EPS).astype(np.float32)
        return {
            "features": features,
            "n-grams": n_grams,
            "both": unit_rows(np.hstack([features, n_grams]), _EPS),
        }


def _features_and_counts(pieces: Sequence[Notes]) -> tuple[FloatRows, FloatRows]:
    numbers, counts = [], []
    for piece in pieces:
        layout = Layout.of([piece], [[(0, len(piece))]])
        numbers.append(statistics(statistic_counts(layout, PLAIN), PLAIN))
        counts.append(pattern_counts(layout))
    return np.concatenate(numbers), np.concatenate(counts)


def baseline_system(reference: Sequence[Notes]) -> System:
    """Hand-crafted features, n-grams and both; scales come from the gallery."""
    baselines = Baselines(reference)
    return System(
        BASELINES,
        lambda pieces: {name: Embeddings(rows) for name, rows in baselines.vectors(pieces).items()},
        describe_notes={"features": note_features},
    )


def note_features(notes: Notes) -> FloatRows:
    """Hand-crafted numbers of every note: its own pitch, duration and velocity, and its surroundings."""
    own = np.stack([notes.pitch / 12, np.log2(notes.duration), notes.velocity / 16], axis=1)
    return np.concatenate([own.astype(np.float32), surroundings(notes)], axis=1)


# --- states of a transformer


def is_run(folder: str | Path) -> bool:
    """Whether a folder holds finished weights of a run, and is not a whole encoder."""
    return (Path(folder) / "model.json").exists()


def load_reader(folder: str | Path, *, random: bool = False) -> NoteReader:
    """The transformer of finished weights; with `random`, one of the same shape that has learned nothing.

    Raises
    ------
    CorpusError
        If the folder holds none.
    """
    folder = Path(folder)
    try:
        settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        config = ModelConfig.from_dict(settings)
    except (OSError, ValueError, EncoderError) as error:
        raise CorpusError(f"{folder} holds no finished weights: {error}") from None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NoteTransformer(config)
    if random:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for block in model.blocks:  # they begin as the identity, which would be no network at all
                for name in ("attention_out", "down"):
                    weight = getattr(block, name).weight
                    torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    else:
        load_weights(model, folder / "model.safetensors")
    return model.eval()


@torch.inference_mode()
def note_states(reader: NoteReader, notes: Notes) -> list[FloatRows]:
    """States of a piece's notes after every layer, the last after the final norm; float32 [n, width]."""
    tokens = to_tokens(notes)
    ranges = window_ranges(len(notes), _WINDOW)
    states: list[list[FloatRows]] = [[] for _ in range(reader.config.layers)]
    at_once = max(1, _NOTES_AT_ONCE // _WINDOW)
    for first in range(0, len(ranges), at_once):
        some = ranges[first : first + at_once]
        lengths = [end - begin for begin, end in some]
        rows = np.zeros((len(some), max(lengths), len(ATTRIBUTES)), dtype=np.uint8)
        for row, (begin, end) in enumerate(some):
            rows[row, : end - begin] = tokens[begin:end]
        rows[:, 0, 0] = 0  # a window begins its own time
        layers: list[Tensor] = []
        last = reader.read(reader.embed(torch.from_numpy(rows)), lengths=torch.tensor(lengths), layers=layers)
        for windows, layer in zip(states, [*layers[:-1], last], strict=True):
            windows += [layer[row, :length].float().numpy() for row, length in enumerate(lengths)]
    return [np.concatenate(windows) for windows in states]


def states_system(label: str, reader: NoteReader, *, every_layer: bool = False) -> System:
    """Vectors of the last layer, or of each layer as a system of its own."""
    count = reader.config.layers
    names = [f"{label}, layer {i + 1}" for i in range(count)] if every_layer else [label]

    def embed(pieces: Sequence[Notes]) -> dict[str, Embeddings]:
        rows: list[list[FloatRows]] = [[] for _ in names]
        for piece in pieces:
            for row, states in zip(rows, note_states(reader, piece)[-len(names) :], strict=True):
                row.append(np.concatenate([states.mean(0), states.std(0)]))
        return {name: Embeddings(np.stack(row)) for name, row in zip(names, rows, strict=True)}

    return System(
        names,
        embed,
        standardise=True,
        describe_notes={label: lambda notes: note_states(reader, notes)[-1]},
    )
