"""Encoders and baselines on the held-out works of a corpus with parts, in one run.

    python -m train.ensemble.compare CORPUS [--split test] [--run RUN ...] [--encoder NAME ...]

`--run` measures the averaged weights of a run, the transformer alone and with counts; `--encoder` any encoder
by name or folder, on pitched notes alone. Baselines are those of `train.baselines`. Designs are chosen on
`validation`; `test` is for what ships.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from numpy.typing import NDArray

from embedder.aria.encoder import AriaEncoder
from embedder.base_encoder import GroupedEncoder, fast_dtype
from embedder.encoder import Encoder
from embedder.ensemble.model import EnsembleConfig, EnsembleTransformer
from embedder.ensemble.windows import ready

from ..checkpoints import load_weights
from .corpus import EnsembleCorpus
from .embedding import piece_vectors
from .measures import Embed, Measures, features_and_grams, pitched
from .reading import PartedNotes

__all__ = ["systems", "table"]

GROUP = 64


def systems(
    pieces: Sequence[PartedNotes],
    runs: Sequence[Path],
    encoders: Sequence[str],
    context: int,
    *,
    baselines: bool = True,
) -> Iterator[tuple[str, Embed]]:
    """Name and vectors of each system; the baselines' scales come from `pieces`."""
    if baselines:
        yield from features_and_grams(pieces).items()
    for name in encoders:
        yield name, _of_encoder(Encoder.load(name))
    for run in runs:
        config = EnsembleConfig.from_dict(json.loads((run / "encoder" / "model.json").read_text()))
        model = EnsembleTransformer(config)
        load_weights(model, run / "encoder" / "model.safetensors")
        cpu = torch.device("cpu")
        model = ready(model, cpu, fast_dtype(cpu))
        yield f"{run.name}, transformer alone", _of_model(model, context, fused=False)
        if config.fused:
            yield f"{run.name}, with counts", _of_model(model, context, fused=True)


def _of_model(model: EnsembleTransformer, context: int, *, fused: bool) -> Embed:
    return lambda pieces: piece_vectors(model, pieces, context, nullcontext, fused=fused)


def _of_encoder(encoder: GroupedEncoder | AriaEncoder) -> Embed:
    def embed(pieces: Sequence[PartedNotes]) -> NDArray[np.float32]:
        groups = [pieces[at : at + GROUP] for at in range(0, len(pieces), GROUP)]
        return np.concatenate([encoder.embed([pitched(one) for one in of]).pieces for of in groups])

    return embed


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """Rows of a Markdown table, a column a system."""
    lines = ["| | " + " | ".join(found) + " |", "| --- |" + " ---: |" * len(found)]
    rows = list(dict.fromkeys(name for numbers in found.values() for name in numbers))
    for row in rows:
        cells = [f"{numbers[row]:.1f}" if row in numbers else "" for numbers in found.values()]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--run", type=Path, action="append", default=[])
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--per-set", type=int, default=90)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measures = Measures(EnsembleCorpus(args.corpus), args.split, args.per_set)
    heading = (
        f"{len(measures.pieces):,} pieces, {len(measures.performed)} performances of scores, "
        f"{len(measures.copies)} altered pieces, {len(measures.bands)} altered bands"
    )
    print(heading, flush=True)
    found: dict[str, dict[str, float]] = {}
    for name, embed in systems(
        measures.pieces, args.run, args.encoder, args.context, baselines=args.baselines
    ):
        begun = time.process_time()
        found[name] = measures(embed)
        print(f"{name}: {time.process_time() - begun:.0f} s {json.dumps(found[name])}", flush=True)
        if args.markdown:
            args.markdown.write_text("\n".join([heading, "", *table(found), ""]), encoding="utf-8")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
