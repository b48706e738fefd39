"""The page of tags, run by Streamlit's AppTest."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from index import Library
from tests.support.app_driving import fresh_app, press, rows, run, texts
from tests.support.fake_encoder import FakeEncoder, write_tunes
from ui.app import state
from ui.app.jobs import Job
from ui.app.label_queue import LabelQueues
from ui.app.pages.tag_form import parsed


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from fresh_app(tmp_path, monkeypatch)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Twelve tunes in three folders."""
    write_tunes(tmp_path / "music", 12)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        opened.add(tmp_path / "music", workers=1)
        yield opened


@pytest.fixture
def labelled(library: Library) -> Library:
    """Half of them are labelled, by folder."""
    for piece in library.pieces(limit=99):
        if piece.id <= 9:
            library.tags.label("part", piece.id, value=Path(piece.display).parent.name)
    return library


def trained(page: AppTest) -> AppTest:
    """Train the probe of the page's tag, in its process, and wait for it."""
    press(page, "Train the model")
    deadline = time.monotonic() + 120
    while state.jobs().last("probe").running and time.monotonic() < deadline:  # type: ignore[union-attr]
        time.sleep(0.05)
    page.run()
    assert not page.exception
    return page


def test_tags_as_they_are_typed() -> None:
    assert parsed(" lullaby ") == ("lullaby", None)
    assert parsed("composer: Chopin, F.") == ("composer", "Chopin, F.")
    for typed in ("", ":", "x:", ": y"):
        with pytest.raises(ValueError, match="type a tag like"):
            parsed(typed)


def test_a_new_tag_begins_with_its_first_labels(library: Library) -> None:
    page = run("tags")
    assert "yes or no for each piece" in texts(page)
    page.text_input[0].set_value("mood: calm")
    page.text_input[1].set_value("#1, 3")
    press(page, "Label them")
    assert {label.piece_id for label in library.tags.labels("mood")} == {1, 3}
    assert page.query_params["tag"] == "mood"
    page.text_input[0].set_value("mood: wild")
    page.text_input[1].set_value("path~part0")
    press(page, "Label them")
    assert len(library.tags.labels("mood")) == 2 + sum(
        "part0" in p.display for p in library.pieces() if p.id not in (1, 3)
    )


def test_what_is_typed_wrongly_is_said(library: Library) -> None:
    for name, pieces, said in (
        ("", "1", "type a tag like"),
        ("x", "", "name the pieces"),
        ("x", "path~nowhere", "no piece meets"),
        ("x", "speed>5", "no filter is called"),
        ("x", "999", "999"),
    ):
        page = run("tags")
        page.text_input[0].set_value(name)
        page.text_input[1].set_value(pieces)
        press(page, "Label them")
        assert said in texts(page)
    assert library.tags() == []


def test_every_piece_is_labelled_by_its_folder_and_that_is_undone(library: Library) -> None:
    page = run("tags")
    page.text_input[2].set_value("part")
    press(page, "By folder")
    assert len(library.tags.labels("part")) == 12
    page = run("tags", tag="part", view="history")
    assert sorted(set(page.dataframe[0].value["value"])) == ["part0", "part1", "part2"]
    press(page, "Undo")
    assert library.tags.labels("part") == []


def test_a_card_comes_at_once_and_suggestions_follow(
    labelled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Event()
    suggest = type(labelled.probes).suggest

    def slow(self: Any, tag: str, k: int = 10) -> Any:
        assert ready.wait(60)
        return suggest(self, tag, k)

    monkeypatch.setattr(type(labelled.probes), "suggest", slow)
    page = run("tags", tag="part")
    assert "drawn at random" in texts(page)
    before = len(labelled.tags.labels("part"))
    press(page, "part1")
    assert len(labelled.tags.labels("part")) == before + 1
    assert "drawn at random" in texts(page)
    ready.set()
    deadline = time.monotonic() + 60
    while "drawn at random" in texts(page) and time.monotonic() < deadline:
        time.sleep(0.1)
        page.run()
    assert "drawn at random" not in texts(page)


def test_nothing_is_computed_where_nothing_is_left_to_label(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.tags.label("part", [piece.id for piece in library.pieces()], value="all")

    def never(self: Any, tag: str, k: int = 10) -> Any:
        raise AssertionError("no suggestions are needed")

    monkeypatch.setattr(type(library.probes), "suggest", never)
    assert "Every piece is labelled" in texts(run("tags", tag="part"))


def test_suggestions_are_renewed_after_some_labels(labelled: Library) -> None:
    queues = LabelQueues(labelled)

    def latest(labels: int) -> Any:
        deadline = time.monotonic() + 60
        while (answer := queues.latest("part", labels))[1] and time.monotonic() < deadline:
            time.sleep(0.05)
        return answer[0]

    first = latest(9)
    assert latest(10) is first
    assert latest(13) is not first


def test_a_label_is_undone(labelled: Library) -> None:
    page = run("tags", tag="part")
    before = labelled.tags.labels("part")
    press(page, "part1")
    _, undo, args = page.session_state["undo"]
    undo(*args)
    assert labelled.tags.labels("part") == before


def test_a_model_is_trained_and_its_predictions_are_accepted(labelled: Library) -> None:
    page = run("tags", tag="part", view="predictions")
    assert "This tag has no model yet" in texts(page)
    trained(page)
    assert labelled.tags()[0].probe == "current"
    page.slider[0].set_value(0).run()
    predicted = [row for row in rows(page) if "percent" in row]
    assert len(predicted) == 3
    assert "3 pieces" in texts(page)
    press(page, "Accept all 3")
    assert len(labelled.tags.labels("part")) == 12
    assert "3 predictions accepted" in texts(page)
    assert "No prediction has a confidence of" in texts(page)
    scores = run("tags", tag="part", view="quality")
    assert not scores.error
    assert scores.metric or "too few labels" in texts(scores)


def test_what_was_left_untagged_is_shown(labelled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled.probes.train_tag("part")
    monkeypatch.setattr("index.probes.ood.OODDetector.detect", lambda self, rows: np.ones(len(rows), bool))
    labelled.probes.apply(["part"])
    page = run("tags", tag="part")
    assert "No prediction has a confidence of" in texts(page)
    next(group for group in page.button_group if group.key == "which").set_value("outside").run()
    assert "3 pieces unlike all labelled ones" in texts(page)
    assert len(rows(page)) == 3


def test_other_pages_go_on_while_a_probe_is_trained(
    labelled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled.tags.label("other", 1)
    job = Job(1, "probe", {"tag": "part"}, phase="training", done=1, total=4)
    monkeypatch.setattr(state.jobs(), "last", lambda kind: job if kind == "probe" else None)
    page = run("tags", tag="part", view="predictions")
    assert "Training: 1 of 4" in page.get("progress")[0].proto.text
    assert "Train the model" not in [button.label for button in page.button]
    assert "The model of part is being trained" in texts(run("tags", tag="other", view="quality"))


def test_a_tag_is_renamed(labelled: Library) -> None:
    page = run("tags", tag="part", view="history")
    next(one for one in page.text_input if "Another name" in one.label).set_value(" folder ")
    press(page, "Rename")
    assert page.query_params["tag"] == "folder"
    assert [tag.name for tag in labelled.tags()] == ["folder"]


def test_too_few_labels_are_said_and_not_an_exception(library: Library) -> None:
    library.tags.label("x", 1)
    page = trained(run("tags", tag="x", view="predictions"))
    assert len(page.error) == 1
    assert "Train the model" in [button.label for button in page.button]


def test_a_tag_s_name_never_becomes_markup(library: Library) -> None:
    library.tags.label("**b** <i>", 1)
    page = run("tags", tag="**b** <i>", view="history")
    assert page.selectbox[0].value == "**b** <i>"
    said = [line.value for line in page.markdown if "<i" in line.value or "b" in line.value]
    assert not [line for line in said if "**b**" in line or "<i>" in line]


def test_labels_come_from_a_file(library: Library) -> None:
    data = "file,mood\ntune001.mid,calm\ntune002.mid,wild\nnowhere.mid,calm\n"
    page = run("tags")
    page.file_uploader[0].set_value(("labels.csv", data.encode(), "text/csv")).run()
    press(page, "Take these labels")
    assert {label.value for label in library.tags.labels("mood")} == {"calm", "wild"}
    assert "1 file not in the library" in texts(page)
    page = run("tags", tag="mood", view="history")
    page.file_uploader[0].set_value(("bad.csv", b"\xff\xfe\x00", "text/csv")).run()
    press(page, "Take these labels")
    assert len(page.error) == 1
    assert "bad.csv" in texts(page)
    assert "midikin-labels" not in texts(page)


def test_tags_of_one_visitor_are_seen_by_the_other(library: Library) -> None:
    other = run("tags")
    library.tags.label("new", 2)
    other.run()
    assert other.selectbox[0].value == "new"
    assert run("map", colour="tag:new").selectbox[0].value == "tag:new"
