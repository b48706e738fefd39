"""Run folders of earlier versions: `old_run` was written by version 0.1 before its modules were rearranged.

`recipe.toml`, `checkpoint` and `log.csv` are of a run that was killed after step 2 of 4; `finished` holds the
weights of the same run undisturbed.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from embedder.transformer import NoteTransformer
from train.checkpoints import load_weights
from train.corpus import Corpus
from train.evaluation.systems import load_reader
from train.loop import run
from train.recipe import Recipe

OLD = Path(__file__).parent / "old_run"


def test_a_killed_run_of_an_earlier_version_continues_to_the_same_weights(
    corpus: Corpus, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD, folder, ignore=shutil.ignore_patterns("finished"))
    steps: list[int] = []
    recipe = Recipe.read(folder / "recipe.toml")
    weights = run(recipe, corpus, folder, device="cpu", on_progress=lambda now: steps.append(now.step))
    assert steps == [3, 4]
    for name in ("model.safetensors", "objective.safetensors"):
        expected, found = load_file(OLD / "finished" / name), load_file(weights / name)
        assert set(expected) == set(found)
        for key in expected:
            torch.testing.assert_close(found[key], expected[key], rtol=1e-4, atol=1e-5)
    assert (folder / "log.csv").read_text().count(",loss,") == 4


def test_finished_weights_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    reader = load_reader(OLD / "finished")
    assert reader.config.width == 8
    load_weights(NoteTransformer(reader.config), OLD / "finished" / "model.safetensors", to_finetune=True)
