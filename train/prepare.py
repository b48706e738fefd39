"""From folders of MIDI files to a corpus: read, filter, remove duplicates, find works, split, write.

Reading is the long part and can be interrupted at any moment: every few hundred files what was read goes to
a file of its own under `CORPUS/reading`, and a later call with the same files takes it from there. The rest
is done anew each time. The finished corpus remembers what it was made of: asking for it again costs nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import CorpusError
from embedder.midi.pool import FileRead, read_many
from embedder.notes import GRID_HZ, Notes
from index.scan import FileStatus, scan
from index.storage.paths import absolute, display

from .corpus import Corpus, PieceRecord, write_corpus
from .filters import chosen_filters, failing
from .works import components, label_cues, note_links, runs_of_intervals, split_of, title_cue

__all__ = ["PrepareSettings", "Source", "find_sources", "made_of", "prepare"]

FILES_A_PART = 256
_SAME_LENGTH = 0.02  # copies of a performance differ in their number of notes by less
_Splits = dict[tuple[str, str], str]  # split by set and file
_COPY = 0.85  # cosine of runs from which two pieces are compared note by note


@dataclass(frozen=True)
class PrepareSettings:
    """What `prepare` is asked for.

    Attributes
    ----------
    without : names of filters that are switched off (`train.filters.FILTERS`, or `all`)
    copies : whether copies of one performance are looked for by their notes (equal notes always are)
    test_share, validation_share : of the works, by a hash of their files' names
    held_out : file of columns set, file, split; the works that it names get the split it gives, and no
        other work is put into the test split
    workers : reading processes
    """

    without: tuple[str, ...] = ()
    copies: bool = True
    test_share: float = 0.2
    validation_share: float = 0.04
    held_out: Path | None = None
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    def __post_init__(self) -> None:
        chosen_filters(self.without)
        if not (
            min(self.test_share, self.validation_share) >= 0 and self.test_share + self.validation_share < 1
        ):
            raise CorpusError(
                "the shares of test and validation are not negative and leave some for training"
            )
        if self.workers < 1:
            raise CorpusError("at least one reading process is needed")


@dataclass(frozen=True)
class Source:
    """A file to read: where it is, its set, its path in the set, and its labels there."""

    found: FileStatus
    set: str
    file: str
    labels: dict[str, str]


@dataclass
class _Read:
    """Pieces that were read, without their notes, and the part that holds those of each."""

    sources: list[Source] = field(default_factory=list)
    part: list[Path] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    digest: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    runs: list[NDArray[np.int64]] = field(default_factory=list)


def prepare(
    folders: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: PrepareSettings | None = None,
    *,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Corpus:
    """Prepare a corpus of all MIDI files below some folders.

    A folder with a `labels.csv` (first column `file`) is a set of its own, named after the folder; files
    outside of any belong to a set named after the folder that was given.

    Parameters
    ----------
    on_progress : told the stage ("reading", "comparing", "writing"), how many files are done, and of how many

    Raises
    ------
    CorpusError
        If a folder is absent, holds no MIDI file, or no piece is left.
    """
    settings = settings or PrepareSettings()
    corpus = Path(absolute(out))
    named = _held_out(settings.held_out)
    sources = find_sources(folders)
    signature = _signature(sources, settings, named)
    if (corpus / "pieces.jsonl").exists() and made_of(corpus) == signature:
        return Corpus(corpus)
    tally: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    read = _Read()
    filters = chosen_filters(settings.without)
    seen: dict[str, int] = {}
    done = 0
    for part, members in _parts(sources, corpus / "reading", settings.workers, on_progress):
        table = _load(part)
        done += len(members)
        removed["unreadable"] += len(members) - len(table["source"])
        for row, at in enumerate(table["source"].tolist()):
            notes = _notes(table, row)
            why = failing(notes, filters, tally)
            digest = notes.digest()
            if why is None and digest in seen:
                why = "same-notes"
            if why is not None:
                removed[why] += 1
                continue
            seen[digest] = len(read.sources)
            read.sources.append(members[at])
            read.part.append(part)
            read.row.append(row)
            read.digest.append(digest)
            read.sizes.append(len(notes))
            read.runs.append(runs_of_intervals(notes))
    kept, works, splits = _works(read, settings, named, removed, on_progress)
    counts = {
        "signature": signature,
        "files": len(sources),
        "removed": dict(removed),
        "failed_each_filter": {name: tally[name] for name in filters},
        "pieces": len(kept),
        "works": len(set(works.tolist())),
    }
    pieces = _pieces(read, kept, works, splits, on_progress)
    prepared = write_corpus(corpus, pieces, counts)
    _write_splits(prepared)
    shutil.rmtree(corpus / "reading", ignore_errors=True)
    return prepared


# -- what there is to read -----------------------------------------------------------------------------


def find_sources(folders: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """MIDI files below some folders, each with its set and labels; raises as `prepare`."""
    sources: list[Source] = []
    for folder in map(absolute, folders):
        if not os.path.isdir(folder):
            raise CorpusError(f"{display(folder)} is no folder; name folders of MIDI files")
        tables: dict[str, dict[str, dict[str, str]]] = {}
        for found in scan([folder]):
            if isinstance(found, FileStatus):
                home = _home(found.path, folder, tables)
                file = os.path.relpath(found.path, home)
                sources.append(Source(found, os.path.basename(home), file, tables[home].get(file, {})))
    if not sources:
        raise CorpusError("no MIDI files there (*.mid, *.midi, *.kar, *.rmi, *.smf); name other folders")
    return sources


def _home(path: str, given: str, tables: dict[str, dict[str, dict[str, str]]]) -> str:
    """The nearest folder above a file that has labels; the given folder if none has."""
    folder = os.path.dirname(path)
    while folder not in tables:
        labels = os.path.join(folder, "labels.csv")
        if os.path.exists(labels) or folder == given:
            tables[folder] = _labels(labels) if os.path.exists(labels) else {}
            break
        folder = os.path.dirname(folder)
    return folder


def _labels(path: str) -> dict[str, dict[str, str]]:
    """Rows of a labels.csv by their file."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{display(path)} cannot be read: {error}") from None
    if rows and "file" not in rows[0]:
        raise CorpusError(f"{display(path)} has no column `file`; give it one, or rename the table")
    return {
        os.path.normpath(row["file"]): {k: v or "" for k, v in row.items() if k and k != "file"}
        for row in rows
    }


def _signature(sources: Sequence[Source], settings: PrepareSettings, named: _Splits) -> str:
    """A hash of everything that the corpus depends on."""
    asked = (settings.without, settings.copies, settings.test_share, settings.validation_share)
    digest = hashlib.sha256(repr((asked, settings.held_out is None, sorted(named.items()))).encode())
    for source in sources:
        digest.update(repr((source.found.path, source.found.size_bytes, source.found.mtime_ns)).encode())
        digest.update(repr(sorted(source.labels.items())).encode())
    return digest.hexdigest()


def made_of(corpus: str | Path) -> str:
    """A digest of the files and settings that a corpus was made of; empty if there is no corpus."""
    try:
        counts = json.loads((Path(corpus) / "counts.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(counts.get("signature", "")) if isinstance(counts, dict) else ""


# -- reading -------------------------------------------------------------------------------------------


def _parts(
    sources: Sequence[Source], folder: Path, workers: int, on_progress: Callable[[str, int, int], None]
) -> Iterator[tuple[Path, Sequence[Source]]]:
    """Files of read notes, each with the sources it was read from; read now unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = [sources[at : at + FILES_A_PART] for at in range(0, len(sources), FILES_A_PART)]
    named = [(_part(folder, group), group) for group in groups]
    absent = [source for part, group in named if not part.exists() for source in group]
    answers = read_many([source.found.path for source in absent], workers=workers, drums=False)
    done = len(sources) - len(absent)
    for part, group in named:
        if not part.exists():
            rows: list[tuple[int, Notes]] = []
            for at in range(len(group)):
                _, answer = next(answers)
                done += 1
                on_progress("reading", done, len(sources))
                if isinstance(answer, FileRead):
                    rows.append((at, answer.midi.notes.from_zero()))
            _save(part, rows)
        yield part, group


def _part(folder: Path, group: Sequence[Source]) -> Path:
    files = repr([(s.found.path, s.found.size_bytes, s.found.mtime_ns) for s in group])
    return folder / f"{hashlib.sha256(files.encode()).hexdigest()[:24]}.npz"


def _save(part: Path, rows: Sequence[tuple[int, Notes]]) -> None:
    notes = [each for _, each in rows]
    packed = io.BytesIO()
    np.savez(
        packed,
        source=np.array([at for at, _ in rows], dtype=np.int64),
        offsets=np.cumsum([0, *map(len, notes)], dtype=np.int64),
        onset=_joined([np.rint(n.onset * GRID_HZ) for n in notes], np.uint32),
        duration=_joined([np.rint(n.duration * GRID_HZ) for n in notes], np.uint32),
        pitch=_joined([n.pitch for n in notes], np.uint8),
        velocity=_joined([n.velocity for n in notes], np.uint8),
    )
    beside = part.with_suffix(".part")
    with open(beside, "wb") as file:
        file.write(packed.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(part)


def _joined(parts: Sequence[NDArray[Any]], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0), *parts]).astype(dtype)


def _load(part: Path) -> dict[str, NDArray[Any]]:
    with np.load(part, allow_pickle=False) as table:
        return {name: table[name] for name in table.files}


def _notes(table: dict[str, NDArray[Any]], row: int) -> Notes:
    at = slice(int(table["offsets"][row]), int(table["offsets"][row + 1]))
    return Notes(
        table["onset"][at] / GRID_HZ,
        table["duration"][at] / GRID_HZ,
        table["pitch"][at],
        table["velocity"][at],
    )


# -- works and splits ----------------------------------------------------------------------------------


def _works(
    read: _Read,
    settings: PrepareSettings,
    named: _Splits,
    removed: Counter[str],
    on_progress: Callable[[str, int, int], None],
) -> tuple[list[int], NDArray[np.int64], list[str]]:
    """The pieces that stay, and the work and split of every piece that was read."""
    count = len(read.sources)
    on_progress("comparing", 0, count)
    links = list(note_links(read.runs))
    sets = {source.set for source in read.sources}
    cues = [label_cues(s.set, s.file, s.labels, sets - {s.set}) for s in read.sources]
    works = components(count, ((one, other) for one, other, _ in links), cues)
    copies = _copies(read, links) if settings.copies else set()
    if copies:
        removed["same-performance"] += len(copies)
    kept = [piece for piece in range(count) if piece not in copies]
    on_progress("comparing", count, count)
    return kept, works, _splits(read, works, settings, named)


def _copies(read: _Read, links: Sequence[tuple[int, int, float]]) -> set[int]:
    """Pieces that are another piece's performance, perhaps edited; of each pair the later one."""
    from index.matching.block_matching import IndexedPiece
    from index.matching.classify import Kind, classify_pair

    tables: dict[Path, dict[str, NDArray[Any]]] = {}
    copies: set[int] = set()
    for one, other, cosine in sorted(links):
        near = abs(read.sizes[one] - read.sizes[other]) <= _SAME_LENGTH * read.sizes[one]
        if cosine < _COPY or not near or one in copies or other in copies:
            continue
        sketches = []
        for piece in (one, other):
            part = read.part[piece]
            if part not in tables:
                if len(tables) > 8:
                    tables.pop(next(iter(tables)))
                tables[part] = _load(part)
            sketches.append(IndexedPiece.of(_notes(tables[part], read.row[piece])))
        link = classify_pair(one, sketches[0], other, sketches[1], 0)
        if link is not None and link.kind in (Kind.NOTES, Kind.EDITED):
            copies.add(other)
    return copies


def _splits(read: _Read, works: NDArray[np.int64], settings: PrepareSettings, named: _Splits) -> list[str]:
    """Split of every piece; all pieces of a work, and works that a title may join, on one side."""
    titles = [[f"work:{work}"] for work in works.tolist()]
    for piece, source in enumerate(read.sources):
        title = title_cue(source.labels)
        if title is not None:
            titles[piece].append(title)
    sides = components(len(works), (), titles)
    files: dict[int, list[str]] = {}
    given: dict[int, str] = {}
    for piece, source in enumerate(read.sources):
        files.setdefault(int(sides[piece]), []).append(f"{source.set}/{source.file}")
        split = named.get((source.set, source.file))
        if split is not None:
            work = int(works[piece])
            given[work] = "test" if "test" in (split, given.get(work)) else split
    test_share = 0.0 if settings.held_out else settings.test_share
    of_side = {side: split_of(names, test_share, settings.validation_share) for side, names in files.items()}
    return [given.get(int(work), of_side[int(side)]) for work, side in zip(works, sides, strict=True)]


def _held_out(path: Path | None) -> _Splits:
    if path is None:
        return {}
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            return {(row["set"], row["file"]): row["split"] for row in csv.DictReader(lines)}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise CorpusError(
            f"{path} is no list of held-out works (columns set, file, split): {error}"
        ) from None


def _write_splits(corpus: Corpus) -> None:
    """The files of the test and validation works beside the corpus, to be given to a later preparation."""
    beside = corpus.folder / "held-out.csv.part"
    with open(beside, "w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["set", "file", "split"])
        for piece in sorted(corpus.pieces, key=lambda p: p.path):
            if piece.split != "train":
                table.writerow([piece.set, piece.path.removeprefix(f"{piece.set}/"), piece.split])
    beside.replace(corpus.folder / "held-out.csv")


def _pieces(
    read: _Read,
    kept: Collection[int],
    works: NDArray[np.int64],
    splits: Sequence[str],
    on_progress: Callable[[str, int, int], None],
) -> Iterator[tuple[PieceRecord, Notes]]:
    table: dict[str, NDArray[Any]] = {}
    loaded: Path | None = None
    numbers = {work: number for number, work in enumerate(sorted({int(works[piece]) for piece in kept}))}
    for done, piece in enumerate(kept):
        if read.part[piece] != loaded:
            loaded = read.part[piece]
            table = _load(loaded)
        source = read.sources[piece]
        version = next((cue for cue in label_cues(source.set, source.file, source.labels, ())[1:]), "")
        record = PieceRecord(
            path=f"{source.set}/{source.file}",
            set=source.set,
            work=numbers[int(works[piece])],
            split=splits[piece],
            version=version.removeprefix("work:"),
            labels=source.labels,
        )
        on_progress("writing", done + 1, len(kept))
        yield record, _notes(table, read.row[piece])
