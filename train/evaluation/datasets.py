"""The pieces that an evaluation is about: notes, labels, works, and whether training may have seen them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import CorpusError
from embedder.midi.pool import FileRead, read_many
from embedder.notes import Notes

from ..prepare import Source, find_sources
from ..works import components, label_cues, note_links, runs_of_intervals

__all__ = ["FEWEST_NOTES", "Collection", "EvaluatedPiece", "collect", "shipped_splits"]

FEWEST_NOTES = 40  # shorter pieces are left out of every task
_RUN = 10  # neighbouring files that are kept together where not all are read


@dataclass(frozen=True)
class EvaluatedPiece:
    """A piece: its set and file, its labels, its notes, and the number of its work.

    `heard` is what the front of an encoder made of the file, if one was asked for.
    """

    set: str
    file: str
    labels: dict[str, str]
    notes: Notes
    work: int
    heard: Any = None


@dataclass(frozen=True)
class Collection:
    """Pieces to evaluate on; all of works that no encoder was trained on.

    Attributes
    ----------
    unread : files that gave no usable notes
    seen : files left out because training may have seen their works
    """

    pieces: list[EvaluatedPiece]
    unread: int = 0
    seen: int = 0
    sets: tuple[str, ...] = field(default=())

    @property
    def works(self) -> NDArray[np.int64]:
        return np.array([piece.work for piece in self.pieces], dtype=np.int64)

    @property
    def heard(self) -> dict[str, Any]:
        """What an encoder with a front hears of the whole pieces, by the digest of their notes."""
        return {piece.notes.digest(): piece.heard for piece in self.pieces if piece.heard is not None}

    def having(self, column: str) -> list[int]:
        """Numbers of the pieces that have such a label."""
        return [i for i, piece in enumerate(self.pieces) if piece.labels.get(column)]


def shipped_splits(encoder: str) -> Path | None:
    """The list of works held out from a shipped encoder's training, if it is one."""
    path = Path(__file__).parents[1] / "splits" / f"{encoder}.csv"
    return path if path.exists() else None


def collect(
    folders: Sequence[str],
    held_out: Sequence[Path] = (),
    *,
    most: int | None = None,
    workers: int = 1,
    front: str | None = None,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Collection:
    """Read folders of MIDI files, each set with its labels.csv.

    Parameters
    ----------
    held_out : tables of columns set, file, split; of a set that a table names, only its test files
        are kept, and of several tables only files that all of them keep
    most : files of each set to read; if it has more, every so many of the list, None for all
    front : of an encoder (`embedder.Encoder.front`); files that it cannot hear are left out

    Raises
    ------
    CorpusError
        If a folder or table cannot be read, or nothing is left.
    """
    sources = find_sources(folders)
    wanted = [_test_files(path) for path in held_out]
    unseen = [
        s for s in sources if all((s.set, s.file) in files or s.set not in sets for files, sets in wanted)
    ]
    if most is not None:
        unseen = _thinned(unseen, most)
    read: list[tuple[str, str, dict[str, str], Notes]] = []
    heard: list[Any] = []
    answers = read_many([s.found.path for s in unseen], workers=workers, front=front, drums=False)
    for done, (source, (_, answer)) in enumerate(zip(unseen, answers, strict=True)):
        on_progress("reading", done + 1, len(unseen))
        if isinstance(answer, FileRead) and len(answer.midi.notes) >= FEWEST_NOTES:
            read.append((source.set, source.file, source.labels, answer.midi.notes.from_zero()))
            heard.append(answer.prepared)
    if not read:
        raise CorpusError(f"no piece of {FEWEST_NOTES} notes or more is left to evaluate on")
    sets = {set_ for set_, _, _, _ in read}
    cues = [label_cues(set_, file, labels, sets - {set_}) for set_, file, labels, _ in read]
    links = note_links([runs_of_intervals(notes) for _, _, _, notes in read])
    works = components(len(read), ((one, other) for one, other, _ in links), cues)
    pieces = [
        EvaluatedPiece(*each, work, prepared)
        for each, work, prepared in zip(read, works.tolist(), heard, strict=True)
    ]
    return Collection(pieces, len(unseen) - len(pieces), len(sources) - len(unseen), tuple(sorted(sets)))


def _thinned(sources: Sequence[Source], most: int) -> list[Source]:
    """At most so many files of each set: runs of neighbours, so that versions of a work stay together."""
    kept: list[Source] = []
    for name in sorted({source.set for source in sources}):
        of_set = sorted((s for s in sources if s.set == name), key=lambda s: s.file)
        runs = max(1, most // _RUN)
        for first in (
            np.linspace(0, max(len(of_set) - _RUN, 0), runs).astype(int) if len(of_set) > most else [0]
        ):
            part = of_set[first : first + _RUN] if len(of_set) > most else of_set
            kept += [source for source in part if source not in kept[-2 * _RUN :]]
    return kept


def _test_files(path: Path) -> tuple[set[tuple[str, str]], set[str]]:
    """Test files of a table, and the sets that it speaks of."""
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        files = {(row["set"], row["file"]) for row in rows if row["split"] == "test"}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise CorpusError(
            f"{path} is no list of held-out works (columns set, file, split): {error}"
        ) from None
    return files, {row["set"] for row in rows}
