"""How well music is continued: bits a note, speed, closeness to the own piece, copies of training pieces.

    python tests/bench/continuation.py CORPUS [--weights FOLDER] [--only bits,speed,closeness,copies]
        [--gallery FOLDER]

CORPUS is a prepared corpus whose split the model was trained on.
Held-out works are those of its test split; forms and discounts of the Markov chains are chosen on validation.

bits        a note of whole held-out pieces, beside a unigram model and Markov chains of order 3 over the same
            attributes in the same order (`train.language`), learned from all training pieces; --known says
            how many of the attributes that are known of a note the chains look at, one chain for each number
speed       seconds of music a second of computing, one variation and three at once
closeness   cosines, in the space of the shipped encoder, of 30 s that follow the first 15 s of a held-out
            piece with that piece behind its first 45 s: the true continuation, another passage of the piece,
            the model's, the Markov chain's, a passage of another piece; how often the own piece is nearest
copies      passages of 10 s of continuations that are found in the training pieces, all of them, by what
            `midikin find` does and at its default confidence, beside passages of true continuations (pieces
            share idioms) and of the training pieces themselves. With --gallery FOLDER the landmarks of the
            training pieces are kept there, and the next run need not make them again
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder import Encoder, Notes
from embedder.generation.continuer import Continuer
from embedder.generation.language_model import load_language
from embedder.tokens import from_tokens, to_tokens
from index.matching.find import default_confidence, find_matches
from index.matching.fingerprints import Fingerprints, Snapshot
from train.corpus import Corpus
from train.language import NoteChain, language_bits, split_tokens

PROMPT_S, NEW_S, PASSAGE_S = 15.0, 30.0, 10.0
ORDER, DISCOUNTS = 3, (0.7, 0.9, 0.97)


def bits(corpus: Corpus, weights: str | None, pieces: int, ways: list[int]) -> None:
    language = load_language(weights or "midikin-small-lm", "cpu")
    train = split_tokens(corpus, "train")
    held_out = [split_tokens(corpus, split, pieces) for split in ("validation", "test")]
    print(f"\nbits a note: {len(train):,} training pieces, {sum(map(len, train)):,} notes;", end=" ")
    print(", ".join(f"{len(some)} held-out pieces, {sum(map(len, some)):,} notes" for some in held_out))
    print(f"{'model':<40} {'validation':>10} {'test':>6}   gap  pitch  duration  velocity (test)", flush=True)
    _row("unigram", *(NoteChain(train, 0, 0).bits(some) for some in held_out))
    chains = []
    for known in ways:
        name = {1: "the gap", 2: "gap and pitch", 3: "all that is known"}[known]
        chain = NoteChain(train, ORDER, known)
        for order in (1, ORDER):
            given = []
            for chain.discount in DISCOUNTS:
                given.append([chain.bits(some, order) for some in held_out])
            best = min(given, key=lambda found: found[0].sum())  # by validation
            chains.append((order, *_row(f"Markov, order {order}, after {name}", *best)))
    ours = _row(language.id, *(language_bits(language, some) for some in held_out))
    of_order = min((one for one in chains if one[0] == ORDER), key=lambda one: one[1])
    best_of_all = min(chains, key=lambda one: one[1])
    print(
        f"below the order-{ORDER} chain that is best on validation: {1 - ours[1] / of_order[2]:.1%} on test;",
        end=" ",
    )
    print(f"below the best chain of order {best_of_all[0]}: {1 - ours[1] / best_of_all[2]:.1%}")


def _row(name: str, validation: NDArray[np.float64], test: NDArray[np.float64]) -> tuple[float, float]:
    parts = "  ".join(f"{bits:.2f}" for bits in test)
    print(f"{name:<40} {validation.sum():>10.2f} {test.sum():>6.2f}  {parts}", flush=True)
    return float(validation.sum()), float(test.sum())


def prompts(corpus: Corpus, count: int) -> list[tuple[int, Notes]]:
    """Held-out pieces that last two minutes at least, one a work, in an order drawn once."""
    chosen: dict[int, tuple[int, Notes]] = {}
    order = np.random.default_rng(0).permutation(corpus.indices("test"))
    for index in order.tolist():
        notes = corpus.notes(index)
        dense = all(len(notes.slice_time(a, b)) >= 20 for a, b in ((0, 15), (15, 45), (45, 75)))
        if notes.end_s >= 120 and dense and corpus.pieces[index].work not in chosen:
            chosen[corpus.pieces[index].work] = (index, notes)
        if len(chosen) == count:
            break
    return list(chosen.values())


def speed(corpus: Corpus, continuer: Continuer) -> None:
    import torch  # last, so that its threads wait as midikin has them wait

    print(f"\nspeed: {continuer.name}, {NEW_S:g} s of music, {torch.get_num_threads()} threads")
    _, notes = prompts(corpus, 1)[0]
    continuer.continue_from(notes.slice_time(0, PROMPT_S), 2, begin_s=PROMPT_S)
    for variations in (1, 3):
        begun, busy = time.perf_counter(), time.process_time()
        found = continuer.continue_from(
            notes.slice_time(0, PROMPT_S), NEW_S, begin_s=PROMPT_S, variations=variations
        )
        took, busy = time.perf_counter() - begun, time.process_time() - busy
        made = sum(len(one.notes) for one in found)
        print(
            f"{variations} variations: {made:,} notes, {took:.1f} s, {NEW_S / took:.1f} times real time",
            end="",
        )
        print(f"; {NEW_S / busy:.1f} times by processor time")


def by_chain(chain: NoteChain, prompt: Notes, seed: int) -> Notes:
    rng = np.random.default_rng(seed)
    tokens, clock, made = to_tokens(prompt), float(prompt.onset[-1]), []
    while True:
        note = chain.draw(tokens[-3:], rng)
        if note is None:
            continue  # an end is drawn again: the others have their time too
        made.append(note)
        tokens = np.concatenate([tokens[-3:], note[None].astype(np.uint8)])
        piece = from_tokens(np.array(made), clock, follow=True)
        if piece.onset[-1] >= PROMPT_S + NEW_S:
            return piece.slice_time(PROMPT_S, PROMPT_S + NEW_S)


def continuations(
    corpus: Corpus, continuer: Continuer, count: int
) -> tuple[list[tuple[int, Notes]], list[Notes]]:
    """Held-out pieces, and what the model makes of the beginning of each."""
    pieces = prompts(corpus, count)
    made = []
    for number, (_, notes) in enumerate(pieces):
        (one,) = continuer.continue_from(notes.slice_time(0, PROMPT_S), NEW_S, begin_s=PROMPT_S, seed=number)
        made.append(one.notes)
    return pieces, made


def closeness(corpus: Corpus, pieces: list[tuple[int, Notes]], made: list[Notes]) -> None:
    train = split_tokens(corpus, "train", 1500)
    chain = NoteChain(train, 3, 1)
    rng = np.random.default_rng(1)
    passages = []
    for _, notes in pieces:
        begin = rng.uniform(75, notes.end_s - NEW_S)
        passages.append(notes.slice_time(begin, begin + NEW_S))
    rows = {
        "true continuation": [notes.slice_time(PROMPT_S, PROMPT_S + NEW_S) for _, notes in pieces],
        "another passage of the piece": passages,
        "the model": made,
        "Markov, order 3": [
            by_chain(chain, notes.slice_time(0, PROMPT_S), i) for i, (_, notes) in enumerate(pieces)
        ],
    }
    rows["passage of another piece"] = rows["another passage of the piece"][1:] + passages[:1]
    encoder = Encoder.load()
    own = encoder.embed([notes.slice_time(PROMPT_S + NEW_S, None) for _, notes in pieces]).pieces
    start = encoder.embed([notes.slice_time(0, PROMPT_S) for _, notes in pieces]).pieces
    print(f"\ncloseness: {len(pieces)} held-out works, cosines by {encoder.id}")
    print(f"{'30 s':<32} {'own piece':>9} {'others':>7} {'prompt':>7} {'own piece nearest':>18}")
    for name, some in rows.items():
        vectors = encoder.embed(
            [notes if len(notes) > 1 else Notes([0], [1], [60], [60]) for notes in some]
        ).pieces
        cosine = vectors @ own.T
        mine = np.diag(cosine)
        others = (cosine.sum(1) - mine) / (len(pieces) - 1)
        first = (cosine >= mine[:, None]).sum(1) == 1
        prompt = (vectors * start).sum(1)
        means = f"{mine.mean():>9.3f} {others.mean():>7.3f} {prompt.mean():>7.3f}"
        print(f"{name:<32} {means} {first.mean():>18.1%}", flush=True)


def copies(corpus: Corpus, pieces: list[tuple[int, Notes]], made: list[Notes], gallery: Path | None) -> None:
    indices = np.sort(corpus.indices("train"))
    begun = time.process_time()
    with ExitStack() as stack:
        folder = gallery or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        snapshot = Fingerprints(folder).snapshot(
            indices, lambda wanted: ((i, corpus.notes(i)) for i in wanted.tolist()), "training pieces"
        )
        made_in = time.process_time() - begun
        print(f"\ncopies: parts of {PASSAGE_S:g} s in {len(indices):,} training pieces;", end=" ")
        print(f"their landmarks took {made_in:.0f} s of processor time", flush=True)
        rng = np.random.default_rng(3)
        own = [corpus.notes(int(i)) for i in rng.choice(indices, len(pieces))]
        rows: dict[str, list[Notes]] = {
            "the model": made,
            "true continuations": [notes.slice_time(PROMPT_S, PROMPT_S + NEW_S) for _, notes in pieces],
            "training pieces themselves": [notes.slice_time(5, 5 + NEW_S) for notes in own],
        }
        for name, some in rows.items():
            parts = [
                notes.slice_time(begin, begin + PASSAGE_S)
                for notes in some
                for begin in np.arange(notes.start_s, notes.start_s + NEW_S - 1, PASSAGE_S).tolist()
            ]
            parts = [part for part in parts if len(part) >= 10]
            found = sum(_is_found(snapshot, part) for part in parts)
            print(f"{name:<28} {found} of {len(parts)} ({found / max(len(parts), 1):.1%})", flush=True)


def _is_found(snapshot: Snapshot, notes: Notes) -> bool:
    least = default_confidence(len(notes))
    return any(one.confidence >= least for one in find_matches(snapshot, notes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Corpus)
    parser.add_argument("--weights")
    parser.add_argument("--only", default="bits,speed,closeness,copies")
    parser.add_argument("--pieces", type=int, default=60, help="held-out pieces of each section")
    parser.add_argument("--known", default="1,3")
    parser.add_argument("--gallery", type=Path, help="where landmarks of the training pieces are kept")
    arguments = parser.parse_args()
    continuer = Continuer.load(arguments.weights, "cpu")
    corpus, count = arguments.corpus, arguments.pieces
    made = cache(lambda: continuations(corpus, continuer, count))
    sections: dict[str, Callable[[], None]] = {
        "bits": lambda: bits(corpus, arguments.weights, count, [int(n) for n in arguments.known.split(",")]),
        "speed": lambda: speed(corpus, continuer),
        "closeness": lambda: closeness(corpus, *made()),
        "copies": lambda: copies(corpus, *made(), arguments.gallery),
    }
    for name in arguments.only.split(","):
        sections[name]()


if __name__ == "__main__":
    main()
