"""The peer of the benchmarks, the package midisimx with its packaged model, in an environment of its own.

It is never a dependency of midikin. It is favoured: its model is loaded before its clock starts, each file is
one sequence (no transposed copies, as its own searches would make), padded no further than its batch, and
what it cuts off after 3,072 tokens counts as done.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["PeerRun", "run_peer"]

SCRIPT = """
import json, sys, time
import midisimx, numpy, torch
paths = json.load(sys.stdin)
model, _, _ = midisimx.load_tiny_model(device="cpu", verbose=False)
cpu = torch.device("cpu")
begun, cpu_begun = time.perf_counter(), time.process_time()
tokens = [midisimx.midi_to_tokens(path, transpose_factor=0, verbose=False)[0] for path in paths]
vectors = midisimx.get_embeddings_bf16(
    model, tokens, seq_len=None, device=cpu, return_numpy=True, verbose=False, show_progress_bar=False
)
seconds = [time.perf_counter() - begun, time.process_time() - cpu_begun]
assert len(vectors) == len(paths)
numpy.save(sys.argv[1], numpy.asarray(vectors, dtype=numpy.float32))
print("ANSWER", json.dumps(seconds))
"""


@dataclass(frozen=True)
class PeerRun:
    """Vectors of the files, unit rows [n, d]; seconds and processor seconds that they took."""

    vectors: NDArray[np.float32]
    seconds: float
    cpu_s: float


def run_peer(python: str, paths: list[str]) -> PeerRun:
    """Embed files with the midisimx that the interpreter `python` can import."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "vectors.npy"
        answer = subprocess.run(
            [python, "-c", SCRIPT, str(kept)],
            input=json.dumps(paths),
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line for line in answer.stdout.splitlines() if line.startswith("ANSWER")]
        if answer.returncode or not lines:
            raise SystemExit(f"the peer failed:\n{answer.stderr[-2000:]}")
        vectors = np.load(kept, allow_pickle=False)
    seconds, cpu_s = json.loads(lines[0].removeprefix("ANSWER"))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return PeerRun(unit, float(seconds), float(cpu_s))
