"""The logic of every page, run by Streamlit's AppTest: without a browser, with the tests' encoder."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from embedder.core.errors import LibraryError
from embedder.midi.writing import write_midi
from index import Library
from tests.support.app_driving import fresh_app, press, rows, run, texts
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes
from ui.app import state
from ui.app.catalog import catalog

MAIN = Path(state.__file__).parent / "script" / "main.py"


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from fresh_app(tmp_path, monkeypatch)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Nine tunes, one of them three times, and a name that is markup; also held by the app."""
    music = tmp_path / "music"
    write_tunes(music, 9)
    write_midi(tune(2).stretch(1.2), music / "slower.mid")
    write_midi(tune(2).with_velocity(60), music / "plain.mid")
    write_midi(tune(50), music / "<b>x<b> ![](http:e) $a$.mid")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        opened.add(music, workers=1)
        yield opened


def number_of(library: Library, name: str) -> int:
    (piece,) = library.pieces([f"name={name}"])
    return piece.id


# -- the whole app, and its first visit ------------------------------------------------------------


def test_the_app_starts_on_the_search_page() -> None:
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert not page.exception
    assert page.title[0].value == "Search"


@pytest.mark.parametrize("name", ["search", "library"])
def test_an_empty_library_explains_itself_and_offers_the_demonstration(name: str) -> None:
    page = run(name)
    assert "library is empty" in texts(page)
    assert "Try the demonstration" in [button.label for button in page.button]
    assert "Add" in [button.label for button in page.button]


@pytest.mark.parametrize("name", ["map", "duplicates", "tags"])
def test_the_other_pages_lead_to_the_beginning(name: str) -> None:
    page = press(run(name), "Begin")
    assert page.session_state["go_to"] == ("search", {})


def test_a_library_that_cannot_be_opened_is_an_error_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "midikin.db").write_bytes(b"no database" * 100)
    for name in ("search", "map", "duplicates", "tags", "library", "piece"):
        page = run(name)
        assert len(page.error) == 1
        assert "\n" not in page.error[0].value


def test_visitors_who_have_not_logged_in_see_a_button_alone(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDIKIN_UI_LOGIN", "*@example.org")
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert [button.label for button in page.button] == ["Log in"]
    assert not page.text_input


# -- search ----------------------------------------------------------------------------------------


def test_search_by_a_piece(library: Library) -> None:
    number = number_of(library, "tune004.mid")
    page = run("search", piece=str(number))
    hits = library.search(number, 10).results
    shown = rows(page)
    assert [row["id"] for row in shown] == [hit.piece_id for hit in hits]
    assert shown[0]["path"] == hits[0].display.removeprefix(str(Path(hits[0].display).parents[1])).lstrip("/")
    percents = [row["percent"] for row in shown]
    assert percents == sorted(percents, reverse=True)
    assert shown[0]["word"] in ("Very close", "Close", "Related", "Distant")
    assert all(row["why"] for row in shown)
    assert "10 results, of 11 pieces" in texts(page)


def test_the_same_music_and_passages(library: Library) -> None:
    number = number_of(library, "tune002.mid")
    page = run("search", piece=str(number), way="music")
    assert "plain.mid" in texts(page)
    assert {row["word"] for row in rows(page)} == {"Confidence"}
    assert "% slower" in texts(page)
    passages = run("search", piece=str(number), way="passages", **{"from": "2", "to": "12"})
    assert "0:02 to 0:12 chosen" in texts(passages)
    numbers = [row["id"] for row in rows(passages)]
    assert len(numbers) == len(set(numbers))


def test_pieces_are_found_by_name_and_number(library: Library) -> None:
    page = run("search")
    page.text_input[0].set_value("SLOWER").run()
    options = page.selectbox[0].options
    assert len(options) == 2
    assert "slower.mid" in options[1]
    page.selectbox[0].select_index(1).run()
    assert page.query_params["piece"] == str(number_of(library, "slower.mid"))
    assert "Similar to" in texts(page)
    by_number = run("search")
    by_number.text_input[0].set_value("#3").run()
    assert len(by_number.selectbox[0].options) == 2
    nothing = run("search")
    nothing.text_input[0].set_value("no such name").run()
    assert "No piece is called" in texts(nothing)


def test_any_piece(library: Library) -> None:
    page = press(run("search"), "Any piece")
    assert 1 <= int(page.query_params["piece"]) <= 12


def test_more_and_less_like_other_pieces(library: Library) -> None:
    start, liked = number_of(library, "tune004.mid"), number_of(library, "tune001.mid")
    plain = [row["id"] for row in rows(run("search", piece=str(start)))]
    page = run("search", piece=str(start), more=str(liked))
    assert "more like tune001" in texts(page)
    ranked = [row["id"] for row in rows(page)]
    assert liked not in ranked
    assert ranked != [number for number in plain if number != liked]
    near = library.search(liked, 1).results[0].piece_id
    assert ranked.index(near) <= plain.index(near)
    disliked = run("search", piece=str(start), less=str(liked))
    assert "less like tune001" in texts(disliked)
    assert [row["id"] for row in rows(disliked)].index(near) >= ranked.index(near)


def test_what_is_chosen_goes_into_the_address(library: Library) -> None:
    page = run("search", piece="1")
    page.button_group[0].set_value("music").run()
    assert page.query_params["way"] == "music"
    page.button_group[0].set_value("sound").run()
    next(one for one in page.multiselect if one.label == "Filters as text").set_value(
        ["notes=200..800"]
    ).run()
    assert page.query_params["where"] == "notes=200..800"
    assert "No piece meets all of these filters" in texts(page)
    page.number_input[0].set_value(2).run()
    assert page.query_params["k"] == "2"


def test_filters_apply_in_every_way(library: Library) -> None:
    number = number_of(library, "tune002.mid")
    for way in ("sound", "passages", "music"):
        page = run("search", piece=str(number), way=way, where="name=pl*.mid")
        assert "plain.mid" in texts(page)
        assert "slower.mid" not in [row["path"] for row in rows(page)]
        assert "of 1 piece" in texts(page)
    page = run("search", piece=str(number), way="music", where="name=tune005.mid")
    assert "none of 1 piece holds" in texts(page)
    library.tags.label("calm", [number_of(library, "slower.mid")])
    assert "slower.mid" in texts(run("search", piece=str(number), where="tag=calm"))
    assert "No piece meets all" in texts(run("search", piece=str(number), way="music", where="tag=wild"))


def test_a_filter_that_makes_no_sense_is_said(library: Library) -> None:
    page = run("search", piece="1", where="speed>5")
    assert "no filter is called" in texts(page)


@pytest.mark.parametrize("params", [{"piece": "x"}, {"piece": "1", "way": "y"}, {"piece": "1", "k": "1e9"}])
def test_a_bad_address_can_be_left(library: Library, params: dict[str, str]) -> None:
    page = run("search", **params)
    assert len(page.error) == 1
    press(page, "Start over")
    assert not page.error


def test_what_is_gone_is_said(library: Library) -> None:
    assert "has the number 999" in texts(run("search", piece="999"))
    assert "no longer available" in texts(run("search", upload="0" * 32))
    assert "damaged" in texts(run("search", played="AAAA"))


def test_an_upload_is_searched_and_a_bad_one_is_refused(library: Library, tmp_path: Path) -> None:
    write_midi(tune(4).transpose(1), tmp_path / "mine.mid")
    page = run("search")
    page.button_group[0].set_value("upload").run()
    page.file_uploader[0].set_value(("bad.mid", b"not music", "audio/midi")).run()
    assert "bad.mid: " in page.error[0].value.replace("\\", "")
    data = (tmp_path / "mine.mid").read_bytes()
    page.file_uploader[0].set_value(("mine.mid", data, "audio/midi")).run()
    assert not page.exception
    assert not page.error
    assert page.query_params["upload"] == tune(4).transpose(1).digest()
    assert "mine.mid" in texts(page)
    assert rows(page)
    again = run("search", upload=tune(4).transpose(1).digest())
    assert "mine.mid" in texts(again)


def test_names_that_are_markup_stay_names(library: Library) -> None:
    number = next(piece.id for piece in library.pieces(limit=99) if "<b>" in piece.display)
    page = run("search", piece=str(number))
    said = [str(one.value) for kind in ("markdown", "caption") for one in getattr(page, kind)]
    assert not [one for one in said if "<b>" in one or "![]" in one]
    titles = [title.value for title in page.title]
    assert [title for title in titles if "\\<b\\>" in title and "\\!\\[\\]" in title]


def test_answers_as_csv(library: Library) -> None:
    from ui.app.cards import results_csv

    hits = library.search(1, 4).results
    rows = list(csv.DictReader(io.StringIO(results_csv(hits))))
    assert [int(row["piece"]) for row in rows] == [hit.piece_id for hit in hits]
    assert rows[0]["path"] == hits[0].display
    found = library.find(number_of(library, "tune002.mid"), 4).results
    assert len(list(csv.DictReader(io.StringIO(results_csv(found))))) == len(found)


def test_two_visitors_do_not_disturb_each_other(library: Library) -> None:
    one, other = run("search", piece="1"), run("search", piece="2", way="music")
    one.run()
    other.run()
    assert one.query_params["piece"] == "1"
    assert other.query_params["piece"] == "2"
    press(one, "Any piece")
    other.run()
    assert other.query_params["piece"] == "2"
    assert not [button for button in other.button if button.label.startswith("Back")]
    assert [button for button in one.button if button.label.startswith("Back")]


# -- map -------------------------------------------------------------------------------------------


def test_the_map_and_a_path(library: Library) -> None:
    page = run("map")
    assert "Click a point" in texts(page)
    page = run("map", piece="3", colour="composer")
    near = [row["id"] for row in rows(page)][1:]
    assert near == [hit.piece_id for hit in library.search(3, 8).results]
    press(page, "Find similar")
    assert page.session_state["go_to"] == ("search", {"piece": "3"})
    page = run("map", piece="3", to="7")
    path = [row["id"] for row in rows(page)]
    assert (path[0], path[-1]) == (3, 7)
    assert len(path) == len(set(path)) >= 3
    press(page, "Reverse")
    assert (page.query_params["piece"], page.query_params["to"]) == ("7", "3")


def test_every_colouring(library: Library) -> None:
    page = run("map", piece="2")
    for way in ("composer", "key", "none", "group", "similar", "folder"):
        page.selectbox[0].set_value(way).run()
        assert not page.exception
        assert page.query_params["colour"] == way
    assert not run("map", piece="999", colour="?").error


def test_what_is_searched_on_the_map_stays_bright(library: Library) -> None:
    page = run("map")
    page.text_input[0].set_value("tune003").run()
    (data,) = [one for one in _maps(page) if one.get("matches")]
    assert np.frombuffer(base64.b64decode(data["matches"]), "<u4").tolist() == [
        number_of(library, "tune003.mid")
    ]


def _maps(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(one.proto.json or "{}") for one in page.get("bidi_component")]


def test_the_map_knows_pieces_that_are_added(library: Library, tmp_path: Path) -> None:
    from ui.app.map_data import map_view

    before = map_view()
    write_tunes(tmp_path / "more", 3, first_seed=70)
    library.add(tmp_path / "more", workers=1)
    after = map_view()
    assert len(after.numbers) == len(before.numbers) + 3
    first, second = (np.frombuffer(base64.b64decode(one.points["points"]), "<u2") for one in (before, after))
    assert (second[: len(first)] == first).all()
    assert (tmp_path / "library" / "map.npz").exists()


# -- duplicates ------------------------------------------------------------------------------------


@pytest.fixture
def found(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Duplicates have been looked for."""
    result = library.duplicates(loosest="work", workers=1)
    done = SimpleNamespace(state="done", running=False, result=result, request={"loosest": "work"}, number=1)
    monkeypatch.setattr(state.jobs(), "last", lambda kind: done if kind == "duplicates" else None)
    return library


def test_groups_are_reviewed_and_decisions_are_on_disk_at_once(found: Library) -> None:
    page = run("duplicates")
    assert "Same performance, edited, 3 copies" in texts(page)
    assert "0 of 1 group decided" in page.get("progress")[0].proto.text
    press(page, "Keep A, mark 2 as duplicates")
    decisions = found.duplicates.decisions()
    assert {one.verdict for one in decisions} == {"duplicate"}
    assert len({one.keeper for one in decisions}) == 1
    assert len(decisions) == 2
    assert "No file was changed" in texts(page)
    assert "Every group of duplicates has been decided" in texts(page)
    assert "1 of 1 group decided" in page.get("progress")[0].proto.text


def test_another_copy_is_kept(found: Library) -> None:
    page = run("duplicates")
    other = next(button for button in page.button if (button.key or "").startswith("keep-"))
    number = int((other.key or "").rpartition("-")[2])
    other.click().run()
    assert not page.exception
    assert _sha256(found, number) in {one.keeper for one in found.duplicates.decisions()}


def _sha256(library: Library, number: int) -> str:
    job = state.jobs().last("duplicates")
    assert job is not None
    return next(m.sha256 for group in job.result.groups for m in group.members if m.piece_id == number)


def test_a_decision_of_one_visitor_is_seen_by_the_other_and_undone(found: Library) -> None:
    one, other = run("duplicates"), run("duplicates")
    press(one, "Keep all 3")
    other.run()
    assert "Every group of duplicates has been decided" in texts(other)
    assert {decision.verdict for decision in found.duplicates.decisions()} == {"keep"}
    page = run("duplicates", list="decided")
    assert "Decided: the same music, all kept" in texts(page)
    press(page, "Undo")
    assert found.duplicates.decisions() == []


def test_the_address_names_a_group_by_any_of_its_pairs(found: Library) -> None:
    from ui.app.pages.review import pairs_of

    for pair in pairs_of(state.jobs().last("duplicates").result, []):
        page = run("duplicates", pair=pair.name)
        assert "3 copies" in texts(page)
        assert "Keep A, mark 2 as duplicates" in [button.label for button in page.button]


def test_a_report_of_the_decisions_can_be_had(found: Library) -> None:
    page = run("duplicates")
    press(page, "Not duplicates")
    assert {one.verdict for one in found.duplicates.decisions()} == {"not-same"}
    from ui.app.pages.review import as_decided

    result = state.jobs().last("duplicates").result
    assert as_decided(result, found.duplicates.decisions()).groups != result.groups


def test_remote_visitors_see_no_path_of_the_server(
    found: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ui.app.cards import results_csv
    from ui.app.pages.duplicates import _report
    from ui.app.pages.map import _csv

    (tmp_path / "music" / "bad.mid").write_bytes(b"nothing")
    found.add(tmp_path / "music", workers=1)
    job = state.jobs().last("duplicates")
    found.tags.label("calm", 1)

    def downloads() -> list[str]:
        answers = results_csv(found.search(1, 4).results)
        return [
            answers,
            _csv(found.pieces(limit=3)),
            str(_report(found, job, "csv")),
            str(_report(found, job, "html")),
        ]

    assert all(str(tmp_path) in text for text in downloads())
    monkeypatch.setenv("MIDIKIN_UI_MUSIC", str(tmp_path / "music"))
    assert not [text for text in downloads() if str(tmp_path) in text]
    assert "present" in downloads()[2]
    labels = found.tags.export_labels(root=catalog().root)
    assert str(tmp_path) not in labels
    for name, params in (
        ("search", {"piece": "1"}),
        ("map", {"piece": "1"}),
        ("piece", {"id": "1"}),
        ("duplicates", {}),
        ("tags", {"tag": "calm"}),
        ("library", {}),
        ("library", {"view": "folders"}),
    ):
        page = run(name, **params)
        tables = "".join(str(table.value.to_dict()) for table in page.dataframe)
        assert str(tmp_path) not in texts(page) + tables, name


def test_looking_for_duplicates_and_a_failure(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Scan for duplicates" in [button.label for button in run("duplicates").button]
    failed = SimpleNamespace(state="failed", running=False, error="<disk> is full", number=1)
    monkeypatch.setattr(state.jobs(), "last", lambda kind: failed if kind == "duplicates" else None)
    assert "<disk> is full" in texts(run("duplicates"))


# -- library ---------------------------------------------------------------------------------------


def test_the_library_says_what_it_holds_and_what_failed(library: Library, tmp_path: Path) -> None:
    (tmp_path / "music" / "bad.mid").write_bytes(b"nothing")
    library.add(tmp_path / "music", workers=1)
    page = run("library", view="folders")
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Pieces"] == "12"
    assert shown["Failed files"] == "1"
    assert page.dataframe[0].value["file"][0].endswith("bad.mid")
    assert "fake@0123456789ab" in str(page.dataframe[1].value)


def test_the_list_is_sorted_filtered_and_by_folder(library: Library) -> None:
    titles = [row["title"] for row in rows(run("library"))]
    assert titles == sorted(titles, key=str.casefold)
    assert len(titles) == 12
    falling = [row["length"] for row in rows(run("library", sort="-length"))]
    assert falling == sorted(falling, reverse=True)
    part = [row["folder"] for row in rows(run("library", folder="part1"))]
    assert set(part) == {"part1"}
    page = run("library")
    page.text_input(key="list-filter").set_value("TUNE003").run()
    assert [row["title"] for row in rows(page)] == ["tune003"]
    assert not run("library", sort="nonsense", n="x").exception


def test_collections_keep_their_order_and_are_exported(library: Library) -> None:
    from ui.app.collection_store import Collections, m3u, zip_file

    stored = Collections(library.folder)
    assert stored.add("Rainy Sunday", [5, 2, 5]) == 2
    assert stored.add("Rainy Sunday", [2, 7]) == 1
    page = run("library", collection="Rainy Sunday")
    assert [row["id"] for row in rows(page)] == [5, 2, 7]
    (collection,) = Collections(library.folder).all()
    assert m3u(collection).splitlines()[2] == library.piece(5).display
    with zipfile.ZipFile(io.BytesIO(zip_file(collection))) as archive:
        assert [name[:3] for name in archive.namelist()] == ["001", "002", "003"]
    stored.set("Rainy Sunday", [])
    assert stored.all() == []
    with pytest.raises(LibraryError, match="needs a name"):
        stored.add("  ", [1])
    (library.folder / "collections.json").write_text("{")
    assert len(run("library").error) == 1
    assert (library.folder / "collections.json").read_text() == "{"


# -- a piece ---------------------------------------------------------------------------------------


def test_the_page_of_a_piece(library: Library) -> None:
    library.tags.label("mood", 3, value="calm")
    page = run("piece", id="3")
    assert page.title[0].value == Path(library.piece(3).display).stem
    assert [row["id"] for row in rows(page)] == [hit.piece_id for hit in library.search(3, 4).results]
    assert "mood: calm" in texts(page)
    press(page, "Find similar")
    assert page.session_state["go_to"] == ("search", {"piece": "3"})


@pytest.mark.parametrize("number", ["", "x", "999", "9" * 30])
def test_a_piece_that_is_not_there(library: Library, number: str) -> None:
    page = run("piece", id=number)
    assert "There is no piece" in texts(page)
    press(page, "Go to Search")
    assert page.session_state["go_to"] == ("search", {})


def test_folders_that_may_not_be_added_are_refused(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(state.jobs(), "start", lambda kind, **request: started.append(request))

    def add(folder: str) -> str:
        page = run("library", view="folders")
        page.text_input(key="folder-folders").set_value(folder)
        next(b for b in page.button if b.label == "Add" and "add-folders" in str(b.form_id)).click()
        page.run()
        return " ".join(error.value for error in page.error).replace("\\", "")

    assert "type the name" in add("  ")
    assert "whole path" in add("music")
    assert "no such file" in add(str(tmp_path / "nowhere"))
    assert add(str(tmp_path / "music")) == ""
    assert started == [{"folders": [str(tmp_path / "music")]}]
    monkeypatch.setenv("MIDIKIN_UI_MUSIC", str(tmp_path / "music"))
    (tmp_path / "music" / "way-out").symlink_to(tmp_path)
    for outside in (
        "/etc",
        str(tmp_path),
        str(tmp_path / "music" / ".."),
        str(tmp_path / "music" / "way-out"),
    ):
        assert "only the folders named" in add(outside)
    assert add(str(tmp_path / "music" / "part0")) == ""
    assert add("music/part0") == ""  # a visitor knows the name of the folder alone
    assert started[-1] == {"folders": [str(tmp_path / "music" / "part0")]}
    assert "only the folders named" in add("music/../..")
    monkeypatch.setenv("MIDIKIN_UI_MUSIC", "")
    assert "midikin add FOLDER" in texts(run("library"))


def test_a_read_only_library_offers_no_adding(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    info = replace(library.info(), read_only=True)
    monkeypatch.setattr(Library, "info", lambda self: info)
    page = run("library", view="folders")
    assert "can only be read" in texts(page)
    assert not page.text_input


# -- work in the background ------------------------------------------------------------------------


def test_duplicates_are_looked_for_in_a_process_of_their_own(library: Library) -> None:
    job = state.jobs().start("duplicates", loosest="work")
    deadline = time.monotonic() + 90
    while state.jobs().last("duplicates").running and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = state.jobs().last("duplicates")
    assert (ended.number, ended.state, ended.error) == (job.number, "done", "")
    assert {member.piece_id for group in ended.result.groups for member in group.members} == {
        number_of(library, name) for name in ("tune002.mid", "slower.mid", "plain.mid")
    }
