"""The tests of what a library does, once more with its metadata in PostgreSQL.

The functions that begin with `test_` come from the files named below; only where their libraries lie is
different. Left out are the tests that look into the SQLite file themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index.test_filter_cache import (  # noqa: F401
    test_each_condition_alone_gives_what_all_together_give,
    test_what_comes_and_goes_is_seen_at_once,
)
from tests.index.test_filters import *  # noqa: F403
from tests.index.test_find import *  # noqa: F403
from tests.index.test_search import *  # noqa: F403
from tests.index.test_vectors import *  # noqa: F403
from tests.support import servers

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with servers.postgres() as address:
        yield address


@pytest.fixture(autouse=True)
def everything_in_postgres(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each folder of a library has a place of its own on the server."""
    places: dict[Path, str] = {}

    def place(folder: Path) -> str:
        if folder not in places:
            places[folder] = servers.empty_place(server)
        return places[folder]

    monkeypatch.setattr("index.storage.database._address_of", place)
    yield
    for folder in places:
        assert not (folder / "midikin.db").exists()
