"""`midikin train`: from files to an encoder by commands alone, and what they say when something is wrong."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from embedder import Encoder, write_midi
from tests.support.small_recipes import recipe_text
from tests.train.conftest import random_piece
from train.monitor import Logs, matrix_rate, training_flops
from ui.cli import app


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_files_to_an_encoder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    music = tmp_path / "music"
    music.mkdir()
    for seed in range(6):
        write_midi(random_piece(seed), music / f"{seed}.mid")
    corpus, recipe = tmp_path / "corpus", tmp_path / "recipe.toml"
    made = json.loads(run("prepare", music, "--out", corpus, "--without", "all", "--test", 0, "--json"))
    assert made["pieces"] == made["splits"]["train"]["pieces"] + made["splits"]["validation"]["pieces"] == 6
    recipe.write_text(recipe_text("next-note", rows=4, length=32))
    trained = json.loads(run("run", recipe, "--corpus", corpus, "--out", tmp_path / "run", "--json"))
    assert trained["steps"] == 3
    assert trained["model_flop_utilisation"] > 0
    assert trained["flops_per_s"] < trained["matrix_product_flops_per_s"]
    assert list((tmp_path / "run" / "events").iterdir())
    again = json.loads(run("run", recipe, "--corpus", corpus, "--out", tmp_path / "run", "--json"))
    assert again == {"weights": trained["weights"]}  # nothing was left to do
    head, card = tmp_path / "head.safetensors", tmp_path / "card.md"
    run("head", corpus, "--out", head, "--steps", 1, "--pairs", 2, "--taught", 0)
    card.write_text("# mine\n")
    mine = tmp_path / "mine"
    shares = ("--shares", 0.2, 0.5, 0.3)
    run(
        "assemble",
        trained["weights"],
        "--head",
        head,
        "--out",
        mine,
        "--name",
        "mine",
        "--card",
        card,
        *shares,
    )
    encoder = Encoder.load(mine, device="cpu")
    assert encoder.config.weights == {"learned": 0.2, "identity": 0.5, "style": 0.3}
    assert np.isfinite(encoder.embed([random_piece(1)]).pieces).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("prepare", "absent", "--out", "corpus"), "is no folder"),
        (("prepare", ".", "--out", "corpus", "--without", "loud"), "no filter is called loud"),
        (("run", "pretrain", "--corpus", "absent", "--out", "run"), "not a prepared corpus"),
        (("run", "absent", "--corpus", "absent", "--out", "run"), "recipe absent cannot be read"),
        (("head", "absent", "--out", "head"), "not a prepared corpus"),
        (("head", "absent", "--out", "head", "--from", "none"), "no fitted head"),
        (("assemble", "absent", "--head", "h", "--out", "o", "--name", "n", "--card", "c"), "model card c"),
        (("evaluate", "absent", "--data", "absent"), "no encoder absent"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 1
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_log_takes_back_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    logs = Logs(tmp_path, 0)
    for step in (1, 2, 3):
        logs.write(step, {"loss": 1 / step})
    logs.close()
    with open(tmp_path / "log.csv", "a") as file:
        file.write("4,lo")
    again = Logs(tmp_path, 2)
    again.write(3, {"loss": 5.0})
    again.close()
    with open(tmp_path / "log.csv", newline="") as file:
        assert list(csv.reader(file)) == [["1", "loss", "1"], ["2", "loss", "0.5"], ["3", "loss", "5"]]


def test_operations_are_those_of_the_matrix_products() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from embedder.transformer import ModelConfig, NoteTransformer

    config = ModelConfig(width=64, layers=2, heads=2, hidden=128, positions=64, projection=16)
    model = NoteTransformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    tokens = torch.randint(0, 30, (3, 32, 4))
    with FlopCounterMode(display=False) as counter:
        model.project(model(tokens).mean(1)).sum().backward()
    counted = counter.get_total_flops()
    ours = training_flops(config, 3, 32, predicts=False, projects=True)
    attention = 3 * 3 * 32 * config.layers * 2 * 64 * 32
    assert ours - attention <= counted * 1.01
    assert counted <= (ours + attention) * 1.01
    assert matrix_rate(torch.device("cpu"), "float32", 64) > 1e6
