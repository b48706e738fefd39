"""Tasks: labels, headers, passages, notes and the table that they make."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from embedder import CorpusError, Notes, read_midi
from embedder.transformer import ModelConfig, NoteTransformer
from tests.support.songs import write_song, write_songs
from train.checkpoints import export
from train.evaluation import SHARES, Evaluation
from train.evaluation.datasets import Collection, EvaluatedPiece, Header, read_header
from train.evaluation.linear_probe import Probe, ProbeScore, share_accuracy
from train.evaluation.note_tasks import note_accuracy
from train.evaluation.plots import draw
from train.evaluation.report import SystemScores
from train.evaluation.systems import load_reader, note_features, note_states, states_system
from train.evaluation.tasks import TASKS, next_passage, passages, select_tasks
from train.voices import prepare_voices
from ui.cli import app

SMALL = ModelConfig(width=16, layers=2, heads=2, hidden=32, projection=8)
COLUMNS = ["file", "kind", "composition", "composer", "artist"]
NO_HEADER = Header()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pianists, ten works each; a work of the one is played, of the other notated."""
    folder = tmp_path_factory.mktemp("data") / "classic"
    rows = []
    for seed in range(20):
        write_song(folder / f"{seed}.mid", seed, bars=12, minor=seed % 4 < 2)
        composer = ("Johann Sebastian Bach", "Frédéric Chopin")[seed % 2]
        rows.append([f"{seed}.mid", ("score", "performance")[seed % 2], f"w{seed}", composer, "AB"[seed % 2]])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return export(NoteTransformer(SMALL), tmp_path_factory.mktemp("run") / "encoder")


def labelled(header: Header = NO_HEADER, set_: str = "songs", **labels: str) -> dict[str, str]:
    piece = EvaluatedPiece(set_, "a.mid", labels, Notes.empty(), 0, header=header)
    collection = Collection([piece])
    found = {task.name: task.label(piece, collection) for task in TASKS.values() if task.label is not None}
    return {name: label for name, label in found.items() if label}


def test_there_are_more_than_thirteen_tasks_each_with_its_question() -> None:
    assert len(TASKS) >= 13
    assert all(task.question for task in TASKS.values())


def test_tasks_are_named_alone_or_by_group() -> None:
    assert select_tasks(TASKS) == list(TASKS)
    assert select_tasks(["era", " Composer"]) == ["composer", "era"]
    assert select_tasks(["notes"]) == ["melody", "velocity"]
    with pytest.raises(CorpusError, match="no task or group of tasks is called 'mood'"):
        select_tasks(["mood"])


def test_labels_follow_from_columns_and_headers() -> None:
    found = labelled(Header("C", "minor", "3/4", 120.5), composer="Ludwig van Beethoven", kind="score")
    assert found["era"] == "classical"
    assert found["performed or deadpan"] == "deadpan"
    assert (found["key"], found["mode"], found["metre"]) == ("C", "minor", "3/4")
    assert found["tempo class"] == "lively"
    assert found["genre by set"] == "classical"
    assert labelled() == {"genre by set": "songs"}
    assert labelled(artist="Yiruma")["pianist"]
    assert "era" not in labelled(composer="Nobody Known")


def test_headers_are_read_where_files_make_statements(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid", 1, minor=True)
    header = read_header(str(tmp_path / "a.mid"))
    assert (header.tonic, header.mode, header.metre) == ("A", "minor", "3/4")
    assert header.bpm == pytest.approx(60e6 / 520_000, abs=0.1)
    write_song(tmp_path / "b.mid", 2)
    assert read_header(str(tmp_path / "b.mid")).tonic == "C"
    write_song(tmp_path / "default.mid", 0)  # 120 BPM, which states nothing
    assert read_header(str(tmp_path / "default.mid")).bpm == 0
    (tmp_path / "bad.mid").write_bytes(b"no music")
    assert read_header(str(tmp_path / "bad.mid")) == Header()


def test_a_passage_is_followed_by_its_own_continuation() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 8)).astype(np.float32)
    assert next_passage(rows, rows) == 1
    assert next_passage(np.ones_like(rows), np.ones_like(rows)) == 0  # ties count against
    chance = np.mean([next_passage(rows, rng.normal(size=rows.shape).astype(np.float32)) for _ in range(50)])
    assert chance == pytest.approx(0.2, abs=0.06)
    notes = Notes(np.arange(400) * 0.1, np.full(400, 0.1), np.arange(400) % 60 + 30, np.full(400, 60))
    pieces = [EvaluatedPiece("s", f"{i}", {}, notes, i // 2) for i in range(6)]
    before, after, works = passages(Collection(pieces), 10)
    assert len(works) == len(set(works)) == 3
    assert all(len(one) == len(other) == 64 for one, other in zip(before, after, strict=True))


def test_states_come_layer_by_layer(weights: Path, data: Path) -> None:
    reader = load_reader(weights)
    notes = read_midi(data / "0.mid")
    layers = note_states(reader, notes)
    assert [layer.shape for layer in layers] == [(len(notes), 16)] * 2
    made = states_system("run", reader, every_layer=True)([notes, notes.transpose(1)])
    assert list(made) == ["run, layer 1", "run, layer 2"]
    expected = np.concatenate([layers[1].mean(0), layers[1].std(0)])
    assert np.allclose(made["run, layer 2"].pieces[0], expected, atol=1e-5)
    chance = note_states(load_reader(weights, random=True), notes)
    assert not np.allclose(chance[1], layers[1])
    assert np.array_equal(chance[1], note_states(load_reader(weights, random=True), notes)[1])
    with pytest.raises(CorpusError, match="no finished weights"):
        load_reader(data)


def test_a_model_of_both_directions_does_not_hear_padding(tmp_path: Path, data: Path) -> None:
    torch.manual_seed(0)
    both = NoteTransformer(replace(SMALL, causal=False))
    for parameter in both.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    reader = load_reader(export(both, tmp_path / "both"))
    notes = read_midi(data / "0.mid")
    last = note_states(reader, notes.slice_notes(0, 100))[-1]
    alone = reader(torch.from_numpy(_tokens(notes.slice_notes(0, 100))[None]))[0].detach().numpy()
    assert np.allclose(last, alone, atol=1e-4)


def _tokens(notes: Notes) -> np.ndarray:
    from embedder.tokens import to_tokens

    return to_tokens(notes)


def test_linear_heads_tell_voices_apart(tmp_path: Path) -> None:
    corpus = prepare_voices(write_songs(tmp_path / "songs", 12), tmp_path / "corpus")
    melody = note_accuracy("melody", note_features, corpus)
    assert melody is not None
    assert melody > 0.9
    assert note_accuracy("velocity", note_features, corpus) is None  # all notes are equally loud
    seen: list[int] = []

    def listen(notes: Notes) -> np.ndarray:
        seen.extend(np.unique(notes.velocity).tolist())
        return np.random.default_rng(0).normal(size=(len(notes), 2)).astype(np.float32)

    rng_velocity = corpus.folder / "velocity.npy"
    velocity = np.load(rng_velocity)
    np.save(rng_velocity, np.random.default_rng(0).integers(20, 120, len(velocity)).astype(np.uint8))
    from train.corpus import Corpus

    told = note_accuracy("velocity", listen, Corpus(corpus.folder))
    assert told is not None
    assert told < 0.6
    assert set(seen) == {64}  # the answer is not given away


def test_means_are_of_the_tasks_that_all_systems_have() -> None:
    scores = {
        "one": SystemScores(probes=[ProbeScore("a", {"5": 0.2, "all": 0.5}, 9, 2)], notes={"b": 1.0}),
        "two": SystemScores(probes=[ProbeScore("a", {"all": 0.7}, 9, 2)]),
    }
    evaluation = Evaluation(scores, Collection([]))
    assert evaluation.by_task() == {
        "systems": ["one", "two"],
        "tasks": {"a": {"one": 0.5, "two": 0.7}, "b": {"one": 1.0}},
        "few": {"a, 5 a class": {"one": 0.2}},
        "means": {"one": 0.5, "two": 0.7},
    }
    table = evaluation.markdown()
    assert "| a (2 classes), 5 labels a class | 20.0 |  |" in table
    assert "| a (2 classes), all labels | 50.0 | 70.0 |" in table
    assert "| b of a note | 100.0 |  |" in table
    assert "| mean of the tasks that all systems have | 50.0 | 70.0 |" in table


def test_a_share_of_the_labels_is_drawn_by_works() -> None:
    classes = np.arange(300) % 3
    probe = Probe("kind", np.arange(300), classes, np.arange(300) // 2)
    plain = np.eye(3, dtype=np.float32)[classes]
    noise = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    assert share_accuracy(probe, plain, 0.1) == 1.0
    chance = share_accuracy(probe, noise, 0.1)
    assert chance is not None
    assert 0.2 < chance < 0.5
    assert share_accuracy(probe, plain, 0.01) is None  # fewer labels than classes


def test_scores_are_plotted(tmp_path: Path) -> None:
    scores = {
        name: SystemScores(
            probes=[
                ProbeScore("mode", {"all": level}, 9, 2, {f"{share:.0%}": level / 2 for share in SHARES}),
                ProbeScore("key", {"all": 0.4}, 9, 2),
            ]
        )
        for name, level in (("one", 0.5), ("two", 0.7))
    }
    drawn = draw(Evaluation(scores, Collection([])), tmp_path / "plots")
    assert [path.name for path in drawn] == ["tasks.svg", "labels.svg", "shares.svg"]
    assert all("</svg>" in path.read_text() for path in drawn)


def test_one_command_measures_encoders_and_runs_beside_the_baselines(weights: Path, data: Path) -> None:
    arguments = ["train", "evaluate", str(weights), "--data", str(data), "--json"]
    result = CliRunner().invoke(app, [*arguments, "--tasks", "era,performance -> score,retrieval"])
    assert result.exit_code == 0, result.stderr
    systems = json.loads(result.stdout)["systems"]
    assert list(systems) == [
        str(weights),
        "random weights, one direction",
        "features",
        "n-grams",
        "both",
    ]
    for scores in systems.values():
        assert [probe["name"] for probe in scores["probes"]] == ["era"]
        assert {search["name"] for search in scores["searches"]} == {"next passage"}
    unknown = CliRunner().invoke(app, [*arguments, "--tasks", "mood"])
    assert unknown.exit_code == 1
    assert "no task or group of tasks is called 'mood'" in unknown.stderr
    silent = CliRunner().invoke(app, [*arguments, "--tasks", "notes"])
    assert "need --voices" in silent.stderr


def test_the_command_sets_systems_side_by_side(weights: Path, data: Path, tmp_path: Path) -> None:
    corpus = prepare_voices(write_songs(tmp_path / "songs", 12), tmp_path / "corpus")
    arguments = ["train", "tasks", str(weights), "--data", str(data), "--voices", str(corpus.folder)]
    result = CliRunner().invoke(app, [*arguments, "--markdown", str(tmp_path / "table.md"), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert {str(weights), "random weights, one direction", "features"} <= set(found["systems"])
    wanted = {"composer", "pianist", "era", "mode", "metre", "performed or deadpan", "next passage", "melody"}
    assert wanted <= set(found["tasks"])
    assert found["tasks"]["melody"]["features"] > 0.9
    assert "random weights" in (tmp_path / "table.md").read_text()
