"""Fuzzing: damaged MIDI, checkpoints, configurations and tables; whatever comes out must be an error of ours.

    python tests/bench/fuzz.py guided --seconds 3600 [--data DATA]
    python tests/bench/fuzz.py reading --seconds 600 [--data DATA]
    python tests/bench/fuzz.py formats --seconds 300
    python tests/bench/fuzz.py adding --files 10000 [--data DATA]

`guided` lets atheris choose what to damage (libFuzzer, which watches what code is reached; `pip install
atheris` first); `reading` and `formats` change bytes at random. `adding` writes damaged files into a folder
and adds it: the parent must live, and every file must be a piece, a copy of one, or a failure with its
reason. What was found is written to `--findings` and belongs into the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if "guided" in sys.argv[1:2]:  # what is imported before it is asked for is not watched
    import atheris

    with atheris.instrument_imports(include=["embedder"]):
        import embedder.midi.container
        import embedder.midi.events
        import embedder.midi.reading  # noqa: F401

from embedder.core.errors import MidikinError
from tests.support.fake_encoder import FakeEncoder, tune

SLOW_S = 10.0
Target = Callable[[bytes], None]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few changes of the kinds that break readers: bits, bytes, numbers, lengths, repeats, cuts."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not out:
            break
        at = rng.randrange(len(out))
        kind = rng.randrange(7)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice([0, 0x7F, 0x80, 0xFF, 0xF0, 0x2F, 0x51])
        elif kind == 2:
            out[at : at + 4] = rng.choice([0, 1, 2**31, 2**32 - 1, len(out)]).to_bytes(4, "big")
        elif kind == 3:
            del out[at : at + rng.randrange(1, 64)]
        elif kind == 4:
            some = out[at : at + rng.randrange(1, 64)]
            out[at:at] = some * rng.choice([1, 2, 100])
        elif kind == 5:
            out[at:at] = rng.randbytes(rng.randrange(1, 16))
        else:
            del out[at:]
    return bytes(out)


def seeds(data: Path | None, rng: random.Random, count: int = 60) -> list[bytes]:
    """Small real files, and hostile ones that the tests have."""
    from embedder.midi.writing import write_midi

    found = [write_midi(tune(seed, 20)) for seed in range(5)]
    if data is not None:
        paths = sorted(path for path in data.rglob("*.mid") if path.stat().st_size < 20_000)
        found += [path.read_bytes() for path in rng.sample(paths, min(count, len(paths)))]
    from tests.support.hostile import hostile_files

    return found + [content for content in hostile_files().values() if len(content) < 20_000]


def read(data: bytes) -> None:
    from embedder.midi.reading import read_piece

    read_piece(data)


def manifest(data: bytes) -> None:
    """A cached index whose manifest is anything."""
    from index.vectors import index_files

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pieces.json").write_bytes(data)
        index_files.load(Path(folder), "pieces", library="a", encoder="b", dim=8)
        index_files.check_files(Path(folder), "pieces")
        index_files.size_bytes(Path(folder), "pieces")


def damaged_model(load: Callable[[Path], object], file: Path, rest: bytes, data: bytes) -> None:
    """A model of which one file begins with anything."""
    whole = file.read_bytes()
    file.write_bytes(data + rest)
    try:
        load(file.parent)
    finally:
        file.write_bytes(whole)


def models(folder: str) -> dict[str, tuple[Target, list[bytes]]]:
    """Settings and weights that are anything, of every kind of model."""
    from tests.support.small_models import KINDS, write_small_models

    written = write_small_models(Path(folder))
    targets: dict[str, tuple[Target, list[bytes]]] = {}
    for kind, (load, settings) in KINDS.items():
        for file in (written / kind / settings, written / kind / "model.safetensors"):
            whole, header = file.read_bytes(), file.stat().st_size
            if file.suffix == ".safetensors":  # the numbers behind the header may be any
                header = 8 + int.from_bytes(whole[:8], "little")
            target = partial(damaged_model, load, file, whole[header:])
            target(whole[:header])  # what it imports is no part of the time
            targets[f"{kind} {file.name}"] = target, [whole[:header]]
    return targets


def recipe(data: bytes) -> None:
    """A training recipe that is anything."""
    from train.recipe import Recipe

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        path.write_bytes(data)
        Recipe.read(path)


def labels(folder: str) -> tuple[Target, list[bytes]]:
    """A table of labels that is anything, for a library of four tunes."""
    from index import Library
    from tests.support.fake_encoder import write_tunes

    paths = write_tunes(Path(folder) / "music", 4)
    library = Library.open(Path(folder) / "library", encoder=FakeEncoder())
    library.add(Path(folder) / "music", workers=1)
    table = Path(folder) / "labels.csv"

    def target(data: bytes) -> None:
        table.write_bytes(data)
        library.tags.import_labels(table)

    lines = "".join(f"{path},waltz,{number}\n" for number, path in enumerate(paths))
    facets = f"file,dance,number\n{lines}".encode()
    return target, [facets, facets.replace(b",", b";"), f"file;tag\n{paths[0]};calm\n".encode("utf-16")]


ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "train" / "recipes"


def format_targets(scratch: str) -> dict[str, tuple[Target, list[bytes]]]:
    """What is read, and whole examples to begin with."""
    facts = {"format": 2, "files": {"faiss": "a", "keys": "b", "tail": "c"}, "sizes": {}, "sha256": {}}
    plain = {"library": "a", "encoder": "b", "dim": 8, "commit": 1, "setting": "sq8", "kind": "IVF"}
    rest = {"effort": 8, "recall": 0.97, "trained_on": 9, "vectors": 9, "stamps": {}}
    return {
        **models(f"{scratch}/models"),
        "recipe.toml": (recipe, [path.read_bytes() for path in RECIPES.glob("*.toml")]),
        "labels.csv": labels(scratch),
        "index manifest": (manifest, [json.dumps(facts | plain | rest).encode()]),
    }


class Findings:
    """What went wrong, each kind once."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.kinds: Counter[str] = Counter()
        self.tried = 0

    def run(self, target: Target, data: bytes) -> None:
        self.tried += 1
        begun = time.monotonic()
        try:
            target(data)
        except MidikinError as error:
            if "\n" in str(error):
                self.found("a message of several lines", data)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.found(f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}", data)
        if time.monotonic() - begun > SLOW_S:
            self.found("too slow", data)

    def found(self, kind: str, data: bytes) -> None:
        self.kinds[kind] += 1
        if self.kinds[kind] == 1 and self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def report(self, name: str, seconds: float) -> None:
        print(f"{name:28} {self.tried:9,} inputs in {seconds:5.0f} s, {len(self.kinds)} kinds of finding")
        for kind, count in self.kinds.most_common():
            print(f"    {count:6} {kind}")


def fuzz(name: str, target: Target, examples: list[bytes], seconds: float, findings: Path | None) -> int:
    """Damage the examples for so long; how many kinds of finding."""
    rng = random.Random(0)
    found = Findings(findings)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        found.run(target, mutated(rng.choice(examples), rng))
    found.report(name, time.monotonic() - begun)
    return len(found.kinds)


def guided(target: Target, examples: list[bytes], seconds: float, findings: Path | None) -> None:
    """The same with atheris, which watches what code is reached; never returns."""
    found = Findings(findings)
    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(examples):
            Path(corpus, str(number)).write_bytes(example)
        arguments = [sys.argv[0], corpus, f"-max_total_time={int(seconds)}", "-max_len=20000"]
        atheris.Setup(arguments, lambda data: found.run(target, data))
        try:
            atheris.Fuzz()
        finally:
            found.report("atheris", seconds)


def adding(files: int, data: Path | None) -> int:
    """Add a folder of damaged files; how many are not accounted for."""
    from index import Library, verify_library

    rng = random.Random(1)
    examples = seeds(data, rng)
    with tempfile.TemporaryDirectory() as scratch:
        music = Path(scratch) / "music"
        for number in range(files):
            path = music / f"{number // 500:03}" / f"fuzzed{number:05}.mid"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mutated(rng.choice(examples), rng))
        begun = time.monotonic()
        with Library.open(Path(scratch) / "library", encoder=FakeEncoder()) as library:
            report = library.add(music)
            pieces = 0
            after = 0
            while page := library.pieces(limit=1000, after=after):
                pieces += sum(len(piece.paths) for piece in page)
                after = page[-1].id
            failures = library.failures()
        reasons = Counter(failure.reason.partition(":")[0][:60] for failure in failures)
        lost = files - pieces - len(failures)
        sound = verify_library(Path(scratch) / "library").sound
    print(f"{files:,} damaged files added in {time.monotonic() - begun:.0f} s: {report.added:,} pieces, ")
    print(
        f"{report.duplicates:,} copies, {len(failures):,} failures, {lost} not accounted for; sound: {sound}"
    )
    for reason, count in reasons.most_common(12):
        print(f"    {count:6} {reason}")
    return abs(lost) + (not sound)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["reading", "guided", "formats", "adding"])
    parser.add_argument("--data", type=Path, help="a folder of real MIDI files")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--findings", type=Path)
    options = parser.parse_args()
    logging.disable()  # an index that is rebuilt is no finding
    wrong = 0
    if options.what == "adding":
        wrong = adding(options.files, options.data)
    elif options.what == "formats":
        with tempfile.TemporaryDirectory() as scratch:
            targets = format_targets(scratch)
            for name, (target, examples) in targets.items():
                wrong += fuzz(name, target, examples, options.seconds / len(targets), options.findings)
    else:
        examples = seeds(options.data, random.Random(0))
        if options.what == "guided":
            guided(read, examples, options.seconds, options.findings)
        wrong = fuzz("reading", read, examples, options.seconds, options.findings)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
