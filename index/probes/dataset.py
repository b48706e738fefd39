"""From labels to what a probe is trained on: vectors with their classes, and what had to be left out."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from embedder.core.errors import TagError

from ..storage import schema, unpack_spans, unpack_vectors
from ..storage.pieces import chunks
from ..tags.labels import standing
from ..tags.names import shown
from ..tags.records import FACET, FREE, NO, YES
from .gallery import Gallery

__all__ = ["Examples", "collect", "labels_digest"]

LEAST_WORKS = 2  # of a class: with one, nothing can be said of how well it is told
_NAMED = 4

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Labelled pieces, and parts of pieces, of one tag.

    Attributes
    ----------
    classes : values of a facet in alphabetical order, or ("no", "yes")
    vectors : float32 [n, dim]
    label : int64 [n], number of the class
    pieces : int64 [n], numbers of the pieces
    whole : bool [n], False for a part of a piece
    digest : of the labels that stood
    remarks : what was left out, and why
    """

    tag: str
    kind: str
    classes: tuple[str, ...]
    vectors: FloatArray
    label: IntArray
    pieces: IntArray
    whole: NDArray[np.bool_]
    digest: str
    remarks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)

    def only(self, rows: NDArray[np.bool_] | IntArray) -> Examples:
        """Some of the examples; classes keep their numbers."""
        return replace(
            self,
            vectors=self.vectors[rows],
            label=self.label[rows],
            pieces=self.pieces[rows],
            whole=self.whole[rows],
        )

    def of_classes(self, other: Examples) -> Examples:
        """The examples of those classes that others, drawn from these, have kept, with their numbers."""
        if other.classes == self.classes:
            return self
        number = {name: i for i, name in enumerate(other.classes)}
        new = np.array([number.get(name, -1) for name in self.classes])[self.label]
        left = replace(self.only(new >= 0), classes=other.classes, remarks=other.remarks)
        return replace(left, label=new[new >= 0])

    def of_enough_works(self, work: IntArray) -> tuple[Examples, IntArray]:
        """Without classes that are known from a single work, and the works of what is left.

        Raises
        ------
        TagError
            If fewer than two classes are left.
        """
        works = [len(np.unique(work[self.label == i])) for i in range(len(self.classes))]
        kept = [i for i, count in enumerate(works) if count >= LEAST_WORKS]
        few = [self.classes[i] for i, count in enumerate(works) if count < LEAST_WORKS]
        if len(kept) < 2:
            raise TagError(_too_few(self, few))
        if not few:
            return self, work
        number = np.full(len(self.classes), -1)
        number[kept] = np.arange(len(kept))
        rows = np.isin(self.label, kept)
        left = self.only(rows)
        names = ", ".join(shown(name) for name in few[:_NAMED]) + (", ..." if len(few) > _NAMED else "")
        verb = "is known" if len(few) == 1 else f"({len(few)} classes) are known"
        remark = f"left out: {names} {verb} from one work only; label another work of it"
        return (
            replace(
                left,
                classes=tuple(self.classes[i] for i in kept),
                label=number[left.label],
                remarks=(*self.remarks, remark),
            ),
            work[rows],
        )


def _too_few(examples: Examples, few: Sequence[str]) -> str:
    name = shown(examples.tag)
    counts = Counter(examples.classes[i] for i in examples.label)
    if examples.kind == FREE:
        missing = few[0]
        option = "--add" if missing == YES else "--not"
        labelled = "1 piece is" if counts[missing] == 1 else f"{counts[missing]} pieces are"
        return (
            f"{name}: {labelled} labelled {missing!r}, and {LEAST_WORKS} of different works are the least; "
            f"label more with `midikin tag {name} {option} PIECE ...`"
        )
    if len(examples.classes) < 2:
        return f"{name}: all labels say {shown(examples.classes[0])}; label pieces of another value too"
    return (
        f"{name}: a class needs labelled pieces of {LEAST_WORKS} different works, and two classes have to; "
        f"label more of {', '.join(shown(one) for one in few[:_NAMED])}"
    )


def labels_digest(rows: Sequence[Row[Any]]) -> str:
    """What tells a state of a tag's labels from every other."""
    said = sorted((r.sha256, r.value, r.holds, r.start_s or -1.0, r.end_s or -1.0) for r in rows)
    return hashlib.sha256(repr(said).encode()).hexdigest()


def collect(connection: Connection, tag: Row[Any], gallery: Gallery, dim: int) -> Examples:
    """The examples of a tag; each content once, copies that say the same once.

    Raises
    ------
    TagError
        If no piece of the library has a label of the tag.
    """
    rows = standing(connection, tag.id)
    digest = labels_digest(rows)
    if tag.kind == FACET:
        rows = [row for row in rows if row.holds]  # "is not this one" names no class
    held = _contents(connection, sorted({row.sha256 for row in rows}))
    remarks: list[str] = []
    if gone := len({row.sha256 for row in rows} - set(held)):
        remarks.append(f"{gone} labelled contents are not in the library now")
    said = [(_class_of(tag.kind, row), row, *held[row.sha256]) for row in rows if row.sha256 in held]
    said, left_out = _without_contradictions(said)
    if left_out:
        remarks.append(f"left out: {left_out} pieces that hold the same notes and are labelled differently")
    if not said:
        raise TagError(f"{shown(tag.name)}: no piece of the library has a label of it; give some first")
    classes = (NO, YES) if tag.kind == FREE else tuple(sorted({one[0] for one in said}))
    number = {name: i for i, name in enumerate(classes)}
    pieces = np.array([one[2] for one in said], dtype=np.int64)
    whole = np.array([one[1].start_s is None for one in said])
    vectors = gallery.vectors[gallery.rows_of(pieces)].astype(np.float32)
    for at in np.flatnonzero(~whole):
        row = said[at][1]
        vectors[at] = _part_vector(connection, int(pieces[at]), row.start_s, row.end_s, dim)
    return Examples(
        tag=tag.name,
        kind=tag.kind,
        classes=classes,
        vectors=vectors,
        label=np.array([number[one[0]] for one in said], dtype=np.int64),
        pieces=pieces,
        whole=whole,
        digest=digest,
        remarks=tuple(remarks),
    )


def _class_of(kind: str, row: Row[Any]) -> str:
    if kind == FREE:
        return YES if row.holds else NO
    return str(row.value)


def _contents(connection: Connection, hashes: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Number and digest of the notes of pieces, by the hash of their bytes."""
    columns = schema.pieces.c
    held: dict[str, tuple[int, str]] = {}
    for some in chunks(hashes):
        query = select(columns.sha256, columns.id, columns.digest).where(columns.sha256.in_(some))
        held.update((row.sha256, (row.id, row.digest)) for row in connection.execute(query))
    return held


Said = tuple[str, Any, int, str]


def _without_contradictions(said: list[Said]) -> tuple[list[Said], int]:
    """One example for all copies of the same notes; none where copies are labelled differently."""
    together: dict[tuple[str, float | None, float | None], list[Said]] = defaultdict(list)
    for one in said:
        together[one[3], one[1].start_s, one[1].end_s].append(one)
    kept = [alike[0] for alike in together.values() if len({one[0] for one in alike}) == 1]
    return kept, sum(len(alike) for alike in together.values() if len({one[0] for one in alike}) > 1)


def _part_vector(connection: Connection, piece: int, start_s: float, end_s: float, dim: int) -> FloatArray:
    """The mean of the windows that overlap a part, each as far as it does, of unit length."""
    query = select(schema.windows.c.spans, schema.windows.c.vectors).where(schema.windows.c.piece_id == piece)
    row = connection.execute(query).one()
    spans, vectors = unpack_spans(row.spans), unpack_vectors(row.vectors, dim)
    overlap = np.minimum(spans["end_s"], end_s) - np.maximum(spans["start_s"], start_s)
    share = np.maximum(overlap, 0) / np.maximum(spans["end_s"] - spans["start_s"], 1e-6)
    if not share.any():  # a part in a rest: the window nearest to it
        share[np.argmin(np.abs((spans["start_s"] + spans["end_s"]) / 2 - (start_s + end_s) / 2))] = 1
    mean = share @ vectors
    unit: FloatArray = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
    return unit
