"""Metadata in PostgreSQL and vectors in Milvus: a library that answers exactly like an embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedder.core.errors import LibraryError
from index import Library
from index.distributed.runners import Here
from index.distributed.shards import plan
from index.vectors.milvus import SharedCatalogue
from tests.support import servers
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]

TUNES = 60


@pytest.fixture(scope="module")
def addresses() -> Iterator[tuple[str, str]]:
    """Of both servers, which end with the tests."""
    with servers.postgres() as database, servers.milvus() as vectors:
        yield database, vectors


@pytest.fixture
def shared(
    addresses: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Library, Library]]:
    """One library, new, as two machines see it, each with a folder of its own."""
    monkeypatch.setenv("MIDIKIN_DATABASE", servers.empty_place(addresses[0]))
    monkeypatch.setenv("MIDIKIN_VECTORS", addresses[1])
    with (
        Library.open(tmp_path / "one", encoder=FakeEncoder()) as one,
        Library.open(tmp_path / "two", encoder=FakeEncoder()) as two,
    ):
        assert isinstance(one._catalogue, SharedCatalogue)
        monkeypatch.delenv("MIDIKIN_DATABASE")
        monkeypatch.delenv("MIDIKIN_VECTORS")
        yield one, two


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    write_tunes(folder, TUNES)
    return folder


def same_answers(library: Library, other: Library, k: int = 10) -> None:
    """Paths, places and scores agree, whatever is asked; scores up to how Milvus rounds."""
    for filters in ((), ("path~part1",), ("name=tune0?0.mid", "notes>5"), ("pitch>60", "duration<1:00")):
        for passages in (False, True):
            for part in ({}, {"start_s": 2.0, "end_s": 9.0}):
                mine, theirs = (
                    one.search(tune(905), k=k, passages=passages, filters=filters, **part)
                    for one in (library, other)
                )
                assert [hit.score for hit in mine.results] == pytest.approx(
                    [hit.score for hit in theirs.results], abs=1e-3
                )
                assert mine.query.pieces == theirs.query.pieces
                # Equals in score may come in either order.
                places = [
                    {(h.path, round(h.start_s, 6), h.shared) for h in one.results} for one in (mine, theirs)
                ]
                assert len(places[0] & places[1]) >= len(places[0]) - 1


def test_it_answers_exactly_like_an_embedded_library(
    shared: tuple[Library, Library], many: Path, tmp_path: Path
) -> None:
    one, two = shared
    with Library.open(tmp_path / "embedded", encoder=FakeEncoder()) as embedded:
        for library in (one, embedded):
            assert library.add(many, workers=1).added == TUNES
        same_answers(one, embedded)
        same_answers(two, embedded)  # it has added nothing, and sees all
        assert [p.paths for p in two.pieces(limit=200)] == [p.paths for p in embedded.pieces(limit=200)]
        write_tunes(many, 20, first_seed=500)
        gone = len(list(many.glob("part2/*.mid")))
        for library in (two, embedded):
            assert library.add(many, workers=1).added == 20
            assert library.remove(many / "part2").pieces == gone
        same_answers(one, embedded)
        assert one.info().pieces == embedded.info().pieces == TUNES + 20 - gone
        found, known = (library.find(many / "part0" / "tune003.mid") for library in (one, embedded))
        assert [hit.path for hit in found.results] == [hit.path for hit in known.results]
    with pytest.raises(LibraryError, match="Milvus"):
        one.maintenance.build_index("pieces")


def test_shards_go_into_it_and_its_recall_against_exact_search_is_whole(
    shared: tuple[Library, Library], many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: FakeEncoder())
    monkeypatch.setattr("index.distributed.runners._ENCODERS", {})
    shards = plan([many], tmp_path / "results", "fake", files=50)
    assert sum(record.pieces for record in Here().run(shards)) == TUNES
    one, two = shared
    assert one.maintenance.merge(tmp_path / "results").pieces == TUNES
    numbers, vectors = two.vectors()
    found = 0
    for number, vector in zip(numbers.tolist(), vectors, strict=True):
        scores = vectors @ vector
        answers = [hit.piece_id for hit in two.search(number, k=10).results]
        least = np.sort(np.delete(scores, np.searchsorted(numbers, number)))[-10]
        found += sum(scores[np.searchsorted(numbers, answer)] >= least - 1e-3 for answer in answers)
    assert found >= 0.99 * 10 * TUNES
