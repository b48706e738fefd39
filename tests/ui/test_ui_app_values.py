"""The app's small values: the address, notes on their way, text shown as it is, uploads, door and start."""

from __future__ import annotations

import base64
import os
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.core.errors import MidiError, MidikinError
from embedder.descriptors import Descriptors
from embedder.midi.writing import write_midi
from embedder.notes import Notes
from tests.support.fake_encoder import tune
from tests.support.hostile import hostile_files
from tests.support.strategies import notes as any_notes
from ui.app.auth import may_enter
from ui.app.escaping import cell, plain
from ui.app.launch import Launch, free_port, is_loopback
from ui.app.note_codec import MAX_PLAYED_NOTES, from_address, from_played, payload, to_address
from ui.app.query_params import MODES, QueryParams
from ui.app.uploads import MAX_BYTES, Upload, Uploads, read_upload

times = st.none() | st.floats(0, 1000).map(lambda s: round(s, 2))
asked = st.builds(
    QueryParams,
    source=st.just("piece"),
    key=st.integers(0, 10**9).map(str) | st.just(""),
    start_s=times,
    end_s=times,
    mode=st.sampled_from(sorted(MODES)),
    more=st.lists(st.integers(1, 10**6), max_size=3, unique=True).map(tuple),
    less=st.lists(st.integers(1, 10**6), max_size=3, unique=True).map(tuple),
    filters=st.lists(st.sampled_from(["key=C minor", "path~bach & söhne", "notes=1..9"])).map(tuple),
    k=st.integers(1, 100),
).filter(lambda a: a.start_s is None or a.end_s is None or a.start_s < a.end_s)


@given(asked)
def test_what_is_asked_survives_the_address(question: QueryParams) -> None:
    assert QueryParams.from_address(question.to_address()) == question


def test_what_is_as_usual_is_not_in_the_address() -> None:
    assert QueryParams(key="7").to_address() == {"piece": "7"}
    assert QueryParams().to_address() == {}


@pytest.mark.parametrize(
    "params",
    [
        {"piece": "x"},
        {"piece": "-1"},
        {"piece": "9" * 30},
        {"piece": "1", "way": "<b>"},
        {"piece": "1", "from": "nan"},
        {"piece": "1", "from": "5", "to": "5"},
        {"piece": "1", "to": "-3"},
        {"piece": "1", "k": "0"},
        {"piece": "1", "k": "1000000000000000000"},
    ],
)
def test_addresses_that_make_no_sense_are_errors_in_a_line(params: dict[str, str]) -> None:
    with pytest.raises(MidikinError) as error:
        QueryParams.from_address(params)
    assert "\n" not in str(error.value)


@given(any_notes())
def test_notes_come_back_from_the_address(notes: Notes) -> None:
    notes = notes.slice_notes(0, MAX_PLAYED_NOTES)
    if not len(notes) or notes.end_s > 3600 or notes.start_s < 0:
        return
    back = from_address(to_address(notes))
    assert len(back) == len(notes)
    assert sorted(back.pitch.tolist()) == sorted(notes.pitch.tolist())
    assert abs(back.onset - notes.onset).max() <= 0.0006


def test_damaged_and_swollen_notes_in_the_address_are_refused() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(50_000_000))).decode().rstrip("=")
    for text in ("", "a", "????", "AAAA", bomb, to_address(tune(1))[:-6]):
        with pytest.raises(MidiError, match=r"damaged|last longer"):
            from_address(text)


def test_played_notes_are_checked() -> None:
    notes = from_played([[0, 400, 60, 80], [500, 400, 64, 80]])
    assert notes.pitch.tolist() == [60, 64]
    assert notes.onset.tolist() == [0.0, 0.5]
    for claim in (None, [], "x", [[1, 2, 3]], [[0, 1, 200, 5]], [["a", 1, 2, 3]], [[0, 1, 60, 80]] * 401):
        with pytest.raises(MidiError):
            from_played(claim)
    with pytest.raises(MidiError):
        from_played([[float("nan"), 1, 60, 80]])


def test_notes_for_the_browser_are_columns() -> None:
    sent = payload(Notes([0.5, 1.0], [0.25, 0.5], [60, 72], [10, 127]))
    data = base64.b64decode(sent["notes"])
    assert len(data) == 20
    assert int.from_bytes(data[:4], "little") == 500
    assert int.from_bytes(data[12:16], "little") == 500
    assert list(data[16:]) == [60, 72, 10, 127]
    assert sent["parts"] == [{"name": "Piano", "program": 0, "drums": False}]
    assert sent["piano"]


def test_parts_and_drums_reach_the_browser_where_notes_have_them() -> None:
    class Band:
        """Notes with parts, as far as the codec looks at them."""

        onset, duration = np.array([0.0, 0.5, 1.0]), np.array([0.4, 0.4, 0.1])
        pitch, velocity = np.array([60, 40, 38]), np.array([80, 80, 80])
        part = np.array([0, 2, 3], np.uint16)
        parts = tuple(
            SimpleNamespace(name=name, channel=channel, program=program, bank=None, drums=channel == 9)
            for name, channel, program in (("Lead", 0, 56), ("unused", 1, 0), ("", 2, 33), ("", 9, 0))
        )

        def __len__(self) -> int:
            return 3

    sent = payload(Band())  # type: ignore[arg-type]
    data = base64.b64decode(sent["notes"])
    assert len(data) == 36
    assert np.frombuffer(data[30:], "<u2").tolist() == [0, 1, 2]
    assert [part["name"] for part in sent["parts"]] == ["Lead", "Bass", "Drums"]
    assert [part["drums"] for part in sent["parts"]] == [False, False, True]
    assert not sent["piano"]


def test_filters_as_controls_and_back() -> None:
    from ui.app.search_query import FilterControls, filter_label

    written = ("tempo=70..120", "duration=0..300", "key=C minor", "tag=mood: calm", "path~rags", "density>5")
    controls = FilterControls.from_filters(written)
    assert controls.tempo == (70, 120)
    assert controls.length_s == (0, 300)
    assert (controls.key, controls.folder, controls.tags) == ("C minor", "rags", ("mood: calm",))
    assert controls.text == ("density>5",)
    assert controls.to_filters() == written
    assert FilterControls().to_filters() == ()
    assert [filter_label(one) for one in written] == [
        "70 to 120 BPM", "up to 5:00", "C minor", "mood: calm", "in rags", "density>5",
    ]  # fmt: skip


def test_names_are_found_without_accents_and_by_all_words() -> None:
    from ui.app.catalog import Catalog, fold

    def piece(number: int, display: str) -> Any:
        return SimpleNamespace(id=number, display=display, title=None)

    pieces = [
        piece(1, "/m/Bartók/Für Elise.mid"),
        piece(2, "/m/x/elise in blue.mid"),
        piece(12, "/m/x/other.mid"),
    ]
    names = Catalog(pieces, "/m", ["Für Elise", "elise in blue", "other"])
    assert names.find("fur ELISE", 9) == [0]
    assert names.find("elise", 9) == [1, 0]
    assert names.find("bartok elise", 9) == [0]
    assert names.find("#12", 9) == [2]
    assert names.find("12", 9) == [2]
    assert names.find("nothing", 9) == []
    assert fold("Ｆｕ\u0308r") == "fur"


def test_what_two_pieces_share_is_said_of_their_descriptors_alone() -> None:
    from ui.app.cards import shared_sentence

    base = Descriptors(60.0, 600, 10.0, 36, 84, 60.0, 3.0, 70.0, "Ab major", 0.9, 92.0)
    other = replace(base, key="C major", tempo_bpm=76.0)
    assert shared_sentence(base, other).startswith("A major third higher; 16 BPM slower")
    assert shared_sentence(base, base).startswith("Same key; same tempo")
    assert "key" not in shared_sentence(base, replace(base, key_confidence=0.1)).lower()
    assert "BPM" not in shared_sentence(base, replace(base, tempo_bpm=None))


def test_text_never_becomes_markup() -> None:
    evil = (
        "<script>alert(1)</script> [x](javascript:1) ![i](http://e.org/x.png) $a$ :red[b] `c` **d** www.e.org"
    )
    shown = plain(evil)
    for sign in "<>[]()!$:`*":
        assert f"\\{sign}" in shown
        assert shown.count(sign) == shown.count(f"\\{sign}")
    assert "www." not in shown.replace("\\", "")
    assert plain("a\nb\x00\x1b[31m") == "a b \\[31m"


def test_cells_never_become_formulas() -> None:
    assert cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert cell("@x") == "'@x"
    assert cell("-0.25") == "-0.25"
    assert cell(None) == ""


def test_an_upload_is_read_and_its_name_is_only_a_name(tmp_path: Path) -> None:
    write_midi(tune(3), tmp_path / "a.mid")
    upload = read_upload("../../etc/passwd\x00.mid", (tmp_path / "a.mid").read_bytes())
    assert upload.notes == tune(3)
    assert upload.name == "../../etc/passwd?.mid"


def test_bad_uploads_are_refused_in_a_line_that_names_the_visitor_s_file() -> None:
    for data in (b"", b"not music", b"MThd" + bytes(30), bytes(MAX_BYTES + 1)):
        with pytest.raises(MidiError) as error:
            read_upload("mine.mid", data)
        assert str(error.value).startswith("mine.mid: ")
        assert "midikin-upload" not in str(error.value)


@pytest.mark.slow
def test_hostile_uploads_end_in_notes_or_a_midi_error() -> None:
    for name, data in list(hostile_files().items())[::8]:
        with suppress(MidiError):
            assert len(read_upload(name, data).notes) > 0


def test_the_oldest_uploads_go_first() -> None:
    held = Uploads(max_uploads=2)
    keys = [held.keep(Upload(f"{i}", None, tune(i), None)) for i in range(3)]
    assert held.find(keys[0]) is None
    assert [held.find(key).name for key in keys[1:]] == ["1", "2"]  # type: ignore[union-attr]
    large = Uploads(max_uploads=9, max_notes=200)
    first, second = (large.keep(Upload("x", None, tune(i), None)) for i in range(2))
    assert large.find(first) is None
    assert large.find(second) is not None


def test_who_may_enter() -> None:
    patterns = "ann@example.org\n*@music.example"
    assert may_enter(patterns, "Ann@Example.org", None)
    assert may_enter(patterns, "bo@music.example", True)
    assert not may_enter(patterns, "bo@music.example", False)
    assert not may_enter(patterns, "bo@music.example.evil.org", True)
    assert not may_enter(patterns, None, True)
    assert not may_enter("", "ann@example.org", True)


def test_the_start_listens_here_alone_and_tells_nobody() -> None:
    command = Launch("127.0.0.1", 8600).command()
    for setting in (
        "--server.address=127.0.0.1",
        "--server.port=8600",
        "--browser.gatherUsageStats=false",
        "--client.showErrorDetails=none",
        "--server.enableXsrfProtection=true",
        f"--server.maxUploadSize={MAX_BYTES // 2**20}",
        "--server.allowedHosts=127.0.0.1",
        "--server.allowedHosts=localhost",
    ):
        assert setting in command
    assert (
        "--server.allowedHosts=midikin.example" in Launch("0.0.0.0", 1, hosts=["midikin.example"]).command()
    )


def test_who_can_be_reached_by_others_lets_no_folder_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDIKIN_UI_MUSIC", "/somewhere")
    assert "MIDIKIN_UI_MUSIC" not in Launch("127.0.0.1", 1).environment()
    assert Launch("0.0.0.0", 1).environment()["MIDIKIN_UI_MUSIC"] == ""
    music = Launch("0.0.0.0", 1, music=["/srv/midi", "x"]).environment()["MIDIKIN_UI_MUSIC"]
    assert music == os.pathsep.join(["/srv/midi", str(Path("x").absolute())])
    assert Launch("::1", 1, login=["*@x.org"]).environment()["MIDIKIN_UI_LOGIN"] == "*@x.org"


def test_loopback_addresses() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "::1", "[::1]", "localhost", "127.8.8.8"]))
    assert not any(map(is_loopback, ["0.0.0.0", "192.168.1.2", "::", "example.org"]))


def test_a_port_that_is_taken_is_said_and_otherwise_avoided() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"{port}.*--port"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", None) >= 8501


def test_the_command_says_in_a_line_what_it_cannot_do(
    midikin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda program, command, environment: started.append(command))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "--port" in midikin("ui", "--port", port, "--no-browser", status=2).stderr
    (tmp_path / "file").write_text("no library")
    midikin("ui", "--library", tmp_path / "file", "--no-browser", status=1)
    assert started == []


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the app is a process of its own")
def test_the_command_becomes_the_app(midikin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def become(program: str, command: list[str], environment: dict[str, str]) -> None:
        assert program == command[0]
        assert "--server.headless=true" in command
        assert environment["MIDIKIN_UI_MUSIC"] == ""
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", become)
    said = midikin("ui", "--host", "0.0.0.0", "--no-browser")
    assert "put a login in front" in said.stderr


# -- remote visitors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "started",
    [
        Launch("0.0.0.0", 1),
        Launch("127.0.0.1", 1, hosts=["music.example.org"]),
        Launch("127.0.0.1", 1, login=["*@example.org"]),
        Launch("127.0.0.1", 1, music=["midi"]),
    ],
)
def test_whoever_is_reached_by_others_counts_as_remote(started: Launch) -> None:
    assert started.remote
    assert "MIDIKIN_UI_MUSIC" in started.environment()
    assert not Launch("127.0.0.1", 1).remote


def test_messages_to_remote_visitors_lose_the_folders_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    from ui.app.visitors import without_paths

    message = "/srv/my music/a.mid: no such file; AC/DC and C:\\Users\\me\\b.mid stay"
    monkeypatch.delenv("MIDIKIN_UI_MUSIC", raising=False)
    assert without_paths(message) == message
    monkeypatch.setenv("MIDIKIN_UI_MUSIC", "")
    assert without_paths(message) == "a.mid: no such file; AC/DC and b.mid stay"


def test_paths_begin_at_the_folder_that_all_files_share() -> None:
    from embedder.core.files import relative_path

    assert relative_path("/srv/midi/jazz/a.mid", "/srv/midi") == "jazz/a.mid"
    assert relative_path("/srv/midi2/jazz/a.mid", "/srv/midi") == "jazz/a.mid"
    assert relative_path("/home/x/jazz/a.mid", "/") == "jazz/a.mid"
    assert relative_path("C:\\midi\\jazz\\a.mid", "C:\\midi") == "jazz\\a.mid"


def test_parts_without_a_name_of_their_own_are_called_by_their_instrument() -> None:
    from embedder.notation import Part
    from ui.app.note_codec import payload

    parts = (Part("Staff-3", 0, 56), Part("Lead", 1, 0), Part("Track 10", 9, 0, drums=True), Part("", 2, 56))
    notes = Notes([0.0, 1.0, 2.0, 3.0], [1.0] * 4, [60, 62, 36, 50], [80] * 4, [0, 1, 2, 3], parts)
    assert [part["name"] for part in payload(notes)["parts"]] == ["Trumpet 1", "Lead", "Drums", "Trumpet 2"]
    assert not payload(notes)["piano"]
    assert payload(Notes([0.0], [1.0], [60], [80]))["piano"]
