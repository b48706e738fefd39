"""The READMEs are true: their commands run, and they name every command, every setting and what exists."""

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
OF_ROOMS = ("embedder", "index", "train", "ui", "tests", "tests/bench")
READMES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *(ROOT / room / "README.md" for room in OF_ROOMS))
    if path.exists()
}
MAX_LINES = 150
MAX_TREE_LINES = 25


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Lines of a README's shell blocks that call midikin, the demonstration aside."""
    lines = [line for block in blocks("sh", text) for line in block.splitlines()]
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


def test_the_readme_is_short_and_has_one_picture() -> None:
    assert len(README.splitlines()) <= MAX_LINES
    assert len(re.findall(r"!\[", README)) == 1
    (tree,) = [block for block in blocks("text") if block.startswith("embedder/")]
    assert len(tree.splitlines()) <= MAX_TREE_LINES


@pytest.mark.parametrize("name", [name for name, text in READMES.items() if commands(text)])
def test_examples_of_the_command_line_run(music: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    encoder = FakeEncoder()
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: encoder)
    if not any(line.startswith("midikin add") for line in commands(READMES[name])):
        assert CliRunner().invoke(app, ["add", "midi"]).exit_code == 0
    for line in commands(READMES[name]):
        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, f"{line}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"


def test_both_tours_of_commands_are_tried() -> None:
    assert len(commands(README)) >= 8
    assert len(commands(READMES["ui/README.md"])) >= 25


def test_the_example_in_python_runs(music: Path) -> None:
    (example,) = blocks("python")
    assert len(example.splitlines()) <= 15
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "ui")))},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == "9 pieces added"
    assert run.stdout.splitlines()[1].startswith("1  ")


def test_the_example_of_the_library_s_objects_runs(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: FakeEncoder())
    monkeypatch.syspath_prepend(str(ROOT / "ui"))
    (example,) = blocks("python", READMES["index/README.md"])
    exec(compile(example, "index/README.md", "exec"), {"__name__": "example"})
    assert (music / "copy" / "midikin.db").exists()


def test_every_command_is_named() -> None:
    everything = "".join(READMES.values())
    for entry in COMMANDS:
        assert re.search(rf"midikin {entry.name}\b", everything), f"no README mentions midikin {entry.name}"


def test_every_environment_variable_is_named() -> None:
    rooms = [ROOT / room for room in ("embedder", "index", "train", "ui", "tests")]
    code = "".join(path.read_text(encoding="utf-8") for room in rooms for path in room.rglob("*.py"))
    variables = set(re.findall(r"\bMIDIKIN_[A-Z_]*[A-Z]\b", code))
    assert "MIDIKIN_LIBRARY" in variables
    everything = "".join(READMES.values())
    assert [name for name in sorted(variables) if name not in everything] == []


@pytest.mark.parametrize("name", READMES)
def test_links_and_files_that_are_named_exist(name: str) -> None:
    text, home = READMES[name], (ROOT / name).parent
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    scripts = re.findall(r"python (tests/bench/\w+\.py)", text)
    missing = [link for link in links if not (home / link).exists()]
    assert missing + [script for script in scripts if not (ROOT / script).exists()] == []


def test_the_tree_names_folders_and_files_that_exist() -> None:
    (tree,) = [block for block in blocks("text") if block.startswith("embedder/")]
    package = ""
    for line in tree.splitlines():
        names = re.match(r" *(?:[a-z]+/ ?)+", line)
        assert names, line
        if not line.startswith(" "):
            package = names[0].strip()
        inside = "" if not line.startswith(" ") else package
        folders = names[0].split()
        assert all((ROOT / inside / folder).is_dir() for folder in folders), line
        for file in re.findall(r"\w+\.py", line):
            assert any((ROOT / inside / folder / file).is_file() for folder in folders), line
