"""A library is told from every other: caches of one are never believed in another, and no file is revived."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import delete

from embedder.core.errors import LibraryError
from index import Library
from index.storage import schema
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes


def test_caches_of_another_library_are_not_believed(tmp_path: Path, encoder: FakeEncoder) -> None:
    write_tunes(tmp_path / "one", 4)
    write_tunes(tmp_path / "two", 4, first_seed=50)
    folder = tmp_path / "library"
    for use in ("one", "two"):
        with Library.open(folder, encoder=encoder) as library:
            library.add(tmp_path / use, workers=1)
            library.maintenance.prepare()
            for piece in library.pieces():
                assert library.search(piece.id, 1, include_self=True).results[0].piece_id == piece.id
                whole = library.search(piece.path, 1, start_s=0, include_self=True)
                assert whole.results[0].piece_id == piece.id
                assert library.find(piece.path, include_self=True).results[0].piece_id == piece.id
            assert all(index.current for index in library.info().indexes)
        if use == "one":
            for name in ("midikin.db", "midikin.db-wal", "midikin.db-shm"):
                (folder / name).unlink(missing_ok=True)


def test_an_old_library_gets_an_id_at_its_next_write(library: Library, encoder: FakeEncoder) -> None:
    with library._database.write() as connection:
        connection.execute(delete(schema.meta).where(schema.meta.c.name == "library"))
    with Library.open(library.folder, encoder=encoder) as old:
        assert old.search(tune(900)).results
        with old._database.read() as connection:
            assert old._database.library_id(connection) == ""
        old.remove(1)
        with old._database.read() as connection:
            assert len(old._database.library_id(connection)) == 32
        assert old.search(tune(900)).results


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted")
@pytest.mark.parametrize("again", [False, True])
def test_a_deleted_library_is_not_written(library: Library, music: Path, again: bool) -> None:
    write_tunes(music / "more", 1, first_seed=70)
    shutil.rmtree(library.folder)
    if again:
        library.folder.mkdir()
    with pytest.raises(LibraryError, match="gone"):
        library.add(music, workers=1)
    assert library.folder.exists() == again
    assert not again or not list(library.folder.iterdir())
