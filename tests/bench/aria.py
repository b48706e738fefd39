"""Aria: how fast its tokenizer and its transformer are.

    python tests/bench/aria.py DATA [--files 40] [--width 1536 --layers 16] [--device cuda]

tokens      milliseconds of processor time of reading the bytes and of tokenizing what was read, beside mido's
            reading and the 150 ms that the reference takes for 2,500 notes
vectors     windows of 300 notes a second, with random weights of the size asked for, and the share of the
            rate of a large matrix product of the same precision that the transformer reaches, counting two
            operations a weight and token, and causal attention. Padding is not counted as work
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import torch
from safetensors.torch import save_file

from embedder.aria.encoder import AriaEncoder
from embedder.aria.score import read_score
from embedder.aria.tokenizer import run_ids, score_ids
from embedder.aria.transformer import AriaConfig, AriaTransformer
from embedder.aria.vocabulary import SIZE

REFERENCE_MS, REFERENCE_NOTES = 150.0, 2_500


def seconds(
    work: Callable[[], object], rounds: int = 3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Shortest of some rounds, after one to warm up."""
    work()
    times = []
    for _ in range(rounds):
        begun = clock()
        work()
        times.append(clock() - begun)
    return min(times)


def tokens(files: list[bytes]) -> None:
    notes, reading, joining, slow = 0, 0.0, 0.0, 0.0
    for data in files:
        score = read_score(data)
        notes += len(score)
        reading += seconds(lambda data=data: read_score(data), clock=time.process_time)
        joining += seconds(lambda score=score: score_ids(score), clock=time.process_time)
        begun = time.process_time()
        mido.MidiFile(file=io.BytesIO(data))
        slow += time.process_time() - begun
    scale = REFERENCE_NOTES / notes * 1e3
    both = (reading + joining) * scale
    print(f"{len(files)} files, {notes:,} notes; milliseconds for {REFERENCE_NOTES:,} notes:")
    print(f"  reading {reading * scale:.2f} (mido {slow * scale:.0f}), tokenizing {joining * scale:.2f}")
    print(
        f"  the reference takes {REFERENCE_MS:.0f}: {REFERENCE_MS / (joining * scale):.0f} times tokenizing,",
        end="",
    )
    print(f" {REFERENCE_MS / both:.0f} times both")


def operations(config: AriaConfig, lengths: list[int]) -> float:
    weights = config.layers * (4 * config.width**2 + 3 * config.width * config.hidden)
    attention = sum(2 * config.layers * config.width * n * n for n in lengths)  # half of both
    return 2.0 * weights * sum(lengths) + attention


def vectors(files: list[bytes], config: AriaConfig, device: str, precision: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        torch.manual_seed(0)
        model = AriaTransformer(config)
        save_file({name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}, path)
        del model
        encoder = AriaEncoder.load(path, device, precision)
        runs = [ids for data in files for _, _, ids in run_ids(read_score(data))]
        dtype = next(encoder._model.parameters()).dtype

        def settled(work: Callable[[], object]) -> Callable[[], None]:
            def run() -> None:
                work()
                if device.startswith("cuda"):
                    torch.cuda.synchronize()

            return run

        side = 8192 if device.startswith("cuda") else 2048
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        peak = 2.0 * side**3 / seconds(settled(lambda: a @ b))
        took = seconds(settled(lambda: encoder._of_runs(runs)), rounds=2)
    rate = operations(config, [len(ids) for ids in runs]) / took
    mean = np.mean([len(ids) for ids in runs])
    print(
        f"{config.width} x {config.layers} in {dtype} on {device}: {len(runs) / took:,.1f} windows a second,"
    )
    print(f"  {rate / 1e12:.2f} of {peak / 1e12:.2f} TFLOP/s, {rate / peak:.0%}; {mean:.0f} ids a window")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision")
    parser.add_argument("--only", default="tokens,vectors")
    arguments = parser.parse_args()
    paths = sorted(arguments.data.rglob("*.mid*"))
    chosen = np.random.default_rng(0).choice(len(paths), min(arguments.files, len(paths)), replace=False)
    files = [paths[i].read_bytes() for i in sorted(chosen.tolist())]
    width = arguments.width
    config = AriaConfig(width, width // 64, arguments.layers, 4 * width, SIZE, embedding=512)
    if "tokens" in arguments.only:
        tokens(files)
    if "vectors" in arguments.only:
        vectors(files, config, arguments.device, arguments.precision)


if __name__ == "__main__":
    main()
