"""What the library answers about probes: immutable records with `to_json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from ..records import Named

__all__ = [
    "Applied",
    "ClassScore",
    "CurvePoint",
    "Explanation",
    "Neighbour",
    "Prediction",
    "Probe",
    "ProbeScores",
    "Problem",
    "Rival",
    "Suggestion",
    "Suggestions",
    "Timeline",
    "TimelineWindow",
    "TrainReport",
    "Trait",
]


@dataclass(frozen=True)
class Rival:
    """What something plainer reaches on the same folds."""

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told: the share that is so of what was said so, and the other way round."""

    value: str
    labels: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ProbeScores:
    """Cross-validated scores, by piece; works never lie on both sides of a fold.

    Attributes
    ----------
    grouping : how works were told, in plain words
    works, pieces : how many were scored
    calibration_error : expected calibration error of the likeliest class, ten bins
    majority : always saying the most frequent class
    handmade : the same kind of probe on plain statistics of the notes; None where it was not made
    confusion : counts, rows true and columns said, in the order of `per_class`
    """

    folds: int
    grouping: str
    works: int
    pieces: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    majority: Rival
    handmade: Rival | None
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Self:
        handmade = value["handmade"]
        return cls(
            **{
                **value,
                "majority": Rival(**value["majority"]),
                "handmade": None if handmade is None else Rival(**handmade),
                "per_class": tuple(ClassScore(**one) for one in value["per_class"]),
                "confusion": tuple(tuple(row) for row in value["confusion"]),
            }
        )


@dataclass(frozen=True)
class Trait:
    """A descriptor that sets the labelled pieces of a class apart from the other labelled ones.

    Attributes
    ----------
    name : of the descriptor
    mean, others : its mean in the class and in the rest
    effect : difference in standard deviations within the two
    says : in plain words
    """

    value: str
    name: str
    mean: float
    others: float
    effect: float
    says: str


@dataclass(frozen=True)
class Probe:
    """A probe of a tag.

    Attributes
    ----------
    classes : values of the facet, or "no" and "yes"
    labels : labels of each class that it was trained on
    pieces : how many examples that are, parts of pieces included
    features : what it reads, in plain words
    regularisation : scikit-learn's C, chosen by inner cross-validation
    temperature : what calibration divides the logits by
    trained_s : seconds since 1970
    state : "current", "labels changed" since it was trained, or "stale": the library has another encoder
    remarks : what was left out, and why
    """

    tag: str
    kind: str
    classes: tuple[str, ...]
    labels: tuple[int, ...]
    pieces: int
    encoder: str
    features: str
    regularisation: float
    temperature: float
    trained_s: float
    state: str
    scores: ProbeScores
    remarks: tuple[str, ...]
    traits: tuple[Trait, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Problem:
    """Why a tag has no probe."""

    tag: str
    reason: str


@dataclass(frozen=True)
class TrainReport:
    """Probes that were trained, and tags for which none could be."""

    trained: tuple[Probe, ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Applied:
    """What applying a probe did.

    Attributes
    ----------
    pieces : pieces of the library
    labelled : of those, pieces with a label, which no prediction touches
    predicted : value and number of pieces, most first
    outside : pieces left untagged because they are like none that was labelled
    retrained : whether the probe was trained anew first, for the library's present encoder
    """

    tag: str
    pieces: int
    labelled: int
    predicted: tuple[tuple[str, int], ...]
    outside: int
    retrained: bool
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Prediction(Named):
    """What a probe says of a piece without a label.

    Attributes
    ----------
    value : the likeliest class
    probability : of it, 0 to 1, calibrated
    runner_up : the next likeliest class
    outside : the piece is like none that was labelled: the value is not to be believed, and left untagged
    """

    piece_id: int
    path: str
    tag: str
    value: str
    probability: float
    runner_up: str | None
    outside: bool


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy with so many labels, and the standard deviation of it over draws and folds."""

    labels: int
    accuracy: float
    spread: float


@dataclass(frozen=True)
class Suggestion(Named):
    """A piece worth labelling next.

    Attributes
    ----------
    value, probability : what the probe thinks of it now; None where there is none yet
    why : in plain words
    """

    rank: int
    piece_id: int
    path: str
    value: str | None
    probability: float | None
    why: str


@dataclass(frozen=True)
class Suggestions:
    """Pieces to label next, most useful first, with what labels brought so far and would bring.

    Attributes
    ----------
    curve : accuracy with parts of the present labels, cross-validated
    forecast : what more labels would bring if the curve goes on as it did
    says : the forecast in a sentence
    """

    tag: str
    pieces: tuple[Suggestion, ...]
    curve: tuple[CurvePoint, ...]
    forecast: tuple[CurvePoint, ...]
    says: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"pieces": [piece.to_json() for piece in self.pieces]}


@dataclass(frozen=True)
class Neighbour(Named):
    """A labelled piece near to one that is explained; the score is the cosine in the probe's space."""

    piece_id: int
    path: str
    value: str
    score: float


@dataclass(frozen=True)
class TimelineWindow:
    """What a probe says of one window.

    Attributes
    ----------
    start_s, end_s : seconds
    value, probability : the likeliest class
    probabilities : of all classes, in the order of the probe
    label : what a person said of this part, if anybody did
    """

    start_s: float
    end_s: float
    value: str
    probability: float
    probabilities: tuple[float, ...]
    label: str | None


@dataclass(frozen=True)
class Timeline(Named):
    """A tag through a piece, window by window."""

    tag: str
    piece_id: int
    path: str
    classes: tuple[str, ...]
    windows: tuple[TimelineWindow, ...]


@dataclass(frozen=True)
class Explanation(Named):
    """Why a probe says what it says of a piece.

    Attributes
    ----------
    nearest : the labelled pieces nearest to it
    windows : its windows, those that speak most for the value first
    traits : descriptors that set the value apart and that this piece shares
    says : all of it in sentences
    """

    tag: str
    piece_id: int
    path: str
    value: str
    probability: float
    outside: bool
    nearest: tuple[Neighbour, ...]
    windows: tuple[TimelineWindow, ...]
    traits: tuple[Trait, ...]
    says: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        nearest = [one.to_json() for one in self.nearest]
        return super().to_json() | {"nearest": nearest}
