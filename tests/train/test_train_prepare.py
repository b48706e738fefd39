"""Preparing corpora: what is read, removed, grouped and split, and that nothing is lost when it is killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from embedder import CorpusError, Notes, write_midi
from train.corpus import Corpus
from train.filters import FILTERS, chosen_filters, failing
from train.prepare import PrepareSettings, prepare
from train.works import SHARED, components, note_links, runs_of_intervals, split_of, title_cue


def piece(seed: int, count: int = 400) -> Notes:
    """Music that no filter removes."""
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.2, 0.3], count))
    return Notes(
        onset, rng.uniform(0.1, 0.9, count), rng.integers(36, 90, count), rng.integers(30, 90, count)
    )


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Two sets: `first` with labels, and one of copies, versions and oddities."""
    first, second = tmp_path / "sets" / "first", tmp_path / "sets" / "second"
    (first / "a").mkdir(parents=True)
    second.mkdir()
    for number in range(8):
        write_midi(piece(number), first / "a" / f"{number}.mid")
    write_midi(
        piece(0).transpose(3).stretch(1.3).jitter(0.002, np.random.default_rng(0)), second / "zero.mid"
    )
    write_midi(piece(1), second / "again.mid")
    write_midi(piece(2).stretch(0.9).transpose(0).with_velocity(50), second / "edited.mid")
    write_midi(piece(3, 10), second / "tiny.mid")
    (second / "broken.mid").write_bytes(b"MThd junk")
    with open(first / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "composition", "composer", "title"])
        for number in range(8):
            table.writerow([f"a/{number}.mid", "same" if number in (5, 6) else f"w{number}", "", ""])
    return tmp_path / "sets"


def work_of(corpus: Corpus) -> dict[str, int]:
    return {record.path: record.work for record in corpus.pieces}


def test_a_corpus_of_two_sets(sets: Path, tmp_path: Path) -> None:
    stages = Counter[str]()
    corpus = prepare([sets], tmp_path / "corpus", on_progress=lambda stage, *_: stages.update([stage]))
    assert corpus.counts["removed"] == {
        "unreadable": 1,
        "few-notes": 1,
        "same-notes": 1,
        "same-performance": 1,
    }
    assert corpus.counts["files"] == 13
    assert set(stages) == {"reading", "comparing", "writing"}
    works = work_of(corpus)
    assert len(works) == 9
    assert works["first/a/0.mid"] == works["sets/second/zero.mid"]  # by their notes
    assert works["first/a/5.mid"] == works["first/a/6.mid"]  # by their labels
    assert len(set(works.values())) == 7
    by_path = {record.path: (i, record) for i, record in enumerate(corpus.pieces)}
    index, record = by_path["first/a/5.mid"]
    assert record.version == "first:same"
    assert record.labels["composition"] == "same"
    assert corpus.notes(index) == piece(5).from_zero()
    for record in corpus.pieces:
        assert (
            record.split
            == by_path[f"first/a/{record.path[-5]}.mid" if "zero" not in record.path else "first/a/0.mid"][
                1
            ].split
        )


def test_asking_again_costs_nothing_and_gives_the_same(sets: Path, tmp_path: Path) -> None:
    first = prepare([sets], tmp_path / "corpus")
    stages: list[str] = []
    again = prepare([sets], tmp_path / "corpus", on_progress=lambda stage, *_: stages.append(stage))
    assert not stages
    assert again.pieces == first.pieces
    other = prepare([sets], tmp_path / "corpus", PrepareSettings(without=("few-notes",)))
    assert len(other) == len(first) + 1 - 1 or other.counts["removed"] != first.counts["removed"]
    assert not (tmp_path / "corpus" / "reading").exists()


def test_the_split_is_that_of_a_list_if_one_is_given(sets: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held-out.csv"
    held_out.write_text("set,file,split\nfirst,a/0.mid,test\nfirst,a/4.mid,validation\n")
    settings = PrepareSettings(held_out=held_out, test_share=0.9)
    corpus = prepare([sets], tmp_path / "corpus", settings)
    splits = {record.path: record.split for record in corpus.pieces}
    assert {path for path, split in splits.items() if split == "test"} == {
        "first/a/0.mid",
        "sets/second/zero.mid",
    }
    assert splits["first/a/4.mid"] == "validation"
    written = (tmp_path / "corpus" / "held-out.csv").read_text()
    assert "first,a/0.mid,test" in written
    repeated = prepare(
        [sets], tmp_path / "other", PrepareSettings(held_out=tmp_path / "corpus" / "held-out.csv")
    )
    assert {r.path: r.split for r in repeated.pieces if r.split == "test"} == {
        p: s for p, s in splits.items() if s == "test"
    }


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("few-notes", piece(0, 10)),
        ("short", piece(0, 60)),
        ("long", piece(0).stretch(200)),
        ("sparse", piece(0).stretch(10)),
        ("dense", piece(0).stretch(0.05)),
        (
            "bursts",
            Notes(np.arange(300) * 0.001, np.full(300, 0.1), np.arange(300) % 50 + 40, np.full(300, 60)),
        ),
        (
            "pitches",
            Notes(np.arange(200) * 0.2, np.full(200, 0.1), np.arange(200) % 5 + 60, np.full(200, 60)),
        ),
        ("pitch-entropy", Notes(np.arange(9) * 0.2, np.full(9, 0.1), np.arange(9) // 4 + 60, np.full(9, 60))),
        (
            "duration-entropy",
            Notes(np.arange(99) * 0.2, np.full(99, 0.1), np.arange(99) + 20, np.full(99, 60)),
        ),
        ("silence", Notes([0.0, 30.0], [1.0, 1.0], [60, 61], [60, 60])),
        ("velocity", piece(0).with_velocity(120)),
        (
            "repetitive",
            Notes(np.arange(4000) * 0.1, np.full(4000, 0.1), np.arange(4000) % 14 + 60, np.full(4000, 60)),
        ),
    ],
)
def test_each_filter_can_be_switched_off(name: str, notes: Notes) -> None:
    only = {name: FILTERS[name]}
    tally: Counter[str] = Counter()
    assert failing(notes, only, tally) == name
    assert tally == {name: 1}
    assert failing(piece(0), FILTERS, tally) is None
    assert name not in chosen_filters([name])
    assert chosen_filters(["all"]) == {}


def test_runs_of_intervals_do_not_know_key_nor_tempo() -> None:
    runs = runs_of_intervals(piece(0))
    np.testing.assert_array_equal(runs, runs_of_intervals(piece(0).transpose(5).stretch(2)))
    assert len(np.intersect1d(runs, runs_of_intervals(piece(1)))) < SHARED * len(runs)
    assert len(runs_of_intervals(piece(0, 5))) == 0


def test_links_are_cosines_of_runs() -> None:
    few = np.arange(300, 310)  # shared, but too few to mean anything
    runs = [np.arange(0, 100), np.arange(50, 150), few, few, np.empty(0, dtype=np.int64)]
    ((one, other, cosine),) = note_links(runs)
    assert (one, other) == (0, 1)
    # Only the runs that both have tell anything, and both have all of those.
    assert cosine == pytest.approx(1.0)


def test_components_join_links_and_cues() -> None:
    assert components(5, [(0, 3)], [["a"], ["b"], ["b"], [], []]).tolist() == [0, 1, 1, 0, 2]


def test_titles_are_cues_with_a_composer_only() -> None:
    assert (
        title_cue({"composer": "Isaac Albéniz", "title": "España, op. 165"}) == "title:albeniz:espana op 165"
    )
    assert title_cue({"composer": "Franz Schubert / Franz Liszt", "title": "X"}) == "title:schubert:x"
    assert title_cue({"title": "X"}) is None


def test_shares_of_splits() -> None:
    splits = Counter(split_of([f"set/{number}.mid"], 0.2, 0.1) for number in range(2000))
    assert 330 < splits["test"] < 470
    assert 140 < splits["validation"] < 260


def test_wrong_requests_are_refused(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no folder"):
        prepare([tmp_path / "absent"], tmp_path / "corpus")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no MIDI files"):
        prepare([tmp_path / "empty"], tmp_path / "corpus")
    with pytest.raises(CorpusError, match="no filter is called loud"):
        PrepareSettings(without=("loud",))
    with pytest.raises(CorpusError, match="no list of held-out works"):
        prepare([sets], tmp_path / "corpus", PrepareSettings(held_out=tmp_path / "absent.csv"))
    with pytest.raises(CorpusError, match="shares"):
        PrepareSettings(test_share=1.0)
    (sets / "first" / "labels.csv").write_text("name\nx\n")
    with pytest.raises(CorpusError, match="no column `file`"):
        prepare([sets], tmp_path / "corpus")


@pytest.mark.slow
def test_killed_at_any_moment_it_continues_to_the_same_corpus(sets: Path, tmp_path: Path) -> None:
    script = (
        "import sys; import train.prepare as p; p.FILES_A_PART = 2; p.prepare([sys.argv[1]], sys.argv[2])"
    )
    out = tmp_path / "killed"
    kept = 0
    for wait in (2.0, 2.5, 3.0, 3.5):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(sets), str(out)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = max(kept, len(list((out / "reading").glob("*.npz"))) if (out / "reading").exists() else 99)
    found, whole = prepare([sets], out), prepare([sets], tmp_path / "whole")
    assert found.pieces == whole.pieces
    assert found.counts["removed"] == whole.counts["removed"]
    for name in ("onset", "duration", "pitch", "velocity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
