"""Two machines and one folder: the second is refused, and what a dead one left is not believed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from embedder.core.errors import LibraryBusy
from index import Library
from index.storage import locks
from index.storage.locks import Claim, on_network
from tests.support.fake_encoder import FakeEncoder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.05)
    monkeypatch.setattr(locks, "LOOK_S", 0.4)


def another(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this process is on another machine."""
    monkeypatch.setattr(locks, "this_machine", lambda: "ffffffffffffffff")


def test_another_machine_that_writes_is_named(
    library: Library, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claim(library.folder):
        another(monkeypatch)
        monkeypatch.setattr("platform.node", lambda: "cellar")
        with pytest.raises(LibraryBusy, match="two machines cannot use one folder") as caught:
            library.remove(1)
        assert "\n" not in str(caught.value)
    library.remove(1)
    assert library.info().pieces == 11
    assert not list(library.folder.glob("in-use*"))


def test_what_a_dead_machine_left_is_cleared(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    left = library.folder / "in-use-000000000000.json"
    for content in ('{"machine": "cellar", "beat": "1"}', "half of"):
        left.write_text(content)
        library.remove(library.pieces(limit=1)[0].id)
    assert library.info().pieces == 10


def test_processes_of_one_machine_do_not_mind_each_other(library: Library) -> None:
    with Claim(library.folder), Claim(library.folder):
        pass
    with Claim(library.folder):
        assert library.remove(1).pieces == 1


def test_a_network_folder_is_claimed_while_it_is_open(
    library: Library, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.storage.database.on_network", lambda folder: True)
    with Library.open(library.folder, encoder=encoder) as first, monkeypatch.context() as patch:
        another(patch)
        with pytest.raises(LibraryBusy):
            Library.open(library.folder, encoder=encoder)
        assert first.search(1).results
    another(monkeypatch)
    with Library.open(library.folder, encoder=encoder) as second:
        assert second.search(1).results
    assert not [thread for thread in threading.enumerate() if thread.name == "midikin-claim"]


def test_mounts_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not on_network(tmp_path)
    spaced = tmp_path / "a share"
    spaced.mkdir()
    table = "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
    table += f"2 1 0:40 / {tmp_path!s}/a\\040share rw shared:1 - nfs4 server:/music rw\n"
    read = Path.read_text

    def mounts(path: Path, *arguments: str, **options: str) -> str:
        return table if path.name == "mountinfo" else read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", mounts)
    assert on_network(spaced)
    assert on_network(spaced / "library")
    assert not on_network(tmp_path / "a share of mine")
