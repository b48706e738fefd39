"""Gradients of large batches: cached by chunks, and shared by several processes, they are the same."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embedder import CorpusError
from embedder.transformer import ModelConfig, NoteTransformer
from tests.support.small_recipes import recipe_text
from train.corpus import Corpus
from train.dist import Processes
from train.loop import run
from train.objectives import Objective, Step
from train.objectives.contrastive import Contrastive
from train.recipe import Recipe

SMALL = ModelConfig(width=32, layers=1, heads=2, hidden=64, positions=256, projection=16)
RUN = {"steps": 4, "warmup": 1, "validate_every": 2}
CONTRAST = recipe_text("contrastive", run=RUN, pairs=6, shortest=24, longest=32)
NEXT_NOTE = recipe_text("next-note", run={**RUN, "accumulate": 2}, rows=4, length=32)
SCRIPT = """
import sys
from train.corpus import Corpus
from train.loop import run
from train.recipe import Recipe
import torch
torch.set_num_threads(1)
corpus = Corpus(sys.argv[1])
for recipe in sys.argv[2:]:
    seen = []
    run(Recipe.read(recipe), corpus, recipe + ".run", device="cpu", on_progress=seen.append)
    print(len(seen))
"""


def gradients(
    objective: Objective, processes: Processes | None = None
) -> tuple[dict[str, float], torch.Tensor]:
    torch.manual_seed(0)
    model = NoteTransformer(SMALL)
    for parameter in model.parameters():  # blocks that add nothing would hide half of the gradients
        torch.nn.init.normal_(parameter, std=0.1)
    batch = objective.batch(np.random.default_rng(3))
    step = Step(lambda: torch.autocast("cpu", enabled=False), 0.5, processes or Processes())
    numbers = objective.backward(model, batch, step)
    return numbers, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("next_note", [0.0, 0.2])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_cached_gradients_are_those_of_the_whole_batch(
    corpus: Corpus, next_note: float, pooling: str
) -> None:
    settings = {"pairs": 7, "shortest": 24, "longest": 48, "next_note": next_note, "pooling": pooling}
    whole, wanted = gradients(Contrastive(corpus, "train", **settings))
    for chunk in (5, 14, 100):
        numbers, found = gradients(Contrastive(corpus, "train", chunk=chunk, **settings))
        assert numbers == pytest.approx(whole, rel=1e-4)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_rows_are_shared_out_once() -> None:
    shares = [Processes(rank, 3).rows(11) for rank in range(3)]
    assert [i for share in shares for i in range(share.start, share.stop)] == list(range(11))


def test_batches_that_cannot_be_shared_are_refused(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr("train.loop.processes", lambda: nullcontext(Processes(0, 3)))
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    with pytest.raises(CorpusError, match="multiple of 3"):
        run(Recipe.parse(NEXT_NOTE), corpus, folder, device="cpu")


@pytest.mark.slow
def test_two_processes_do_what_one_does(corpus: Corpus, tmp_path: Path) -> None:
    """Two gloo processes end with the weights of one, to within rounding of sums in another order."""
    torch.set_num_threads(1)
    recipes = {"contrast": CONTRAST, "next": NEXT_NOTE}
    for name, text in recipes.items():
        weights = run(Recipe.parse(text), corpus, tmp_path / name, device="cpu") / "model.safetensors"
        alone = load_file(weights)
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        assert two_processes(corpus, path) == [["4"], ["0"]]  # the first reports
        found = load_file(Path(f"{path}.run") / "encoder" / "model.safetensors")
        for key, wanted in alone.items():
            torch.testing.assert_close(found[key], wanted, rtol=1e-3, atol=1e-4)


def two_processes(corpus: Corpus, recipe: Path) -> list[list[str]]:
    """Run a recipe in two processes as torchrun would; what each printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(corpus.folder), str(recipe)],
            env=os.environ
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ends[0][1] + ends[1][1]
    return [out.split() for out, _ in ends]
