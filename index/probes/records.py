"""Records of probes, their scores and predictions, immutable and with `to_json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from ..records import Named

__all__ = [
    "Applied",
    "Baseline",
    "ClassScore",
    "CurvePoint",
    "Explanation",
    "Neighbour",
    "Prediction",
    "Probe",
    "ProbeScores",
    "Problem",
    "Suggestion",
    "Suggestions",
    "Timeline",
    "TimelineWindow",
    "TrainReport",
    "Trait",
]


@dataclass(frozen=True)
class Baseline:
    """Scores of a simpler method on the same folds."""

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one class, and its number of labels."""

    value: str
    labels: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ProbeScores:
    """Cross-validated scores, by piece; a work is never split between training and test.

    Attributes
    ----------
    grouping : how works were detected
    works, pieces : how many were scored
    calibration_error : expected calibration error of the likeliest class, ten bins
    majority : baseline that always predicts the most frequent class
    handmade : the same classifier on hand-crafted statistics; None where time ranges are labelled
    confusion : confusion matrix, rows true and columns predicted, in the order of `per_class`
    """

    folds: int
    grouping: str
    works: int
    pieces: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    majority: Baseline
    handmade: Baseline | None
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        handmade = value["handmade"]
        return cls(
            **{
                **value,
                "majority": Baseline(**value["majority"]),
                "handmade": None if handmade is None else Baseline(**handmade),
                "per_class": tuple(ClassScore(**score) for score in value["per_class"]),
                "confusion": tuple(tuple(row) for row in value["confusion"]),
            }
        )


@dataclass(frozen=True)
class Trait:
    """A descriptor in which the labelled pieces of a class differ from the other labelled ones.

    Attributes
    ----------
    name : of the descriptor
    mean, others : its mean in the class and in the rest
    effect : difference of the means in pooled standard deviations (Cohen's d)
    says : description
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
    labels : number of training labels of each class
    pieces : number of training examples, time ranges of pieces included
    features : description of its input
    regularisation : scikit-learn's C, chosen by inner cross-validation
    temperature : divisor of the logits (temperature scaling)
    trained_s : seconds since 1970
    state : "current", "labels changed" since it was trained, or "stale": trained for another encoder
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
    """Probes that were trained, and tags whose probe could not be trained."""

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
    labelled : of those, pieces with a label, which get no prediction
    predicted : value and number of pieces, most frequent first
    outside : pieces left untagged because they are out of distribution
    retrained : whether the probe was retrained first, for the library's present encoder
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
    """A probe's prediction for a piece without a label.

    Attributes
    ----------
    value : the likeliest class
    probability : of it, 0 to 1, calibrated
    runner_up : the second likeliest class
    outside : the piece is out of distribution, unlike every labelled one: it stays untagged
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
    """Accuracy at a number of labels, and its standard deviation over draws and folds."""

    labels: int
    accuracy: float
    spread: float


@dataclass(frozen=True)
class Suggestion(Named):
    """A piece worth labelling next.

    Attributes
    ----------
    value, probability : prediction from the present labels; None while these are too few
    why : the reason for the choice
    """

    rank: int
    piece_id: int
    path: str
    value: str | None
    probability: float | None
    why: str


@dataclass(frozen=True)
class Suggestions:
    """Pieces to label next, most useful first, with the learning curve so far and its extrapolation.

    Attributes
    ----------
    curve : cross-validated accuracy with growing subsets of the present labels
    forecast : accuracy with more labels, extrapolated
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
    """A labelled piece near the explained one; the score is the cosine of their scaled vectors."""

    piece_id: int
    path: str
    value: str
    score: float


@dataclass(frozen=True)
class TimelineWindow:
    """A probe's prediction for one window.

    Attributes
    ----------
    start_s, end_s : seconds
    value, probability : the likeliest class
    probabilities : of all classes, in the order of the probe
    label : label of the time range that overlaps the window most, if any
    """

    start_s: float
    end_s: float
    value: str
    probability: float
    probabilities: tuple[float, ...]
    label: str | None


@dataclass(frozen=True)
class Timeline(Named):
    """Predictions of a tag through a piece, window by window."""

    tag: str
    piece_id: int
    path: str
    classes: tuple[str, ...]
    windows: tuple[TimelineWindow, ...]


@dataclass(frozen=True)
class Explanation(Named):
    """Evidence for a probe's prediction for a piece.

    Attributes
    ----------
    nearest : the labelled pieces nearest to it
    windows : its windows with the highest probability of the value, highest first
    traits : descriptors typical of the value that this piece shares
    says : the evidence in sentences
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
        nearest = [neighbour.to_json() for neighbour in self.nearest]
        return super().to_json() | {"nearest": nearest}
