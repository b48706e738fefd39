"""The registry of tasks: one definition each, for all systems alike.

A task that the labels of the data do not allow has no row in the table. A label task is what a linear probe
on one vector a piece has to predict: a name and a rule that gives the label of a piece, "" for pieces that it
is not about; classes of too few works are left out (`train.evaluation.linear_probe`). A new task is a new
entry in `TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from embedder.core.arrays import FloatRows
from embedder.core.errors import CorpusError
from embedder.notes import Notes

from ..label_projection import plain_key
from .datasets import Collection, EvaluatedPiece
from .linear_probe import Probe, build_probe, subsample
from .retrieval import ALTERED_TASK, EXCERPT_TASK

__all__ = [
    "CHOICES",
    "GROUPS",
    "NEXT_PASSAGE",
    "TASKS",
    "Task",
    "next_passage",
    "passages",
    "probes",
    "select_tasks",
]

LabelOf = Callable[[EvaluatedPiece, Collection], str]

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
TEMPO_CLASSES = ((0.0, "slow"), (76.0, "moderate"), (108.0, "lively"), (140.0, "fast"))  # above so many BPM
NEXT_PASSAGE = "next passage"
PASSAGE_NOTES = 64
CHOICES = 5


@dataclass(frozen=True)
class Task:
    """A task: its name, its group, the question that it asks, and of label tasks the label of a piece."""

    name: str
    group: str
    question: str
    label: LabelOf | None = None


def _column(name: str) -> LabelOf:
    return lambda piece, collection: plain_key(name, piece.labels.get(name, ""))


def _genre_by_set(piece: EvaluatedPiece, collection: Collection) -> str:
    # Sets whose pieces have composers are one genre, however many they are.
    return "classical" if piece.set in collection.sets_with_composers else piece.set


def _era(piece: EvaluatedPiece, collection: Collection) -> str:
    words = plain_key("composer", piece.labels.get("composer", "")).replace("-", " ").split()
    return next((ERA_OF[word] for word in words if word in ERA_OF), "")


def _tempo_class(piece: EvaluatedPiece, collection: Collection) -> str:
    return next((name for bound, name in reversed(TEMPO_CLASSES) if piece.header.bpm > bound), "")


def _performed(piece: EvaluatedPiece, collection: Collection) -> str:
    return {"score": "deadpan", "performance": "performed"}.get(piece.labels.get("kind", ""), "")


_RETRIEVAL = (
    Task("performance -> score", "retrieval", "which score is played"),
    Task("score -> performance", "retrieval", "which performance plays a score"),
    Task(EXCERPT_TASK, "retrieval", "which score 30 s of a performance are of, also transposed"),
    Task("other performances", "retrieval", "who else plays it"),
    Task("takes of a song", "retrieval", "other versions of a song"),
    Task(NEXT_PASSAGE, "retrieval", f"which of {CHOICES} passages follows"),
    Task(ALTERED_TASK, "alterations", "which piece was altered, in each of ten ways"),
)
_LABELS = (
    Task("composer", "labels", "who wrote it", _column("composer")),
    Task("pianist", "labels", "who plays it", _column("artist")),
    Task("tune type", "labels", "jig, reel, waltz, ...", _column("type")),
    Task("genre", "labels", "the genre that is labelled", _column("genre")),
    Task("genre by set", "labels", "classical music, or which other set it is from", _genre_by_set),
    Task("emotion", "labels", "a quarter of the plane of valence and arousal", _column("emotion")),
    Task("form", "labels", "sonata, fugue, dance, ...", _column("form")),
    Task("period", "labels", "the period that is labelled", _column("period")),
    Task("part", "labels", "a tune's melody, its chords, or both", _column("part")),
    Task("game console", "labels", "which machine a game was made for", _column("console")),
    Task("key", "labels", "the tonic that is notated", lambda piece, collection: piece.header.tonic),
    Task("mode", "labels", "major or minor as notated", lambda piece, collection: piece.header.mode),
    Task(
        "metre", "labels", "the time signature that is notated", lambda piece, collection: piece.header.metre
    ),
    Task("tempo class", "labels", "slow, moderate, lively or fast by the file's tempos", _tempo_class),
    Task("era", "labels", "baroque, classical, romantic or modern, by composer", _era),
    Task("performed or deadpan", "labels", "played by a human, or as notated", _performed),
)
_NOTES = (
    Task("melody", "notes", "whether a note is melody, bridge or accompaniment"),
    Task("velocity", "notes", "which of six degrees of loudness a note has"),
)
TASKS: dict[str, Task] = {task.name: task for task in (*_RETRIEVAL, *_LABELS, *_NOTES)}
GROUPS = ("retrieval", "alterations", "labels", "notes")


def select_tasks(names: Iterable[str]) -> list[str]:
    """Names of the tasks that are meant by names of tasks and of groups, in the order of `TASKS`.

    Raises
    ------
    CorpusError
        If there is no such task or group.
    """
    chosen: set[str] = set()
    for name in (name.strip().lower() for name in names):
        members = [task.name for task in TASKS.values() if name in (task.name.lower(), task.group)]
        if not members:
            known = ", ".join([*GROUPS, *TASKS])
            raise CorpusError(f"no task or group of tasks is called {name!r}; there are {known}")
        chosen |= set(members)
    return [name for name in TASKS if name in chosen]


def probes(collection: Collection, names: Iterable[str], max_pieces: int, seed: int = 0) -> list[Probe]:
    """Probes of the label tasks among `names` that a collection allows; of larger ones, a sample by work."""
    made = []
    for name in names:
        if (label := TASKS[name].label) is not None:
            labels = [label(piece, collection) for piece in collection.pieces]
            if (probe := build_probe(name, labels, collection)) is not None:
                made.append(subsample(probe, max_pieces, np.random.default_rng(seed)))
    return made


def passages(
    collection: Collection, max_pieces: int, seed: int = 0
) -> tuple[list[Notes], list[Notes], list[int]]:
    """A passage, what follows it, and the work; of at most `max_pieces` pieces, each of another work."""
    rng = np.random.default_rng(seed)
    before: list[Notes] = []
    after: list[Notes] = []
    works: list[int] = []
    for i in rng.permutation(len(collection.pieces)).tolist():
        piece = collection.pieces[i]
        if len(piece.notes) < 2 * PASSAGE_NOTES or piece.work in works:
            continue
        middle = int(rng.integers(PASSAGE_NOTES, len(piece.notes) - PASSAGE_NOTES + 1))
        before.append(piece.notes.slice_notes(middle - PASSAGE_NOTES, middle).from_zero())
        after.append(piece.notes.slice_notes(middle, middle + PASSAGE_NOTES).from_zero())
        works.append(piece.work)
        if len(before) == max_pieces:
            break
    return before, after, works


def next_passage(before: FloatRows, after: FloatRows, seed: int = 0) -> float:
    """Share of passages whose true continuation is nearer than four others; ties count against the system.

    Parameters
    ----------
    before, after : unit rows of passages and of what follows each, [n, d]
    """
    rng = np.random.default_rng(seed)
    similarity = before @ after.T
    correct = 0
    for i in range(len(similarity)):
        others = rng.choice(np.delete(np.arange(len(similarity)), i), CHOICES - 1, replace=False)
        correct += bool(similarity[i, i] > similarity[i, others].max())
    return correct / len(similarity)
