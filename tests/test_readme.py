"""The README is true: its commands run, and it names every command, every setting and every file."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from embedder import write_midi
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes
from ui.cli import app
from ui.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Lines of the README's shell blocks that call midikin, the demonstration aside."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("midikin ")]


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README's examples name: a folder `midi` and a file `theme.mid`."""
    write_tunes(tmp_path / "midi", 9)
    write_midi(tune(1).stretch(1.1), tmp_path / "theme.mid")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIDIKIN_LIBRARY", str(tmp_path / "library"))
    return tmp_path


def test_the_two_commands_come_first_and_do_everything() -> None:
    lines = [line for line in blocks("sh")[0].splitlines() if line and not line.startswith("#")]
    assert len(lines) == 2
    demo, test = (line.split(" && ") for line in lines)
    for steps in (demo, test):
        assert steps[0] == "python3 -m venv .venv"
        assert re.fullmatch(r'\.venv/bin/pip install -e "\.\[\w+\]"', steps[1])
    assert demo[2:] == [".venv/bin/midikin demo"]
    assert test[2:] == [".venv/bin/pytest"]
    assert README.index(lines[0]) < README.index("\n## ")


def test_ci_runs_the_readme_s_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    pattern = re.search(r"sed -n '/(.*?)/p' README.md", script.read_text(encoding="utf-8"))
    assert pattern is not None
    chosen = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert chosen == [blocks("sh")[0].splitlines()[-1]]


def test_examples_of_the_command_line_run(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FakeEncoder()
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: encoder)
    assert len(commands()) >= 10
    for line in commands():
        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, f"{line}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"


def test_the_example_in_python_runs(music: Path) -> None:
    (example,) = blocks("python")
    assert len(example.splitlines()) <= 15
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == "9 pieces added"
    assert run.stdout.splitlines()[1].startswith("1  ")


def test_every_command_is_named() -> None:
    for entry in COMMANDS:
        assert re.search(rf"midikin {entry.name}\b", README), (
            f"README.md does not mention midikin {entry.name}"
        )


def test_every_environment_variable_is_named() -> None:
    rooms = [ROOT / room for room in ("embedder", "index", "train", "ui", "tests")]
    code = "".join(path.read_text(encoding="utf-8") for room in rooms for path in room.rglob("*.py"))
    variables = set(re.findall(r"\bMIDIKIN_[A-Z_]*[A-Z]\b", code))
    assert "MIDIKIN_LIBRARY" in variables
    assert [name for name in sorted(variables) if name not in README] == []
