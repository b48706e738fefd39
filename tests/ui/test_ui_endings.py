"""How commands end when streams, folders and names are unusable: one line, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from ui.cli import main; main()"]


def run(*arguments: str, cwd: Path | None = None, **streams: object) -> subprocess.CompletedProcess[str]:
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([*COMMAND, *arguments], text=True, cwd=cwd, check=False, **settings)  # type: ignore[call-overload]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_output_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ended = run("--help", stdout=full)
        assert ended.returncode in (0, 1)
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", ""],
        ["search", ""],
        ["remove", ""],
        ["info", "--library", ""],
        ["demo", "--folder", ""],
    ],
)
def test_an_empty_name_is_wrong_use(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert "empty" in ended.stderr


def test_a_demonstration_on_an_unusable_folder_is_one_line() -> None:
    ended = run("demo", "--folder", "/dev/null/x")
    assert ended.returncode == 1
    assert ended.stderr.startswith("midikin: ")
    assert ended.stderr.count("\n") == 1


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    script = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec {sys.executable} -m ui.cli info"
    (tmp_path / "gone").mkdir()
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root)}
    )
    assert ended.returncode == 1
    assert "current folder is gone" in ended.stderr
    assert "Traceback" not in ended.stderr
