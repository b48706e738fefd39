"""Which pieces are the same work: labels that say so, and notes that agree, across all sets.

Notes: every run of six chords gives the five intervals of its top voice and those of its bottom voice.
Pieces are compared as bags of these runs (binary TF-IDF, runs that `COMMON` or more pieces share left out);
two pieces whose cosine exceeds `SAME_WORK` are linked. Transposition and tempo do not change the runs, and
unrelated pieces hardly share any.

Labels: columns that name a work (`composition`, `work`, `piece`, `song`, `tune`), and a column named after
another set that holds a path in it. A work is a component of the graph of all these links.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from embedder.core.arrays import connected_components
from embedder.notes import Notes

__all__ = [
    "SAME_WORK",
    "components",
    "label_cues",
    "note_links",
    "runs_of_intervals",
    "split_of",
    "title_cue",
]

CHORD_GAP_S = 0.035
RUN = 6  # chords
FARTHEST = 13  # semitones; larger intervals count as this
COMMON = 150  # pieces
SAME_WORK = 0.1  # cosine
FEWEST = 30  # runs in common: folk tunes, and their accompaniments above all, share some by custom
SHARED = 0.08  # of the runs of the piece that has fewer: what few common runs cannot reach in a small corpus
WORK_COLUMNS = ("composition", "work", "piece", "song", "tune")
_BLOCK = 512  # rows of the table of similarities held at once


def runs_of_intervals(notes: Notes) -> NDArray[np.int64]:
    """Distinct runs of a piece's outer voices as numbers; rising.

    Onsets closer than `CHORD_GAP_S` to the one before are one chord.
    """
    if not len(notes):
        return np.empty(0, dtype=np.int64)
    pitch = notes.pitch.astype(np.int64)
    first = np.flatnonzero(np.diff(notes.onset, prepend=-np.inf) > CHORD_GAP_S)
    found = []
    for voice, extreme in enumerate((np.maximum.reduceat(pitch, first), np.minimum.reduceat(pitch, first))):
        step = np.clip(np.diff(extreme), -FARTHEST, FARTHEST) + FARTHEST
        if len(step) < RUN - 1:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(step, RUN - 1)
        base = 2 * FARTHEST + 1
        found.append(windows @ base ** np.arange(RUN - 1) + voice * base ** (RUN - 1))
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def note_links(
    runs: Sequence[NDArray[np.int64]], threshold: float = SAME_WORK
) -> Iterator[tuple[int, int, float]]:
    """Pairs (i < j) of pieces whose runs agree, with their cosine.

    On 7,292 pieces of seven sets, outside the folk tunes, this finds all 8,746 linked pairs of an earlier
    grouping, and 14 more, of which those that were looked at are pairs of one work indeed.

    Parameters
    ----------
    runs : what `runs_of_intervals` gave for each piece
    """
    from scipy import sparse

    pieces = np.repeat(np.arange(len(runs)), [len(r) for r in runs])
    _, column, shared_by = np.unique(
        np.concatenate([*runs, np.empty(0, np.int64)]), return_inverse=True, return_counts=True
    )
    telling = (shared_by > 1) & (shared_by < COMMON)
    kept = telling[column]
    rarity = np.log(len(runs) / shared_by)[column[kept]].astype(np.float32)
    rows, columns = pieces[kept], column[kept]
    length = np.sqrt(np.bincount(rows, rarity**2, len(runs)))
    values = rarity / np.maximum(length, 1e-6)[rows].astype(np.float32)
    table = sparse.csr_array((values, (rows, columns)), shape=(len(runs), max(len(shared_by), 1)))
    turned = table.T.tocsr()
    for begin in range(0, len(runs), _BLOCK):
        cosine = (table[begin : begin + _BLOCK] @ turned).tocoo()
        row, column_ = cosine.coords[0] + begin, cosine.coords[1]
        for at in np.flatnonzero((cosine.data > threshold) & (row < column_)).tolist():
            one, other = int(row[at]), int(column_[at])
            shared = len(np.intersect1d(runs[one], runs[other], assume_unique=True))
            if shared >= FEWEST and shared > SHARED * min(len(runs[one]), len(runs[other])):
                yield one, other, float(cosine.data[at])


def label_cues(set_name: str, file: str, labels: Mapping[str, str], sets: Iterable[str]) -> list[str]:
    """What a piece's labels say of its work; pieces that share a cue are of one work."""
    cues = [f"file:{set_name}:{file}"]
    cues += [f"file:{other}:{labels[other]}" for other in sets if labels.get(other)]
    for column in WORK_COLUMNS:
        if labels.get(column):
            # A tune that is given as melody, as chords and as both is one tune.
            name = re.sub(r"_(melody|chords?|full)$", "", labels[column])
            cues.append(f"work:{set_name}:{name}")
    return cues


def title_cue(labels: Mapping[str, str]) -> str | None:
    """Composer's surname and title, if a piece has both: too weak to call two pieces one work (a title may
    name a whole set of pieces), strong enough to keep them on one side of a split."""
    words = re.findall(r"\w+", _plain(labels.get("title", "")))
    surname = re.findall(r"\w+", _plain(labels.get("composer", "").partition("/")[0]))[-1:]
    return f"title:{surname[0]}:{' '.join(words)}" if words and surname else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def components(
    count: int, links: Iterable[tuple[int, int]], cues: Sequence[Iterable[str]]
) -> NDArray[np.int64]:
    """Number of the component of each of `count` pieces; components are numbered by their first piece."""
    first_with: dict[str, int] = {}
    shared = [
        (piece, first_with.setdefault(cue, piece)) for piece, cues_of in enumerate(cues) for cue in cues_of
    ]
    return connected_components(count, [*shared, *links])


def split_of(files: Iterable[str], test_share: float, validation_share: float) -> str:
    """The split of a work, from a hash of the first of its files' names: the same in every preparation."""
    digest = hashlib.md5(min(files).encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    place = (int(digest, 16) % 10_000) / 10_000
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"
