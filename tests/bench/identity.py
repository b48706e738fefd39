"""Measure identity on the real sets: fragments, noise, same work, edits, containment, songs.

    python tests/bench/identity.py DATA [--only fragments,works,...] [--queries 300] [--kinds '10 s,20 notes']

DATA is a folder with one folder for each set. The gallery of fragments is all sets at once (about 7,500
files); a query's own recording is left out of it wherever it lies. The weights of the confidence were fitted
on half of the works; figures are given for the other half (the split is by a hash of the work's title).
Prints a table a section.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import tempfile
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.core.errors import MidiError
from embedder.midi.reading import read_midi
from embedder.notes import Notes
from index.duplicates.grouping import group_links
from index.duplicates.pairs import find_links
from index.matching.align import PieceAlignment
from index.matching.block_matching import IndexedPiece
from index.matching.candidates import find_candidates
from index.matching.classify import KINDS, Kind, classify_pair
from index.matching.compare import align_both_ways
from index.matching.find import default_confidence, find_matches
from index.matching.fingerprints import Fingerprints, Snapshot

SETS = ("asap", "maestro", "piano-midi-de", "pianist8", "vgmidi", "pop909", "nottingham")
SAME_SONG = {"017", "018"}  # POP909 holds one song under two numbers
Cut = Callable[[Notes, np.random.Generator], Notes]


@dataclass
class Corpus:
    """All sets: rows of their labels, notes and which numbers are which."""

    rows: list[dict[str, str]]
    notes: list[Notes]

    def of(self, name: str) -> list[int]:
        return [i for i, row in enumerate(self.rows) if row["set"] == name and len(self.notes[i])]

    def snapshot(self, folder: Path, numbers: list[int]) -> Snapshot:
        def fetch(missing: NDArray[np.int64]) -> Iterator[tuple[int, Notes]]:
            return ((int(i), self.notes[i]) for i in missing)

        folder.mkdir(exist_ok=True)
        return Fingerprints(folder).snapshot(np.array(sorted(numbers), np.int64), fetch)


def load(data: Path) -> Corpus:
    rows: list[dict[str, str]] = []
    notes: list[Notes] = []
    for name in SETS:
        with open(data / name / "labels.csv", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                try:
                    notes.append(read_midi(data / name / row["file"]))
                except MidiError:
                    notes.append(Notes.empty())
                rows.append({**row, "set": name})
    return Corpus(rows, notes)


def reported(title: str) -> bool:
    """Whether a work belongs to the half that figures are reported on."""
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 1


# -- who holds what ------------------------------------------------------------------------------------


def own_recordings(corpus: Corpus, i: int) -> set[int]:
    """All files that hold the very recording of an ASAP performance."""
    row = corpus.rows[i]
    own = {i}
    for j, other in enumerate(corpus.rows):
        if other["set"] == "asap" and other["title"] == row["title"] and other["kind"] == "performance":
            same_name = Path(other["file"]).name == Path(row["file"]).name
            if same_name or (row["maestro"] and other["maestro"] == row["maestro"]):
                own.add(j)
        elif other["set"] == "maestro" and other["file"] == row["maestro"]:
            own.add(j)
    return own


def holders(corpus: Corpus, snapshot: Snapshot) -> dict[str, set[int]]:
    """For each ASAP work, every file of any set that holds it or part of it.

    Found by looking for whole scores, which is far more evidence than a fragment gives; titles name pieces
    badly.
    """
    holding: dict[str, set[int]] = defaultdict(set)
    for i in corpus.of("asap"):
        holding[corpus.rows[i]["title"]].add(i)
    for i in corpus.of("asap"):
        title = corpus.rows[i]["title"]
        if corpus.rows[i]["kind"] == "score" and reported(title):
            more = {i}
            while more:
                found = find_matches(snapshot, corpus.notes[i], transposed=False, without=holding[title])
                more = {one.piece_id for one in found if one.confidence >= 0.5 and one.matched >= 0.1}
                holding[title] |= more
    return holding


# -- fragments -------------------------------------------------------------------------------------------


def seconds(length_s: float) -> Cut:
    def cut(notes: Notes, rng: np.random.Generator) -> Notes:
        for _ in range(20):
            start = rng.uniform(notes.start_s, max(notes.start_s, float(notes.onset[-1]) - length_s))
            part = notes.slice_time(start, start + length_s)
            if len(part) >= 20:
                break
        return part

    return cut


def some_notes(count: int, bad: float = 0.0) -> Cut:
    """A run of notes of which a share is wrong (half of it) or missing (the other half)."""

    def cut(notes: Notes, rng: np.random.Generator) -> Notes:
        first = int(rng.integers(0, max(1, len(notes) - count)))
        part = notes.slice_notes(first, first + count)
        spoilt = rng.permutation(len(part))[: round(bad * len(part))]
        wrong, missing = spoilt[: len(spoilt) // 2], spoilt[len(spoilt) // 2 :]
        pitch = part.pitch.copy()
        pitch[wrong] = np.clip(
            pitch[wrong] + rng.choice([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5], len(wrong)), 0, 127
        )
        keep = np.ones(len(part), bool)
        keep[missing] = False
        return Notes(part.onset[keep], part.duration[keep], pitch[keep], part.velocity[keep])

    return cut


def changed(cut: Cut, semitones: int = 0, speed: float = 1.0) -> Cut:
    return lambda notes, rng: cut(notes, rng).transpose(semitones).stretch(1 / speed)


FRAGMENTS: dict[str, tuple[Cut, float]] = {
    "10 s": (seconds(10), 1.0),
    "30 s": (seconds(30), 1.0),
    "20 notes 20 % bad": (some_notes(20, 0.2), 1.0),
    "10 s +3 0.8 x speed": (changed(seconds(10), 3, 0.8), 0.8),
    "10 s +3 1.25 x speed": (changed(seconds(10), 3, 1.25), 1.25),
    "20 notes": (some_notes(20), 1.0),
    "10 notes": (some_notes(10), 1.0),
    "10 s +3": (changed(seconds(10), 3), 1.0),
    "10 s 0.8 x speed": (changed(seconds(10), 0, 0.8), 0.8),
    "10 s 1.25 x speed": (changed(seconds(10), 0, 1.25), 1.25),
}


def fragments(corpus: Corpus, snapshot: Snapshot, queries: int, kinds: str) -> None:
    holding = holders(corpus, snapshot)
    performances = [i for i in corpus.of("asap") if corpus.rows[i]["kind"] == "performance"]
    performances = [i for i in performances if reported(corpus.rows[i]["title"])]
    chosen = [int(i) for i in np.random.default_rng(0).permutation(performances)[:queries]]
    own = {i: own_recordings(corpus, i) for i in chosen}
    print(f"\nfragments of {len(chosen)} performances of reported works, gallery {len(snapshot.pieces)}")
    print(
        f"{'query':24} {'first':>6} {'answered':>8} {'place':>6} {'or repeat':>9} "
        f"{'false':>6} {'ms':>5} {'max':>5}"
    )
    for name, (cut, speed) in FRAGMENTS.items():
        if name not in kinds.split(","):
            continue
        rng = np.random.default_rng(1)
        first, answered, place, repeat, false, times = [], [], [], [], [], []
        for i in chosen:
            query = cut(corpus.notes[i], rng)
            title = corpus.rows[i]["title"]
            begun = time.process_time()
            found = find_matches(snapshot, query, without=own[i])
            times.append(time.process_time() - begun)
            right = bool(found) and found[0].piece_id in holding[title]
            first.append(right)
            least = default_confidence(len(query))
            sure = [one for one in found if one.confidence >= least]
            answered.append(right and bool(sure))
            if right:
                at_s = found[0].query_start_s * speed
                strict, either = placed(corpus, i, found[0].piece_id, at_s, found[0].start_s)
                place.append(strict)
                repeat.append(either)
            elsewhere = find_matches(snapshot, query, without=own[i] | holding[title])
            false.append(any(one.confidence >= least for one in elsewhere))
        print(
            f"{name:24} {np.mean(first):6.1%} {np.mean(answered):8.1%} {np.mean(place):6.1%} "
            f"{np.mean(repeat):9.1%} {np.mean(false):6.1%} "
            f"{1e3 * np.median(times):5.0f} {1e3 * max(times):5.0f}",
            flush=True,
        )


def placed(corpus: Corpus, i: int, answer: int, at_s: float, said_s: float) -> tuple[bool, bool]:
    """Whether a moment of a performance was placed within 2 s in another piece: strictly, and counting
    a literal repeat of the passage as right too. The truth is the alignment of both whole files."""
    found = align_both_ways(IndexedPiece.of(corpus.notes[i]), IndexedPiece.of(corpus.notes[answer]), 0)
    strict = _maps(found.one, at_s, said_s)
    return strict, strict or _maps(found.other, said_s, at_s)


def _maps(way: PieceAlignment, at_s: float, said_s: float) -> bool:
    for passage in way.passages:
        if passage.start_s - 2 <= at_s <= passage.end_s + 2:
            there = float(np.interp(at_s, passage.knots_s, passage.other_knots_s))
            if abs(there - said_s) <= 2:
                return True
    return False


# -- pairs -----------------------------------------------------------------------------------------------


def pairs_of(groups: list[set[int]]) -> set[tuple[int, int]]:
    return {(a, b) for group in groups for a in group for b in group if a < b}


def some_of(corpus: Corpus, name: str, label: str, count: int | None) -> list[int]:
    """Files of a set: of all works, or of so many drawn ones."""
    numbers = corpus.of(name)
    titles = sorted({corpus.rows[i][label] for i in numbers} - SAME_SONG)
    drawn = set(np.random.default_rng(1).permutation(titles)[:count].tolist())
    return [i for i in numbers if corpus.rows[i][label] in drawn]


def works(corpus: Corpus, folder: Path, workers: int, count: int | None) -> None:
    """Same-work pairs among ASAP's files, with a bootstrap over works."""
    numbers = some_of(corpus, "asap", "title", count)
    begun = time.perf_counter()
    links, compared = find_links(
        corpus.snapshot(folder / "works", numbers), numbers, workers=workers, progress=lambda *_: None
    )
    linked = pairs_of([set(g.members) for g in group_links(links, compared, loosest=Kind.WORK)])
    linked |= {(min(x.one, x.other), max(x.one, x.other)) for x in links}
    by_work: dict[str, set[int]] = defaultdict(set)
    for i in numbers:
        by_work[corpus.rows[i]["title"]].add(i)
    true = pairs_of(list(by_work.values()))
    title = {i: corpus.rows[i]["title"] for i in numbers}
    rng, scores = np.random.default_rng(0), []
    names = sorted(by_work)
    hit = {n: sum(title[a] == n for a, _ in linked & true) for n in names}
    wrong: dict[str, float] = defaultdict(float)
    for a, b in linked - true:
        wrong[title[a]] += 0.5
        wrong[title[b]] += 0.5
    size = {n: len(by_work[n]) * (len(by_work[n]) - 1) // 2 for n in names}
    for _ in range(1000):
        draw = rng.choice(names, len(names))
        h, w, s = (sum(x[n] for n in draw) for x in (hit, wrong, size))
        scores.append((h / max(1, h + w), h / max(1, s), 2 * h / max(1, h + w + s)))
    low, high = np.quantile(scores, [0.025, 0.975], axis=0)
    precision, recall = len(linked & true) / len(linked), len(linked & true) / len(true)
    f1 = 2 * len(linked & true) / (len(linked) + len(true))
    print(
        f"\nsame work among {len(numbers)} files of ASAP: {len(true)} true pairs, {len(linked)} linked",
        end="",
    )
    print(f", {len(compared)} compared in {time.perf_counter() - begun:.0f} s")
    for name, value, a, b in zip(
        ("precision", "pair recall", "F1"), (precision, recall, f1), low, high, strict=True
    ):
        print(f"  {name:12} {value:.2%}   95 % of bootstraps over works: {a:.2%} to {b:.2%}")
    for a, b in sorted(linked - true)[:5]:
        print("  wrong:", corpus.rows[a]["file"], "|", corpus.rows[b]["file"])
    for a, b in sorted(true - linked)[:5]:
        print("  missed:", corpus.rows[a]["file"], "|", corpus.rows[b]["file"])


def containment(corpus: Corpus, snapshot: Snapshot, count: int | None) -> None:
    """ASAP's performances in the MAESTRO recordings that they were cut from, in a library of all sets.

    Each performance is judged against every recording that it proposes or that proposes it, as `duplicates`
    does. A recording of the work by somebody else is no false answer, unless it is called the same
    performance. The label does not tell the place; notes on one clock leave no other.
    """
    numbers = some_of(corpus, "asap", "title", count)
    recording = {corpus.rows[i]["file"]: i for i in corpus.of("maestro")}
    named = {
        i: recording[corpus.rows[i]["maestro"]] for i in numbers if corpus.rows[i]["maestro"] in recording
    }
    kept = [
        alive & np.isin(segment.ids, list(recording.values()))
        for segment, alive in zip(snapshot.segments, snapshot.alive, strict=True)
    ]
    tally: dict[str, int] = defaultdict(int)
    for part, whole in named.items():
        piece = IndexedPiece.of(corpus.notes[part])
        found = find_candidates(snapshot.segments, kept, part, piece, transposed=False)
        proposed = {one.piece_id for one in found}
        if whole not in proposed:
            back = IndexedPiece.of(corpus.notes[whole])
            asked = find_candidates(snapshot.segments, snapshot.alive, whole, back, transposed=False)
            proposed |= {whole} & {whole for one in asked if one.piece_id == part}
        kind = None
        for other in sorted(proposed):
            link = classify_pair(part, piece, other, IndexedPiece.of(corpus.notes[other]))
            if link is None:
                continue
            if other == whole:
                kind = link.kind
                tally["placed"] += link.same_performance and link.evidence.covered >= 0.95
            tally["said"] += link.same_performance
            tally["right"] += link.same_performance and other == whole
            if link.same_performance != (other == whole):
                names = corpus.rows[part]["file"], corpus.rows[other]["file"]
                print("  wrongly the same:" if other != whole else "  called other hands:", *names)
        tally[kind or "missed"] += 1
        if kind is None:
            print("  missed:", corpus.rows[part]["file"], corpus.rows[whole]["file"])
    total = max(1, len(named))
    print(f"\ncontainment: {len(named)} performances of ASAP whose MAESTRO recording is here")
    print(
        "  linked to it as", ", ".join(f"{kind} {tally[kind]}" for kind in (*KINDS, "missed") if tally[kind])
    )
    print(f"  as the same performance, in the right place, all covered: {tally['placed'] / total:.2%}")
    right = tally["right"] / max(1, tally["said"])
    print(f"  precision of what is called the same performance: {right:.2%} of {tally['said']}")


EDITS: dict[str, Cut] = {
    "trimmed to 60 %": lambda n, rng: n.slice_time(
        n.start_s + 0.2 * np.ptp(n.onset), n.start_s + 0.8 * np.ptp(n.onset)
    ),
    "stretched x 1.2": lambda n, rng: n.stretch(1.2),
    "stretched x 0.8": lambda n, rng: n.stretch(0.8),
    "transposed +5": lambda n, rng: n.transpose(5),
    "transposed -6": lambda n, rng: n.transpose(-6),
    "quantised to 0.125 s": lambda n, rng: n.quantise(0.125),
    "25 % of notes lost": lambda n, rng: n.drop(0.25, rng),
    "jitter 20 ms": lambda n, rng: n.jitter(0.02, rng),
    "one velocity": lambda n, rng: n.with_velocity(64),
}


def edits(corpus: Corpus, folder: Path, workers: int, count: int) -> None:
    """Edited copies of performances, found among thousands of other pieces; and random pairs."""
    rng = np.random.default_rng(0)
    sets = ("asap", "maestro", "pianist8", "vgmidi", "piano-midi-de", "pop909")
    numbers = [i for name in sets for i in corpus.of(name) if len(corpus.notes[i]) >= 100]
    originals = [int(i) for i in rng.permutation(numbers)[:count]]
    others = [int(i) for i in rng.permutation(numbers)[count : count + 500]]
    copies: dict[int, tuple[str, int]] = {}
    notes = list(corpus.notes)
    for name, edit in EDITS.items():
        for i in originals:
            copies[len(notes)] = (name, i)
            notes.append(edit(corpus.notes[i], rng))
    large = Corpus(corpus.rows, notes)
    everything = sorted([*originals, *others, *copies])
    links, _ = find_links(
        large.snapshot(folder / "edits", everything), everything, workers=workers, progress=lambda *_: None
    )
    kinds = {(min(x.one, x.other), max(x.one, x.other)): x.kind for x in links}
    print(f"\nedited copies of {count} pieces among {len(everything)}: linked to the original, and as what")
    for name in EDITS:
        own = [kinds.get((i, copy)) for copy, (edit, i) in copies.items() if edit == name]
        tally = ", ".join(f"{kind} {own.count(kind)}" for kind in KINDS if own.count(kind))
        print(f"  {name:22} {np.mean([kind is not None for kind in own]):7.2%}   {tally}")
    false = tried = 0
    indexed = {i: IndexedPiece.of(corpus.notes[i]) for i in [int(i) for i in rng.permutation(numbers)[:200]]}
    names = list(indexed)
    while tried < 5000:
        a, b = (names[int(i)] for i in rng.integers(0, len(names), 2))
        if _unrelated(corpus, a, b):
            tried += 1
            if classify_pair(a, indexed[a], b, indexed[b]) is not None:
                false += 1
                print("  linked:", corpus.rows[a]["file"], "|", corpus.rows[b]["file"])
    print(f"  false links among {tried} random pairs of different works: {false}")


def _unrelated(corpus: Corpus, a: int, b: int) -> bool:
    """Whether two files cannot be the same music by their labels."""
    one, other = corpus.rows[a], corpus.rows[b]
    if one["set"] == other["set"] == "pop909":
        return one["song"] != other["song"]
    return a != b and not _names(one) & _names(other)


def _names(row: dict[str, str]) -> set[str]:
    """Words of the composer's and arranger's names, plain: sets write "Bach" or "Johann Sebastian Bach"."""
    plain = unicodedata.normalize("NFKD", row.get("composer", row["set"])).encode("ascii", "ignore").decode()
    return set(re.findall(r"[a-z]{3,}", plain.casefold()))


def songs(corpus: Corpus, folder: Path, workers: int, count: int | None) -> None:
    """POP909's takes of one song."""
    numbers = some_of(corpus, "pop909", "song", count)
    links, compared = find_links(
        corpus.snapshot(folder / "songs", numbers), numbers, workers=workers, progress=lambda *_: None
    )
    by_song: dict[str, set[int]] = defaultdict(set)
    for i in numbers:
        by_song[corpus.rows[i]["song"]].add(i)
    true = pairs_of(list(by_song.values()))
    linked = pairs_of([set(g.members) for g in group_links(links, compared, loosest=Kind.WORK)])
    linked |= {(min(x.one, x.other), max(x.one, x.other)) for x in links}
    print(f"\nPOP909: {len(true)} pairs of takes, precision {len(linked & true) / len(linked):.2%}", end="")
    print(f", recall {len(linked & true) / len(true):.2%}")
    for a, b in sorted(linked - true)[:8]:
        print("  other song:", corpus.rows[a]["file"], "|", corpus.rows[b]["file"])


def tunes(corpus: Corpus, folder: Path, workers: int, count: int | None) -> None:
    """Nottingham's melody, chords and full versions of one tune."""
    numbers = some_of(corpus, "nottingham", "tune", count)
    links, _ = find_links(
        corpus.snapshot(folder / "tunes", numbers), numbers, workers=workers, progress=lambda *_: None
    )
    linked = {(min(x.one, x.other), max(x.one, x.other)) for x in links}
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for i in numbers:
        parts[corpus.rows[i]["tune"]][corpus.rows[i]["part"]] = i
    for part in ("melody", "chords"):
        both = [(p[part], p["full"]) for p in parts.values() if part in p and "full" in p]
        hit = sum((min(pair), max(pair)) in linked for pair in both)
        print(f"Nottingham: {part} linked to full: {hit / len(both):.2%} of {len(both)}")
    other = [(a, b) for a, b in sorted(linked) if corpus.rows[a]["tune"] != corpus.rows[b]["tune"]]
    print(f"  links between tunes of other names: {len(other)} of {len(linked)}")
    for a, b in other[:12]:
        print("  other name:", corpus.rows[a]["file"], "|", corpus.rows[b]["file"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="fragments,works,containment,edits,songs,tunes")
    parser.add_argument("--gallery", type=Path, help="where to keep fingerprints of all sets")
    parser.add_argument("--kinds", default=",".join(FRAGMENTS), help="fragments to cut")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--works", type=int, help="draw so many works, songs and tunes; all if not given")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    sections = given.only.split(",")
    corpus = load(given.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"fragments", "containment"} & set(sections):
            everything = [i for i in range(len(corpus.rows)) if len(corpus.notes[i])]
            snapshot = corpus.snapshot(given.gallery or folder / "all", everything)
        if "fragments" in sections:
            fragments(corpus, snapshot, given.queries, given.kinds)
        if "works" in sections:
            works(corpus, folder, given.workers, given.works)
        if "containment" in sections:
            containment(corpus, snapshot, given.works)
        if "edits" in sections:
            edits(corpus, folder, given.workers, given.copies)
        if "songs" in sections:
            songs(corpus, folder, given.workers, given.works)
        if "tunes" in sections:
            tunes(corpus, folder, given.workers, given.works)


if __name__ == "__main__":
    main()
