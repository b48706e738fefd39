"""Folders and files that nobody should meet: each ends in a reason or an answer, and costs no neighbour."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedder.core.errors import MidiError
from index import Library
from index.storage.paths import display
from tests.support.fake_encoder import FakeEncoder, write_tunes
from tests.support.hostile import hostile_files, hostile_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="such names and links need Unix")


def test_a_hostile_folder_loses_no_neighbour(tmp_path: Path, encoder: FakeEncoder) -> None:
    answers = hostile_folder(tmp_path / "music")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        report = library.add(tmp_path / "music", workers=1)
        held = {path for piece in library.pieces(limit=1000) for path in piece.paths}
        failed = {failure.path: failure for failure in library.failures()}
        for path, good in answers.items():
            assert (path in held) == good
            assert (path in failed) != good
        for trap in ("itself.mid", "nowhere.mid", "pipe.mid", "socket.mid"):
            assert str(tmp_path / "music" / trap) in failed
        assert all(failure.reason and failure.display.isprintable() for failure in failed.values())
        assert all(piece.display.isprintable() for piece in library.pieces(limit=1000))
        again = library.add(tmp_path / "music", workers=1)
        assert (again.added, again.failed, again.duplicates) == (0, 0, 0)
        assert again.known_failures == report.failed
        assert again.unchanged == again.found - sum(
            failure.size_bytes is not None for failure in failed.values()
        )
        for path, good in answers.items():
            if good:
                assert library.search(path, k=1).query.path == path
                assert library.remove(path).paths == 1


def test_an_unlistable_folder_is_on_record_until_it_opens(
    tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tunes(tmp_path / "music", 6)
    locked = str(tmp_path / "music" / "part1")
    scandir = os.scandir

    def refusing(path: str) -> Iterator[os.DirEntry[str]]:
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with Library.open(tmp_path / "library", encoder=encoder) as library:
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refusing)
            assert library.add(tmp_path / "music", workers=1).added == 4
            (failure,) = library.failures()
            assert failure.path == locked
            assert "cannot be listed: permission denied" in failure.reason
            assert library.add(tmp_path / "music", workers=1).known_failures == 1
        report = library.add(tmp_path / "music", workers=1)
        assert (report.added, report.vanished) == (2, ())
        assert library.failures() == []
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refusing)
            assert library.add(tmp_path / "music", workers=1, prune=True).vanished == ()
        assert library.info().pieces == 6


def test_hostile_files_end_in_a_reason_or_an_answer(tmp_path: Path, encoder: FakeEncoder) -> None:
    files = hostile_files()
    music = tmp_path / "music"
    music.mkdir()
    for name, data in files.items():
        (music / f"{name.replace('/', '_')}.mid").write_bytes(data)
    good = write_tunes(music, 5)
    begun = time.monotonic()
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        report = library.add(music, workers=2)
        assert report.found == len(files) + len(good)
        assert report.found == report.added + report.duplicates + report.failed
        held = {path for piece in library.pieces(limit=1000) for path in piece.paths}
        assert {str(path) for path in good} <= held
        assert len(held) + library.info().failures == report.found
        assert time.monotonic() - begun < 120
        # Each can be asked for, too; passages have sane times.
        for path in sorted(held):
            for hit in library.search(path, k=3, passages=True).results:
                assert hit.start_s < hit.end_s


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("plain/ä曲.mid", "plain/ä曲.mid"),
        ("line\nbreak\x1b[31m.mid", "line\\nbreak\\x1b[31m.mid"),
        (os.fsdecode(b"\xff.mid"), "\\xff.mid"),
        ("right\u202eleft", "right\\u202eleft"),
    ],
)
def test_paths_are_shown_on_one_printable_line(path: str, shown: str) -> None:
    assert display(path) == shown


def test_hostile_files_as_queries_end_in_a_reason_or_an_answer(library: Library, tmp_path: Path) -> None:
    refused = []
    for number, data in enumerate(hostile_files().values()):
        path = tmp_path / f"query{number}.mid"
        path.write_bytes(data)
        begun = time.process_time()  # other work on the machine does not count
        try:
            assert len(library.search(path, k=3).results) == 3
        except MidiError as error:
            refused.append((str(path), str(error)))
        assert time.process_time() - begun < 10
    assert len(refused) > 20
    assert all(path in reason for path, reason in refused)
