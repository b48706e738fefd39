"""How much of the machine's matrix rate the encoder reaches, and where its time goes.

    python tests/bench/embed.py DATA [--files 50]

Compares, in one run: a large bfloat16 matrix product, the transformer on the windows of real files, and the
whole of `Encoder.embed`. The transformer's work is counted as its matrix products: two operations a weight
and note, plus causal attention.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from embedder import Encoder, Notes, read_midi
from embedder.base_encoder import window_ranges
from embedder.transformer import ModelConfig

SIZE = 4096


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """Shortest of some rounds, after one to warm up."""
    work()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def operations(config: ModelConfig, lengths: list[int]) -> float:
    """Floating-point operations of the blocks' matrix products on windows of these lengths."""
    weights = config.layers * (4 * config.width**2 + 2 * config.width * config.hidden)
    attention = config.layers * 2 * config.width  # per pair of a note and one before it: QK and AV
    return sum(2 * weights * n + attention * n * (n + 1) for n in lengths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with MIDI files, e.g. a set of performances")
    parser.add_argument("--files", type=int, default=50)
    args = parser.parse_args()
    files = sorted(p for p in args.data.rglob("*") if p.suffix in (".mid", ".midi"))
    files = files[:: max(1, len(files) // args.files)][: args.files]
    pieces: list[Notes] = [read_midi(path) for path in files]
    encoder = Encoder.load()
    ranges = [window_ranges(len(p), encoder.config.window) for p in pieces]
    notes = sum(map(len, pieces))

    left = torch.randn(SIZE, SIZE, dtype=torch.bfloat16)
    peak = 2 * SIZE**3 / seconds(lambda: left @ left)
    with torch.inference_mode():
        blocks = seconds(lambda: encoder._sums(pieces, ranges))
    whole = seconds(lambda: encoder.embed(pieces))
    windows = [b - a for piece in ranges for a, b in piece]
    lengths = [b - a for notes_ in windows for a, b in window_ranges(notes_, encoder.config.context)]
    work = operations(encoder.config.model, lengths)

    print(f"{len(pieces)} files, {notes:,} notes, {torch.get_num_threads()} threads, {encoder._dtype}")
    print(f"{'matrix product of ' + str(SIZE):32s} {peak / 1e9:8.0f} GFLOP/s   1.00")
    print(f"{'transformer on windows':32s} {work / blocks / 1e9:8.0f} GFLOP/s   {work / blocks / peak:.2f}")
    print(f"{'transformer on windows':32s} {notes / blocks:8,.0f} notes/s")
    print(f"{'all of embed':32s} {notes / whole:8,.0f} notes/s     {blocks / whole:.0%} of it transformer")


if __name__ == "__main__":
    main()
