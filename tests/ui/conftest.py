"""The command line run in this process with an encoder that needs no weights, and a library of tunes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.fake_encoder import FakeEncoder, write_tunes

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_library_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that name no library never open the one of whoever runs the tests."""
    monkeypatch.setenv("MIDIKIN_LIBRARY", str(tmp_path / "library"))


@pytest.fixture
def fake_encoder(monkeypatch: pytest.MonkeyPatch) -> FakeEncoder:
    """Whatever encoder is asked for, this one comes."""
    encoder = FakeEncoder()
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: encoder)
    return encoder


@pytest.fixture
def midikin(fake_encoder: FakeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `midikin ARGUMENTS` on the library `tmp_path / "library"`; the exit status must be as told."""
    from ui.cli import app

    monkeypatch.setenv("MIDIKIN_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object, status: int = 0) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        shown = f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
        assert result.exit_code == status, shown
        assert "Traceback" not in shown
        return result

    return run


@pytest.fixture
def tunes(tmp_path: Path) -> list[Path]:
    """Twelve tunes in three folders below `tmp_path / "music"`."""
    return write_tunes(tmp_path / "music", 12)


@pytest.fixture
def added(midikin: Run, tunes: list[Path], tmp_path: Path) -> list[Path]:
    """The tunes, and the library holds them."""
    midikin("add", tmp_path / "music")
    return tunes
