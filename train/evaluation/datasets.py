"""The pieces of an evaluation: notes, labels, headers, works, and whether training may have seen them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from embedder.core.arrays import IntArray
from embedder.core.errors import CorpusError, MidiError
from embedder.core.progress import OnProgress, no_progress
from embedder.midi.events import read_events
from embedder.midi.pool import FileRead, read_many
from embedder.midi.reading import METER
from embedder.midi.ticks import TEMPO
from embedder.notes import Notes

from ..prepare import Source, find_sources
from ..works import components, label_cues, note_links, runs_of_intervals

__all__ = ["MIN_NOTES", "Collection", "EvaluatedPiece", "Header", "collect", "read_header", "shipped_splits"]

MIN_NOTES = 40  # shorter pieces are left out of every task
_RUN_LENGTH = 10  # neighbouring files that are kept together where not all are read
_KEY = 0x59  # type of the meta event of a key signature
_TONICS = ("C", "G", "D", "A", "E", "B", "F#", "C#", "Ab", "Eb", "Bb", "F")  # by sharps, modulo 12


@dataclass(frozen=True)
class Header:
    """Key, metre and tempo that a notated file states; "" or 0 where it states none.

    Attributes
    ----------
    tonic : of the first key signature, by name
    mode : "major" or "minor"
    metre : first time signature, like "3/4"; only of files with a key signature, because recorders write
        4/4 over everything
    bpm : the median of the tempos; 0 for the one tempo of 120 that files have by default
    """

    tonic: str = ""
    mode: str = ""
    metre: str = ""
    bpm: float = 0.0


def read_header(path: str) -> Header:
    """What a file states of key, metre and tempo; nothing of one that cannot be read."""
    try:
        events = read_events(Path(path).read_bytes())
    except (MidiError, OSError):
        return Header()
    keys = [event.data for event in events.meta(_KEY) if len(event.data) == 2]
    metres = [event.data for event in events.meta(METER) if len(event.data) >= 2]
    tempos = [60e6 / us for event in events.meta(TEMPO) if (us := int.from_bytes(event.data[:3], "big"))]
    default = tempos in ([], [120.0])  # what every file without a tempo has
    bpm = 0.0 if default else median(tempos)
    if not keys:
        return Header(bpm=bpm)
    minor = keys[0][1] == 1
    sharps = int.from_bytes(keys[0][:1], "big", signed=True) + (3 if minor else 0)
    return Header(
        tonic=_TONICS[sharps % 12],
        mode="minor" if minor else "major",
        metre=f"{metres[0][0]}/{1 << min(metres[0][1], 7)}" if metres else "",
        bpm=bpm,
    )


@dataclass(frozen=True)
class EvaluatedPiece:
    """A piece: its set and file, its labels, its notes, and the number of its work.

    `preprocessed` is what the preprocessor of an encoder made of the whole file, if it has one.
    """

    set: str
    file: str
    labels: dict[str, str]
    notes: Notes
    work: int
    preprocessed: Any = None
    header: Header = Header()


@dataclass(frozen=True)
class Collection:
    """Pieces to evaluate on; all of works that no encoder was trained on.

    Attributes
    ----------
    unread : files that gave no usable notes
    seen : files left out because training may have used their works
    """

    pieces: list[EvaluatedPiece]
    unread: int = 0
    seen: int = 0
    sets: tuple[str, ...] = field(default=())

    @property
    def works(self) -> IntArray:
        """The work of each piece."""
        return np.array([piece.work for piece in self.pieces], dtype=np.int64)

    @property
    def preprocessed(self) -> dict[str, Any]:
        """Preprocessed whole files by the digest of their notes, for an encoder that has a preprocessor."""
        return {p.notes.digest(): p.preprocessed for p in self.pieces if p.preprocessed is not None}

    @cached_property
    def sets_with_composers(self) -> frozenset[str]:
        """Sets any piece of which has a composer."""
        return frozenset(piece.set for piece in self.pieces if piece.labels.get("composer"))

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
    max_per_set: int | None = None,
    workers: int = 1,
    preprocessor: str | None = None,
    on_progress: OnProgress = no_progress,
) -> Collection:
    """Read folders of MIDI files, each set with its labels.csv.

    Parameters
    ----------
    held_out : tables of columns set, file, split; of a set that a table names, only its test files
        are kept, and of several tables only files that all of them keep
    max_per_set : files of each set to read, in evenly spaced runs of neighbours; None for all
    preprocessor : of an encoder (`embedder.Encoder.front`); files that it cannot read are left out

    Raises
    ------
    CorpusError
        If a folder or table cannot be read, or nothing is left.
    """
    sources = find_sources(folders)
    tables = [_test_files(path) for path in held_out]
    unseen = [
        s for s in sources if all((s.set, s.file) in files or s.set not in sets for files, sets in tables)
    ]
    if max_per_set is not None:
        unseen = _subsample(unseen, max_per_set)
    read: list[tuple[str, str, dict[str, str], Notes]] = []
    extras: list[tuple[Any, Header]] = []
    results = read_many([s.found.path for s in unseen], workers=workers, front=preprocessor, drums=False)
    for done, (source, (_, result)) in enumerate(zip(unseen, results, strict=True)):
        on_progress("reading", done + 1, len(unseen))
        if isinstance(result, FileRead) and len(result.midi.notes) >= MIN_NOTES:
            read.append((source.set, source.file, source.labels, result.midi.notes.from_zero()))
            extras.append((result.prepared, read_header(source.found.path)))
    if not read:
        raise CorpusError(f"no piece of {MIN_NOTES} notes or more is left to evaluate on")
    sets = {set_ for set_, _, _, _ in read}
    cues = [label_cues(set_, file, labels, sets - {set_}) for set_, file, labels, _ in read]
    links = note_links([runs_of_intervals(notes) for _, _, _, notes in read])
    works = components(len(read), ((first, second) for first, second, _ in links), cues)
    pieces = [
        EvaluatedPiece(*columns, work, *extra)
        for columns, work, extra in zip(read, works.tolist(), extras, strict=True)
    ]
    return Collection(pieces, len(unseen) - len(pieces), len(sources) - len(unseen), tuple(sorted(sets)))


def _subsample(sources: Sequence[Source], max_files: int) -> list[Source]:
    """At most so many files of each set: runs of neighbours, so that versions of a work stay together."""
    kept: list[Source] = []
    for name in sorted({source.set for source in sources}):
        of_set = sorted((s for s in sources if s.set == name), key=lambda s: s.file)
        runs = max(1, max_files // _RUN_LENGTH)
        for first in (
            np.linspace(0, max(len(of_set) - _RUN_LENGTH, 0), runs).astype(int)
            if len(of_set) > max_files
            else [0]
        ):
            neighbours = of_set[first : first + _RUN_LENGTH] if len(of_set) > max_files else of_set
            kept += [source for source in neighbours if source not in kept[-2 * _RUN_LENGTH :]]
    return kept


def _test_files(path: Path) -> tuple[set[tuple[str, str]], set[str]]:
    """Test files of a table, and the sets that it names."""
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        files = {(row["set"], row["file"]) for row in rows if row["split"] == "test"}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise CorpusError(
            f"{path} is not a list of held-out works (columns set, file, split): {error}"
        ) from None
    return files, {row["set"] for row in rows}
