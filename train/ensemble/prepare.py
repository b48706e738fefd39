"""From folders of MIDI files to a corpus with parts: read, filter, remove copies, find works, split, write.

    python -m train.ensemble.prepare FOLDER ... --out CORPUS [--splits FILE] [--write-splits FILE]

Filters. Those of Aria's corpus are made to find transcriptions worth imitating; they drop scores (few
distinct durations), folk tunes (few pitches) and games (short, loops). Here a piece is only left out where
it has nothing to teach:

    few-notes   fewer than 24 pitched notes: no two slices can be told apart
    static      fewer than 4 distinct pitches: sound effects, tests of a keyboard
    black       more than 120 notes a second on average: drawings, no music
    same-notes  the same onsets (in hundredths of a second), pitches and drums as an earlier file
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.core.files import replace_with
from embedder.notes import GRID_HZ, Notes

from ..corpus import PieceRecord
from ..prepare import Source, find_sources
from ..works import components, label_cues, note_links, runs_of_intervals, title_cue
from .corpus import EnsembleCorpus, write_ensemble_corpus
from .reading import DRUMS, PartedNotes, read_shards

__all__ = ["prepare", "runs_of_parts"]

FEWEST, FEWEST_PITCHES, DENSEST = 24, 4, 120.0
PART_LEAST = 32  # notes of a part whose line is compared by itself
# Of the works of a set, these are held apart, half of them for validation; sets of few works give more.
HELD_WORKS, SHARE_LEAST, SHARE_MOST = 360, 0.08, 0.34


@dataclass
class _Read:
    sources: list[Source] = field(default_factory=list)
    notes: list[PartedNotes] = field(default_factory=list)
    runs: list[NDArray[np.int64]] = field(default_factory=list)


def prepare(
    folders: Sequence[str | Path], out: Path, given: Path | None = None, workers: int = 2
) -> EnsembleCorpus:
    """Prepare a corpus of all MIDI files below some folders (sets as in `train.prepare`).

    Parameters
    ----------
    given : file of columns set, file, split; works that it names get its split
    """
    read, removed = _Read(), Counter[str]()
    seen: set[str] = set()
    sources = find_sources(folders)
    for group, rows in read_shards(sources, out / "reading", workers):
        removed["unreadable"] += len(group) - len(rows)
        for at, notes in rows:
            why = _failing(notes)
            digest = notes.digest()
            if why is None and digest in seen:
                why = "same-notes"
            if why is not None:
                removed[why] += 1
                continue
            seen.add(digest)
            read.sources.append(group[at])
            read.notes.append(notes)
            read.runs.append(runs_of_parts(notes))
        print(f"read {len(read.sources):,} of {len(sources):,}", flush=True)
    works, sides = _works(read)
    splits = _splits(read.sources, sides, given)
    counts = {
        "files": len(sources),
        "removed": dict(removed),
        "pieces": len(read.sources),
        "works": int(works.max()) + 1,
        "notes": sum(map(len, read.notes)),
        "splits": dict(Counter(f"{s.set} {split}" for s, split in zip(read.sources, splits, strict=True))),
    }
    records = (
        PieceRecord(s.found.path, s.set, int(work), split, "", {**s.labels, "file": s.file})
        for s, work, split in zip(read.sources, works, splits, strict=True)
    )
    return write_ensemble_corpus(out, zip(records, read.notes, strict=True), counts)


def _failing(notes: PartedNotes) -> str | None:
    pitched = notes.pitch[notes.instrument != DRUMS]
    if len(pitched) < FEWEST:
        return "few-notes"
    if len(np.unique(pitched)) < FEWEST_PITCHES:
        return "static"
    if len(notes) > DENSEST * max(float(notes.onset[-1]) / GRID_HZ, 1.0):
        return "black"
    return None


def runs_of_parts(notes: PartedNotes) -> NDArray[np.int64]:
    """Runs of intervals (`train.works`) of the outer voices of all pitched notes, and of each part's.

    The lines of parts are found in an arrangement whose accompaniment, or whose place of the melody among
    the parts, is another.
    """
    pitched = notes.instrument != DRUMS
    found = [runs_of_intervals(_plain(notes, pitched))]
    parts, counts = np.unique(notes.part[pitched], return_counts=True)
    if len(parts) > 1:
        for part in parts[counts >= PART_LEAST]:
            runs = runs_of_intervals(_plain(notes, pitched & (notes.part == part)))
            found.append(runs[runs < 27**5])  # top voices alone; a part's lowest is seldom another line
    return np.unique(np.concatenate(found))


def _plain(notes: PartedNotes, which: NDArray[np.bool_]) -> Notes:
    onset, duration = notes.onset[which] / GRID_HZ, notes.duration[which] / GRID_HZ
    return Notes(onset, duration, notes.pitch[which], np.maximum(notes.velocity[which], 1))


def _works(read: _Read) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The work of each piece, and the side of the split, where titles join more."""
    sets = {source.set for source in read.sources}
    cues = [_cues(source, sets) for source in read.sources]
    links = [(one, other) for one, other, _ in note_links(read.runs)]
    print(f"{len(links):,} links by notes", flush=True)
    works = components(len(read.sources), links, cues)
    titles = [[f"work:{work}", *_titles(s)] for work, s in zip(works.tolist(), read.sources, strict=True)]
    return works, components(len(works), (), titles)


def _cues(source: Source, sets: set[str]) -> list[str]:
    cues = label_cues(source.set, source.file, source.labels, sets - {source.set})
    if same := source.labels.get("same_work"):
        other, _, file = same.partition("/")
        cues.append(f"file:{other}:{file}")
    return cues


def _titles(source: Source) -> Iterator[str]:
    """Titles that may join works: by composer, artist or game."""
    if (title := title_cue(source.labels)) is not None:
        yield title
    words = " ".join(re.findall(r"[a-z0-9]+", source.labels.get("title", "").lower()))
    for column in ("artist", "game"):
        if source.labels.get(column) and words:
            yield f"{column}:{source.labels[column].lower()}:{words}"


def _splits(sources: Sequence[Source], sides: NDArray[np.int64], given: Path | None) -> list[str]:
    named: dict[tuple[str, str], str] = {}
    if given is not None:
        with open(given, newline="", encoding="utf-8") as lines:
            named = {(row["set"], row["file"]): row["split"] for row in csv.DictReader(lines)}
    members: dict[int, list[Source]] = defaultdict(list)
    for source, side in zip(sources, sides.tolist(), strict=True):
        members[side].append(source)
    of_set = Counter(name for of in members.values() for name in {s.set for s in of})
    share = {name: min(max(HELD_WORKS / n, SHARE_LEAST), SHARE_MOST) for name, n in of_set.items()}
    chosen: dict[int, str] = {}
    for side, of in members.items():
        told = {named.get((s.set, s.file)) for s in of} - {None}
        if told:
            chosen[side] = "test" if "test" in told else str(min(map(str, told)))
            continue
        first = min(f"{s.set}/{s.file}" for s in of)
        digest = hashlib.md5(first.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        place = int(digest, 16) % 100_000 / 100_000
        least = max(share[s.set] for s in of)
        chosen[side] = "train" if place >= least else "test" if place < least / 2 else "validation"
    return [chosen[side] for side in sides.tolist()]


def write_splits(corpus: EnsembleCorpus, path: Path) -> None:
    """The pieces that are held apart, as a file of columns set, file, split."""

    def write(to: Path) -> None:
        with open(to, "w", newline="", encoding="utf-8") as lines:
            rows = csv.writer(lines, lineterminator="\n")
            rows.writerow(["set", "file", "split"])
            held = [(p.set, p.labels["file"], p.split) for p in corpus.pieces if p.split != "train"]
            rows.writerows(sorted(held))

    replace_with(path, write)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", type=Path, help="works that are held apart already")
    parser.add_argument("--write-splits", type=Path)
    args = parser.parse_args()
    corpus = prepare(args.folders, args.out, args.splits)
    if args.write_splits:
        write_splits(corpus, args.write_splits)
    print(corpus.counts)


if __name__ == "__main__":
    main()
