"""Times as people write them, tables, and what happens when a reader of our output goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_encoder import write_tunes
from ui.cli.options import parse_time, piece_target
from ui.cli.output import clock, print_pairs, print_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0:30", 30),
        ("1:00", 60),
        ("1:02:03.5", 3723.5),
        ("0", 0),
        ("2.25", 2.25),
        ("90:00", 5400),
    ],
)
def test_times_that_can_be_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", ":", "1:", ":30", "-5", "1:-3", "1.5:00", "nan", "inf", "1:2:3:4", "1m30"]
)
def test_times_that_cannot(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (83, "1:23"), (3723.4, "1:02:03")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_number_marks_a_piece_and_all_else_is_a_path() -> None:
    assert piece_target("#12") == piece_target("12") == 12
    for path in ("#", "#a", "./#12", "song #1.mid", "#²"):
        assert piece_target(path) == path


def test_tables_into_a_pipe_have_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("1", "two\nlines"), ("[bold]", "x\ty")])
    assert capsys.readouterr().out == "a\tb\n1\ttwo lines\n[bold]\tx y\n"


def test_tables_on_a_terminal_show_brackets_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.cli.output.on_terminal", lambda: True)
    print_table(("a", "b"), [("1", "[bold]name[/bold]")], right=("a",))
    assert "[bold]name[/bold]" in capsys.readouterr().out


def test_pairs_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({"a": "1", "long": "2\n3"})
    assert capsys.readouterr().out == "a     1\nlong  2\n      3\n"


def run_midikin(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ui.cli", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = run_midikin("--help")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) in (0, 1)
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


def test_a_reader_that_goes_away_during_a_command_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.mid").write_bytes(b"no music")
    library = str(tmp_path / "library")
    process = run_midikin("add", str(tmp_path / "broken.mid"), "--library", library)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert b"1 file could not be read" in out
    for arguments in (("failures",), ("failures", "--json"), ("info",)):
        process = run_midikin(*arguments, "--library", library)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert (process.wait(60), errors) == (1, b"")


def test_a_terminal_that_knows_only_ascii_gets_escapes(tmp_path: Path) -> None:
    process = run_midikin(
        "info", "--library", str(tmp_path / "Bärenreiter ♯"), env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == b""
    assert b"B\\xe4renreiter \\u266f" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_sigint_during_an_add_ends_with_130_and_a_library_that_continues(tmp_path: Path) -> None:
    write_tunes(tmp_path / "music", 150, notes=1500)
    library = str(tmp_path / "library")
    process = run_midikin("add", str(tmp_path / "music"), "--library", library, start_new_session=True)
    database = tmp_path / "library" / "midikin.db"
    until = time.monotonic() + 60
    while not database.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.5)  # let it read, load and embed for a while
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    out, errors = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.fail("the add was over before it could be interrupted: give it more to do")
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    lines = errors.decode().splitlines()
    assert lines == ["midikin: stopped; what was added is kept, and the same command continues"], out
    again = run_midikin("add", str(tmp_path / "music"), "--library", library)
    out, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    info = run_midikin("info", "--library", library, "--json")
    assert b'"pieces": 150' in info.communicate(timeout=60)[0]
