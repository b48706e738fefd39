"""Tasks about whole pieces: what a linear probe on one vector a piece is to name.

A task is a name and a rule that gives the label of a piece, "" for pieces that it is not about. Classes of
too few works are left out (`train.evaluation.linear_probe`), so a task exists wherever a user's labels
allow it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..evaluation.datasets import EvaluatedPiece
from ..label_projection import plain_key
from .headers import Header

__all__ = ["LABEL_TASKS", "LabelTask"]

# Composers by the style of their works, after the usual textbooks; those between two styles are left out.
_ERAS = {
    "baroque": "bach handel scarlatti purcell rameau couperin soler telemann",
    "classical": "haydn mozart clementi beethoven hummel",
    "romantic": "schubert chopin schumann mendelssohn liszt brahms tchaikovsky mussorgsky grieg balakirev "
    "alkan burgmueller franck",
    "modern": "debussy ravel scriabin rachmaninoff rachmaninov prokofiev bartok berg albeniz granados "
    "godowsky janacek shostakovich medtner",
}
ERA_OF = {surname: era for era, surnames in _ERAS.items() for surname in surnames.split()}
TEMPO_CLASSES = ((0.0, "slow"), (76.0, "moderate"), (108.0, "lively"), (140.0, "fast"))


@dataclass(frozen=True)
class LabelTask:
    """A task: its name, what it asks in words, and the label of a piece."""

    name: str
    asks: str
    label: Callable[[EvaluatedPiece, Header], str]


def _column(name: str) -> Callable[[EvaluatedPiece, Header], str]:
    return lambda piece, header: plain_key(name, piece.labels.get(name, ""))


def _era(piece: EvaluatedPiece, header: Header) -> str:
    words = plain_key("composer", piece.labels.get("composer", "")).replace("-", " ").split()
    return next((ERA_OF[word] for word in words if word in ERA_OF), "")


def _tempo(piece: EvaluatedPiece, header: Header) -> str:
    return next((name for least, name in reversed(TEMPO_CLASSES) if header.beats_per_minute > least), "")


def _sort_of_music(piece: EvaluatedPiece, header: Header) -> str:
    return "classical" if piece.labels.get("composer") else piece.set


def _played(piece: EvaluatedPiece, header: Header) -> str:
    kind = piece.labels.get("kind", "")
    return {"score": "deadpan", "performance": "performed"}.get(kind, "")


LABEL_TASKS: tuple[LabelTask, ...] = (
    LabelTask("composer", "who wrote it", _column("composer")),
    LabelTask("pianist", "who plays it", _column("artist")),
    LabelTask("genre", "classical music, or which other set it is from", _sort_of_music),
    LabelTask("tune type", "jig, reel, waltz, ...", _column("type")),
    LabelTask("part", "a tune's melody, its chords, or both", _column("part")),
    LabelTask("game console", "which machine a game was made for", _column("console")),
    LabelTask("emotion", "a quarter of the plane of valence and arousal", _column("emotion")),
    LabelTask("key", "the tonic that is notated", lambda piece, header: header.tonic),
    LabelTask("mode", "major or minor as notated", lambda piece, header: header.mode),
    LabelTask("metre", "the time signature that is notated", lambda piece, header: header.metre),
    LabelTask("tempo class", "slow, moderate, lively or fast by the file's tempos", _tempo),
    LabelTask("era", "baroque, classical, romantic or modern, by composer", _era),
    LabelTask("performed or deadpan", "played by a human, or as notated", _played),
)
