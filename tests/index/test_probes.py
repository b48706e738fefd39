"""Probes of a library: trained, scored, stored, applied, reviewed and asked what to label next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from embedder.core.errors import LibraryError, PieceNotFound, TagError
from embedder.midi.writing import write_midi
from embedder.notes import Notes
from index import Library, Probe
from index.tags.schema import probes
from tests.support.fake_encoder import FakeEncoder, tune

KINDS = {"low": 36, "middle": 52, "high": 70}


def music_of(kind: str, seed: int, notes: int = 90) -> Notes:
    """A tune of its own within nine semitones."""
    plain = tune(seed, notes)
    return Notes(plain.onset, plain.duration, KINDS[kind] + plain.pitch % 9, plain.velocity)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of eight low, eight middle and eight high tunes, and a chromatic one that is unlike them."""
    folder = tmp_path_factory.mktemp("registers")
    for kind in KINDS:
        for i in range(8):
            path = folder / "music" / kind / f"{kind}{i}.mid"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_midi(music_of(kind, 100 * KINDS[kind] + i), path)
    odd = Notes(np.arange(60) / 5, np.full(60, 0.1), 90 + np.arange(60) % 4, np.full(60, 60))
    write_midi(odd, folder / "music" / "odd.mid")
    with Library.open(folder / "library", encoder=FakeEncoder()) as library:
        library.add(folder / "music", workers=1)
    return folder


@pytest.fixture
def registers(made: Path, tmp_path: Path) -> Iterator[Library]:
    """A copy of that library, to be changed."""
    shutil.copytree(made / "library", tmp_path / "registers")
    with Library.open(tmp_path / "registers", encoder=FakeEncoder()) as library:
        yield library


def numbers(library: Library, kind: str) -> list[int]:
    return [piece.id for piece in library.pieces() if Path(piece.path).name.startswith(kind)]


def label_some(library: Library, count: int = 4) -> None:
    for kind in KINDS:
        library.tags.label("register", numbers(library, kind)[:count], value=kind)


def test_a_probe_learns_a_facet_and_is_scored_beside_baselines(registers: Library) -> None:
    label_some(registers)
    phases: list[str] = []
    probe = registers.probes.train_tag("register", progress=lambda phase, done, total: phases.append(phase))
    assert probe.classes == ("high", "low", "middle")
    assert probe.labels == (4, 4, 4)
    assert (probe.kind, probe.state, probe.encoder) == ("facet", "current", FakeEncoder.id)
    scores = probe.scores
    assert (scores.pieces, scores.works) == (12, 12)
    assert scores.accuracy >= 0.9
    assert scores.accuracy > scores.majority.accuracy
    assert scores.handmade is not None
    assert sum(map(sum, scores.confusion)) == 12
    assert [sum(row) for row in scores.confusion] == [4, 4, 4]
    assert {trait.value for trait in probe.traits} == set(KINDS)
    assert any("higher" in trait.says or "up higher" in trait.says for trait in probe.traits)
    assert "scoring register" in phases
    assert registers.probes.show("register") == probe
    json.dumps(probe.to_json())


def test_predictions_tag_the_rest_and_leave_an_odd_piece_untagged(registers: Library) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    (applied,) = registers.probes.apply()
    assert (applied.pieces, applied.labelled, applied.retrained) == (25, 12, False)
    predicted = registers.probes.predictions("register")
    assert sum(count for _, count in applied.predicted) + applied.outside == 13
    assert len(predicted) == 13 - applied.outside
    right = [Path(item.path).name.startswith(item.value) for item in predicted]
    assert sum(right) >= 0.9 * len(right)
    assert [item.probability for item in predicted] == sorted(
        (item.probability for item in predicted), reverse=True
    )
    assert "odd.mid" in {
        Path(item.path).name for item in registers.probes.predictions("register", out_of_distribution=True)
    }
    assert all(item.value == "low" for item in registers.probes.predictions("register", value="low"))
    assert len(registers.probes.predictions("register", limit=2, offset=1)) == 2
    with pytest.raises(TagError, match="has no value treble; it has high"):
        registers.probes.predictions("register", value="treble")
    (tag,) = registers.tags()
    assert {value.value: value.predictions for value in tag.values} == dict(applied.predicted)


def test_labels_overrule_predictions(registers: Library) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    registers.probes.apply(["register"])
    best, second, *_ = registers.probes.predictions("register")
    report = registers.probes.accept("register", [best.piece_id])
    assert report.set == 1
    (label,) = registers.tags.labels("register", piece=best.piece_id)
    assert (label.value, label.source) == (best.value, "accepted")
    registers.probes.reject("register", second.piece_id)
    (now,) = [item for item in registers.probes.predictions("register") if item.piece_id == second.piece_id]
    assert now.value == second.runner_up
    assert [item.source for item in registers.tags.of(best.piece_id)] == ["label"]
    assert [item.source for item in registers.tags.of(now.piece_id)] == ["label", "prediction"]
    registers.tags.label("register", now.piece_id, value="low")
    assert now.piece_id not in {item.piece_id for item in registers.probes.predictions("register")}
    with pytest.raises(TagError, match="has no such prediction"):
        registers.probes.accept("register", [best.piece_id])
    with pytest.raises(ValueError, match="name pieces"):
        registers.probes.accept("register")
    left = len(registers.probes.predictions("register", min_probability=0.5))
    assert registers.probes.accept("register", min_probability=0.5).set == left
    registers.tags.undo()
    assert len(registers.probes.predictions("register", min_probability=0.5)) == left


def test_a_free_tag_is_learned_from_yes_and_no(registers: Library) -> None:
    low, high = numbers(registers, "low"), numbers(registers, "high")
    registers.tags.label("deep", low[:4])
    with pytest.raises(TagError, match=r"deep: 0 pieces are labelled 'no'.*--not"):
        registers.probes.train_tag("deep")
    registers.tags.label("deep", high[:4], holds=False)
    assert registers.probes.train_tag("deep").classes == ("no", "yes")
    registers.probes.apply(["deep"])
    predicted = {item.piece_id: item.value for item in registers.probes.predictions("deep")}
    assert {predicted[number] for number in low[4:] if number in predicted} <= {"yes"}
    wrong = registers.probes.predictions("deep", value="yes")[0]
    registers.probes.reject("deep", wrong.piece_id)
    assert registers.tags.labels("deep", piece=wrong.piece_id)[0].holds is False


def test_too_few_labels_are_refused_in_a_line(registers: Library) -> None:
    with pytest.raises(TagError, match="no tag register"):
        registers.probes.train_tag("register")
    registers.tags.label("register", numbers(registers, "low")[:3], value="low")
    with pytest.raises(TagError, match="all labels have the value low"):
        registers.probes.train_tag("register")
    registers.tags.label("register", numbers(registers, "high")[0], value="high")
    with pytest.raises(TagError, match=r"2 different works.*label more of high"):
        registers.probes.train_tag("register")
    registers.tags.label("register", numbers(registers, "high")[1], value="high")
    registers.tags.label("register", numbers(registers, "middle")[0], value="middle")
    probe = registers.probes.train_tag("register")
    assert probe.classes == ("high", "low")
    assert any("middle is known from one work only" in remark for remark in probe.remarks)
    registers.tags.label("empty", 1)
    registers.tags.unlabel("empty", 1)
    report = registers.probes.train(["register", "empty"])
    assert [item.tag for item in report.trained] == ["register"]
    assert [item.tag for item in report.problems] == ["empty"]


def test_copies_of_a_work_lie_in_one_fold(registers: Library, tmp_path: Path) -> None:
    """One tune in many versions and one other cannot be scored as if they were many."""
    (tmp_path / "more").mkdir()
    for i in range(5):
        write_midi(music_of("low", 1, 150).stretch(1 + 0.05 * i), tmp_path / "more" / f"low_v{i}.mid")
    registers.add(tmp_path / "more", workers=1)
    versions = [piece.id for piece in registers.pieces() if "low_v" in piece.path]
    registers.tags.label("register", versions, value="low")
    registers.tags.label("register", numbers(registers, "high")[:4], value="high")
    with pytest.raises(TagError, match="2 different works"):
        registers.probes.train_tag("register")
    registers.tags.label("register", numbers(registers, "low")[0], value="low")
    assert registers.probes.train_tag("register").scores.works == 6


def test_the_same_notes_labelled_differently_are_left_out(registers: Library, tmp_path: Path) -> None:
    label_some(registers)
    write_midi(music_of("low", 3600), tmp_path / "copy.mid", program=7)
    registers.add(tmp_path / "copy.mid", workers=1)
    registers.tags.label("register", tmp_path / "copy.mid", value="high")
    probe = registers.probes.train_tag("register")
    assert probe.pieces == 11
    assert any("labelled differently" in remark for remark in probe.remarks)


def test_new_labels_are_noticed_and_another_encoder_means_retraining(registers: Library) -> None:
    label_some(registers)
    first = registers.probes.train_tag("register")
    registers.tags.label("register", numbers(registers, "low")[5], value="low")
    assert registers.probes.show("register").state == "labels changed"
    registers.tags.undo()
    assert registers.probes.show("register").state == "current"
    with registers._database.write() as connection:
        registers._database.set(connection, encoder="other@000000000000")
    assert registers.probes.show("register").state == "stale"
    assert registers.tags()[0].probe == "stale"
    for call in (registers.probes.explain, registers.probes.timeline):
        with pytest.raises(TagError, match=r"trained for fake@.*probe apply"):
            call("register", 1)
    (applied,) = registers.probes.apply()
    assert applied.retrained
    now = registers.probes.show("register")
    assert (now.state, now.encoder) == ("current", "other@000000000000")
    assert now.trained_s > first.trained_s


def test_embedding_again_retrains_the_probes(registers: Library) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    registers.maintenance.reembed(FakeEncoder(id="wider@000000000000", dim=48))
    now = registers.probes.show("register")
    assert (now.state, now.encoder) == ("current", "wider@000000000000")
    assert now.scores.accuracy >= 0.9
    assert registers.probes.refresh().trained == ()


def test_training_again_deletes_the_old_predictions(registers: Library) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    registers.probes.apply()
    registers.probes.train_tag("register")
    with pytest.raises(TagError, match="probe apply"):
        registers.probes.predictions("register")


def test_predictions_follow_pieces_that_are_removed_and_added(registers: Library, tmp_path: Path) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    registers.probes.apply()
    before = registers.probes.predictions("register")
    registers.remove(before[0].piece_id)
    write_midi(music_of("high", 9), tmp_path / "new.mid")
    registers.add(tmp_path / "new.mid", workers=1)
    both = registers.probes.predictions("register") + registers.probes.predictions(
        "register", out_of_distribution=True
    )
    (new,) = (item for item in both if item.path == str(tmp_path / "new.mid"))
    assert new.value == "high"  # judged as it came
    assert [item for item in registers.probes.predictions("register") if item != new] == before[1:]


def test_suggestions_are_new_pieces_of_every_kind(registers: Library) -> None:
    varied = registers.probes.suggest("register", 4)
    assert (varied.curve, varied.forecast) == ((), ())
    kinds = {Path(item.path).parent.name for item in varied.pieces}
    assert len(kinds) >= 3
    assert all(item.value is None for item in varied.pieces)
    label_some(registers)
    suggested = registers.probes.suggest("register", 5)
    labelled = {item.piece_id for item in registers.tags.labels("register")}
    assert not labelled & {item.piece_id for item in suggested.pieces}
    assert len({item.piece_id for item in suggested.pieces}) == 5
    assert suggested.curve[-1].labels == 12
    assert suggested.forecast[-1].labels == 60
    assert suggested.forecast[-1].accuracy >= suggested.curve[-1].accuracy
    assert "12 labels give" in suggested.says
    assert len(registers.probes.suggest("register", 100).pieces) == 13


def test_an_explanation_names_neighbours_windows_and_traits(registers: Library) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    piece = numbers(registers, "high")[6]
    explanation = registers.probes.explain("register", piece, k=3)
    assert (explanation.value, len(explanation.nearest)) == ("high", 3)
    assert explanation.nearest[0].value == "high"
    assert [item.score for item in explanation.nearest] == sorted(
        (item.score for item in explanation.nearest), reverse=True
    )
    assert explanation.windows[0].value == "high"
    assert any("high with probability" in sentence for sentence in explanation.says)
    json.dumps(explanation.to_json())
    with pytest.raises(PieceNotFound):
        registers.probes.explain("register", 99)
    registers.tags.label("other", 1)
    with pytest.raises(TagError, match="no probe yet"):
        registers.probes.explain("other", piece)


def test_a_timeline_follows_the_music(registers: Library, tmp_path: Path) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    low, high = music_of("low", 5, 128), music_of("high", 6, 128)
    both = Notes(
        np.concatenate([low.onset, high.onset + low.end_s + 0.5]),
        np.concatenate([low.duration, high.duration]),
        np.concatenate([low.pitch, high.pitch]),
        np.concatenate([low.velocity, high.velocity]),
    )
    write_midi(both, tmp_path / "both.mid")
    registers.add(tmp_path / "both.mid", workers=1)
    line = registers.probes.timeline("register", tmp_path / "both.mid")
    assert [item.value for item in line.windows] == ["low", "low", "high", "high"]
    assert all(abs(sum(item.probabilities) - 1) < 0.01 for item in line.windows)
    registers.tags.label("register", line.piece_id, value="low", start_s=0.0, end_s=line.windows[0].end_s)
    assert registers.probes.timeline("register", line.piece_id).windows[0].label == "low"
    assert registers.probes.timeline("register", line.piece_id).windows[-1].label is None


def test_labelled_time_ranges_train_a_probe_too(registers: Library) -> None:
    for kind in ("low", "high"):
        for number in numbers(registers, kind)[:3]:
            registers.tags.label("register", number, value=kind, start_s=1.0, end_s=9.0)
    probe = registers.probes.train_tag("register")
    assert (probe.pieces, probe.scores.handmade) == (6, None)
    (applied,) = registers.probes.apply()
    assert applied.labelled == 0  # a part says nothing of the whole


@dataclass(frozen=True)
class Broken:
    """A column of a probe's row, and what stands in it instead."""

    column: str
    value: object


@pytest.mark.parametrize(
    "broken",
    [Broken("arrays", b"nonsense"), Broken("arrays", b""), Broken("facts", "{"), Broken("facts", "{}")],
)
def test_a_damaged_probe_is_reported_and_can_be_retrained(registers: Library, broken: Broken) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    with registers._database.write() as connection:
        connection.execute(sa.update(probes).values({broken.column: broken.value}))
    with pytest.raises(LibraryError, match="damaged"):
        registers.probes.show("register")
    assert isinstance(registers.probes.train_tag("register"), Probe)


def test_nothing_to_apply_or_to_learn_from(registers: Library, tmp_path: Path) -> None:
    with pytest.raises(TagError, match="no probe yet"):
        registers.probes.apply()
    assert registers.probes.train().trained == ()
    assert registers.probes() == []
    with Library.open(tmp_path / "empty") as empty, pytest.raises(TagError, match="holds no pieces"):
        empty.probes.suggest("anything")


def test_pieces_that_are_added_later_are_predicted_at_once(registers: Library, tmp_path: Path) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    new = tmp_path / "new"
    new.mkdir()
    write_midi(music_of("high", 9), new / "high.mid")
    registers.add(new, workers=1)  # a probe that was never applied says nothing
    registers.probes.apply()
    before = {item.piece_id: item for item in registers.probes.predictions("register", limit=999)}
    write_midi(music_of("low", 10), new / "later.mid")
    registers.add(new, workers=1)
    after = {item.piece_id: item for item in registers.probes.predictions("register", limit=999)}
    (came,) = set(after) - set(before)
    assert (after[came].path, after[came].value) == (str(new / "later.mid"), "low")
    assert before == {number: item for number, item in after.items() if number != came}
    assert registers.probes.accept("register", came).set == 1


def test_a_tag_is_renamed_with_its_labels_probe_and_predictions(registers: Library) -> None:
    label_some(registers)
    registers.tags.label("loud", 1)
    registers.probes.train_tag("register")
    registers.probes.apply()
    before = registers.tags.labels("register"), registers.probes.predictions("register")
    registers.tags.rename("register", "  höhe: \u0130 ")
    assert [tag.name for tag in registers.tags()] == ["höhe: \u0130", "loud"]
    assert len(registers.tags.labels("höhe: \u0130")) == len(before[0])
    assert [item.value for item in registers.probes.predictions("höhe: \u0130")] == [
        item.value for item in before[1]
    ]
    registers.tags.rename("loud", "loud")
    for name, new, message in (
        ("register", "x", "no tag"),
        ("loud", "höhe: \u0130", "already"),
        ("loud", " ", "empty"),
    ):
        with pytest.raises(TagError, match=message):
            registers.tags.rename(name, new)


def test_keywords_of_earlier_versions_still_work(registers: Library) -> None:
    label_some(registers)
    registers.probes.train_tag("register")
    registers.probes.apply("register")
    with pytest.warns(DeprecationWarning, match="outside is now called out_of_distribution"):
        odd = registers.probes.predictions("register", outside=True)  # type: ignore[call-arg]
    assert odd == registers.probes.predictions("register", out_of_distribution=True) != []
    with pytest.warns(DeprecationWarning, match="least is now called min_probability"):
        assert registers.probes.predictions("register", least=1.1) == []  # type: ignore[call-arg]
