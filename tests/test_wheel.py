"""What users install: the wheel, in an environment of its own, far from the checkout."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("embedder", "index", "train", "ui")
NAMES = "Continuer, Encoder, Library, MidiError, Notes, read_midi, write_midi"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals and scripts")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout; a build in the checkout itself would leave its folders behind."""
    source = tmp_path_factory.mktemp("source")
    left_out = shutil.ignore_patterns("__pycache__", ".*")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", out, source]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = out.glob("midikin-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of a new environment that has the wheel, and what it needs from this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    # As plain folders, in which the files that make this checkout importable are not read.
    shared = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "shared.pth").write_text("\n".join(shared))
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    run = subprocess.run(install, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return home / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and a home without anything of midikin's."""
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "MIDIKIN_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_the_public_names_are_imported_from_midikin_and_only_when_used(
    installed: Path, elsewhere: Path
) -> None:
    code = (
        "import sys, midikin\n"
        "assert not {'torch', 'numpy', 'faiss', 'sqlalchemy'} & set(sys.modules), 'import midikin is heavy'\n"
        f"from midikin import {NAMES}\n"
        "import embedder, index, ui\n"
        "for module in (midikin, embedder, index, ui):\n"
        "    assert module.__file__.startswith(sys.prefix), module.__file__\n"
        "assert Library is index.Library and Notes is embedder.Notes\n"
        "assert set(midikin.__all__) == set(embedder.__all__) | set(index.__all__)\n"
        "print(midikin.__version__)\n"
    )
    run = subprocess.run([installed / "python", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said = subprocess.run([installed / "midikin", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"midikin {run.stdout}"


def test_the_demonstration_runs(installed: Path, elsewhere: Path) -> None:
    pytest.importorskip("music21")
    command = [installed / "midikin", "demo", "--folder", elsewhere / "demo"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550)
    assert run.returncode == 0, run.stderr
    assert "known to be right" in run.stdout
    assert "What to type next" in run.stdout


def test_the_app_starts_and_serves_its_page(installed: Path, elsewhere: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [installed / "midikin", "ui", "--port", str(port), "--no-browser"]
    app = subprocess.Popen(
        [*command, "--library", elsewhere / "library"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                    assert "<html" in page.read().decode().lower()
                break
            except OSError:
                assert app.poll() is None, app.communicate()[0].decode()
                assert time.monotonic() < until, "no page within a minute"
                time.sleep(0.2)
    finally:
        app.send_signal(signal.SIGTERM)
        app.communicate(timeout=30)


def test_the_first_page_of_the_app_is_drawn_without_an_error(installed: Path, elsewhere: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from streamlit.testing.v1 import AppTest\n"
        "import ui.app\n"
        "script = Path(ui.app.__file__).parent / 'script' / 'main.py'\n"
        "page = AppTest.from_file(str(script), default_timeout=120).run()\n"
        "assert not page.exception, page.exception\n"
    )
    environment = os.environ | {"MIDIKIN_LIBRARY": str(elsewhere / "library")}
    run = subprocess.run(
        [installed / "python", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
