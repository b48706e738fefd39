"""Evaluation: tasks follow from labels, figures are what a hand computes, and nothing seen is reported."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from embedder import CorpusError, Encoder, Notes, write_midi
from tests.support.aria_models import tiny_aria
from tests.support.bands import write_bands
from tests.support.fake_encoder import FakeEncoder
from train.evaluation import TASKS, EvaluationSettings, collect, evaluate
from train.evaluation.linear_probe import Probe, score_probe
from train.evaluation.plots import draw
from train.evaluation.retrieval import (
    ALTERATIONS,
    Search,
    average_precision,
    excerpt,
    retrieval,
    score_search,
    searches,
)
from train.evaluation.run import uniformity
from train.evaluation.systems import Embeddings, encoder_system
from train.evaluation.tasks import probes
from ui.cli import app

COLUMNS = ["file", "kind", "composition", "composer", "song"]
SIMILARITY = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.4]])
RELEVANT = np.array([[True, False, False], [True, False, False]])


def piece(seed: int, low: int = 50, count: int = 150) -> Notes:
    """Music of 40 s whose register is its composer."""
    rng = np.random.default_rng(seed)
    pitch = low + np.cumsum(rng.integers(-4, 5, count)) % 20
    return Notes(np.sort(rng.uniform(0, 40, count)), rng.uniform(0.1, 0.9, count), pitch, np.full(count, 60))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets: works of two composers as score and performances, and songs in two takes."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows: dict[str, list[list[str]]] = {"classic": [], "songs": []}
    for name in rows:
        (folder / name).mkdir()
    for work in range(12):
        notes = piece(work, 40 if work % 2 else 64)
        for take, kind in enumerate(("score", "performance", "performance")):
            played = notes.jitter(0.01 * take, rng).stretch(1 + 0.1 * take)
            write_midi(played.from_zero(), folder / "classic" / f"{work}-{take}.mid")
            rows["classic"].append([f"{work}-{take}.mid", kind, f"w{work}", ["High", "Low"][work % 2], ""])
    for song in range(6):
        for take in range(2):
            write_midi(piece(100 + song, 50).transpose(take), folder / "songs" / f"{song}-{take}.mid")
            rows["songs"].append([f"{song}-{take}.mid", "", "", "", f"s{song}"])
    write_midi(piece(999, count=20), folder / "songs" / "short.mid")
    for name, lines in rows.items():
        with open(folder / name / "labels.csv", "w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *lines])
    return folder


@pytest.fixture(scope="module")
def held_out(data: Path) -> Path:
    """Works 0 to 9 of the one set were not trained on; of the other set nothing is said."""
    path = data / "held-out.csv"
    lines = [f"classic,{work}-{take}.mid,test" for work in range(10) for take in range(3)]
    path.write_text("\n".join(["set,file,split", *lines, "classic,10-0.mid,validation"]) + "\n")
    return path


def test_only_unseen_pieces_are_collected(data: Path, held_out: Path) -> None:
    collection = collect([str(data)], [held_out])
    assert len(collection.pieces) == 30 + 12
    assert collection.seen == 6
    assert collection.unread == 1  # too short
    assert collection.sets == ("classic", "songs")
    works = {(p.set, p.labels["composition"] or p.labels["song"]): p.work for p in collection.pieces}
    assert len(set(collection.works.tolist())) == len(works) == 16
    assert len(collect([str(data)]).pieces) == 36 + 12
    assert 20 <= len(collect([str(data)], max_per_set=10).pieces) < 30
    with pytest.raises(CorpusError, match="not a list of held-out works"):
        collect([str(data)], [data / "classic" / "labels.csv"])


def test_tasks_follow_from_the_labels(data: Path) -> None:
    collection = collect([str(data)])
    tasks = {task.name: task for task in searches(collection, queries=5, gallery=20, seed=0)}
    assert {"performance -> score", "score -> performance", "other performances", "takes of a song"} <= set(
        tasks
    )
    assert set(ALTERATIONS) <= set(tasks)
    assert len(tasks["30 s of it -> score"].sources) == 36
    assert len(tasks["quantised"].sources) == 5
    assert len(tasks["quantised"].gallery) == 20
    songs = collect([str(data / "songs")])
    assert {t.name for t in searches(songs, queries=5, gallery=20, seed=0)} == {
        "takes of a song",
        *ALTERATIONS,
        "30 s excerpt, by windows",
    }
    assert [probe.name for probe in probes(collection, TASKS, 1000)] == [
        "composer",
        "genre by set",
        "performed or deadpan",
    ]
    assert probes(songs, TASKS, 1000) == []
    assert {search.task for search in tasks.values()} <= set(TASKS)


def test_a_whole_table(data: Path, tmp_path: Path) -> None:
    collection = collect([str(data)])
    evaluation = evaluate([encoder_system("fake", FakeEncoder())], collection, EvaluationSettings(queries=6))
    assert list(evaluation.systems) == ["fake", "features", "n-grams", "both"]
    table = {row.measure: row.values for row in evaluation.rows()}
    assert table["performance -> score, R@1"]["both"] == "100.0"
    assert table["transposed +1, R@1"]["n-grams"] == "100.0"
    assert table["30 s of it -> score, by windows, R@1"]["features"] == ""
    assert float(table["composer (2 classes), all labels"]["features"]) > 70
    assert float(table["notes a second"]["fake"].replace(",", "")) > 0
    rows = evaluation.markdown().splitlines()
    assert all(row.count("|") == 6 for row in rows)
    assert len(rows) == len(table) + 2
    assert json.loads(json.dumps(evaluation.to_json()))["pieces"] == 48
    assert {path.name for path in draw(evaluation, tmp_path)} == {
        "alterations.svg",
        "labels.svg",
        "speed.svg",
        "tasks.svg",
    }


def test_aria_embeds_whole_files_and_altered_notes(tmp_path: Path) -> None:
    paths = write_bands(tmp_path / "bands", 3, bars=8)
    encoder = Encoder.load(tiny_aria(tmp_path / "aria.safetensors", embedding=16), "cpu")
    collection = collect([str(tmp_path / "bands")], preprocessor=encoder.front)
    system = encoder_system("aria", encoder, collection.preprocessed)
    whole = [piece.notes for piece in collection.pieces]
    wanted = dict(zip([path.name for path in paths], encoder.embed_files(paths), strict=True))
    for piece_, vector in zip(collection.pieces, system(whole)["aria"].pieces, strict=True):
        np.testing.assert_allclose(vector, wanted[piece_.file], atol=1e-5)
    altered = [notes.transpose(1) for notes in whole]
    np.testing.assert_allclose(system(altered)["aria"].pieces, encoder.embed(altered).pieces, atol=1e-5)


def test_searches_count_what_they_say(data: Path) -> None:
    collection = collect([str(data / "songs")])
    count = len(collection.pieces)
    every = Embeddings(np.eye(count, dtype=np.float32), np.eye(count, dtype=np.float32), np.arange(count))
    sources = np.arange(count)
    itself = Search("x", "x", None, sources, sources, same_work=False)
    assert score_search(itself, collection, every, every).value == 1.0
    takes = Search("x", "x", None, sources, sources, same_work=True, measure="MAP")
    # The other take is as far as everything else, and ties count against it: 11th of 11.
    assert score_search(takes, collection, every, None).value == pytest.approx(1 / (count - 1))
    windows = Search("x", "x", None, sources, sources, same_work=False, windows=True)
    assert score_search(windows, collection, every, every).value == 1.0
    assert score_search(windows, collection, Embeddings(every.pieces), every) is None


def test_average_precision_by_hand() -> None:
    similarity = np.array([[0.9, 0.8, 0.7, 0.6]])
    right = np.array([[True, False, True, False]])
    assert average_precision(similarity, right) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.ones((1, 4)), right) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(similarity, right, np.array([[True, False, False, False]])) == 0.5


def test_ranks_by_hand() -> None:
    figures = retrieval(SIMILARITY, RELEVANT)
    assert figures.queries == 2
    assert figures.recall_at_1 == 0.5
    assert figures.recall_at_5 == 1.0
    assert figures.mrr == pytest.approx((1 + 1 / 3) / 2)


def test_ties_count_against_the_system() -> None:
    assert retrieval(np.ones((1, 4)), np.array([[False, True, False, False]])).mrr == 0.25


def test_the_best_of_several_right_answers_counts_and_the_query_itself_does_not() -> None:
    right = np.array([[True, True, False]])
    itself = np.array([[True, False, False]])
    assert retrieval(SIMILARITY[:1], right, itself).recall_at_1 == 1.0
    assert retrieval(SIMILARITY[:1], np.array([[True, False, True]]), itself).mrr == 0.5


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        retrieval(SIMILARITY * np.nan, RELEVANT)
    with pytest.raises(ValueError, match="no relevant answer"):
        retrieval(SIMILARITY, np.zeros_like(RELEVANT))
    with pytest.raises(ValueError, match="shape"):
        retrieval(SIMILARITY, RELEVANT[:, :2])


def test_probes_never_share_a_work_between_sides() -> None:
    """Vectors that only name the work tell nothing of the class."""
    works = np.repeat(np.arange(40), 3)
    probe = Probe("x", np.arange(120), works % 2, works)
    by_work = np.eye(40, dtype=np.float32)[works]
    found = score_probe(probe, by_work).accuracy
    assert set(found) == {"1", "5", "10", "all"}
    assert max(found.values()) < 0.7
    by_class = np.eye(2, dtype=np.float32)[works % 2]
    assert min(score_probe(probe, by_class).accuracy.values()) == 1.0


def test_a_work_with_pieces_of_both_classes_is_never_on_both_sides() -> None:
    works = np.repeat(np.arange(12), 2)
    probe = Probe("x", np.arange(24), np.arange(24) % 2, works)
    by_class = np.eye(2, dtype=np.float32)[np.arange(24) % 2]
    accuracy = score_probe(probe, by_class).accuracy
    assert set(accuracy) >= {"1", "5", "all"}  # ten labels a class may leave no work to test on
    assert min(accuracy.values()) == 1.0


def test_draws_of_folds_are_averaged() -> None:
    works = np.repeat(np.arange(40), 3)
    probe = Probe("x", np.arange(120), works % 2, works)
    hints = np.random.default_rng(3).normal(works % 2, 1.0, (4, 120)).T.astype(np.float32)
    each = [score_probe(probe, hints, seed).accuracy["all"] for seed in range(3)]
    assert len(set(each)) > 1
    assert score_probe(probe, hints, 0, fold_draws=3).accuracy["all"] == pytest.approx(np.mean(each))


def test_excerpts_have_notes_and_their_length() -> None:
    rng = np.random.default_rng(0)
    long = piece(1, count=900).stretch(5)
    parts = [excerpt(long, rng) for _ in range(20)]
    assert all(len(part) >= 20 and part.onset[-1] - part.onset[0] <= 30 for part in parts)
    assert excerpt(piece(1).stretch(0.5), rng) == piece(1).stretch(0.5)


def test_uniformity_by_hand() -> None:
    assert uniformity(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(-4.0)
    assert uniformity(np.ones((1, 1))) is None


def test_the_command(data: Path, held_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda name: FakeEncoder())
    asked = ["train", "evaluate", "fake", "--data", str(data), "--queries", "3", "--held-out", str(held_out)]
    result = CliRunner().invoke(app, [*asked, "--markdown", str(tmp_path / "t.md"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["left_out_as_seen"] == 6
    assert "| performance -> score, R@1 |" in (tmp_path / "t.md").read_text()
    plain = CliRunner().invoke(app, asked)
    assert plain.stdout.splitlines()[0].split("\t") == ["measure", "fake", "features", "n-grams", "both"]
    absent = CliRunner().invoke(app, ["train", "evaluate", "fake", "--data", str(data / "absent")])
    assert absent.exit_code == 1
    assert "no folder" in absent.stderr
