"""What vectors of held-out works find: the rows by which designs and milestones are compared.

All pieces of a split's works are candidates, capped; a piece counts as found where a piece of its work (for
altered copies: itself) comes first, ties against the system. Figures are per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedder.base_encoder import window_ranges
from embedder.ensemble.front import DRUMS
from embedder.notes import GRID_HZ, Notes

from ..evaluation.retrieval import average_precision, retrieval
from ..evaluation.systems import Baselines
from .corpus import EnsembleCorpus
from .reading import PartedNotes

__all__ = ["Embed", "Measures", "features_and_grams", "pitched"]

FloatRows = NDArray[np.float32]
Embed = Callable[[Sequence[PartedNotes]], FloatRows]
WINDOW = 256  # notes
MOST_NOTES = 1536  # of a piece; measures are taken every hour
PERFORMED = ("maestro", "asap", "ecomp", "rolls", "piano-midi-de")
BANDS = ("genres", "games", "jazz", "web", "composers")
PER_SET = 90
VERSIONS = {"versions, piano": PERFORMED, "versions, pop909": ("pop909",), "versions, bands": BANDS}
STYLES = (
    ("composers", "composer"),
    ("genres", "genre"),
    ("games", "game"),
    ("nottingham", "type"),
    ("pianist8", "artist"),
)
IDENTITY = ("score from performance", "score from 30 s", *VERSIONS, "copy, mean", "band, mean")


def _excerpt(notes: PartedNotes, rng: np.random.Generator, seconds: float = 30.0) -> PartedNotes:
    span = int(seconds * GRID_HZ)
    last = int(notes.onset[-1])
    if last <= span:
        return notes
    for _ in range(20):
        begin = int(rng.integers(0, last - span))
        first, end = np.searchsorted(notes.onset, [begin, begin + span])
        if end - first >= 20:
            return notes.select(slice(first, end))
    return notes.select(slice(0, 200))


def _jitter(notes: PartedNotes, rng: np.random.Generator) -> PartedNotes:
    moved = notes.onset + rng.normal(0, 0.03 * GRID_HZ, len(notes))
    return replace(notes, onset=np.maximum(moved, 0).astype(np.uint32)).sorted()


def _quantise(notes: PartedNotes, _: np.random.Generator) -> PartedNotes:
    step = GRID_HZ // 8
    onset = (notes.onset.astype(np.int64) + step // 2) // step * step
    duration = np.maximum((notes.duration.astype(np.int64) + step // 2) // step * step, step)
    return replace(notes, onset=onset.astype(np.uint32), duration=duration.astype(np.uint32)).sorted()


def _transpose(notes: PartedNotes, semitones: int) -> PartedNotes:
    pitch = notes.pitch.astype(np.int64)
    pitch = np.where(notes.instrument == DRUMS, pitch, np.clip(pitch + semitones, 0, 127))
    return replace(notes, pitch=pitch.astype(np.uint8)).sorted()


def _slower(notes: PartedNotes, _: np.random.Generator) -> PartedNotes:
    onset, duration = (c.astype(np.float64) * 1.25 for c in (notes.onset, notes.duration))
    return replace(notes, onset=onset.astype(np.uint32), duration=duration.astype(np.uint32)).sorted()


ALTERED: dict[str, Callable[[PartedNotes, np.random.Generator], PartedNotes]] = {
    "transposed": lambda n, rng: _transpose(n, -6),
    "slower": _slower,
    "jitter": _jitter,
    "dropped": lambda n, rng: n.select(rng.random(len(n)) >= 0.2),
    "quantised": _quantise,
    "excerpt": _excerpt,
}


def _other_instruments(notes: PartedNotes, rng: np.random.Generator) -> PartedNotes:
    other = rng.integers(0, 112, 256).astype(np.uint8)[notes.part]
    return replace(
        notes, instrument=np.where(notes.instrument == DRUMS, DRUMS, other).astype(np.uint8)
    ).sorted()


def _one_part(notes: PartedNotes, rng: np.random.Generator) -> PartedNotes:
    parts, counts = np.unique(notes.part[notes.instrument != DRUMS], return_counts=True)
    return notes.select(notes.part == rng.choice(parts[counts >= min(60, counts.max())]))


ARRANGED: dict[str, Callable[[PartedNotes, np.random.Generator], PartedNotes]] = {
    "instruments": _other_instruments,
    "no drums": lambda n, rng: n.select(n.instrument != DRUMS),
    "one part": _one_part,
    "drums alone": lambda n, rng: n.select(n.instrument == DRUMS),
}


class Measures:
    """Queries and candidates of one split, made once."""

    def __init__(
        self, corpus: EnsembleCorpus, split: str, per_set: int = PER_SET, most: int = MOST_NOTES
    ) -> None:
        rng = np.random.default_rng(0)
        pieces = [i for i in corpus.indices(split).tolist() if corpus.sizes[i] >= 60]
        by_set: dict[str, list[int]] = {}
        for i in pieces:
            by_set.setdefault(corpus.pieces[i].set, []).append(i)
        works: dict[int, list[int]] = {}
        for i in pieces:
            works.setdefault(corpus.pieces[i].work, []).append(i)
        chosen: list[int] = []
        for of in by_set.values():
            # Works with versions first: they are what is measured.
            several = sorted(
                of,
                key=lambda i: (
                    corpus.pieces[i].labels.get("kind") != "score",
                    len(works[corpus.pieces[i].work]) < 2,
                    rng.random(),
                ),
            )
            chosen += several[:per_set]
        self.records = [corpus.pieces[i] for i in chosen]
        self.pieces = [corpus.parted(i).select(slice(0, most)) for i in chosen]
        self.windows = [
            (i, a, b) for i, notes in enumerate(self.pieces) for a, b in window_ranges(len(notes), WINDOW)
        ]
        self.work = np.array([r.work for r in self.records])
        self.sets = np.array([r.set for r in self.records])
        solid = [i for i, n in enumerate(self.pieces) if len(n) >= 150]
        self.copies = rng.permutation(solid)[:100].tolist()
        banded = [
            i for i in solid
            if self.sets[i] in BANDS
            and len(np.unique(self.pieces[i].part)) >= 4
            and (self.pieces[i].instrument == DRUMS).sum() >= 60
            and (self.pieces[i].instrument != DRUMS).sum() >= 120
        ]  # fmt: skip
        self.bands = rng.permutation(banded)[:100].tolist()
        # A work may hold several movements, linked by a performance of all: a score is right for its own.
        self.composition = np.array([r.labels.get("composition", "") for r in self.records])
        self.is_score = np.array([r.labels.get("kind") == "score" for r in self.records])
        scored = set(self.composition[self.is_score].tolist()) - {""}
        performed = [i for i in solid if self.records[i].labels.get("kind") == "performance"]
        self.performed = [i for i in performed if self.composition[i] in scored]
        queries = {
            ("copy", name): [make(self.pieces[i], rng) for i in self.copies] for name, make in ALTERED.items()
        }
        queries |= {
            ("band", name): [make(self.pieces[i], rng) for i in self.bands] for name, make in ARRANGED.items()
        }
        queries["of score", "excerpt"] = [_excerpt(self.pieces[i], rng) for i in self.performed]
        self.queries = queries

    def __call__(self, embed: Embed) -> dict[str, float]:
        """Figures of vectors, by name; those that the split has no pieces for are left out."""
        gallery = embed(self.pieces)
        same = self.work[:, None] == self.work[None]
        windows = embed([self.pieces[i].select(slice(a, b)) for i, a, b in self.windows])
        numbers = self._scores(gallery, windows, same, embed) | self._versions(gallery, same)
        for kind, at in (("copy", self.copies), ("band", self.bands)):
            own = np.eye(len(gallery), dtype=bool)[at]
            of_kind = {name: queries for (of, name), queries in self.queries.items() if of == kind and at}
            for name, queries in of_kind.items():
                query = embed(queries)
                found = retrieval(query @ gallery.T, own, same[at] & ~own)
                numbers[f"{kind}, {name}"] = found.recall_at_1
                if name == "excerpt":
                    found = retrieval(self._nearest_window(query, windows), own, same[at] & ~own)
                    numbers["copy, excerpt by windows"] = found.recall_at_1
            if of_kind:
                every = [numbers[f"{kind}, {name}"] for name in of_kind]
                numbers[f"{kind}, mean"] = float(np.mean(every))
        numbers |= {
            f"{label}, MAP": v for set_, label in STYLES if (v := self._alike(gallery, same, set_, label))
        }
        identity = [value for name, value in numbers.items() if name in IDENTITY]
        style = [numbers[f"{label}, MAP"] for _, label in STYLES if f"{label}, MAP" in numbers]
        numbers |= {name: float(np.mean(of)) for name, of in (("identity", identity), ("style", style)) if of}
        return {name: 100 * value for name, value in numbers.items()}

    def _nearest_window(self, query: FloatRows, windows: FloatRows) -> FloatRows:
        """Similarity of queries to the best window of each piece."""
        first = np.flatnonzero(np.diff([piece for piece, _, _ in self.windows], prepend=-1))
        return np.maximum.reduceat(query @ windows.T, first, axis=1)

    def _scores(
        self, gallery: FloatRows, windows: FloatRows, same: NDArray[np.bool_], embed: Embed
    ) -> dict[str, float]:
        """Scores found by performances and by 30 s of them, mean reciprocal rank; other performances of the
        work are neither right nor wrong."""
        if not self.performed:
            return {}
        right = (self.composition[self.performed][:, None] == self.composition[None]) & self.is_score
        left_out = same[self.performed] & ~right
        excerpts = embed(self.queries["of score", "excerpt"])
        found = {
            "score from performance": gallery[self.performed] @ gallery.T,
            "score from 30 s": excerpts @ gallery.T,
            "score from 30 s, by windows": self._nearest_window(excerpts, windows),
        }
        return {name: retrieval(cosine, right, left_out).mrr for name, cosine in found.items()}

    def _versions(self, gallery: FloatRows, same: NDArray[np.bool_]) -> dict[str, float]:
        own = np.eye(len(gallery), dtype=bool)
        cosine = gallery @ gallery.T
        numbers = {}
        for name, sets in VERSIONS.items():
            at = np.isin(self.sets, sets) & (same.sum(1) > 1)
            if at.any():
                numbers[name] = average_precision(cosine[at], same[at], own[at])
        return numbers

    def _alike(self, gallery: FloatRows, same: NDArray[np.bool_], set_: str, label: str) -> float | None:
        """Mean average precision of pieces of one class, of other works, classes of three pieces or more."""
        classes = np.array([r.labels.get(label, "") if r.set == set_ else "" for r in self.records])
        names, counts = np.unique(classes, return_counts=True)
        at = np.flatnonzero(np.isin(classes, names[(counts >= 3) & (names != "")]))
        left_out = same[np.ix_(at, at)]
        alike = (classes[at][:, None] == classes[at][None]) & ~left_out
        known = alike.any(1)
        if known.sum() < 10:
            return None
        return average_precision((gallery[at] @ gallery[at].T)[known], alike[known], left_out[known])


def features_and_grams(reference: Sequence[PartedNotes]) -> dict[str, Embed]:
    """The hand-made baselines of `train.baselines` (pitched notes; of drums alone, all notes), by name."""
    made = Baselines([pitched(notes) for notes in reference])

    def of(name: str) -> Embed:
        return lambda pieces: made.vectors([pitched(notes) for notes in pieces])[name]

    return {name: of(name) for name in ("features", "n-grams", "both")}


def pitched(notes: PartedNotes) -> Notes:
    """Notes without drums, for what knows none; of drums alone, all."""
    which = notes.instrument != DRUMS
    if not which.any():
        which = ~which
    columns = (notes.onset / GRID_HZ, notes.duration / GRID_HZ, notes.pitch, np.maximum(notes.velocity, 1))
    return Notes(*(c[which] for c in columns))
