"""A folder of small tunes and a library of them, made with an encoder that needs no weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from index import Library
from tests.support.fake_encoder import FakeEncoder, write_tunes


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Twelve tunes in three subfolders."""
    folder = tmp_path / "music"
    write_tunes(folder, 12)
    return folder


@pytest.fixture
def library(tmp_path: Path, music: Path, encoder: FakeEncoder) -> Iterator[Library]:
    """A library that holds the twelve tunes."""
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(music, workers=1)
        encoder.calls.clear()
        yield library
