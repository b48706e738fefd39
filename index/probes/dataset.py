"""Training data of probes: vectors of a library, labelled examples of a tag, and the works of pieces.

Cross-validation keeps the versions of a work together in one fold.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, func, select

from embedder.core.arrays import BoolArray, FloatRows, IntArray
from embedder.core.errors import TagError
from embedder.core.files import shortened

from ..duplicates.decisions import Verdict, active_decisions, list_decisions
from ..matching import group_works, landmark_keys, link_versions
from ..storage import chunks, damaged, schema, unpack_notes, unpack_spans, unpack_vectors
from ..tags import FACET, FREE, NO, YES, active_labels

__all__ = [
    "GROUPING",
    "Examples",
    "PieceVectors",
    "collect_examples",
    "count_vectors",
    "labels_digest",
    "load_vectors",
    "sample_rows",
    "works_of",
]

GROUPING = "works detected from landmarks of the labelled pieces' notes"
MIN_WORKS = 2  # per class; with a single one, cross-validation says nothing about the class
_CACHED_PIECES = 700  # about 30 MB of landmarks: suggestions look at up to 600 pieces after each label
_MAX_LISTED = 4
_BATCH = 10_000  # pieces read, or scaled, at a time
_MIN_PER_CLASS = 10  # rows of each class that a sample keeps


# -- vectors of the library -------------------------------------------------------------------------


@dataclass(frozen=True)
class PieceVectors:
    """Vectors of the pieces of a library.

    Attributes
    ----------
    piece_ids : int64 [n], ascending
    vectors : float16 [n, dim], as stored
    """

    piece_ids: IntArray
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.piece_ids)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    def of(self, piece_ids: Sequence[int] | IntArray) -> FloatRows:
        """Vectors of pieces that are among these, float32 [k, dim]."""
        rows = np.searchsorted(self.piece_ids, np.asarray(piece_ids, dtype=np.int64))
        return self.vectors[rows].astype(np.float32)

    def batches(self) -> Iterator[slice]:
        """Slices of rows, few enough to be converted to float32 at once."""
        for first in range(0, len(self.piece_ids), _BATCH):
            yield slice(first, first + _BATCH)


def count_vectors(connection: Connection, after: int = 0) -> int:
    """Number of pieces with ids greater than `after`."""
    table = schema.piece_vectors
    query = select(func.count()).select_from(table).where(table.c.piece_id > after)
    return int(connection.execute(query).scalar_one())


def load_vectors(connection: Connection, dim: int, *, after: int = 0) -> PieceVectors:
    """Vectors of all pieces, or of those with ids greater than `after`.

    Raises
    ------
    TagError
        If there are none.
    """
    table = schema.piece_vectors
    count = count_vectors(connection, after)
    if not count or dim < 1:
        raise TagError("the library holds no pieces; add some with `midikin add FOLDER`")
    piece_ids = np.empty(count, dtype=np.int64)
    vectors = np.empty((count, dim), dtype=np.float16)
    query = select(table.c.piece_id, table.c.vector).where(table.c.piece_id > after)
    result = connection.execute(query.order_by(table.c.piece_id))
    first = 0
    while batch := result.fetchmany(_BATCH):
        rows = unpack_vectors(b"".join(row.vector for row in batch), dim)
        if len(rows) != len(batch):
            raise damaged("a stored vector has the wrong length")
        piece_ids[first : first + len(batch)] = [row.piece_id for row in batch]
        vectors[first : first + len(batch)] = rows
        first += len(batch)
    return PieceVectors(piece_ids, vectors)


# -- works ---------------------------------------------------------------------------------------


def works_of(connection: Connection, piece_ids: Sequence[int]) -> dict[int, int]:
    """The work of each piece: versions by their landmarks, and what the user decided about duplicates.

    A pair that was decided to be the same is linked, and one decided to be different is not linked directly.
    """
    ids = sorted(set(piece_ids))
    same, different = _decided(connection, ids)
    detected = set(link_versions(_landmarks(connection, ids))) - different
    works = group_works(len(ids), [*same, *sorted(detected)])
    return dict(zip(ids, works.tolist(), strict=True))


def _landmarks(connection: Connection, piece_ids: Sequence[int]) -> list[NDArray[np.uint32]]:
    """The landmark keys of each piece, in the order of the ids, which are ascending."""
    table = schema.notes
    keys = []
    for chunk in chunks(piece_ids):
        query = select(table.c.packed).where(table.c.piece_id.in_(chunk)).order_by(table.c.piece_id)
        keys += [_landmark_keys(packed) for packed in connection.execute(query).scalars()]
    return keys


@lru_cache(maxsize=_CACHED_PIECES)
def _landmark_keys(packed: bytes) -> NDArray[np.uint32]:
    """The landmark keys of packed notes."""
    return landmark_keys(unpack_notes(packed))


def _decided(
    connection: Connection, piece_ids: Sequence[int]
) -> tuple[list[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs of indices, ascending, that the user decided to be the same music, and to be different."""
    index = {piece_id: i for i, piece_id in enumerate(piece_ids)}
    of_hash: dict[str, int] = {}
    for chunk in chunks(piece_ids):
        query = select(schema.pieces.c.sha256, schema.pieces.c.id).where(schema.pieces.c.id.in_(chunk))
        of_hash.update((row.sha256, index[row.id]) for row in connection.execute(query))
    same, different = [], set()
    for (hash_a, hash_b), decision in active_decisions(list_decisions(connection)).items():
        if hash_a in of_hash and hash_b in of_hash:
            pair = min(of_hash[hash_a], of_hash[hash_b]), max(of_hash[hash_a], of_hash[hash_b])
            if decision.verdict is Verdict.NOT_SAME:
                different.add(pair)
            else:
                same.append(pair)
    return same, different


# -- labelled examples ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """Labelled pieces and time ranges of pieces of one tag.

    Attributes
    ----------
    classes : values of a facet in alphabetical order, or ("no", "yes")
    vectors : float32 [n, dim]
    label : int64 [n], class numbers
    pieces : int64 [n], ids of the pieces
    whole : bool [n], False for a time range
    digest : of the active labels
    remarks : what was left out, and why
    """

    tag: str
    kind: str
    classes: tuple[str, ...]
    vectors: FloatRows
    label: IntArray
    pieces: IntArray
    whole: BoolArray
    digest: str
    remarks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)

    def subset(self, rows: BoolArray | IntArray) -> Examples:
        """Some of the examples; classes keep their numbers."""
        return replace(
            self,
            vectors=self.vectors[rows],
            label=self.label[rows],
            pieces=self.pieces[rows],
            whole=self.whole[rows],
        )

    def with_classes_of(self, other: Examples) -> Examples:
        """The examples of the classes that `other`, a subset of these, has kept, with its class numbers."""
        if other.classes == self.classes:
            return self
        number = {name: i for i, name in enumerate(other.classes)}
        label = np.array([number.get(name, -1) for name in self.classes])[self.label]
        kept = replace(self.subset(label >= 0), classes=other.classes, remarks=other.remarks)
        return replace(kept, label=label[label >= 0])

    def with_enough_works(self, work: IntArray) -> tuple[Examples, IntArray]:
        """The examples without classes known from a single work, and their works.

        Raises
        ------
        TagError
            If fewer than two classes are left.
        """
        works = [len(np.unique(work[self.label == i])) for i in range(len(self.classes))]
        kept = [i for i, count in enumerate(works) if count >= MIN_WORKS]
        too_few = [self.classes[i] for i, count in enumerate(works) if count < MIN_WORKS]
        if len(kept) < 2:
            raise TagError(_too_few_labels(self, too_few))
        if not too_few:
            return self, work
        number = np.full(len(self.classes), -1)
        number[kept] = np.arange(len(kept))
        rows = np.isin(self.label, kept)
        subset = self.subset(rows)
        names = _listed(too_few) + (", ..." if len(too_few) > _MAX_LISTED else "")
        verb = "is known" if len(too_few) == 1 else f"({len(too_few)} classes) are known"
        remark = f"left out: {names} {verb} from one work only; label another work of it"
        return (
            replace(
                subset,
                classes=tuple(self.classes[i] for i in kept),
                label=number[subset.label],
                remarks=(*self.remarks, remark),
            ),
            work[rows],
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shortened(name) for name in names[:_MAX_LISTED])


def _too_few_labels(examples: Examples, too_few: Sequence[str]) -> str:
    name = shortened(examples.tag)
    counts = Counter(examples.classes[i] for i in examples.label)
    if examples.kind == FREE:
        missing = too_few[0]
        option = "--add" if missing == YES else "--not"
        labelled = "1 piece is" if counts[missing] == 1 else f"{counts[missing]} pieces are"
        return (
            f"{name}: {labelled} labelled {missing!r}, and {MIN_WORKS} of different works are needed; "
            f"label more with `midikin tag {name} {option} PIECE ...`"
        )
    if len(examples.classes) < 2:
        return f"{name}: all labels have the value {shortened(examples.classes[0])}; label another value too"
    return (
        f"{name}: at least two classes need labelled pieces of {MIN_WORKS} different works each; "
        f"label more of {_listed(too_few)}"
    )


def labels_digest(rows: Sequence[Row[Any]]) -> str:
    """A hash of the state of a tag's labels."""
    state = sorted((r.sha256, r.value, r.holds, r.start_s or -1.0, r.end_s or -1.0) for r in rows)
    return hashlib.sha256(repr(state).encode()).hexdigest()


@dataclass(frozen=True)
class _LabelledPiece:
    """A label with the piece that holds its content; `digest` is that of the piece's notes."""

    class_name: str
    start_s: float | None
    end_s: float | None
    piece_id: int
    digest: str


def collect_examples(connection: Connection, tag: Row[Any], library: PieceVectors) -> Examples:
    """The examples of a tag: each content once, and copies with the same notes and label once.

    Raises
    ------
    TagError
        If no piece of the library has a label of the tag.
    """
    rows = active_labels(connection, tag.id)
    digest = labels_digest(rows)
    if tag.kind == FACET:
        rows = [row for row in rows if row.holds]  # "is not this value" names no class
    pieces = _pieces_of_contents(connection, sorted({row.sha256 for row in rows}))
    remarks: list[str] = []
    if missing := len({row.sha256 for row in rows} - set(pieces)):
        contents = "1 labelled content is" if missing == 1 else f"{missing:,} labelled contents are"
        remarks.append(f"{contents} not in the library now")
    labelled = [
        _LabelledPiece(_class_of(tag.kind, row), row.start_s, row.end_s, *pieces[row.sha256])
        for row in rows
        if row.sha256 in pieces
    ]
    labelled, dropped = _without_contradictions(labelled)
    if dropped:
        remarks.append(f"left out: {dropped} pieces that hold the same notes and are labelled differently")
    if not labelled:
        raise TagError(f"{shortened(tag.name)}: no piece of the library has a label of it; label some first")
    classes = (NO, YES) if tag.kind == FREE else tuple(sorted({piece.class_name for piece in labelled}))
    number = {name: i for i, name in enumerate(classes)}
    piece_ids = np.array([piece.piece_id for piece in labelled], dtype=np.int64)
    vectors = library.of(piece_ids)
    for i, piece in enumerate(labelled):
        if piece.start_s is not None and piece.end_s is not None:
            vectors[i] = _range_vector(connection, piece.piece_id, piece.start_s, piece.end_s, library.dim)
    return Examples(
        tag=tag.name,
        kind=tag.kind,
        classes=classes,
        vectors=vectors,
        label=np.array([number[piece.class_name] for piece in labelled], dtype=np.int64),
        pieces=piece_ids,
        whole=np.array([piece.start_s is None for piece in labelled]),
        digest=digest,
        remarks=tuple(remarks),
    )


def _class_of(kind: str, row: Row[Any]) -> str:
    if kind == FREE:
        return YES if row.holds else NO
    return str(row.value)


def _pieces_of_contents(connection: Connection, hashes: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Id and digest of the notes of pieces, by the hash of their bytes."""
    columns = schema.pieces.c
    pieces: dict[str, tuple[int, str]] = {}
    for chunk in chunks(hashes):
        query = select(columns.sha256, columns.id, columns.digest).where(columns.sha256.in_(chunk))
        pieces.update((row.sha256, (row.id, row.digest)) for row in connection.execute(query))
    return pieces


def _without_contradictions(labelled: list[_LabelledPiece]) -> tuple[list[_LabelledPiece], int]:
    """One example for all copies of the same notes; none where copies are labelled differently."""
    copies: dict[tuple[str, float | None, float | None], list[_LabelledPiece]] = defaultdict(list)
    for piece in labelled:
        copies[piece.digest, piece.start_s, piece.end_s].append(piece)
    agree = {key: len({piece.class_name for piece in group}) == 1 for key, group in copies.items()}
    kept = [group[0] for key, group in copies.items() if agree[key]]
    return kept, sum(len(group) for key, group in copies.items() if not agree[key])


def _range_vector(connection: Connection, piece_id: int, start_s: float, end_s: float, dim: int) -> FloatRows:
    """Mean of the windows that overlap a time range, weighted by their overlap, of unit length."""
    windows = schema.windows.c
    query = select(windows.spans, windows.vectors).where(windows.piece_id == piece_id)
    row = connection.execute(query).one()
    spans, vectors = unpack_spans(row.spans), unpack_vectors(row.vectors, dim)
    overlap = np.minimum(spans["end_s"], end_s) - np.maximum(spans["start_s"], start_s)
    weight = np.maximum(overlap, 0) / np.maximum(spans["end_s"] - spans["start_s"], 1e-6)
    if not weight.any():  # a range within a rest: the window nearest to it
        weight[np.argmin(np.abs((spans["start_s"] + spans["end_s"]) / 2 - (start_s + end_s) / 2))] = 1
    mean = weight @ vectors
    unit: FloatRows = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
    return unit


def sample_rows(label: IntArray, size: int) -> IntArray:
    """Rows of a random sample with some of every class, ascending; all if there are at most `size`."""
    if len(label) <= size:
        return np.arange(len(label))
    order = np.random.default_rng(0).permutation(len(label))
    of_each = np.concatenate([order[label[order] == c][:_MIN_PER_CLASS] for c in np.unique(label)])
    return np.sort(np.unique(np.concatenate([of_each, order[: size - len(of_each)]])))
