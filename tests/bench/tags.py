"""How good and how fast probes are: folds grouped by work, few labels, other music, and 100,000 pieces.

    python tests/bench/tags.py DATA --library FOLDER [--only quality,few,outside] [--held-out | --untaught]
    python tests/bench/tags.py --only speed [--pieces 100000] [--tags 10]

DATA holds the sets `maestro` and `pianist8`. The library in FOLDER is made of them where it is not there yet
(minutes) and used again. Works are told by their notes, as the library tells them, never by title.

quality   accuracy, macro-F1 and calibration error beside the majority class and hand-made features
few       1 to 20 labels a class against hand-made features alone, on classes of 20 pieces and 5 works
outside   with one set labelled, how many pieces of the other are left untagged
speed     ten probes on vectors drawn like real ones: seconds to train and to apply, and the largest memory

The last 48 numbers of the shipped encoder's vectors were taught by these very labels, on training works. With
--held-out only works that it was not trained on are labelled; with --untaught all are, and those numbers are
left out of the vectors.
"""

from __future__ import annotations

import argparse
import csv
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, update

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from embedder.descriptors import describe  # noqa: E402
from embedder.midi.pool import FileRead  # noqa: E402
from embedder.midi.reading import MidiFile  # noqa: E402
from index import LabelEdit, Library  # noqa: E402
from index.probes.classifier import FeatureScaling, fit_logistic_regression  # noqa: E402
from index.probes.crossval import group_folds  # noqa: E402
from index.probes.dataset import collect_examples, load_vectors, works_of  # noqa: E402
from index.probes.train import standardise, statistics_of  # noqa: E402
from index.storage import schema  # noqa: E402
from index.storage.codecs import SPAN, unpack_vectors  # noqa: E402
from index.storage.pieces import Vectors, insert_piece, put_path  # noqa: E402
from index.tags.labels import find_tag  # noqa: E402
from tests.support.fake_encoder import tune  # noqa: E402

SETS = {"maestro": "composer", "pianist8": "artist"}
TAUGHT = 48  # numbers at the end of the shipped encoder's vectors
COUNTS = (1, 2, 5, 10, 20)
LEAST_PIECES, LEAST_WORKS = 20, 5
SEEDS = 10
LIMIT_TRAIN_S, LIMIT_APPLY_S, LIMIT_BYTES = 60.0, 10.0, 2 << 30

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """The labelled pieces of a set: rows in the library's space, hand-made statistics, classes, works."""

    rows: FloatArray
    statistics: FloatArray
    label: IntArray
    work: IntArray
    classes: tuple[str, ...]


def opened(data: Path, folder: Path) -> Library:
    """The library of the two sets, made if it is not there."""
    library = Library.open(folder)
    missing = [data / name for name in SETS if not library.pieces([f"path~/{name}/"], limit=1)]
    if missing:
        print("adding", *missing, flush=True)
        library.add(missing)
    return library


@contextmanager
def prepared(data: Path, folder: Path, without_taught: bool) -> Iterator[Library]:
    """The library to be measured."""
    with opened(data, folder) as library:
        if not without_taught:
            yield library
            return
    with untaught(folder) as copy, Library.open(copy) as library:
        yield library


def held_out() -> set[tuple[str, str]]:
    """Set and file of the works that the shipped encoder was not trained on."""
    with open(ROOT / "train" / "splits" / "midikin-small.csv", encoding="utf-8", newline="") as lines:
        return {(row["set"], row["file"]) for row in csv.DictReader(lines) if row["split"] == "test"}


@contextmanager
def untaught(folder: Path) -> Iterator[Path]:
    """A copy of a library whose vectors lack the numbers that were taught by labels."""
    with tempfile.TemporaryDirectory() as beside:
        copy = Path(beside) / "library"
        shutil.copytree(folder, copy)
        with Library.open(copy) as library, library._database.write() as connection:
            kept = library._database.number(connection, "dim") - TAUGHT
            table = schema.piece_vectors
            for row in connection.execute(select(table)).all():
                vector = unit(unpack_vectors(row.vector, kept + TAUGHT)[0, :kept])
                changed = update(table).where(table.c.piece_id == row.piece_id)
                connection.execute(changed.values(vector=vector.astype("<f2").tobytes()))
            library._database.set(connection, dim=str(kept))
        yield copy


def label_sets(library: Library, data: Path, only_held_out: bool) -> list[str]:
    """Label the pieces of each set with the column of its labels; the names of the tags."""
    allowed = held_out()
    tags = []
    for name, column in SETS.items():
        tag = f"{column} (held out)" if only_held_out else column
        with open(data / name / "labels.csv", encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row[column]]
        if only_held_out:
            rows = [row for row in rows if (name, row["file"]) in allowed]
        held = {piece.path for piece in library.pieces([f"path~/{name}/"], limit=100_000)}
        if len(rows) > (rows_held := sum(str(data / name / row["file"]) in held for row in rows)):
            print(f"{name}: the library holds {rows_held} of {len(rows)} pieces")
            rows = [row for row in rows if str(data / name / row["file"]) in held]
        library.tags.label_many([LabelEdit(str(data / name / row["file"]), tag, row[column]) for row in rows])
        tags.append(tag)
    return tags


def quality(library: Library, tags: list[str]) -> None:
    print(
        f"{'':22} {'pieces':>6} {'works':>5} {'classes':>7}   {'accuracy':>8} {'macro-F1':>8} {'calibr.':>7}"
        f"   {'hand-made':>13}   {'majority':>13}   {'seconds':>7}"
    )
    for tag in tags:
        begun = time.process_time()
        probe = library.probes.train_tag(tag)
        seconds = time.process_time() - begun
        scores = probe.scores
        rivals = [scores.handmade, scores.majority]
        said = "   ".join(
            f"{100 * one.accuracy:6.1f} {100 * one.macro_f1:6.1f}" if one else f"{'':13}" for one in rivals
        )
        sizes = f"{tag:22} {scores.pieces:6} {scores.works:5} {len(probe.classes):7}"
        own = f"{100 * scores.accuracy:8.1f} {100 * scores.macro_f1:8.1f} {scores.calibration_error:7.3f}"
        print(f"{sizes}   {own}   {said}   {seconds:7.1f}", flush=True)


def labelled(library: Library, tag: str) -> Labelled:
    """The pieces of the classes that are large enough."""
    with library._database.read() as connection:
        dim = library._database.number(connection, "dim")
        vectors = load_vectors(connection, dim)
        examples = collect_examples(connection, find_tag(connection, tag), vectors)
        numbers = examples.pieces.tolist()
        of_piece, of_notes = works_of(connection, numbers), statistics_of(connection, numbers)
    work = np.array([of_piece[number] for number in numbers])
    statistics = np.stack([of_notes[number] for number in numbers])
    large = [
        number
        for number in range(len(examples.classes))
        if (examples.label == number).sum() >= LEAST_PIECES
        and len(np.unique(work[examples.label == number])) >= LEAST_WORKS
    ]
    rows = np.isin(examples.label, large)
    return Labelled(
        rows=FeatureScaling.fit(vectors.vectors)(examples.vectors[rows]),
        statistics=standardise(statistics[rows]),
        label=np.searchsorted(large, examples.label[rows]),
        work=work[rows],
        classes=tuple(examples.classes[number] for number in large),
    )


def few(library: Library, tags: list[str]) -> None:
    for tag in tags:
        found = labelled(library, tag)
        print(
            f"{tag}: {len(found.label)} pieces, {len(np.unique(found.work))} works, "
            f"{len(found.classes)} classes; accuracy on a fifth of the works, mean of {SEEDS} draws"
        )
        print(f"{'labels a class':>16} {'vector':>8} {'hand-made':>10} {'points':>7}")
        for count in (*COUNTS, 0):
            vector, handmade = drawn(found, count)
            name = str(count or "all")
            print(f"{name:>16} {vector:8.1f} {handmade:10.1f} {vector - handmade:7.1f}", flush=True)


def drawn(found: Labelled, count: int) -> tuple[float, float]:
    """Accuracy in per cent with so many labels a class (0: all) of the vector and of hand-made features."""
    right: dict[str, list[float]] = defaultdict(list)
    classes = len(found.classes)
    for seed in range(SEEDS):
        test = group_folds(found.label, found.work, seed=seed) == seed % 5
        rng = np.random.default_rng(seed)
        order = rng.permutation(np.flatnonzero(~test))
        some = np.concatenate([order[found.label[order] == c][: count or None] for c in range(classes)])
        for name in ("rows", "statistics"):
            rows = getattr(found, name)
            weights, bias = fit_logistic_regression(rows[some], found.label[some], classes, 30.0)
            said = (rows[test] @ weights.T + bias).argmax(1)
            right[name].append(float((said == found.label[test]).mean()))
    return 100 * float(np.mean(right["rows"])), 100 * float(np.mean(right["statistics"]))


def outside(library: Library, tags: list[str]) -> None:
    """Each set's probe on the other set: every piece of it should be left untagged."""
    for tag, other in zip(tags, tags[::-1], strict=True):
        (applied,) = library.probes.apply([tag])
        foreign = {label.piece_id for label in library.tags.labels(other)}
        left = {
            one.piece_id for one in library.probes.predictions(tag, out_of_distribution=True, limit=1_000_000)
        }
        share = len(left & foreign) / len(foreign)
        print(f"{tag}: {100 * share:.1f} % of the {len(foreign)} pieces of the other set are left untagged")
        print(f"  applied to {applied.pieces:,} pieces in {applied.seconds:.2f} s")


# -- speed ------------------------------------------------------------------------------------------


def unit(rows: FloatArray) -> FloatArray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def vectors_like_real(pieces: int, dim: int, rng: np.random.Generator) -> Iterator[tuple[int, FloatArray]]:
    """Kind and vector of drawn pieces: 40 kinds of music, works within kinds, a falling spectrum."""
    spectrum = (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)
    kinds = rng.standard_normal((40, dim)).astype(np.float32) * spectrum
    for _ in range(pieces):
        kind = int(rng.integers(40))
        yield kind, unit(kinds[kind] + 1.5 * rng.standard_normal(dim).astype(np.float32) * spectrum)


def fill(library: Library, pieces: int, dim: int) -> list[int]:
    """Store drawn pieces; the kind of each, by number from 1."""
    rng = np.random.default_rng(0)
    music = [tune(seed, 400) for seed in range(2000)]
    spans = np.zeros(1, dtype=SPAN)
    kinds = []
    with library._database.write() as connection:
        library._database.set(connection, encoder="bench@000000000000", dim=str(dim))
        for i, (kind, vector) in enumerate(vectors_like_real(pieces, dim, rng)):
            notes = music[i % len(music)]
            midi = MidiFile(notes=notes, tempo_bpm=None, title=None)
            read = FileRead(f"/music/{i}.mid", 1000, i, f"{i:064x}", midi, describe(notes))
            number = insert_piece(connection, read, Vectors(vector, vector[None], spans))
            put_path(connection, read.path, number, 1000, i)
            kinds.append(kind)
        library._database.count_commit(connection)
    return kinds


def speed(pieces: int, tags: int, labels: int, dim: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "library") as library:
        kinds = fill(library, pieces, dim)
        rng = np.random.default_rng(1)
        for tag in range(tags):
            own = [i + 1 for i, kind in enumerate(kinds) if kind == tag]
            rest = [i + 1 for i, kind in enumerate(kinds) if kind != tag]
            half = labels // 2
            library.tags.label(f"tag {tag}", rng.permutation(own)[:half].tolist())
            library.tags.label(f"tag {tag}", rng.permutation(rest)[:half].tolist(), holds=False)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        wall, cpu = time.monotonic(), time.process_time()
        report = library.probes.train()
        train = time.monotonic() - wall, time.process_time() - cpu
        wall, cpu = time.monotonic(), time.process_time()
        library.probes.apply()
        applying = time.monotonic() - wall, time.process_time() - cpu
        wall, cpu = time.monotonic(), time.process_time()
        library.probes.suggest("tag 0")
        asking = time.monotonic() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{pieces:,} pieces, {len(report.trained)} probes of {labels} labels each")
    for name, (wall_s, cpu_s), limit in (
        ("training", train, LIMIT_TRAIN_S),
        ("applying", applying, LIMIT_APPLY_S),
        ("suggesting", asking, LIMIT_APPLY_S),
    ):
        print(f"  {name:11} {wall_s:6.1f} s of wall, {cpu_s:6.1f} s of processor time; limit {limit:.0f} s")
    print(f"  memory      {peak / 2**30:.2f} GiB at most ({before / 2**30:.2f} before); limit 2 GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--library", type=Path)
    parser.add_argument("--only", default="quality,few,outside,speed")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--untaught", action="store_true")
    parser.add_argument("--pieces", type=int, default=100_000)
    parser.add_argument("--tags", type=int, default=10)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--dim", type=int, default=592)
    given = parser.parse_args()
    only = given.only.split(",")
    if {"quality", "few", "outside"} & set(only):
        if given.data is None or given.library is None:
            parser.error("quality, few and outside need DATA and --library")
        with prepared(given.data, given.library, given.untaught) as library:
            tags = label_sets(library, given.data, given.held_out)
            if "quality" in only:
                quality(library, tags)
            if "few" in only:
                few(library, tags)
            if "outside" in only:
                outside(library, tags)
    if "speed" in only:
        speed(given.pieces, given.tags, given.labels, given.dim)


if __name__ == "__main__":
    main()
