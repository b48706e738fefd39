"""Start-up of the command line: fast because nothing heavy is imported, and every command explains itself."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ui.cli import app
from ui.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "faiss", "sqlalchemy", "symusic", "sklearn", "numpy", "music21", "mido", "rich", "index"}


def loaded_by(*arguments: str) -> set[str]:
    """First names of the modules in a process that ran `midikin` with these arguments."""
    code = (
        "import sys\n"
        "from ui.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('MODULES', *{name.partition('.')[0] for name in sys.modules})\n"
        "print('COMMANDS', *(name for name in sys.modules if name.startswith('ui.cli.commands.')))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    assert lines[-1].startswith("COMMANDS")
    assert lines[-2].startswith("MODULES")
    return set(lines[-2].split()[1:]) | set(lines[-1].split()[1:])


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_load_nothing_heavy_and_no_command(arguments: list[str]) -> None:
    loaded = loaded_by(*arguments)
    assert "typer" in loaded
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("ui.cli.commands.")}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_help_of_a_command_loads_only_that_command(entry: object) -> None:
    loaded = loaded_by(entry.name, "--help")  # type: ignore[attr-defined]
    assert not loaded & HEAVY
    commands = {name for name in loaded if name.startswith("ui.cli.commands.")}
    own = f"ui.cli.commands.{entry.module}"  # type: ignore[attr-defined]
    assert own in commands
    assert all(name == own or name.startswith(f"{own}_") for name in commands)  # those of a group


def test_every_command_begins_with_its_summary_and_gives_examples() -> None:
    assert len(COMMANDS) >= 6
    for entry in COMMANDS:
        for path, command in walk(entry.name, entry.load()):
            assert command.help, path
            assert "Example" in command.help, path
            assert f"  midikin {path}" in command.help, path
        assert entry.load().help.splitlines()[0].strip() == entry.summary


def test_examples_reach_the_program_as_they_are_written() -> None:
    """A shell takes everything after an unquoted number sign for a comment."""
    for entry in COMMANDS:
        for path, command in walk(entry.name, entry.load()):
            examples = [line for line in command.help.splitlines() if line.startswith("  midikin ")]  # type: ignore[attr-defined]
            for line in examples:
                assert shlex.split(line, comments=True) == shlex.split(line), f"{path}: {line}"


def walk(path: str, command: object) -> list[tuple[str, object]]:
    """A command, or the commands of a group."""
    inner = getattr(command, "commands", {})
    if not inner:
        return [(path, command)]
    return [pair for name, sub in inner.items() for pair in walk(f"{path} {name}", sub)]


def test_every_option_has_a_help_text() -> None:
    for entry in COMMANDS:
        for path, command in walk(entry.name, entry.load()):
            for option in command.params:  # type: ignore[attr-defined]
                assert getattr(option, "help", None), f"{path} {option.name}"


def test_wrong_commands_and_options_are_usage_errors() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["serch"]).exit_code == 2
    assert "search" in runner.invoke(app, ["serch"]).stderr
    assert runner.invoke(app, ["search"]).exit_code == 2
    assert runner.invoke(app, ["info", "--nope"]).exit_code == 2
    assert isinstance(app, typer.Typer)
